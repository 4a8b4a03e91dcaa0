"""What a server has said of our tags, and what it has not. Columns only; knows no connection.

A client handle is the number of a tag, and a server may send any: what is not ours is dropped and counted, or it would
be read as a tag of another device. Some servers tell all values again to a client that comes back, and it asks for
them as well: what was told in this connection, with the same time, value and status, is not told twice. A time that is
far ahead is not believed: nothing that comes later would be taken for newer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Kind, Quality

_CODE: Final = 0xFFFF_0000
_NODE_ID_INVALID: Final = 0x8033_0000
_NEVER: Final = np.iinfo(np.int64).min
_AHEAD_NS_MAX: Final = 86_400_000_000_000
"""A day: a clock in another time zone is believed, and told of (remarks.py)."""


class Said:
    """What was said of the tags with these numbers, one row per tag.

    `counts` gets `not_ours`, readings of what is no tag of this device, `repeated`, and `times_ahead`, readings that
    have the time of their arrival because theirs cannot be.
    """

    def __init__(self, numbers: NDArray[np.uint32], counts: Counter[str]) -> None:
        self._first = int(numbers.min())
        size = int(numbers.max()) - self._first + 1
        self._ours = np.zeros(size, np.bool_)
        self._ours[numbers - self._first] = True
        self._told = np.zeros(size, np.int64)  # at which turn
        self._gone = np.zeros(size, np.bool_)
        self._time = np.full(size, _NEVER)
        self._bits = np.zeros(size, np.uint64)
        self._turns = 0
        self._begun = 0
        self._asked = 0
        self._counts = counts

    def begin(self) -> None:
        """Begin a connection: nothing has been said yet. What was gone still is."""
        self._turns += 1
        self._begun = self._asked = self._turns

    def news(self, batches: Sequence[Batch], now_ns: int) -> list[Batch]:
        """Return the readings of our tags that have not been told yet, and take note of them."""
        self._turns += 1
        return [self._news(self._timely(self._checked(batch), now_ns)) for batch in batches]

    def untold(self, batches: Sequence[Batch], now_ns: int) -> list[Batch]:
        """Return those of tags that nothing was told of in this connection: others are known better, and are newer."""
        ours = map(self._checked, batches)
        return self.news([batch.where(self._told[self._rows(batch)] < self._begun) for batch in ours], now_ns)

    def lacking(self, batches: Sequence[Batch], now_ns: int) -> list[Batch]:
        """Return those whose node is gone."""
        return self.news([batch.where(_gone(batch)) for batch in batches], now_ns)

    def refused(self, numbers: Sequence[int], codes: Sequence[int], now_ns: int) -> Batch:
        """Return that the server cannot have these tags, and why, unless that has been told."""
        tag, quality = np.array(numbers, np.uint32), np.array(codes, np.uint32)
        rows = tag - np.uint32(self._first)
        news = ~self._gone[rows] | (self._told[rows] < self._begun)
        (batch,) = self.news([Batch.of(tag[news], now_ns, np.nan, quality[news])], now_ns)
        self._gone[rows] = True
        return batch

    @property
    def gone(self) -> list[int]:
        """The tags whose nodes the server does not have, or refuses."""
        return self._numbers(self._gone)

    @property
    def left(self) -> list[int]:
        """The tags that have not been told of in this connection."""
        return self._numbers(self._ours & (self._told < self._begun))

    def silent(self) -> list[int]:
        """Return the tags that were not told of since this was asked last, and are not gone."""
        found = self._numbers(self._ours & (self._told < self._asked) & ~self._gone)
        self._asked = self._turns + 1
        return found

    def _numbers(self, which: NDArray[np.bool_]) -> list[int]:
        found: list[int] = (np.flatnonzero(which) + self._first).tolist()
        return found

    def _rows(self, batch: Batch) -> slice | NDArray[np.uint32]:
        rows = batch.rows
        if isinstance(rows, slice):
            return slice(rows.start - self._first, rows.stop - self._first)
        return rows - np.uint32(self._first)  # what is below the first comes out far above the last

    def _checked(self, batch: Batch) -> Batch:
        rows = batch.tag - np.uint32(self._first)
        ours = rows < len(self._ours)
        if ours.all():
            ours = self._ours[self._rows(batch)]
        else:
            ours[ours] = self._ours[rows[ours]]
        if ours.all():
            return batch
        self._counts["not_ours"] += len(batch) - int(np.count_nonzero(ours))
        return batch.where(ours)

    def _timely(self, batch: Batch, now_ns: int) -> Batch:
        ahead = batch.time > now_ns + _AHEAD_NS_MAX
        if not ahead.any():
            return batch
        self._counts["times_ahead"] += int(np.count_nonzero(ahead))
        return replace(batch, time=np.where(ahead, now_ns, batch.time))

    def _news(self, batch: Batch) -> Batch:
        rows, bits = self._rows(batch), _bits(batch)
        again = self._time[rows] == batch.time
        if batch.quality.any():
            again |= self._gone[rows] & _gone(batch)  # whenever it is looked for
        if again.any():
            again &= (self._bits[rows] == bits) & (self._told[rows] >= self._begun)
            self._counts["repeated"] += int(np.count_nonzero(again))
            batch, bits = batch.where(~again), bits[~again]
            rows = self._rows(batch)
        self._told[rows] = self._turns
        self._gone[rows] = batch.quality.any() and _gone(batch)
        self._time[rows] = _NEVER if batch.kind is Kind.OBJECT else batch.time
        self._bits[rows] = bits
        return batch


def _gone(batch: Batch) -> NDArray[np.bool_]:
    code = batch.quality & _CODE
    gone: NDArray[np.bool_] = (code == Quality.BAD_NODE_ID_UNKNOWN) | (code == _NODE_ID_INVALID)
    return gone


def _bits(batch: Batch) -> NDArray[np.uint64]:
    """Value and status, so that two readings that differ in either differ here; texts are not looked at."""
    value: NDArray[Any] = batch.value
    if batch.kind is Kind.OBJECT:
        return np.zeros(len(batch), np.uint64)
    bits = value.astype(np.uint64) if batch.kind is Kind.BOOLEAN else value.view(np.uint64)
    return bits ^ batch.quality
