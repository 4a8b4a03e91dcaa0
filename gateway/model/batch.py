"""A batch: readings that arrived together, as columns. The unit of all work in the gateway.

It knows numpy and nothing of tags, devices or time zones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from gateway.model.quality import good


class Kind(IntEnum):
    """The kinds of value; a batch holds one. The numbers are stored in the journal and in history."""

    FLOAT = 0
    INTEGER = 1
    UNSIGNED = 2
    BOOLEAN = 3
    OBJECT = 4

    @property
    def dtype(self) -> np.dtype[Any]:
        return _DTYPE[self]


_DTYPE: Final = {
    Kind.FLOAT: np.dtype(np.float64),
    Kind.INTEGER: np.dtype(np.int64),
    Kind.UNSIGNED: np.dtype(np.uint64),
    Kind.BOOLEAN: np.dtype(np.bool_),
    Kind.OBJECT: np.dtype(np.object_),
}
_KIND: Final = {dtype: kind for kind, dtype in _DTYPE.items()}
_TAG: Final = np.dtype(np.uint32)
_TIME: Final = np.dtype(np.int64)
_QUALITY: Final = np.dtype(np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Readings as four columns of the same length n; read-only once they are here.

    `tag`      uint32 (n,)  number of the tag in the Catalog
    `time`     int64 (n,)   source time, nanoseconds since 1970 UTC
    `value`    (n,)         float64, int64, uint64, bool, or object holding str, or what JSON can carry
                            (dict, list, None) or a one-dimensional float array (a waveform); one kind per batch
    `quality`  uint32 (n,)  OPC UA StatusCode
    `historical`            whether they come late, from the history of a device, and not as they happen

    A reading without a value has a bad quality and NaN, 0, False or None in `value`, whichever the kind has.
    """

    tag: NDArray[np.uint32]
    time: NDArray[np.int64]
    value: NDArray[Any]
    quality: NDArray[np.uint32]
    historical: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        n = self.tag.shape
        columns = (self.tag, self.time, self.value, self.quality)
        if len(n) != 1 or not n == self.time.shape == self.value.shape == self.quality.shape:
            shapes = ", ".join(str(column.shape) for column in columns)
            raise ValueError(f"the columns of a batch must have one and the same length, not {shapes}")
        if self.tag.dtype != _TAG or self.time.dtype != _TIME or self.quality.dtype != _QUALITY:
            raise TypeError(
                f"tag, time, quality must be uint32, int64, uint32,"
                f" not {self.tag.dtype}, {self.time.dtype}, {self.quality.dtype}"
            )
        if self.value.dtype not in _KIND:
            raise TypeError(f"value must be float64, int64, uint64, bool or object, not {self.value.dtype}")
        for column in columns:
            column.setflags(write=False)

    def __len__(self) -> int:
        return len(self.tag)

    @property
    def kind(self) -> Kind:
        return kind_of(self.value)

    @property
    def rows(self) -> slice | NDArray[np.uint32]:
        """The tags as an index into what has a row per tag: a slice where they count up, as those of a device do.

        numpy then copies instead of looking up row by row, which is a third of the time.
        """
        n = len(self.tag)
        first = int(self.tag[0]) if n else 0
        if n and int(self.tag[-1]) == first + n - 1 and (self.tag[1:] - self.tag[:-1] == 1).all():
            return slice(first, first + n)
        return self.tag

    @property
    def good(self) -> NDArray[np.bool_]:
        return good(self.quality)

    def where(self, mask: NDArray[np.bool_]) -> Self:
        """Return the readings for which the mask, of shape (n,), is true."""
        return self if mask.all() else self.take(np.flatnonzero(mask))

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return the rows with these positions, in this order."""
        columns = (self.tag[rows], self.time[rows], self.value[rows], self.quality[rows])
        return type(self)(*columns, historical=self.historical)

    @classmethod
    def of(cls, tag: Any, time: Any, value: Any, quality: Any = 0) -> Self:
        """Make a batch from what numpy can turn into columns; scalars for time, value and quality are repeated.

        Python floats, ints and bools become float64, int64 and bool; anything else becomes object.
        """
        tags = np.array(tag, dtype=_TAG, ndmin=1)
        values = value if isinstance(value, np.ndarray) else _column(value, len(tags))
        return cls(
            tags,
            np.array(np.broadcast_to(np.asarray(time, dtype=_TIME), tags.shape)),
            np.array(np.broadcast_to(values, tags.shape)),
            np.array(np.broadcast_to(np.asarray(quality, dtype=_QUALITY), tags.shape)),
        )

    @classmethod
    def join(cls, batches: Sequence[Self]) -> Self:
        """Return one batch of all rows, in order. The batches, one at least, are of one kind, and historical or not."""
        if len(batches) == 1:
            return batches[0]
        return cls(
            np.concatenate([batch.tag for batch in batches]),
            np.concatenate([batch.time for batch in batches]),
            np.concatenate([batch.value for batch in batches]),
            np.concatenate([batch.quality for batch in batches]),
            historical=batches[0].historical,
        )


def kind_of(value: NDArray[Any]) -> Kind:
    """Return the kind that a column of values is."""
    return _KIND[value.dtype]


def join_kinds(batches: Iterable[Batch]) -> list[Batch]:
    """Join the batches of each kind, keeping the order of rows within a kind; historical ones among themselves."""
    by_kind: dict[tuple[Kind, bool], list[Batch]] = {}
    for batch in batches:
        by_kind.setdefault((batch.kind, batch.historical), []).append(batch)
    return [Batch.join(group) for group in by_kind.values()]


def objects(values: Iterable[Any]) -> NDArray[np.object_]:
    """Return an object column holding exactly these values, whatever numpy would make of nested lists."""
    items = list(values)
    column = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        column[i] = item
    return column


def _column(value: Any, n: int) -> NDArray[Any]:
    listed = list(value) if isinstance(value, (list, tuple)) else [value] * n
    types = {type(item) for item in listed}
    if types <= {float} or types == {float, int}:
        return np.array(listed, dtype=np.float64)
    if types == {int}:
        return np.array(listed, dtype=np.int64)
    if types == {bool}:
        return np.array(listed, dtype=np.bool_)
    return objects(listed)
