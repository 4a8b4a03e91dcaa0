"""How long values held within a row of a roll-up, and what they come to: for means that are weighted by time. Pure.

A reading holds until the next one of its series, whatever that is; while it is not good or no finite number, nothing is
known. A row knows that from its first reading to its last; what holds before its first is the end of the row before,
and what holds after its last goes on to the end of the bucket. Both are added where it is asked (views.py), so no row
depends on another: late readings and lost rows touch their own alone.

    opens    0 if the first reading counts, so that it is `first`; else ns from the bucket's start to it, + 1
    closes   the same of the last reading
    unknown  ns between first and last reading in which nothing is known; below 0 if the row is of a version before
    area     the integral of what is known there, in units times seconds

What is good throughout has zeros but for `area`, which take no room.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

_S: Final = 1e-9
NO_HELD: Final = -1
"""`unknown` of a row that was made before there were these columns."""

Columns = Mapping[str, NDArray[Any]]


class Rows(Protocol):
    """What is needed of rollup.Rollup."""

    @property
    def bucket(self) -> NDArray[np.int64]: ...
    @property
    def first_time(self) -> NDArray[np.int64]: ...
    @property
    def last(self) -> NDArray[np.float64]: ...
    @property
    def last_time(self) -> NDArray[np.int64]: ...
    @property
    def opens(self) -> NDArray[np.int64]: ...
    @property
    def closes(self) -> NDArray[np.int64]: ...
    @property
    def unknown(self) -> NDArray[np.int64]: ...
    @property
    def area(self) -> NDArray[np.float64]: ...


def held(
    time: NDArray[np.int64],
    value: NDArray[np.float64],
    counts: NDArray[np.bool_],
    starts: NDArray[np.intp],
    bucket: NDArray[np.int64],
) -> Columns:
    """Return the columns of rows, shape (m,), one per bucket, of readings, shape (n,), by time from `starts` on."""
    if not len(starts):
        none = np.empty(0, np.int64)
        return {"opens": none, "closes": none, "unknown": none, "area": np.empty(0)}
    step = np.diff(time, append=time[-1])
    ends = np.append(starts[1:], len(time)) - 1
    step[ends] = 0
    if counts.all():
        zero = np.zeros(len(starts), np.int64)
        return {"opens": zero, "closes": zero, "unknown": zero, "area": np.add.reduceat(value * (step * _S), starts)}
    return {
        "opens": np.where(counts[starts], 0, time[starts] - bucket + 1),
        "closes": np.where(counts[ends], 0, time[ends] - bucket + 1),
        "unknown": np.add.reduceat(np.where(counts, 0, step), starts),
        "area": np.add.reduceat(np.where(counts, value, 0.0) * (step * _S), starts),
    }


def begin(rows: Rows) -> NDArray[np.int64]:
    """Return the time of the first reading of each row."""
    return np.where(rows.opens == 0, rows.first_time, rows.bucket + rows.opens - 1)


def end(rows: Rows) -> NDArray[np.int64]:
    """Return the time of the last reading of each row."""
    return np.where(rows.closes == 0, rows.last_time, rows.bucket + rows.closes - 1)


def merged(rows: Rows, starts: NDArray[np.intp], bucket: NDArray[np.int64]) -> Columns:
    """Return the columns of one row for each run of rows, in order of time, that begins at `starts`."""
    first, last = begin(rows), end(rows)
    ends = np.append(starts[1:], len(first)) - 1
    between = np.append(first[1:], 0) - last
    between[ends] = 0
    goes_on = rows.closes == 0
    unknown = np.add.reduceat(rows.unknown + np.where(goes_on, 0, between), starts)
    return {
        "opens": np.where(rows.opens[starts] == 0, 0, first[starts] - bucket + 1),
        "closes": np.where(rows.closes[ends] == 0, 0, last[ends] - bucket + 1),
        "unknown": np.where(np.minimum.reduceat(rows.unknown, starts) < 0, NO_HELD, unknown),
        "area": np.add.reduceat(rows.area + np.where(goes_on, rows.last, 0.0) * (between * _S), starts),
    }
