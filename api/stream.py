"""Readings as they come: server-sent events (HTML Living Standard, 9.2).

    GET /api/v1/stream?match=*/filler/*
    id: 7-4711
    event: values
    data: [{"path": ..., "value": ..., "timestamp": ..., "quality": "good"}, ...]

The first event has the latest reading of every tag, those behind it every reading that is stored, in the order of the
journal, also late ones. Whoever comes back with Last-Event-ID gets all that came since, without a gap and nothing
twice, also over a restart of the gateway. What somebody has missed, because it was too slow or away for longer than
the journal keeps, is an event as well, followed by one with the latest readings:

    event: dropped
    data: {"records": 120, "readings": 3600}
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Header, HTTPException
from fastapi.responses import StreamingResponse

from api.feed import Feed
from api.plant import Plant
from api.problems import ANSWERS
from api.readings import Match as Glob
from api.times import like

_HEARTBEAT_S: Final = 15.0
_PACE_S: Final = 0.01
"""No more than a hundred events per second; what comes in between is one."""
_BEHIND_MAX: Final = 2_000
"""Records that a stream may be behind; what is older it misses."""
_STREAMS_MAX: Final = 1_000
_QUIET: Final = b": nothing has come\n\n"


def router(plant: Plant, feed: Feed) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["readings"], responses=ANSWERS)

    @routes.get(
        "/stream",
        operation_id="stream_values",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "events `values`: arrays of readings"}},
    )
    async def stream(
        match: Glob = "*",
        last_event_id: Annotated[
            str, like("|[0-9]+-[0-9]+"), Header(description="the id of the last event that arrived")
        ] = "",
    ) -> StreamingResponse:
        """Send the latest readings, and from then on all that come."""
        if feed.streams >= _STREAMS_MAX:
            raise HTTPException(503, f"there are {_STREAMS_MAX} streams already", {"Retry-After": "5"})
        told = events(plant, feed, match, last_event_id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(told, media_type="text/event-stream", headers=headers)

    return routes


async def events(plant: Plant, feed: Feed, glob: str, last_id: str) -> AsyncIterator[bytes]:
    """Yield what is now, or what has come since an event, and then what comes; a comment when nothing does."""
    clock, told_s = asyncio.get_running_loop().time, 0.0
    with feed.match(glob) as match:
        place = await feed.resumed(last_id)
        caught_up = place is None
        if place is None:
            place = plant.head
            yield b"id: %d-%d\n" % (plant.boot, place) + match.present()
        while True:
            if caught_up and plant.head - place > _BEHIND_MAX:
                missed = await feed.skip(match, place, plant.head - _BEHIND_MAX // 2)
                place = missed.place
                yield _dropped(missed.records, missed.readings) + match.present()
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    records, reached = await feed.after(place)
                    if clock() - told_s < _PACE_S:
                        await asyncio.sleep(_PACE_S - clock() % _PACE_S)  # all streams at once, so they share the rows
                        records, reached = await feed.after(place)
            except TimeoutError:
                yield _QUIET
                continue
            if reached == place:
                return  # the gateway ends
            if gone := reached - place - len(records):
                yield _dropped(gone, None) + match.present()
            place, caught_up, told_s = reached, caught_up or reached >= plant.head, clock()
            if told := match.event(records, place):
                yield told


def _dropped(records: int, readings: int | None) -> bytes:
    """How much was missed; how many readings it had is not known of records that the journal does not have any more."""
    return b"event: dropped\ndata: %s\n\n" % orjson.dumps({"records": records, "readings": readings})
