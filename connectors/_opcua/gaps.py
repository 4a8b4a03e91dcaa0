"""What has been told of each tag, and what is missing in between, as columns of source times. Knows no connection.

A gap of a tag lies between two readings that did come: the last one before something was lost, and the first one after
it. What the history of the server has strictly between the two is what is missing, so nothing is told twice.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from connectors._opcua.extent import DecodeError
from gateway.model import Batch

Rows = NDArray[np.intp]
Times = NDArray[np.int64]

_GAPS_MAX: Final = 16
"""Losses that wait to be made good; a server may lose something with every notification."""
_KNOWN_MAX: Final = 5_000_000
"""Readings of the last run that are known one by one, 16 bytes each; what is beyond them may be told twice."""
_STAMP: Final = np.dtype([("row", "i8"), ("time", "i8")])
_NONE: Final = np.empty(0, np.intp)
_TICK_NS: Final = 100
_NO_TIMES: Final = np.empty(0, np.int64)
_NEVER: Final = np.iinfo(np.int64).min
_OPEN: Final = np.iinfo(np.int64).max
_OVERFLOW: Final = 0x0480
"""InfoType DataValue and the bit Overflow: the queue of the item lost what was before (OPC 10000-4, 7.39.1)."""


@dataclass(frozen=True, slots=True)
class _Gap:
    """Between which times readings are missing, by row; both are `_NEVER` where none are, `before` may be `_OPEN`."""

    after: Times
    before: Times


class Told:
    """The source times of what was told of the tags of a device, by row: the position among its tags.

    `counts` has `overflows`, readings before which a queue lost some, and `gaps_forgotten`, gaps of a tag that were not
    filled because there were too many.
    """

    def __init__(self, numbers: NDArray[np.uint32], counts: Counter[str]) -> None:
        self._row_of = np.full(int(numbers.max(initial=0)) + 1, -1, np.intp)
        self._row_of[numbers] = np.arange(len(numbers))
        self._counts = counts
        self._last = np.full(len(numbers), _NEVER)
        self._asked = np.full(len(numbers), _NEVER)
        self._gaps: list[_Gap] = []
        self._first = np.full(len(numbers), _OPEN)
        self._known: list[NDArray[np.void]] = []
        self._heard = 0

    def heard(self, batch: Batch) -> None:
        """Take note of readings that were told since the times of `recall` were kept; others are passed over."""
        within = batch.tag < len(self._row_of)
        within[within] = self._row_of[batch.tag[within]] >= 0
        rows, time = self._row_of[batch.tag[within]], batch.time[within]
        usable = batch.good[within]
        np.minimum.at(self._first, rows[usable], time[usable])
        if self._heard < _KNOWN_MAX:
            self._heard += len(rows)
            self._known.append(np.rec.fromarrays((rows, time), _STAMP))

    def recall(self, told: Times) -> None:
        """Begin where another run ended: up to these times nothing is missing, nor is what was heard since.

        A tag that has no such time begins with the first good reading that was heard of it.
        """
        self._known = [np.sort(np.concatenate(self._known))] if self._known else []
        self._last = np.where(self._first == _OPEN, _NEVER, self._first)
        self._last[: len(told)] = np.where(told == _NEVER, self._last[: len(told)], told)

    def whole(self) -> Times | None:
        """Return up to which time each row was told, if nothing is missing before that."""
        self._tidy()
        if self._gaps:
            return None
        self._known = []
        return self._last.copy()

    def live(self, batch: Batch) -> Batch:
        """Take note of readings that come as they happen; return them without those that `asked` has told."""
        rows = self._rows(batch)
        if batch.quality.any():
            self._overflowed(rows[batch.quality & _OVERFLOW == _OVERFLOW])
        self._last[rows] = batch.time
        if not self._gaps:
            return batch
        for gap in self._gaps:
            np.minimum.at(gap.before, rows, batch.time)
        return batch.where(batch.time != self._asked[rows])

    def asked(self, batch: Batch) -> Batch:
        """Take note of readings, one per tag, that were asked for after a loss; return those that are news."""
        rows = self._rows(batch)
        last = self._last[rows]
        for gap in self._gaps:
            gap.before[rows] = np.where(gap.before[rows] == _OPEN, batch.time, gap.before[rows])
        self._last[rows] = np.maximum(last, batch.time)
        self._asked[rows] = batch.time
        return batch.where(batch.time > last)

    def lost(self, tags: NDArray[np.uint32]) -> None:
        """Something of these tags may have been lost since they were told last."""
        self._open(self._row_of[tags])

    def gone(self, tags: NDArray[np.uint32]) -> None:
        """Nothing comes of these tags any more."""
        for gap in self._gaps:
            gap.after[self._row_of[tags]] = gap.before[self._row_of[tags]] = _NEVER

    # --- gaps -----------------------------------------------------------------------------

    def open(self) -> Rows:
        """Return the rows with a gap that has no end yet, because no reading has come since."""
        return np.flatnonzero(np.any([gap.before == _OPEN for gap in self._gaps], axis=0)) if self._gaps else _NONE

    def closed(self) -> tuple[Rows, Times, Times]:
        """Return the rows all of whose gaps have an end, and between which times they are: first and last of them."""
        self._tidy()
        if not self._gaps:
            return _NONE, _NO_TIMES, _NO_TIMES
        has = np.array([gap.after != _NEVER for gap in self._gaps])
        after = np.where(has, [gap.after for gap in self._gaps], _OPEN).min(axis=0)
        before = np.where(has, [gap.before for gap in self._gaps], _NEVER).max(axis=0)
        rows = np.flatnonzero(has.any(axis=0) & (before != _OPEN))
        return rows, after[rows], before[rows]

    def missing(self, row: int, time: Times) -> NDArray[np.bool_]:
        """Return which of these times are in a gap of the row, shape (n,)."""
        within = np.zeros(len(time), np.bool_)
        for gap in self._gaps:
            if gap.after[row] != _NEVER:
                within |= (gap.after[row] < time) & (time < gap.before[row])
        for known in self._known:
            begin, end = np.searchsorted(known["row"], (row, row + 1))
            within &= ~np.isin(time, known["time"][begin:end])
        return within

    def up_to(self, rows: Rows, time: Times | int) -> None:
        """Note that up to this time nothing is missing of the rows, or cannot be had."""
        for gap in self._gaps:
            begin = gap.after[rows]
            gap.after[rows] = np.where(begin == _NEVER, _NEVER, np.maximum(begin, time))

    def down_to(self, row: int, time: int) -> None:
        """Note that from this time on nothing is missing of the row; what begins later is another matter."""
        for gap in self._gaps:
            if gap.after[row] < time:
                gap.before[row] = min(int(gap.before[row]), time)

    def _tidy(self) -> None:
        """Forget gaps in which nothing can be."""
        for gap in self._gaps:
            nothing = gap.before <= gap.after + _TICK_NS
            gap.after[nothing] = gap.before[nothing] = _NEVER
        self._gaps = [gap for gap in self._gaps if (gap.after != _NEVER).any()]

    def _overflowed(self, rows: Rows) -> None:
        self._counts["overflows"] += len(rows)
        self._open(rows)

    def _open(self, rows: Rows) -> None:
        """Begin a gap after what was told last; one that has no end yet goes on instead."""
        begun = self._last[rows] != _NEVER
        for gap in self._gaps:
            begun &= gap.before[rows] != _OPEN
        if not begun.any():
            return
        if len(self._gaps) == _GAPS_MAX:
            self._fold()
        gap = _Gap(np.full(len(self._last), _NEVER), np.full(len(self._last), _NEVER))
        gap.after[rows[begun]], gap.before[rows[begun]] = self._last[rows[begun]], _OPEN
        self._gaps.append(gap)

    def _fold(self) -> None:
        """Make room: the oldest gaps of tags that have another are forgotten."""
        old, kept = self._gaps[0], self._gaps[1]
        free = kept.after == _NEVER
        self._counts["gaps_forgotten"] += int(np.count_nonzero(~free & (old.after != _NEVER)))
        kept.after[free], kept.before[free] = old.after[free], old.before[free]
        del self._gaps[0]

    def _rows(self, batch: Batch) -> Rows:
        """The rows of the tags. Raises DecodeError for one of another device, that is, for an unknown client handle."""
        if int(batch.tag.max(initial=0)) < len(self._row_of):
            rows = self._row_of[batch.tag]
            if rows.min(initial=0) >= 0:
                return rows
        raise DecodeError("the server sends values of items that it was never asked for")
