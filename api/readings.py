"""Values as they are now, and at one time: a reading is the same JSON here and on the bus."""

from typing import Annotated, Any, Final, Literal

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import BaseModel, Field

from api import past
from api.browse import number_of
from api.plant import Plant
from api.present import Known, latest, named, rows
from api.problems import ANSWERS
from api.times import MaybeMoment, time_ns
from gateway.model import Batch

_SPAN_NS_MAX: Final = 36_525 * 86_400 * 1_000_000_000
"""A hundred years: the difference of two times is in 64 bits as well, also rounded up to a bucket."""


class Value(BaseModel):
    """A reading. `value` is null when quality is bad; integers beyond 2^53 are strings."""

    path: str = Field(examples=["acme/dresden/packaging/line1/filler/temperature"])
    value: Any = Field(examples=[72.4])
    timestamp: str | None = Field(
        description="source time, UTC; null if never read", examples=["2026-01-05T06:00:00.123456Z"]
    )
    quality: Literal["good", "uncertain", "bad"]
    status: int = Field(default=0, description="OPC UA StatusCode; absent when good")
    reason: str = Field(default="", description="its name; absent when good", examples=["BadNotConnected"])
    unit: str = Field(default="", description="UCUM", examples=["Cel"])


Match = Annotated[str, Query(description="glob over the path, such as */line1/*temperature")]


def router(plant: Plant, known: Known) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["readings"], responses=ANSWERS)

    @routes.get("/values", operation_id="list_values", responses={200: {"model": list[Value]}})
    async def values(match: Match = "*", tag: Annotated[list[str], Query(description="paths")] = []) -> Response:  # noqa: B006
        """Return the latest reading of every tag that is named or matches."""
        found = known.joined((match, *tag), lambda: named(plant, tag, match))
        return json(b"[%s]" % (found or b""))

    @routes.get("/values/{path:path}", operation_id="get_value", responses={200: {"model": Value}})
    async def value(
        path: str,
        at: Annotated[
            MaybeMoment, Query(description="the last reading at or before this time; the latest if absent")
        ] = "",
        good: Annotated[bool, Query(description="with `at`: the last good one, last known good")] = False,
    ) -> Response:
        """Return the latest reading of one tag, or that of some other time."""
        number = number_of(plant, path)
        if not at:
            return json(latest(plant, np.array([number], np.uint32))[0])
        tag = plant.catalog[number]
        found = (await plant.ask(past.at, tag.path, moment(at, plant.now_ns()), good)).about
        if found is None:
            raise HTTPException(404, f"{tag.path} has no {'good ' if good else ''}reading at or before {at}")
        batch = Batch(np.array([number], np.uint32), found.time, found.value, found.quality)
        return json(next(rows(plant, batch)))

    return routes


def span(start: str, end: str, now_ns: int) -> tuple[int, int]:
    """Return a range of time. Raises HTTPException 422 if it is none."""
    start_ns, end_ns = moment(start, now_ns), moment(end, now_ns)
    if start_ns > end_ns:
        raise HTTPException(422, f"the range ends before it starts: {start} to {end}")
    if end_ns - start_ns > _SPAN_NS_MAX:
        raise HTTPException(422, f"{start} to {end} is more than a hundred years")
    return start_ns, end_ns


def moment(text: str, now_ns: int) -> int:
    """Return a point in time. Raises HTTPException 422 if it is none."""
    try:
        return time_ns(text, now_ns)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
