"""Readings of many series to one row per series and bucket of time. Pure; one pass of numpy for all of them.

Rows of the same series and bucket can be merged, so it does not matter how readings were cut into batches.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Kind

MINUTE_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Rollup:
    """One row per series and bucket, columns of shape (m,), ordered by series and bucket.

    `count` counts all readings, `good` those that the numbers are of: `minimum`, `maximum`, `total` (their sum),
    `first` and `last` with their times [ns]. Without a good number (text, or nothing good) they are NaN and 0.
    """

    series: NDArray[np.int64]
    bucket: NDArray[np.int64]
    count: NDArray[np.int64]
    good: NDArray[np.int64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    total: NDArray[np.float64]
    first: NDArray[np.float64]
    first_time: NDArray[np.int64]
    last: NDArray[np.float64]
    last_time: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.series)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries, for a database; NaN becomes None."""
        names = [field.name for field in fields(self)]
        columns = [_listed(getattr(self, name)) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def rollup(batch: Batch, bucket_ns: int = MINUTE_NS) -> Rollup:
    """Return the rows for a batch whose `tag` is the series. A bucket is [k, k + 1) x bucket_ns, named by its start."""
    order = np.lexsort((batch.time, batch.tag))
    series, time = batch.tag[order].astype(np.int64), batch.time[order]
    bucket = time - time % bucket_ns
    value, good = _numbers(batch, order)
    starts = np.flatnonzero(np.r_[True, (series[1:] != series[:-1]) | (bucket[1:] != bucket[:-1])])
    return _merged(
        Rollup(
            series, bucket, np.ones(len(series), np.int64), good.astype(np.int64),
            value, value, np.where(good, value, 0.0), value, time, value, time,
        ),
        starts,
    )  # fmt: skip


def merge(one: Rollup, other: Rollup, bucket_ns: int = MINUTE_NS) -> Rollup:
    """Return the rows of both, one per series and bucket, whose width may be larger than theirs was."""
    joined = [np.concatenate((getattr(one, f.name), getattr(other, f.name))) for f in fields(Rollup)]
    bucket = joined[1] - joined[1] % bucket_ns
    order = np.lexsort((bucket, joined[0]))
    series, bucket = joined[0][order], bucket[order]
    starts = np.flatnonzero(np.r_[True, (series[1:] != series[:-1]) | (bucket[1:] != bucket[:-1])])
    return _merged(Rollup(series, bucket, *(column[order] for column in joined[2:])), starts)


def _merged(rows: Rollup, starts: NDArray[np.intp]) -> Rollup:
    """One row for each run of rows that begins at `starts`."""
    if len(rows) == 0:
        return rows
    good = rows.good > 0
    some = np.logical_or.reduceat(good, starts)
    first = _extreme(-rows.first_time, good, starts)
    last = _extreme(rows.last_time, good, starts)
    return Rollup(
        series=rows.series[starts],
        bucket=rows.bucket[starts],
        count=np.add.reduceat(rows.count, starts),
        good=np.add.reduceat(rows.good, starts),
        minimum=_or_nan(np.minimum.reduceat(np.where(good, rows.minimum, np.inf), starts), some),
        maximum=_or_nan(np.maximum.reduceat(np.where(good, rows.maximum, -np.inf), starts), some),
        total=np.add.reduceat(rows.total, starts),
        first=_or_nan(rows.first[first], some),
        first_time=np.where(some, rows.first_time[first], 0),
        last=_or_nan(rows.last[last], some),
        last_time=np.where(some, rows.last_time[last], 0),
    )


def _extreme(time: NDArray[np.int64], good: NDArray[np.bool_], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """The position, within each run, of the good row with the largest time; of equal ones the last."""
    time = np.where(good, time, np.iinfo(np.int64).min)
    lengths = np.diff(np.append(starts, len(time)))
    largest = np.repeat(np.maximum.reduceat(time, starts), lengths)
    at: NDArray[np.intp] = np.maximum.reduceat(np.where(time == largest, np.arange(len(time)), -1), starts)
    return at


def _numbers(batch: Batch, order: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The values as float64, and where they are good numbers."""
    if batch.kind is Kind.OBJECT:
        return np.full(len(batch), np.nan), np.zeros(len(batch), np.bool_)
    value = batch.value[order].astype(np.float64)
    good = batch.good[order] & np.isfinite(value)
    return np.where(good, value, np.nan), good


def _or_nan(column: NDArray[np.float64], some: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(some, column, np.nan)


def _listed(column: NDArray[Any]) -> list[Any]:
    if column.dtype.kind != "f":
        listed: list[Any] = column.tolist()
        return listed
    return [None if x != x else x for x in column.tolist()]
