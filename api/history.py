"""Values as they were: raw, as a picture, or by bucket of time; in the forms of api/forms.py."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import numpy as np
import orjson
from fastapi import APIRouter, HTTPException, Query, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from api.arrow import FORMS, binary
from api.browse import number_of
from api.forms import MEDIA, accepted, cell, csv_row, lines, table, unless_known
from api.plant import Aggregates, Plant, Readings, Summary
from api.problems import ANSWERS
from api.readings import Value, span
from api.times import MaybeDuration, Moment, like, whole
from gateway.model import Batch, Tag
from gateway.model.duration import seconds
from gateway.model.quality import good
from gateway.payload import tag_messages, timestamps

_MINUTE_NS: Final = 60_000_000_000
_MS_NS: Final = 1_000_000
_TEXT_ROWS_MAX: Final = 100_000
_BUCKETS_MAX: Final = 50_000
_WIDTH_S_MAX: Final = 366 * 86_400
_LOOKED_AT_MAX: Final = 10_000_000
_KINDS: Final = 5
"""So many readings of one tag may have the same time: one of each kind of value."""


class Page(BaseModel):
    """Readings of one tag, by time; `next` is the cursor of the page that follows."""

    path: str
    unit: str
    readings: list[Value]
    next: str | None


class Bucket(BaseModel):
    """A stretch of time of one tag. The numbers are of the good readings; null if there was none.

    What is behind `last` is there with `detailed`: a reading holds until the next one, and while it is not good nothing
    is known.
    """

    timestamp: str
    count: int = Field(description="readings, good or not")
    good: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    first: float | None
    last: float | None
    deviation: float | None = Field(default=None, description="standard deviation of the good readings (of a sample)")
    time_mean: float | None = Field(default=None, description="mean weighted by how long each value held")
    held: float = Field(default=0.0, description="seconds in which the value is known")
    changes: int = Field(default=0, description="good readings that differ from the good one before")
    states: dict[str, float] = Field(default={}, description="seconds of each value of what is no float")


class Buckets(BaseModel):
    """One tag, rolled up."""

    path: str
    unit: str
    bucket: float = Field(description="width in seconds")
    buckets: list[Bucket]


From = Annotated[Moment, Query(alias="from", description="2026-01-05T06:00:00Z, ms since 1970, now, or -1h")]
To = Annotated[Moment, Query(alias="to", description="as `from`; the range is [from, to)")]
Width = Annotated[
    MaybeDuration, Query(alias="bucket", description="roll up: minutes or hours, such as 1min; raw if absent")
]
Detailed = Annotated[bool, Query(description="more of each bucket, from all readings; any width from 1ms on")]
Points = Annotated[int, Query(ge=0, le=20_000, description="as many good numbers as a picture needs; 0 for all")]
Method = Annotated[Literal["lttb", "minmax"], Query(description="how these are chosen")]
Which = Annotated[Literal["any", "good"], Query(alias="quality", description="good leaves out the others")]
Limit = Annotated[
    int, Query(ge=1, le=1_000_000, description="readings in a page; at most 100,000 but for arrow and parquet")
]
Cursor = Annotated[str, like(r"|-?[0-9]{1,19}\.[0-5]"), Query(max_length=100, description="`next` of the page before")]
Format = Annotated[
    Literal["", "json", "csv", "ndjson", "arrow", "parquet"], Query(description="instead of the header Accept")
]


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["readings"], responses=ANSWERS)
    answers: dict[str, Any] = {
        "model": Page | Buckets,
        "content": {MEDIA[form].partition(";")[0]: {} for form in MEDIA},
    }

    @routes.get(
        "/history/{path:path}",
        operation_id="get_history",
        responses={200: answers, 304: {"description": "what If-None-Match names is still so"}},
    )
    async def history(
        request: Request,
        path: str,
        start: From = "-1h",
        end: To = "now",
        bucket: Width = "",
        detailed: Detailed = False,
        points: Points = 0,
        method: Method = "lttb",
        which: Which = "any",
        limit: Limit = 10_000,
        cursor: Cursor = "",
        format: Format = "",
    ) -> Response:
        """Return what a tag was in [from, to), oldest first: raw, fewer for a picture, or rolled up per bucket."""
        tag = plant.catalog[number_of(plant, path)]
        start_ns, end_ns = span(start, end, plant.now_ns())
        form = format or accepted(request.headers.get("accept", ""))
        try:
            if bucket:
                columns = await _buckets(plant, tag, start_ns, end_ns, bucket, detailed)
                answer = await _rolled(plant, tag, bucket, columns, form)
            elif points:
                shown = await plant.picture(tag.path, start_ns, end_ns, method, points)
                answer = await _page(plant, tag, [shown] if shown else [], 0, points, form)
            else:
                first_ns, skip = _parsed(cursor, start_ns)
                if form not in FORMS and limit > _TEXT_ROWS_MAX:
                    raise ValueError(f"limit: {form} has at most {_TEXT_ROWS_MAX} readings in a page, arrow a million")
                some = await _readings(plant, tag, first_ns, end_ns, skip + limit + 1, which == "good")
                answer = await _page(plant, tag, some, skip, limit, form)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        return unless_known(request, answer, closed=end_ns <= plant.now_ns())

    return routes


class _Columns:
    """Readings as columns."""

    def __init__(self, time: NDArray[np.int64], value: NDArray[Any], quality: NDArray[np.uint32]) -> None:
        self.time, self.value, self.quality = time, value, quality


def _usable(readings: Readings) -> Readings:
    rows = good(readings.quality)
    return _Columns(readings.time[rows], readings.value[rows], readings.quality[rows])


async def _readings(plant: Plant, tag: Tag, start_ns: int, end_ns: int, most: int, usable: bool) -> Sequence[Readings]:
    """The first readings of a range, so many if there are; for so many good ones more have to be looked at."""
    looked_at = most
    while True:
        found = await plant.readings(tag.path, start_ns, end_ns, looked_at)
        if not usable:
            return found
        kept = [_usable(readings) for readings in found]
        if _count(kept) >= most or _count(found) < looked_at:
            return kept
        looked_at *= 4
        if looked_at > _LOOKED_AT_MAX:
            raise ValueError(f"fewer than {most} of {_LOOKED_AT_MAX} readings are good: shorten the range or the page")


def _count(found: Sequence[Readings]) -> int:
    return sum(len(readings.time) for readings in found)


async def _page(plant: Plant, tag: Tag, found: Sequence[Readings], skip: int, limit: int, form: str) -> Response:
    """A page of raw readings. The cursor is a time, and how many readings of that time have been shown."""
    time = np.concatenate([readings.time for readings in found] or [np.empty(0, np.int64)])
    order = np.argsort(time, kind="stable")
    shown = order[skip : skip + limit]
    following = None
    if len(order) > skip + limit:
        last = int(time[shown[-1]])
        following = f"{last}.{np.count_nonzero(time[order[: skip + limit]] == last)}"
    if form in FORMS:
        about = {"path": tag.path, "unit": tag.unit}
        return await binary(form, _columns(tag, found, time, shown), about, following)
    return await plant.work(_text, tag, found, shown, following, form)


def _text(tag: Tag, found: Sequence[Readings], shown: NDArray[np.intp], following: str | None, form: str) -> Response:
    rows = _encoded(tag, found, shown)
    if form == "csv":
        return table(("timestamp", "value", "status"), map(csv_row, rows), following)
    if form == "ndjson":
        return lines(rows, following)
    head = orjson.dumps({"path": tag.path, "unit": tag.unit})[:-1]
    body = b'%s,"readings":[%s],"next":%s}' % (head, b",".join(rows), orjson.dumps(following))
    return Response(body, media_type=MEDIA["json"])


def _columns(
    tag: Tag, found: Sequence[Readings], time: NDArray[np.int64], shown: NDArray[np.intp]
) -> dict[str, NDArray[Any] | list[Any]]:
    """The readings with these positions as columns: numbers as they are, what is of several kinds as in CSV."""
    quality = np.concatenate([readings.quality for readings in found] or [np.empty(0, np.uint32)])
    value: NDArray[Any] | list[Any]
    if len(found) == 1 and found[0].value.dtype != object:
        value = found[0].value[shown]
    else:
        value = [csv_row(row)[1] for row in _encoded(tag, found, shown)]
    return {"timestamp": time[shown], "value": value, "status": quality[shown]}


def _encoded(tag: Tag, found: Sequence[Readings], shown: NDArray[np.intp]) -> list[bytes]:
    """The readings with these positions among all that were found, as JSON."""
    rows: dict[int, bytes] = {}
    offset = 0
    for readings in found:
        n = len(readings.time)
        at = shown[(shown >= offset) & (shown < offset + n)]
        mine = at - offset
        batch = Batch(np.zeros(len(at), np.uint32), readings.time[mine], readings.value[mine], readings.quality[mine])
        rows.update(zip(at.tolist(), (text for _, text in tag_messages(batch, [tag] * len(at))), strict=True))
        offset += n
    return [rows[k] for k in shown.tolist()]


def _parsed(cursor: str, start_ns: int) -> tuple[int, int]:
    """From which time on a page is, and how many of that time to leave out."""
    if not cursor:
        return start_ns, 0
    time, _, skip = cursor.partition(".")
    after_ns, shown = whole(time), whole(skip)
    if not 0 <= shown <= _KINDS:
        raise ValueError("cursor: take it from `next` of the page before")
    return (after_ns, shown) if after_ns >= start_ns else (start_ns, 0)


def _plain(rows: Aggregates) -> dict[str, NDArray[Any]]:
    """The columns of buckets, by name; NaN where there is no number."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(rows.good > 0, rows.total / rows.good, np.nan)
    return {
        "timestamp": rows.bucket,
        "count": rows.count,
        "good": rows.good,
        "minimum": rows.minimum,
        "maximum": rows.maximum,
        "mean": mean,
        "first": rows.first,
        "last": rows.last,
    }


