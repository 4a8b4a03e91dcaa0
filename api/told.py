"""The questions of api/history.py, answered where history is: readings and buckets to the bytes of an answer."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from fastapi import Response
from numpy.typing import NDArray

from api.arrow import FORMS, binary
from api.forms import MEDIA, cell, csv_row, lines, table, unless_known
from api.past import Head, Past, parted
from api.plant import Aggregates, Readings, Summary
from gateway.model import Batch, Tag
from gateway.model.duration import seconds
from gateway.model.quality import good
from gateway.payload import tag_messages, timestamps

_LOOKED_AT_MAX: Final = 10_000_000
_COLUMNS: Final = (
    *("timestamp", "count", "good", "minimum", "maximum", "mean", "first", "last"),
    *("deviation", "time_mean", "held", "changes", "states"),
)
"""Of buckets in detail."""


@dataclass(frozen=True, slots=True)
class Asked:
    """In which form something is asked for, which answer is there already, and whether the range is past."""

    form: str
    known: str
    closed: bool


def answer(
    past: Past, question: Callable[..., Response], asked: Asked, tag: Tag, start_ns: int, end_ns: int
) -> tuple[Head, bytes]:
    """Answer one of the questions below."""
    answer = question(past, tag, start_ns, end_ns, asked.form)
    return parted(unless_known(asked.known, answer, closed=asked.closed))


def rolled(
    past: Past, tag: Tag, start_ns: int, end_ns: int, form: str, *, bucket: str, width_ns: int, detailed: bool
) -> Response:
    """Buckets, of which `bucket` is the width as it was asked for."""
    if detailed:
        columns = _detailed(past.summary(tag.path, start_ns, end_ns, width_ns))
    else:
        columns = _plain(past.aggregate(tag.path, start_ns, end_ns, width_ns))
    return _rolled(tag, bucket, columns, form)


def picture(past: Past, tag: Tag, start_ns: int, end_ns: int, form: str, *, method: str, points: int) -> Response:
    """Fewer readings, for a picture."""
    shown = past.picture(tag.path, start_ns, end_ns, method, points)
    return _page(tag, [shown] if shown else [], 0, points, form)


def raw(
    past: Past, tag: Tag, start_ns: int, end_ns: int, form: str, *, skip: int, limit: int, usable: bool
) -> Response:
    """A page of readings, the first `skip` of them left out."""
    return _page(tag, _readings(past, tag, start_ns, end_ns, skip + limit + 1, usable), skip, limit, form)


class _Columns:
    """Readings as columns."""

    def __init__(self, time: NDArray[np.int64], value: NDArray[Any], quality: NDArray[np.uint32]) -> None:
        self.time, self.value, self.quality = time, value, quality


def _usable(readings: Readings) -> Readings:
    rows = good(readings.quality)
    return _Columns(readings.time[rows], readings.value[rows], readings.quality[rows])


def _readings(past: Past, tag: Tag, start_ns: int, end_ns: int, most: int, usable: bool) -> Sequence[Readings]:
    """The first readings of a range, so many if there are; for so many good ones more have to be looked at."""
    looked_at = most
    while True:
        found = past.readings(tag.path, start_ns, end_ns, looked_at)
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


def _page(tag: Tag, found: Sequence[Readings], skip: int, limit: int, form: str) -> Response:
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
        return binary(form, _columns(tag, found, time, shown), about, following)
    return _text(tag, found, shown, following, form)


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
        return {name: np.empty(0, np.int64) for name in _COLUMNS}
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


def _rolled(tag: Tag, bucket: str, columns: Mapping[str, NDArray[Any]], form: str) -> Response:
    if form in FORMS:
        masked = {name: np.ma.masked_invalid(x) if x.dtype == np.float64 else x for name, x in columns.items()}
        return binary(form, masked, {"path": tag.path, "unit": tag.unit, "bucket": bucket}, None)
    return _told(tag, bucket, columns, form)


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
