"""Orders, KPIs per shift and downtime as tables: what api/tables.py needs of them, and their routes."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from api.asked import Time, production
from api.making import Production
from api.plant import Plant
from api.problems import ANSWERS, answers
from api.readings import span
from api.tables import Question, Table, metadata, service, written
from gateway.production.elements import NAMES
from gateway.production.jobs import JOB_STATE
from gateway.production.kpis import KPIS, kpis

_ROWS_MAX: Final = 1_000
_MADE: Final = {
    "ProducedQuantity": "PQ",
    "GoodQuantity": "GQ",
    "ScrapQuantity": "SQ",
    "Energy": "energy",
    "CounterResets": "resets",
}
_ORDERS: Final = Table(
    "Orders",
    "ID",
    {
        **dict.fromkeys(("ID", "Unit", "State", "JobState", "EnergyUnit"), "string"),
        **dict.fromkeys(("StartTime", "EndTime", "ActualStartTime", "ActualEndTime"), "time"),
        **dict.fromkeys(("Priority", "PlannedQuantity", *_MADE, "OEE"), "number"),
    },
    frozenset((*_MADE, "OEE")),
)
_KPIS: Final = Table(
    "Kpis",
    "Key",
    {
        **dict.fromkeys(("Key", "Unit", "Shift", "EnergyUnit"), "string"),
        **dict.fromkeys(("Start", "End"), "time"),
        **dict.fromkeys((*KPIS, *NAMES), "number"),
    },
)
_DOWNTIME: Final = Table(
    "Downtime",
    "Key",
    {
        **dict.fromkeys(("Key", "Unit", "Kind", "Reason", "Text", "SaidBy"), "string"),
        **dict.fromkeys(("Begin", "End"), "time"),
        "Seconds": "number",
        "Breakdown": "boolean",
    },
)
_TABLES: Final = (_ORDERS, _KPIS, _DOWNTIME)


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["production"], responses=ANSWERS)

    @routes.get("/odata", operation_id="odata_service")
    async def tables(request: Request) -> JSONResponse:
        """Return which tables there are (OData service document)."""
        return JSONResponse(service(str(request.url.replace(query="")), _TABLES), headers={"OData-Version": "4.0"})

    @routes.get(
        "/odata/$metadata", operation_id="odata_metadata", responses={200: {"content": {"application/xml": {}}}}
    )
    async def described() -> Response:
        """Return what is in the tables (CSDL)."""
        return Response(metadata(_TABLES), media_type="application/xml", headers={"OData-Version": "4.0"})

    @routes.get(
        "/odata/{table}",
        operation_id="odata_table",
        responses=answers(410) | {200: {"content": {"application/json": {}, "text/csv": {}}}},
    )
    async def table(
        table: Annotated[str, Path(pattern="^(Orders|Kpis|Downtime)$")],
        request: Request,
        start: Annotated[str, Query(description="of KPIs and downtime, as of history")] = "-7d",
        end: Time = "now",
    ) -> Response:
        """Return Orders, Kpis per shift or day, or Downtime; $filter, $select, $orderby, $top, $count, $format."""
        made = production(plant)
        start_ns, end_ns = span(start, end, plant.now_ns())
        one = next(known for known in _TABLES if known.name == table)
        question = Question.of(one, request)

        def rows() -> Sequence[Mapping[str, Any]]:
            if one is _ORDERS:
                return _orders(made)
            return (_shifts if one is _KPIS else _stops)(made, start_ns, end_ns)

        return await made.ask(lambda: written(question, request, rows(), lambda given: _made(made, given)))

    return routes


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _orders(made: Production) -> list[dict[str, Any]]:
    return [
        {
            "ID": job["id"],
            "Unit": job["unit"],
            "State": job["state"],
            "JobState": JOB_STATE[job["state"]],
            "EnergyUnit": made.energy_unit(job["unit"]) if job["unit"] in made.units else None,
            "Priority": job["priority"],
            "StartTime": job["planned_begin"],
            "EndTime": job["planned_end"],
            "ActualStartTime": job["begin"],
            "ActualEndTime": job["end"],
            "PlannedQuantity": job["quantity"],
        }
        for job in made.orders()
    ]


def _made(made: Production, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Add to orders what was made of them."""
    found: list[Mapping[str, Any]] = []
    for row in rows:
        elements = made.made({"unit": row["Unit"], "begin": row["ActualStartTime"], "end": row["ActualEndTime"]})
        amounts = {name: float(elements[element]) for name, element in _MADE.items()}
        found.append({**row, **amounts, "OEE": _float(KPIS["oee"].of(elements))})
    return found


def _shifts(made: Production, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
    turns = [(unit, *turn) for unit in made.units.values() for turn in made.turns(unit, start_ns, end_ns)]
    if len(turns) > _ROWS_MAX:
        raise HTTPException(422, f"these are {len(turns)} shifts: ask for a shorter range, {_ROWS_MAX} are the most")
    rows = []
    for unit, shift, begin, end in turns:
        elements, _ = made.elements(unit.name, begin, end)
        numbers = {name: _float(value) for name, value in {**kpis(elements), **elements}.items()}
        facts = {"Key": f"{unit.name}@{begin}", "Unit": unit.name, "Shift": shift, "Start": begin, "End": end,
                 "EnergyUnit": made.energy_unit(unit.name)}  # fmt: skip
        rows.append({**facts, **numbers})
    return rows


def _stops(made: Production, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
    stops = [stop for name in made.units for stop in made.stops(name, start_ns, end_ns)]
    names = {"unit": "Unit", "begin": "Begin", "end": "End", "seconds": "Seconds", "kind": "Kind",
             "breakdown": "Breakdown", "reason": "Reason", "text": "Text", "said_by": "SaidBy"}  # fmt: skip
    return [
        {"Key": f"{stop['unit']}@{stop['begin']}"} | {column: stop[name] for name, column in names.items()}
        for stop in stops
    ]
