"""Production orders over HTTP, in the words of ISA-95 (B2MML JSON: JobOrder, JobResponse)."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field

from api.asked import Key, Wish, moment, once, production, refused
from api.making import Production
from api.plant import Plant
from api.writes import ERRORS, SmallJson
from gateway.audit import Entry
from gateway.production.jobs import ALLOWED, GIVEN, WAITING, Refused

OrderId = Annotated[str, Field(pattern="^[A-Za-z0-9_.:-]{1,64}$", examples=["JO-77"])]


class Words(Wish):
    """B2MML: what we do not use is kept and given back."""

    model_config = ConfigDict(extra="allow")


class Amount(Words):
    QuantityString: str = Field(pattern=r"^\d{1,15}(\.\d{1,9})?$", examples=["950"])


class Material(Words):
    MaterialDefinitionID: list[str] = Field(default=[], max_length=16, examples=[["SKU-9"]])
    MaterialLotID: list[str] = Field(default=[], max_length=64, examples=[["L-88"]])
    MaterialUse: str = Field(default="Produced", max_length=40, examples=["Produced", "Consumed"])
    Quantity: list[Amount] = Field(default=[], max_length=4)


class Scope(Words):
    EquipmentID: str = Field(max_length=500, description="work unit, by name or path", examples=["filler"])


class JobOrder(Words):
    """What shall be made. `Command` Start lets it begin when its time has come and its unit is free."""

    ID: OrderId
    HierarchyScope: Scope
    StartTime: str | None = Field(default=None, examples=["2026-01-05T06:00:00Z"])
    EndTime: str | None = Field(default=None, examples=["2026-01-05T14:00:00Z"])
    Priority: int = Field(default=0, ge=-1_000, le=1_000, description="higher ones first")
    Command: str = Field(default="Store", pattern="^(Store|Start)$")
    MaterialRequirement: list[Material] = Field(default=[], max_length=64)


class Command(Wish):
    """What shall become of an order."""

    model_config = ConfigDict(extra="forbid")

    Command: str = Field(pattern=f"^({'|'.join(GIVEN)})$", examples=["Stop"])


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["production"], responses=ERRORS, route_class=SmallJson)

    async def done(
        request: Request, key: str, asked: Any, do: Callable[[Production, str], object], deed: Entry, status: int = 200
    ) -> Response:
        """Do something to an order, once per key; the answer is the order as it is then, or why it cannot be done."""
        made = production(plant)

        def whole(who: str) -> dict[str, Any]:
            do(made, who)
            return made.described(deed.object)

        try:
            told = await once(plant, request, key, asked, whole, deed)
        except Refused as error:
            return refused(error)
        return JSONResponse(told, status, {"Location": f"/api/v1/orders/{deed.object}"} if status == 201 else None)

    @routes.post("/orders", operation_id="post_order", status_code=201)
    async def take(job: JobOrder, request: Request, key: Key) -> Response:
        """Take a JobOrder; the answer has its JobResponse. 409 if it is known or overlaps another, 422 if late."""
        order, asked = _job(job, production(plant), plant), job.model_dump(mode="json")
        deed = Entry("order", job.ID, "done", value=job.Command)
        return await done(request, key, asked, lambda made, who: made.take(order, who), deed, 201)

    @routes.get("/orders/{id}", operation_id="get_order")
    async def order(id: OrderId) -> dict[str, Any]:
        """Return JobOrder and JobResponse, as they are now. All orders: /api/v1/odata/Orders."""
        try:
            return await production(plant).ask(production(plant).described, id)
        except KeyError:
            raise HTTPException(404, f"there is no order {id}") from None

    @routes.post("/orders/{id}/commands", operation_id="command_order")
    async def command(id: OrderId, wish: Command, request: Request, key: Key) -> Response:
        """Start, RevokeStart, Pause, Resume, Stop, Cancel, Abort or Clear an order; 409 if it cannot be done now."""
        deed = Entry("order", id, "done", value=wish.Command)
        return await done(request, key, wish.model_dump(), lambda made, who: made.command(id, wish.Command, who), deed)

    @routes.post("/orders/{id}/materials", operation_id="consume_material")
    async def consume(id: OrderId, material: Material, request: Request, key: Key) -> Response:
        """Book a lot that an order has taken or made: MaterialActual of its JobResponse."""
        booked = material.model_dump(mode="json")
        deed = Entry("order", id, "done", value=material.MaterialLotID)
        return await done(request, key, booked, lambda made, who: made.consume(id, [booked], who), deed)

    return routes


def _job(order: JobOrder, made: Production, plant: Plant) -> dict[str, Any]:
    named = order.HierarchyScope.EquipmentID
    whole = (named, f"{plant.site}/{named}")
    unit = next((name for name, one in made.units.items() if named == name or one.asset in whole), None)
    if unit is None:
        raise HTTPException(404, f"there is no work unit {named}: there are {', '.join(made.units)}")
    begin = None if order.StartTime is None else moment(order.StartTime, plant, "StartTime")
    end = None if order.EndTime is None else moment(order.EndTime, plant, "EndTime")
    if begin is not None and end is not None and end <= begin:
        raise HTTPException(422, "EndTime is not after StartTime")
    made_of = [one for one in order.MaterialRequirement if one.MaterialUse.endswith("Produced")]
    amounts = [float(amount.QuantityString) for one in made_of for amount in one.Quantity]
    return {
        "id": order.ID,
        "unit": unit,
        "state": ALLOWED if order.Command == "Start" else WAITING,
        "planned_begin": begin,
        "planned_end": end,
        "priority": order.Priority,
        "quantity": sum(amounts) if amounts else None,
        "material": [id for one in made_of for id in one.MaterialDefinitionID],
        "lots": [id for one in made_of for id in one.MaterialLotID],
        "document": order.model_dump(mode="json", exclude_none=True),
    }