def _detailed(found: Summary | None) -> dict[str, NDArray[Any]]:
    if found is None:
        return {name: np.empty(0, np.int64) for name in Bucket.model_fields}
    rows = found.rollup
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = np.where(rows.good > 1, np.sqrt(rows.squares / (rows.good - 1)), np.nan)
    states = [
        {name: held for name, held in zip(found.states, row, strict=True) if held}
        for row in zip(*(held.tolist() for held in found.states.values()), strict=True)
    ]
    return _plain(rows) | {
        "deviation": deviation,
        "time_mean": found.time_mean,
        "held": found.held,
        "changes": found.changes,
        "states": np.array(states or [{}] * len(found.held), object),
    }


async def _rolled(plant: Plant, tag: Tag, bucket: str, columns: Mapping[str, NDArray[Any]], form: str) -> Response:
    if form in FORMS:
        masked = {name: np.ma.masked_invalid(x) if x.dtype == np.float64 else x for name, x in columns.items()}
        return await binary(form, masked, {"path": tag.path, "unit": tag.unit, "bucket": bucket}, None)
    return await plant.work(_told, tag, bucket, columns, form)


def _told(tag: Tag, bucket: str, columns: Mapping[str, NDArray[Any]], form: str) -> Response:
    told = {name: _listed(column) for name, column in columns.items()} | {"timestamp": timestamps(columns["timestamp"])}
    rows = list(zip(*told.values(), strict=True))
    if form == "csv":
        return table(tuple(told), (tuple(map(cell, row)) for row in rows), None)
    buckets = [dict(zip(told, row, strict=True)) for row in rows]
    if form == "ndjson":
        return lines(map(orjson.dumps, buckets), None)
    body = {"path": tag.path, "unit": tag.unit, "bucket": seconds(bucket), "buckets": buckets}
    return Response(orjson.dumps(body), media_type=MEDIA["json"])


