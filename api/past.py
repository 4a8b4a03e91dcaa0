"""Questions to history: asked here, answered by another process, so that neither readings nor streams wait for them.

A question is a function of this package that is given the history; it returns what is told at once, and bytes. Those
of a long answer come from there piece by piece, as the client takes them.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import numpy as np
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray

from api.plant import Aggregates, Plant, Readings, Summary
from gateway.contracts import Answer

Head = tuple[int, list[tuple[bytes, bytes]]]
"""Status and headers of an HTTP answer."""


class Past(Protocol):
    """What was, as a question sees it. Ranges are [start, end), in nanoseconds since 1970 UTC.

    It may raise ValueError if there are too many readings to compute with.
    """

    def readings(self, path: str, start_ns: int, end_ns: int, most: int | None = None) -> list[Any]:
        """Return one Readings per kind of value.

        With `most` the range may end earlier, but not before it has so many.
        """
        ...

    def at(self, path: str, time_ns: int, *, usable: bool) -> Readings | None:
        """Return the last reading at or before a time, the last good one if `usable`, as Readings of one."""
        ...

    def summary(self, path: str, start_ns: int, end_ns: int, bucket_ns: int) -> Summary | None:
        """Return what the readings come to per bucket of any width."""
        ...

    def held(self, path: str, times_ns: NDArray[np.int64]) -> Readings | None:
        """Return the last reading at or before each time; where there is none, one that is later than that."""
        ...

    def picture(self, path: str, start_ns: int, end_ns: int, method: str, points: int) -> Readings | None:
        """Return so many good numbers, chosen by `lttb` or `minmax`."""
        ...

    def aggregate(self, path: str, start_ns: int, end_ns: int, bucket_ns: int) -> Aggregates:
        """Return roll-ups; `bucket_ns` is a number of minutes."""
        ...


async def answered(plant: Plant, request: Request, question: Callable[..., tuple[Head, bytes]], *args: Any) -> Response:
    """Return the answer to a question as that of a request; if who asked leaves, it is not answered to the end."""
    answer: Answer[Head] = await plant.ask(question, *args, gone=request.is_disconnected)
    status, headers = answer.about
    if answer.rest is None:
        response = Response(answer.body, status)
    else:
        response = StreamingResponse(_pieces(answer.body, answer.rest), status)
    response.raw_headers = headers
    return response


def parted(response: Response) -> tuple[Head, bytes]:
    """Return an answer as a question returns it."""
    return (response.status_code, response.raw_headers), response.body  # type: ignore[return-value]  # or a memoryview


async def _pieces(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def at(past: Past, path: str, time_ns: int, usable: bool) -> tuple[Readings | None, bytes]:
    """The question for the reading at a time."""
    return past.at(path, time_ns, usable=usable), b""


def picture(
    past: Past, path: str, start_ns: int, end_ns: int, method: str, points: int
) -> tuple[Readings | None, bytes]:
    """The question for the readings of a picture."""
    return past.picture(path, start_ns, end_ns, method, points), b""


def readings(past: Past, path: str, start_ns: int, end_ns: int) -> tuple[list[Any], bytes]:
    """The question for some readings, as many as may be told at once."""
    return past.readings(path, start_ns, end_ns), b""
