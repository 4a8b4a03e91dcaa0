"""Which readings are news: report by exception (5.5, tck-id-principles-rbe-recommended). Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.bus.sparkplug.metrics import Index, text
from gateway.model import Batch, Kind
from gateway.model.quality import bad


class Changes:
    """What was told last of each tag, as columns indexed by tag number; nothing at first."""

    def __init__(self) -> None:
        self._bits = np.zeros(0, np.uint64)
        self._quality = np.zeros(0, np.uint32)
        self._time = np.zeros(0, np.int64)
        self._known = np.zeros(0, np.bool_)
        self._row = np.zeros(0, np.intp)

    def grow(self, tags: int) -> None:
        """Expect so many tags."""
        for name in ("_bits", "_quality", "_time", "_known", "_row"):
            column = getattr(self, name)
            setattr(self, name, np.append(column, np.zeros(tags - len(column), column.dtype)))

    def forget(self) -> None:
        """Begin anew: everything is news."""
        self._known[:] = False

    def told(self, batch: Batch, rows: Index) -> None:
        """Take note of readings that were told; `rows` is their `Batch.rows`."""
        self._note(batch, rows, _bits(batch))

    def _note(self, batch: Batch, rows: Index, bits: NDArray[np.uint64]) -> None:
        self._bits[rows] = bits
        self._quality[rows] = batch.quality
        self._time[rows] = batch.time
        self._known[rows] = True

    def news(self, batch: Batch, rows: Index) -> Batch:
        """Return the readings that differ from the last of their tag, and take note of them.

        Of a tag that comes several times, all are news: which of them differs from the one before is not looked at.
        """
        bits = _bits(batch)
        moved = (self._bits[rows] != bits) & ~bad(batch.quality)
        news = moved | (self._quality[rows] != batch.quality) | ~self._known[rows]
        self._note(batch, rows, bits)
        return batch if self._repeats(rows) else batch.where(news)

    def has(self, batch: Batch, rows: Index) -> NDArray[np.bool_]:
        """Where exactly this reading, with its time, was told last. Shape (n,)."""
        same: NDArray[np.bool_] = (
            self._known[rows]
            & (self._time[rows] == batch.time)
            & (self._bits[rows] == _bits(batch))
            & (self._quality[rows] == batch.quality)
        )
        return same

    def _repeats(self, rows: Index) -> bool:
        """Whether a tag comes more than once."""
        if isinstance(rows, slice):
            return False
        order = np.arange(len(rows))
        self._row[rows] = order
        return bool((self._row[rows] != order).any())


def _bits(batch: Batch) -> NDArray[np.uint64]:
    """Each value as 64 bits; of an object a hash."""
    match batch.kind:
        case Kind.OBJECT:
            return np.array([_hash(value) for value in batch.value], np.int64).view(np.uint64)
        case Kind.BOOLEAN:
            return batch.value.astype(np.uint64)
        case _:
            bits: NDArray[np.uint64] = batch.value.view(np.uint64)
            return bits


def _hash(value: Any) -> int:
    return hash(value.tobytes() if isinstance(value, np.ndarray) else text(value))
