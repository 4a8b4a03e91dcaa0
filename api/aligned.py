"""Several tags at the same times: what each of them was at every step of a grid."""

from typing import Annotated, Any, Final

import numpy as np
import orjson
from fastapi import APIRouter, HTTPException, Query, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from api.arrow import FORMS, binary
from api.browse import number_of
from api.forms import MEDIA, accepted, cell, lines, table, unless_known
from api.history import Format, From, To
from api.past import Head, Past, answered, parted
from api.plant import Plant, Readings
from api.problems import ANSWERS
from api.readings import span
from api.times import Duration
from gateway.model.duration import seconds
from gateway.model.quality import good
from gateway.payload import timestamps

_TAGS_MAX: Final = 50
_CELLS_MAX: Final = 500_000
_MS_NS: Final = 1_000_000


class Aligned(BaseModel):
    """Tags at the same times. A value holds until the next one; null where nothing good was known."""

    timestamps: list[str] = Field(examples=[["2026-01-05T06:00:00.000000Z"]])
    values: dict[str, list[Any]] = Field(description="by path, as many as there are timestamps")


Tags = Annotated[list[str], Query(alias="tag", min_length=1, max_length=_TAGS_MAX, description="paths")]
Every = Annotated[Duration, Query(description="step of the grid, from 1ms on; it begins at `from`")]


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["readings"], responses=ANSWERS)
    answers: dict[str, Any] = {"model": Aligned, "content": {MEDIA[form].partition(";")[0]: {} for form in MEDIA}}

    @routes.get(
        "/history",
        operation_id="get_aligned_history",
        responses={200: answers, 304: {"description": "what If-None-Match names is still so"}},
    )
    async def aligned(
        request: Request, tags: Tags, start: From = "-1h", end: To = "now", every: Every = "1min", format: Format = ""
    ) -> Response:
        """Return what several tags were at every step of [from, to)."""
        paths = [plant.catalog[number_of(plant, path)].path for path in tags]
        now_ns = plant.now_ns()
        start_ns, end_ns = span(start, end, now_ns)
        try:
            times = _grid(start_ns, end_ns, every, len(paths))
            form = format or accepted(request.headers.get("accept", ""))
            known = request.headers.get("if-none-match", "")
            return await answered(plant, request, _answer, paths, times, every, form, known, end_ns <= now_ns)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None

    return routes


def _answer(
    past: Past, paths: list[str], times: NDArray[np.int64], every: str, form: str, known: str, closed: bool
) -> tuple[Head, bytes]:
    columns = {path: _column(past, path, times) for path in paths}
    if form in FORMS:
        answer = binary(form, {"timestamp": times, **columns}, {"every": every}, None)
    else:
        answer = _told(timestamps(times), columns, form)
    return parted(unless_known(known, answer, closed=closed))


def _grid(start_ns: int, end_ns: int, every: str, tags: int) -> NDArray[np.int64]:
    step_ns = round(min(seconds(every), 1e9) * 1e9)
    if step_ns < _MS_NS:
        raise ValueError(f"every: {every} is less than a millisecond")
    if tags * (end_ns - start_ns) / step_ns > _CELLS_MAX:
        raise ValueError(f"every: {every} makes more than {_CELLS_MAX} values; choose a wider step")
    return np.arange(start_ns, end_ns, step_ns)


def _column(past: Past, path: str, times: NDArray[np.int64]) -> list[Any]:
    found = past.held(path, times) if len(times) else None
    return [None] * len(times) if found is None else _listed(found, times)


def _listed(found: Readings, times: NDArray[np.int64]) -> list[Any]:
    known = good(found.quality) & (found.time <= times)
    if found.value.dtype == np.float64:
        known &= np.isfinite(found.value)
    return [_json(value) if ok else None for value, ok in zip(found.value.tolist(), known.tolist(), strict=True)]


def _json(value: Any) -> Any:
    """A value as the rest of the API tells it: integers beyond 2^53 as text, waveforms as lists."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value) if type(value) is int and abs(value) > 2**53 else value


def _told(times: list[str], columns: dict[str, list[Any]], form: str) -> Response:
    if form == "json":
        return Response(orjson.dumps({"timestamps": times, "values": columns}), media_type=MEDIA["json"])
    rows = list(zip(times, *columns.values(), strict=True))
    if form == "csv":
        return table(("timestamp", *columns), (tuple(map(cell, row)) for row in rows), None)
    return lines((orjson.dumps(dict(zip(("timestamp", *columns), row, strict=True))) for row in rows), None)