def _listed(column: NDArray[Any]) -> list[Any]:
    """The column for JSON, in which there is no NaN."""
    listed: list[Any] = column.tolist()
    return [x if math.isfinite(x) else None for x in listed] if column.dtype == np.float64 else listed


async def _buckets(
    plant: Plant, tag: Tag, start_ns: int, end_ns: int, bucket: str, detailed: bool
) -> dict[str, NDArray[Any]]:
    """The columns of buckets, by name. Raises ValueError if that cannot be answered."""
    width_ns = _width_ns(bucket, end_ns - start_ns, _MS_NS if detailed else _MINUTE_NS)
    if detailed:
        return _detailed(await plant.summary(tag.path, start_ns, end_ns, width_ns))
    return _plain(await plant.aggregate(tag.path, start_ns, end_ns, width_ns))


def _width_ns(text: str, span_ns: int, unit_ns: int) -> int:
    if seconds(text) > _WIDTH_S_MAX:
        raise ValueError(f"bucket: {text} is more than a year")
    width_ns = round(seconds(text) * 1e9)
    if width_ns < unit_ns or width_ns % unit_ns:
        raise ValueError(f"bucket: {text} is not a number of {'minutes' if unit_ns == _MINUTE_NS else 'milliseconds'}")
    if span_ns / width_ns > _BUCKETS_MAX:
        raise ValueError(f"bucket: {text} makes more than {_BUCKETS_MAX} buckets; choose a wider one")
    return width_ns
