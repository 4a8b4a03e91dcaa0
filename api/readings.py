"""Values as they are now and as they were: one reading is the same JSON here and on the bus."""

import csv
import io
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal

import numpy as np
import orjson
from fastapi import APIRouter, HTTPException, Query, Response
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from api.browse import number_of
from api.plant import Aggregates, Plant, Readings
from api.problems import ANSWERS
from api.times import time_ns
from gateway.model import Batch, Tag
from gateway.model.duration import seconds
from gateway.payload import tag_messages, timestamps

_MINUTE_NS: Final = 60_000_000_000
_BUCKETS_MAX: Final = 50_000


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


class Page(BaseModel):
    """Readings of one tag, by time; `next` is the cursor of the page that follows."""

    path: str
    unit: str
    readings: list[Value]
    next: str | None


class Bucket(BaseModel):
    """A stretch of time of one tag. The numbers are of the good readings; null if there was none."""

    timestamp: str
    count: int = Field(description="readings, good or not")
    good: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    first: float | None
    last: float | None


class Buckets(BaseModel):
    """One tag, rolled up."""

    path: str
    unit: str
    bucket: float = Field(description="width in seconds")
    buckets: list[Bucket]


Match = Annotated[str, Query(description="glob over the path, such as */line1/*temperature")]
From = Annotated[str, Query(alias="from", description="2026-01-05T06:00:00Z, ms since 1970, now, or -1h")]
To = Annotated[str, Query(description="as `from`; the range is [from, to)")]
Width = Annotated[str, Query(alias="bucket", description="roll up: minutes or hours, such as 1min; raw if absent")]
Limit = Annotated[int, Query(ge=1, le=100_000, description="readings in a page")]


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["readings"], responses=ANSWERS)

    @routes.get("/values", operation_id="list_values", responses={200: {"model": list[Value]}})
    async def values(match: Match = "*", tag: Annotated[list[str], Query(description="paths")] = []) -> Response:  # noqa: B006
        """Return the latest reading of every tag that is named or matches."""
        numbers = [number_of(plant, path) for path in tag] or [
            number for number in plant.catalog if fnmatchcase(plant.catalog[number].path, match)
        ]
        return json(b"[" + b",".join(latest(plant, np.array(numbers, np.uint32))) + b"]")

    @routes.get("/values/{path:path}", operation_id="get_value", responses={200: {"model": Value}})
    async def value(path: str) -> Response:
        """Return the latest reading of one tag."""
        return json(latest(plant, np.array([number_of(plant, path)], np.uint32))[0])

    @routes.get(
        "/history/{path:path}",
        operation_id="get_history",
        responses={200: {"model": Page | Buckets, "content": {"text/csv": {}}}},
    )
    async def history(
        path: str,
        start: From = "-1h",
        end: Annotated[str, Query(alias="to", description="as `from`; the range is [from, to)")] = "now",
        bucket: Width = "",
        limit: Limit = 10_000,
        cursor: Annotated[str, Query(description="`next` of the page before")] = "",
        format: Annotated[Literal["json", "csv"], Query()] = "json",
    ) -> Response:
        """Return what a tag was in [from, to), oldest first: raw, or rolled up per bucket."""
        tag = plant.catalog[number_of(plant, path)]
        start_ns, end_ns = span(start, end, plant.now_ns())
        if bucket:
            width_ns = _width_ns(bucket, end_ns - start_ns)
            return _rolled(tag, width_ns, await plant.aggregate(tag.path, start_ns, end_ns, width_ns), format)
        after, skip = _parsed(cursor)
        found = await plant.readings(tag.path, max(start_ns, after), end_ns)
        return _page(tag, found, skip if after >= start_ns else 0, limit, format)

    return routes


def latest(plant: Plant, numbers: NDArray[np.uint32]) -> list[bytes]:
    """Return the latest readings as JSON objects, in the order of the numbers."""
    rows = {
        number: row
        for batch in plant.latest.read(numbers)
        for number, row in zip(batch.tag.tolist(), _rows(plant, batch), strict=True)
    }
    return [rows[number] for number in numbers.tolist()]


def span(start: str, end: str, now_ns: int) -> tuple[int, int]:
    """Return a range of time. Raises HTTPException 422 if it is none."""
    try:
        start_ns, end_ns = time_ns(start, now_ns), time_ns(end, now_ns)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    if start_ns > end_ns:
        raise HTTPException(422, f"the range ends before it starts: {start} to {end}")
    return start_ns, end_ns


