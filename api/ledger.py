"""What came and what did not, per device and minute, and why: the ledger. See docs/ledger.md."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from api.plant import Plant
from api.problems import ANSWERS
from api.readings import span
from api.times import Moment, like, whole
from gateway.payload import timestamps


class GivenUp(BaseModel):
    """What a sink had and gave up during this minute: readings, or rows of roll-ups, or scans of kept answers."""

    cause: str = Field(examples=["history full: readings"])
    count: int
    begin: str = Field(alias="from", description="time of the first of them")
    end: str = Field(alias="to", description="behind that of the last one")


class Sink(BaseModel):
    """How a sink fared with the readings of a row. `delivered`, `dropped` and `waiting` add up to what came."""

    delivered: int
    dropped: int = Field(default=0, description="forgotten before the sink had them")
    waiting: int = Field(default=0, description="still to be delivered")
    late_s: float = Field(default=0.0, description="the longest that a delivery took")
    down: str = Field(default="", description="why the sink was away during this minute")
    given_up: list[GivenUp] = []


class Gap(BaseModel):
    """Readings that are missing for one cause."""

    cause: str = Field(examples=["exception 2", "timeout", "gateway stopped"])
    readings: int | None = Field(description="null if nobody can know")
    seconds: float = 0.0
    times: int = 0
    where: str = Field(default="", description="where it was seen first", examples=["holding:117 uint16"])


class Row(BaseModel):
    """One device, one minute. `expected` is null for a subscription: a server tells what changed."""

    device: str
    minute: str
    expected: int | None
    good: int
    bad: int
    recovered: int = Field(description="came late, from the device's own history, and was due in some other minute")
    unexplained: int | None = Field(description="expected - good - gaps: missing without a cause")
    sinks: dict[str, Sink]
    gaps: list[Gap]


class Page(BaseModel):
    """Rows by minute and device; `next` is the cursor of the page that follows."""

    rows: list[Row]
    next: str | None


Time = Annotated[Moment, Query(description="2026-01-05T06:00:00Z, ms since 1970, now, or -1h")]


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["readings"], responses=ANSWERS)

    @routes.get("/ledger", operation_id="get_ledger", response_model_exclude_defaults=False)
    async def ledger(
        device: Annotated[str, Query(description="name of a device; all if absent")] = "",
        start: Time = "-1h",
        end: Time = "now",
        limit: Annotated[int, Query(ge=1, le=10_000, description="rows in a page")] = 1_000,
        cursor: Annotated[str, like("|[0-9]{1,19}:.*"), Query(description="`next` of the page before")] = "",
    ) -> Page:
        """Return the rows of the minutes that begin in [start, end), oldest first."""
        if device and device not in {one.name for one in plant.devices()}:
            raise HTTPException(404, f"there is no device {device}")
        start_ns, end_ns = span(start, end, plant.now_ns())
        found = await plant.ledger(device, start_ns, end_ns, _parsed(cursor), limit + 1)
        rows = [Row(device=name, minute=moment, **facts) for (name, moment), facts in _named(found[:limit])]
        more = len(found) > limit
        return Page(rows=rows, next="{}:{}".format(*found[limit - 1][0]) if more else None)

    return routes


def _named(rows: Any) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    times = timestamps(np.array([minute for (minute, _), _ in rows], np.int64))
    return [((device, time), facts) for ((_, device), facts), time in zip(rows, times, strict=True)]


def _parsed(cursor: str) -> tuple[int, str]:
    """The key of the last row of the page before. Raises HTTPException 422."""
    if not cursor:
        return 0, ""
    minute, colon, device = cursor.partition(":")
    try:
        return whole(minute if colon else ""), device
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
