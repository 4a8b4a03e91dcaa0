"""The latest reading of every tag, as columns indexed by tag number.

What may be lost reads this: the API, the live page, the retained topics. It knows the model and nothing else.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Kind, Quality

_NEVER: Final = np.iinfo(np.int64).min


class Latest:
    """One row per tag. A reading replaces the row unless its source time is older.

    `time`, `quality`  as in a Batch; a tag that was never read has quality BadWaitingForInitialData
    `kind`             uint8 (n,): the Kind of the value
    `bits`             uint64 (n,): the value as it lies in memory, unless it is an object
    `object`           object (n,): the value if it is one
    `version`          int64 (n,): the number of the update that wrote the row last; `now` is the newest
    `sequence`, `received`  int64 (n,): of the record that the reading is in; 0 if it is in none
    `since`            int64 (n,): when the first reading of this quality was received; 0 if none was
    """

    def __init__(self, size: int = 0) -> None:
        self.now = 0
        self.bits = np.zeros(size, np.uint64)
        self.object = np.full(size, None, object)
        self.kind = np.zeros(size, np.uint8)
        self.time = np.full(size, _NEVER)
        self.quality = np.full(size, Quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self.version = np.zeros(size, np.int64)
        self.sequence = np.zeros(size, np.int64)
        self.received = np.zeros(size, np.int64)
        self.since = np.zeros(size, np.int64)

    def __len__(self) -> int:
        return len(self.time)

    def update(self, batch: Batch, sequence: int = 0, received: int = 0) -> None:
        """Take the newest reading of each tag in the batch; of equal times the later row wins.

        `sequence` and `received` [ns] are those of the record that the batch is in.
        """
        if len(batch) == 0:
            return
        self.grow(int(batch.tag.max()) + 1)
        newest, rows = self._newest(batch)
        kind = newest.kind
        self.now += 1
        turned = self.quality[rows] != newest.quality
        if turned.any():
            self.since[newest.tag[turned]] = received
        self.sequence[rows] = sequence
        self.received[rows] = received
        self.time[rows] = newest.time
        self.quality[rows] = newest.quality
        self.kind[rows] = kind
        self.version[rows] = self.now
        if kind is Kind.OBJECT:
            self.object[rows] = newest.value
        else:
            self.bits[rows] = _bits(newest.value)

    def read(self, tag: NDArray[np.uint32]) -> list[Batch]:
        """Return the rows of these tags, as one batch per kind of value; tags never read are among the floats."""
        self.grow(int(tag.max(initial=0)) + 1)
        kinds = self.kind[tag]
        return [self._rows(Kind(kind), tag[kinds == kind]) for kind in np.unique(kinds)]

    def forget(self, tag: NDArray[np.uint32]) -> None:
        """Have these tags as if they had never been read."""
        if len(tag) == 0:
            return
        self.grow(int(tag.max()) + 1)
        self.now += 1
        never = Latest(1)
        for name in ("bits", "object", "kind", "time", "quality"):
            getattr(self, name)[tag] = getattr(never, name)[0]
        self.version[tag] = self.now

    def changed(self, since: int) -> NDArray[np.uint32]:
        """Return the numbers of the tags that were written after this version."""
        return np.flatnonzero(self.version > since).astype(np.uint32)

    def known(self, tag: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Where a reading, good or bad, has ever come."""
        self.grow(int(tag.max(initial=0)) + 1)
        known: NDArray[np.bool_] = self.time[tag] != _NEVER
        return known

    def _rows(self, kind: Kind, tag: NDArray[np.uint32]) -> Batch:
        value = self.object[tag] if kind is Kind.OBJECT else _value(self.bits[tag], kind)
        time = np.where(self.time[tag] == _NEVER, 0, self.time[tag])
        if kind is Kind.FLOAT:
            value = np.where(self.time[tag] == _NEVER, np.nan, value)
        return Batch(tag, time, value, self.quality[tag])

    def _newest(self, batch: Batch) -> tuple[Batch, slice | NDArray[np.uint32]]:
        """The readings that are not older than the table, and where they go.

        Oldest first, for numpy keeps the last of a repeated index; the rows of a slice are all different.
        """
        rows = batch.rows
        newer = batch.time >= self.time[rows]
        if isinstance(rows, slice) and newer.all():
            return batch, rows
        batch = batch.where(newer)
        if (batch.time[1:] < batch.time[:-1]).any():
            batch = batch.take(np.argsort(batch.time, kind="stable"))
        return batch, batch.tag

    def grow(self, size: int) -> None:
        """Have a row for each of so many tags."""
        if size <= len(self):
            return
        n, more = len(self), Latest(max(size, 2 * len(self)))
        for name in ("bits", "object", "kind", "time", "quality", "version", "sequence", "received", "since"):
            getattr(more, name)[:n] = getattr(self, name)
            setattr(self, name, getattr(more, name))


def _bits(value: NDArray[Any]) -> NDArray[np.uint64]:
    return value.astype(np.uint64) if value.dtype == np.bool_ else value.view(np.uint64)


def _value(bits: NDArray[np.uint64], kind: Kind) -> NDArray[Any]:
    return bits.astype(np.bool_) if kind is Kind.BOOLEAN else bits.view(kind.dtype)
