"""KPIs with what they are made of, and reasons of stops."""

from fractions import Fraction
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import ConfigDict, Field

from api.asked import Key, Time, Wish, moment, once, production
from api.making import Production
from api.plant import Plant
from api.readings import span
from api.writes import ERRORS, SmallJson
from gateway.audit import Entry
from gateway.payload import timestamps
from gateway.production.elements import NAMES, Elements
from gateway.production.kpis import KPIS, LOSSES, kpis, losses, units


class Why(Wish):
    """Why a unit stood: a code of yours, and words."""

    model_config = ConfigDict(extra="forbid")

    unit: str = Field(max_length=100, examples=["filler"])
    begin: str = Field(description="when the stop began, as it is told", examples=["2026-01-05T09:00:00.000000Z"])
    code: str = Field(min_length=1, max_length=100, examples=["LABEL-JAM"])
    text: str = Field(default="", max_length=1_000)


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["production"], responses=ERRORS, route_class=SmallJson)

    @routes.get("/units", operation_id="list_units")
    async def units_of_the_plant() -> list[dict[str, Any]]:
        """Return the work units: where each is, how it uses its time now, its shift (or day), and its order."""
        made = plant.production
        return [] if made is None else list(await made.ask(made.working))

    @routes.get("/kpis/{scope:path}", operation_id="get_kpis")
    async def kpi(
        scope: Annotated[str, Path(description="work unit, or path of a line")],
        start: Time = "",
        end: Time = "now",
        shift: Annotated[str, Query(description="the present or last shift of this name, `any` for each")] = "",
        order: Annotated[str, Query(description="from the begin to the end of this order")] = "",
    ) -> dict[str, Any]:
        """Return KPIs, losses and the elements that they are made of, in a shift, an order or [start, end).

        `exact` is a rational number. Unknown time is in no denominator; `coverage` is the share that is known.
        """
        made, now = production(plant), plant.now_ns()
        scope = _scope(made, plant.site, scope)
        start_ns, end_ns = await _range(made, scope, (start, end), shift, order, now)
        try:
            elements, until = await made.ask(made.elements, scope, start_ns, end_ns)
        except ValueError as error:
            raise HTTPException(422, f"{error}; ask for the units one by one") from None
        begin, finish, known = timestamps(np.array([start_ns, end_ns, until]))
        return {
            "scope": scope,
            "start": begin,
            "end": finish,
            "known_until": known,
            **_told(elements, made.energy_unit(scope)),
        }

    @routes.post("/downtime", operation_id="explain_stop")
    async def explain(why: Why, request: Request, key: Key) -> dict[str, Any]:
        """Say why a unit stood, in place of what the machine says. All stops: /api/v1/odata/Downtime."""
        made = production(plant)
        begin = moment(why.begin, plant, "begin")
        if why.unit not in made.units:
            raise HTTPException(404, f"there is no work unit {why.unit}")

        def do(who: str) -> dict[str, Any]:
            return dict(made.explain(why.unit, begin, why.code, why.text, who))

        deed = Entry("explain", f"{why.unit}@{why.begin}", "done", value=why.code)
        return await once(plant, request, key, why.model_dump(), do, deed)

    return routes


def _scope(made: Production, site: str, scope: str) -> str:
    for known in (scope, f"{site}/{scope}"):
        try:
            made.of(known)
        except KeyError:
            continue
        return known
    raise HTTPException(404, f"there is no work unit at {scope}: there are {', '.join(made.units)}")


def _number(value: Fraction | None) -> dict[str, Any]:
    return {"value": None if value is None else float(value), "exact": None if value is None else str(value)}


async def _range(
    made: Production, scope: str, given: tuple[str, str], shift: str, order: str, now: int
) -> tuple[int, int]:
    """Return the range of a shift, an order, or as given. Raises HTTPException."""
    if shift:
        found = await made.ask(made.shift, scope, now, "" if shift == "any" else shift)
        if found is None:
            raise HTTPException(404, f"there was no shift {shift} in the last days")
        return found[0], found[1]
    if order:
        job = await made.ask(made.order, order)
        if job is None or job["begin"] is None:
            raise HTTPException(404, f"there is no order {order} that has begun")
        return job["begin"], job["end"] or now
    return span(given[0] or "-8h", given[1], now)


def _told(elements: Elements, energy: str) -> dict[str, Any]:
    unit_of = units(energy) | {name: unit for name, (unit, _) in NAMES.items()} | {"energy": energy}
    return {
        "kpis": {
            name: _number(value) | {"unit": unit_of[name], "formula": KPIS[name].formula}
            for name, value in kpis(elements).items()
        },
        "losses": {
            name: _number(value) | {"unit": "min", "meaning": LOSSES[name][0]}
            for name, value in losses(elements).items()
        },
        "elements": {
            name: _number(value) | {"unit": unit_of[name], "meaning": NAMES[name][1]}
            for name, value in elements.items()
        },
    }
