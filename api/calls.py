"""Calling a method: POST a wish, get what became of it. Who may call what is decided behind `Plant.call`, not here."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.browse import moment
from api.plant import Plant, Written
from api.problems import problem
from api.readings import json
from api.writes import ERRORS, Expires, Id, NewId, Scalar, SmallJson, WriteStatus, expiry_ns, status_of
from gateway.model.method import Called
from gateway.model.quality import name
from gateway.payload import encoded

Name = Annotated[str, StringConstraints(max_length=100)]


class CallWish(BaseModel):
    """Which method shall be called, and with what."""

    model_config = ConfigDict(extra="forbid")

    id: NewId
    method: str = Field(
        max_length=500, description="path, with or without the site", examples=["packaging/line1/filler/set_speed"]
    )
    arguments: dict[Name, Scalar] = Field(
        default={}, max_length=32, description="by name: each that the method has", examples=[{"Speed": 120}]
    )
    expires: Expires = None


class CallInfo(BaseModel):
    """What became of a wish."""

    id: str = Field(examples=["recipe-4711-start"])
    method: str = Field(examples=["acme/dresden/packaging/line1/filler/set_speed"])
    status: WriteStatus = Field(
        description="done: the device says so; refused: nothing was sent to it; failed: it refused; unknown: it gave no"
        " answer and may have done it or not"
    )
    code: str = Field(
        description="name of the OPC UA StatusCode, the device's own if it has answered", examples=["Good"]
    )
    detail: str = Field(description="why it is not done", examples=[""])
    arguments: dict[str, Any] = Field(description="what was wanted", examples=[{"Speed": 120}])
    argument_results: dict[str, str] = Field(
        description="name of the StatusCode of each argument, if the device says so", examples=[{"Speed": "Good"}]
    )
    outputs: dict[str, Any] = Field(description="what the method returned, by name", examples=[{"Before": 100}])
    time: str = Field(description="when that was known", examples=["2026-01-05T06:00:00.123456Z"])


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["writes"], responses=ERRORS, route_class=SmallJson)

    @routes.post("/calls", operation_id="call_method", responses={200: {"model": CallInfo}})
    async def call(wish: CallWish, request: Request) -> Response:
        """Call a method of a device once, and answer 200 if the device says that it is done.

        Every other answer is a problem, with what became of the wish in its member `call`: 403 not by you, 404 no such
        method, 409 the id was used for something else, 410 expired, 422 not with these arguments, 502 the device
        refused it, 503 the device is away or was called too short ago, 504 nobody knows: look at the machine.
        """
        expires_ns = None if wish.expires is None else expiry_ns(wish.expires, plant.now_ns())
        who = getattr(request.state, "client", "")
        called = await plant.call(
            id=wish.id, method=wish.method, arguments=wish.arguments, who=who, expires_ns=expires_ns
        )
        if called.status == "done":
            return json(_info(called))
        return problem(status_of(called), called.detail, call=orjson.loads(_info(called)))

    @routes.get("/calls/{id}", operation_id="get_call", responses={200: {"model": CallInfo}})
    async def result(id: Id) -> Response:
        """Return what became of a call, whatever it was; one that is under way is waited for."""
        try:
            found = await plant.written(id)
        except KeyError:
            found = None
        if found is None or found.verb != "call":
            raise HTTPException(404, f"no call {id} is remembered")
        return json(_info(found))

    return routes


def _info(result: Written) -> bytes:
    """A CallInfo as JSON, also if JSON cannot carry what was asked for or what the device says."""
    called = result.read_back if isinstance(result.read_back, Called) else Called(result.code, name(result.code))
    facts = {
        "id": result.id,
        "method": result.tag,
        "status": result.status,
        "code": called.status,
        "detail": result.detail,
        "arguments": result.value,
        "argument_results": dict(called.arguments),
        "outputs": dict(called.outputs),
        "time": moment(result.time_ns),
    }
    return encoded(facts)
