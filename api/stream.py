"""Values as they change: server-sent events.

    GET /api/v1/stream?match=*/filler/*
    id: 7-4711
    event: values
    data: [{"path": ..., "value": ..., "timestamp": ..., "quality": "good"}, ...]

An event has the latest reading of every tag that changed since the event before, so a client that is slow gets fewer
events and never old ones, and costs no memory here. A client that comes back with Last-Event-ID gets what changed
meanwhile, unless the gateway was restarted; then it gets everything.
"""

import asyncio
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray

from api.plant import Plant
from api.problems import ANSWERS
from api.readings import latest

_HEARTBEAT_S: Final = 15.0
_PACE_S: Final = 0.1
"""No more than ten events per second: eyes are no faster, and programs have the bus."""


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["readings"], responses=ANSWERS)

    @routes.get(
        "/stream",
        operation_id="stream_values",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "events `values`: arrays of readings"}},
    )
    async def stream(
        match: Annotated[str, Query(description="glob over the path, such as */line1/*temperature")] = "*",
        last_event_id: Annotated[str, Header(description="the id of the last event that arrived")] = "",
    ) -> StreamingResponse:
        """Send the latest readings, and from then on those that change."""
        boot, _, version = last_event_id.partition("-")
        since = int(version) if boot == str(plant.boot) and version.isdecimal() else -1
        return StreamingResponse(
            events(plant, match, since), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    return routes


async def events(plant: Plant, match: str, since: int) -> AsyncIterator[bytes]:
    """Yield an event whenever something changed after a version, and a comment when nothing does."""
    wanted = _matching(plant, match)
    async with plant.news() as news:
        generation = plant.catalog.generation
        while True:
            if generation != plant.catalog.generation:
                wanted, generation = _matching(plant, match), plant.catalog.generation
            now = plant.latest.now
            changed = wanted[np.isin(wanted, plant.latest.changed(since))] if since >= 0 else wanted
            since = now
            if len(changed):
                body = b",".join(latest(plant, changed))
                yield b"id: %d-%d\nevent: values\ndata: [%s]\n\n" % (plant.boot, now, body)
            await asyncio.sleep(_PACE_S)
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await news.take()
            except TimeoutError:
                yield b": nothing has changed\n\n"


def _matching(plant: Plant, match: str) -> NDArray[np.uint32]:
    numbers = [number for number in plant.catalog if fnmatchcase(plant.catalog[number].path, match)]
    return np.array(numbers, np.uint32)
