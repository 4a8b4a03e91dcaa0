"""Readings of many series to one row per series and bucket of time. Pure; one pass of numpy for all of them.

Rows of the same series and bucket can be merged, so it does not matter how readings were cut into batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.historian.held import held, merged
from gateway.model import Batch, Kind

MINUTE_NS: Final = 60_000_000_000
HOUR_NS: Final = 60 * MINUTE_NS


@dataclass(frozen=True, slots=True, eq=False)
class Rollup:
    """One row per series and bucket, columns of shape (m,), ordered by series and bucket.

    `count` counts all readings, `good` those that the numbers are of: `minimum`, `maximum`, `total` (their sum),
    `squares` (the sum of the squares of their distances from their mean), `first` and `last` with their times [ns].
    Without a good number (text, or nothing good) they are NaN and 0. The last four are for means by time (held.py).
    """

    series: NDArray[np.int64]
    bucket: NDArray[np.int64]
    count: NDArray[np.int64]
    good: NDArray[np.int64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    first: NDArray[np.float64]
    first_time: NDArray[np.int64]
    last: NDArray[np.float64]
    last_time: NDArray[np.int64]
    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    unknown: NDArray[np.int64]
    area: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.series)

    def where(self, mask: NDArray[np.bool_]) -> "Rollup":
        """Return the rows for which the mask, of shape (m,), is true."""
        return self if mask.all() else self.take(np.flatnonzero(mask))

    def take(self, rows: NDArray[np.intp]) -> "Rollup":
        """Return rows by their places."""
        return Rollup(*(getattr(self, field.name)[rows] for field in fields(self)))

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns as lists, for a database; NaN becomes None."""
        return {field.name: _listed(getattr(self, field.name)) for field in fields(self)}

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries; NaN becomes None."""
        columns = self.columns()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def rollup(batch: Batch, bucket_ns: int = MINUTE_NS) -> Rollup:
    """Return the rows for a batch whose `tag` is the series. A bucket is [k, k + 1) x bucket_ns, named by its start."""
    return rollup_sorted(batch.take(np.lexsort((batch.time, batch.tag))), bucket_ns)


def rollup_sorted(batch: Batch, bucket_ns: int = MINUTE_NS) -> Rollup:
    """As `rollup`, of readings that are ordered by series and time."""
    series, of, (value, good) = batch.tag, batch.time // bucket_ns, _numbers(batch)
    new = np.append(True, (series[1:] != series[:-1]) | (of[1:] != of[:-1]))[: len(batch)]
    starts = begin = np.flatnonzero(new)
    time = batch.time
    by_time = held(time, value, good, starts, of[starts] * bucket_ns)
    if not good.all():
        at = np.flatnonzero(good)
        value, time, begin = value[at], time[at], np.searchsorted(at, starts)
    some = begin < np.append(begin[1:], len(value))[: len(begin)]
    begin = begin[some]
    end = np.append(begin[1:], len(value))[: len(begin)]

    def spread(numbers: NDArray[Any], missing: float) -> NDArray[Any]:
        column = np.full(len(starts), missing, numbers.dtype)
        column[some] = numbers
        return column

    def of_runs(of: np.ufunc, numbers: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = of.reduceat(numbers, begin) if len(begin) else numbers[:0]
        return found

    total, n = of_runs(np.add, value), end - begin
    distance = value - np.repeat(total / n, n)
    return Rollup(
        series=series[starts].astype(np.int64),
        bucket=of[starts] * bucket_ns,
        count=np.diff(starts, append=len(batch)),
        good=spread(n, 0),
        minimum=spread(of_runs(np.minimum, value), np.nan),
        maximum=spread(of_runs(np.maximum, value), np.nan),
        total=spread(total, 0.0),
        squares=spread(of_runs(np.add, distance * distance), 0.0),
        first=spread(value[_last_of_first(time, begin, end)], np.nan),
        first_time=spread(time[begin], 0),
        last=spread(value[end - 1], np.nan),
        last_time=spread(time[end - 1], 0),
        **by_time,
    )


def joined(parts: Sequence[Rollup]) -> Rollup:
    """Return the rows of all, at least one, as they are."""
    return Rollup(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Rollup)))


def merge(one: Rollup, other: Rollup, bucket_ns: int = MINUTE_NS) -> Rollup:
    """Return the rows of both, one per series and bucket, whose width may be larger than theirs was."""
    rows = joined((one, other))
    bucket = rows.bucket - rows.bucket % bucket_ns
    order = np.lexsort((rows.bucket, rows.series))  # and so in order of time
    series, bucket = rows.series[order], bucket[order]
    starts = np.flatnonzero(np.append(True, (series[1:] != series[:-1]) | (bucket[1:] != bucket[:-1]))[: len(rows)])
    return _merged(rows.take(order), starts, bucket[starts])


def _merged(rows: Rollup, starts: NDArray[np.intp], bucket: NDArray[np.int64]) -> Rollup:
    """One row, of this bucket, for each run of rows that begins at `starts`."""
    if len(rows) == 0:
        return rows
    good = rows.good > 0
    some = np.logical_or.reduceat(good, starts)
    first = _extreme(-rows.first_time, good, starts)
    last = _extreme(rows.last_time, good, starts)
    n, total = np.add.reduceat(rows.good, starts), np.add.reduceat(rows.total, starts)
    return Rollup(
        series=rows.series[starts],
        bucket=bucket,
        count=np.add.reduceat(rows.count, starts),
        good=n,
        minimum=_or_nan(np.minimum.reduceat(np.where(good, rows.minimum, np.inf), starts), some),
        maximum=_or_nan(np.maximum.reduceat(np.where(good, rows.maximum, -np.inf), starts), some),
        total=total,
        squares=np.add.reduceat(_squares(rows, total / np.maximum(n, 1), starts), starts),
        first=_or_nan(rows.first[first], some),
        first_time=np.where(some, rows.first_time[first], 0),
        last=_or_nan(rows.last[last], some),
        last_time=np.where(some, rows.last_time[last], 0),
        **merged(rows, starts, bucket),
    )


def _squares(rows: Rollup, mean: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """The sum of squares of each row about the mean of its run: about its own mean, and how far that is away.

    Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances (1979).
    """
    away = rows.total / np.maximum(rows.good, 1) - np.repeat(mean, np.diff(starts, append=len(rows)))
    squares: NDArray[np.float64] = rows.squares + rows.good * away * away
    return squares


def _last_of_first(time: NDArray[np.int64], begin: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[np.intp]:
    """The position, within each run, of the last reading that has the time of the first one."""
    second = np.minimum(begin + 1, end - 1)
    if not ((time[second] == time[begin]) & (second > begin)).any():
        return begin
    alike = np.repeat(time[begin], end - begin) == time
    at: NDArray[np.intp] = np.maximum.reduceat(np.where(alike, np.arange(len(time)), -1), begin)
    return at


def _extreme(time: NDArray[np.int64], good: NDArray[np.bool_], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """The position, within each run, of the good row with the largest time; of equal ones the last."""
    time = np.where(good, time, np.iinfo(np.int64).min)
    lengths = np.diff(np.append(starts, len(time)))
    largest = np.repeat(np.maximum.reduceat(time, starts), lengths)
    at: NDArray[np.intp] = np.maximum.reduceat(np.where(time == largest, np.arange(len(time)), -1), starts)
    return at


def _numbers(batch: Batch) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The values as float64, and where they are good numbers."""
    if batch.kind is Kind.OBJECT:
        return np.full(len(batch), np.nan), np.zeros(len(batch), np.bool_)
    value = batch.value.astype(np.float64, copy=False)
    return value, batch.good & np.isfinite(value)


def _or_nan(column: NDArray[np.float64], some: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(some, column, np.nan)


def _listed(column: NDArray[Any]) -> list[Any]:
    listed: list[Any] = column.tolist()
    return [None if x != x else x for x in listed] if column.dtype.kind == "f" else listed
