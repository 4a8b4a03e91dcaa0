"""Readings to rows: what all tags of an asset were at the end of each tick.

Event time decides. A tick is over when a reading comes that is more than `late` behind its end; what comes for it
afterwards is left out. Between its readings a tag is what it was, for a device may tell changes only, but not for
longer than `hold`, and not once it was bad.

A clock may be set back. Readings that are far behind all others are left out, until there are so many in a row that it
must be so: then all is forgotten and begins anew at their time.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch
from gateway.signals._times import in_a_row

_GAP: Final = 1000
"""Ticks without any reading that are made rows; after more of them nothing is left to forget."""
_BACK: Final = 60
"""A reading that is behind by so many ticks more than it may be late has the time of another clock."""
_ROUNDS: Final = 3
"""After so many such readings per tag, with none between them that is in time, theirs is the time."""


@dataclass(frozen=True, slots=True)
class Rows:
    """`value`, shape (ticks, n), NaN for what is not known or not good; `time`, shape (ticks,), their ends in ns."""

    time: NDArray[np.int64]
    value: NDArray[np.float64]


class Ticks:
    """The state of n tags, which are `tags` in batches."""

    def __init__(self, tags: NDArray[np.uint32], period_ns: int, late_ns: int, hold: int) -> None:
        self._order = np.argsort(tags)
        self._tags = tags[self._order]
        self._period_ns, self._late_ns, self._hold = period_ns, late_ns, hold
        self._begin()

    def _begin(self) -> None:
        n = len(self._tags)
        self._newest_ns: int | None = None
        self._next = 0
        self._open: dict[int, list[tuple[NDArray[np.intp], NDArray[np.float64]]]] = {}
        self._value = np.full(n, np.nan)
        self._since = np.zeros(n, np.int64)
        self._behind = 0

    def add(self, batch: Batch) -> Rows:
        """Take numbers and return the rows that are complete now. Its kind is not OBJECT."""
        if not len(batch):
            return Rows(np.empty(0, np.int64), np.empty((0, len(self._tags))))
        end = self._set_back(batch.time)
        if end is None:
            return self._take(batch)
        before = self._take(batch.take(np.arange(end)))
        self._begin()
        after = self.add(batch.take(np.arange(end, len(batch))))
        return Rows(np.concatenate([before.time, after.time]), np.concatenate([before.value, after.value]))

    def _set_back(self, time: NDArray[np.int64]) -> int | None:
        """The row at which it is clear that the clock was set back; None if it was not."""
        newest = np.maximum.accumulate(time if self._newest_ns is None else np.fmax(time, self._newest_ns))
        behind = newest - time > self._late_ns + _BACK * self._period_ns
        if not behind.any():
            self._behind = 0
            return None
        run = in_a_row(behind, self._behind)
        self._behind = int(run[-1])
        clear = np.flatnonzero(run >= _ROUNDS * len(self._tags) + 1)
        return int(clear[0]) if len(clear) else None

    def _take(self, batch: Batch) -> Rows:
        if not len(batch):
            return Rows(np.empty(0, np.int64), np.empty((0, len(self._tags))))
        if self._newest_ns is None:
            self._newest_ns = int(batch.time[0])
            self._next = self._newest_ns // self._period_ns
        newest = np.maximum.accumulate(np.concatenate([[self._newest_ns], batch.time]))
        tick = batch.time // self._period_ns
        in_time = (tick >= self._over(newest[:-1])) & (tick >= self._next)
        self._keep(tick[in_time], batch.where(in_time))
        self._newest_ns = int(newest[-1])
        return self._close(int(self._over(newest[-1])))

    def _over(self, newest_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first tick that is not over."""
        first: NDArray[np.int64] = (newest_ns - self._late_ns) // self._period_ns
        return first

    def _keep(self, tick: NDArray[np.int64], batch: Batch) -> None:
        index = self._order[np.searchsorted(self._tags, batch.tag)]
        value = np.where(batch.good, batch.value.astype(np.float64), np.nan)
        for one in np.unique(tick).tolist():
            rows = tick == one
            self._open.setdefault(one, []).append((index[rows], value[rows]))

    def _close(self, end: int) -> Rows:
        """Make rows of the ticks before this one."""
        begin, self._next = self._next, max(self._next, end)
        ticks = list(range(begin, self._next))
        if len(ticks) > _GAP:
            ticks = sorted({*(tick for tick in self._open if tick < end), *ticks[:_GAP]})
        rows = np.empty((len(ticks), len(self._tags)))
        for row, tick in zip(rows, ticks, strict=True):
            for index, value in self._open.pop(tick, ()):
                self._value[index] = value
                self._since[index] = tick
            row[:] = np.where(tick - self._since <= self._hold, self._value, np.nan)
        return Rows((np.array(ticks, np.int64) + 1) * self._period_ns, rows)