def json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _rows(plant: Plant, batch: Batch) -> Iterator[bytes]:
    tags = [plant.catalog[number] for number in batch.tag.tolist()]
    for tag, payload in tag_messages(batch, tags):
        yield b'{"path":%s,' % orjson.dumps(tag.path) + payload[1:]


# --- history ------------------------------------------------------------------------------


def _page(tag: Tag, found: Sequence[Readings], skip: int, limit: int, form: str) -> Response:
    """A page of raw readings. The cursor is a time, and how many readings of that time have been shown."""
    rows = sorted(_timed(tag, found), key=lambda row: row[0])
    shown = rows[skip : skip + limit]
    more = len(rows) > skip + limit
    following = _next(shown[-1][0], rows[: skip + limit]) if more else None
    if form == "csv":
        return _csv(("timestamp", "value", "status"), (_csv_row(row) for _, row in shown), following)
    head = orjson.dumps({"path": tag.path, "unit": tag.unit})[:-1]
    body = b",".join(row for _, row in shown)
    return json(b'%s,"readings":[%s],"next":%s}' % (head, body, orjson.dumps(following)))


def _timed(tag: Tag, found: Sequence[Readings]) -> Iterator[tuple[int, bytes]]:
    """Pairs of time and reading as JSON."""
    for readings in found:
        n = len(readings.time)
        batch = Batch(np.zeros(n, np.uint32), readings.time, readings.value, readings.quality)
        rows = (payload for _, payload in tag_messages(batch, [tag] * n))
        yield from zip(readings.time.tolist(), rows, strict=True)


def _next(time: int, rows: Sequence[tuple[int, bytes]]) -> str:
    return f"{time}.{sum(1 for row_time, _ in rows if row_time == time)}"


def _parsed(cursor: str) -> tuple[int, int]:
    time, dot, skip = cursor.partition(".")
    if not cursor:
        return 0, 0
    if not (dot and time.isdecimal() and skip.isdecimal() and len(time) < 20):
        raise HTTPException(422, "cursor: take it from `next` of the page before")
    return int(time), int(skip)


def _rolled(tag: Tag, width_ns: int, rows: Aggregates, form: str) -> Response:
    columns = [
        timestamps(rows.bucket),
        rows.count.tolist(),
        rows.good.tolist(),
        *(_nullable(column) for column in (rows.minimum, rows.maximum, _mean(rows), rows.first, rows.last)),
    ]
    names = tuple(Bucket.model_fields)
    table = list(zip(*columns, strict=True))
    if form == "csv":
        return _csv(names, table, None)
    buckets = [dict(zip(names, row, strict=True)) for row in table]
    return json(orjson.dumps({"path": tag.path, "unit": tag.unit, "bucket": width_ns / 1e9, "buckets": buckets}))


def _mean(rows: Aggregates) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: NDArray[np.float64] = np.where(rows.good > 0, rows.total / rows.good, np.nan)
    return mean


def _nullable(column: NDArray[np.float64]) -> list[float | None]:
    return [None if x != x else x for x in column.tolist()]


def _width_ns(text: str, span_ns: int) -> int:
    try:
        width_ns = round(seconds(text) * 1e9)
    except ValueError as error:
        raise HTTPException(422, f"bucket: {error}") from None
    if width_ns < _MINUTE_NS or width_ns % _MINUTE_NS:
        raise HTTPException(422, f"bucket: {text} is not a number of minutes")
    if span_ns / width_ns > _BUCKETS_MAX:
        raise HTTPException(422, f"bucket: {text} makes more than {_BUCKETS_MAX} buckets; choose a wider one")
    return width_ns


def _csv(
    header: Sequence[str], rows: Iterator[Sequence[Any]] | Sequence[Sequence[Any]], following: str | None
) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    headers = {"X-Next-Cursor": following} if following else {}
    return Response(text.getvalue(), media_type="text/csv; header=present", headers=headers)


def _csv_row(row: bytes) -> tuple[Any, ...]:
    reading = orjson.loads(row)
    value = reading["value"]
    return (
        reading["timestamp"],
        value if not isinstance(value, (list, dict)) else orjson.dumps(value).decode(),
        reading.get("status", 0),
    )
