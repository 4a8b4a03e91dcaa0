"""Where things are in a message of many DataValues, so that all of a type can be read at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from connectors._opcua.extent import HAS_VALUE, SIZE, TAIL, DecodeError, tail_size
from connectors._opcua.values import MASKS, NUMBER, STRING, variant_end
from connectors._opcua.variants import KIND, PLAIN, Types
from gateway.model import Kind

Offsets = NDArray[np.intp]

HANDLE: Final = 4
UINT32: Final = np.dtype("<u4")
INT64: Final = np.dtype("<i8")
_UINT8: Final = np.dtype("u1")
_UINT16: Final = np.dtype("<u2")
_INT32: Final = np.dtype("<i4")
_EVERYWHERE: Final = (1,)
"""Strides of an array of numbers that begin at every byte."""
_TEXT_AT: Final = 2 + 4
"""Where the bytes of a text begin, behind mask, type and length."""
_SHORT: Final = 64
"""Bytes of a text. The place of each is kept, so that texts are read at once; longer ones are worth their own look."""


@dataclass(frozen=True, slots=True)
class Records:
    """`count` records from `start` on, which end before `end`; two more bytes of `data` can be read after it.

    `tags`, shape (count,), are those of DataValues alone; None if each begins with its client handle.
    """

    data: bytes
    start: int
    end: int
    count: int
    tags: NDArray[np.uint32] | None = None
    types: Types = PLAIN

    @property
    def lead(self) -> int:
        return HANDLE if self.tags is None else 0

    def at(self, offsets: Offsets, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the numbers at these offsets from the start, however they are aligned."""
        n = len(self.data) - self.start - dtype.itemsize + 1
        return np.ndarray((n,), dtype, self.data, self.start, _EVERYWHERE)[offsets]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in a message, in bytes from the start of its records.

    `key` is mask and type of each record, `relevant` the bits of it that its size depends on, `length` that of each
    text at `length_at`; a message that has them all lies in the same way. `lasting` is false if others may not.
    `rows` are those of each kind, as far as the types say it. `numbers` are the type of numbers, their rows and
    offsets; `texts` are the short texts; `others` row, begin and end of all other variants. `tail` are rows and offsets
    of quality, source and server time.
    """

    start: Offsets
    key_at: Offsets
    key: NDArray[np.uint16]
    relevant: NDArray[np.uint16]
    length_at: Offsets
    length: NDArray[np.int32]
    lasting: bool
    kind: NDArray[np.uint8]
    rows: dict[Kind, Offsets]
    numbers: list[tuple[int, Offsets, Offsets]]
    texts: "_Texts"
    others: list[tuple[int, int, int]]
    tail: dict[str, tuple[Offsets, Offsets]]

    @classmethod
    def of(cls, records: Records) -> "Layout":
        """Walk over the records. Raises DecodeError if they do not end before their end."""
        starts, value_ends = _walk(records)
        start = np.array(starts, np.intp) - records.start
        key_at = start + records.lead
        key = records.at(key_at, _UINT16)
        relevant = np.where(key & HAS_VALUE, 0xFFFF, 0x00FF).astype(np.uint16)
        number = (key & relevant) >> 8
        tail_at = key_at + _HEADS[key]
        tail_at[list(value_ends)] = np.array(list(value_ends.values()), np.intp) - records.start
        text = number == STRING
        length_at = key_at[text] + 2
        length = records.at(length_at, _INT32)
        short = (length >= 0) & (length <= _SHORT)
        texts = np.flatnonzero(text)[short]
        kind = _KINDS[number]
        other = np.setdiff1d(np.flatnonzero(_OTHER[number]), texts)
        numbers = [(n, np.flatnonzero(number == n)) for n in sorted(NUMBER.keys() & set(number.tolist()))]
        return cls(
            start,
            key_at,
            key & relevant,
            relevant,
            length_at,
            length,
            lasting=len(value_ends) == np.count_nonzero(text),
            kind=kind,
            rows=rows_by_kind(kind),
            numbers=[(n, rows, key_at[rows] + 2) for n, rows in numbers],
            texts=_Texts.lying(texts, key_at[texts] + _TEXT_AT, length[short]),
            others=list(zip(other.tolist(), (key_at[other] + 1).tolist(), tail_at[other].tolist(), strict=True)),
            tail=_tail(key, tail_at),
        )

    def fits(self, records: Records) -> bool:
        """Whether these records lie like those that the layout is of; their count and bytes are the same."""
        key = records.at(self.key_at, _UINT16) & self.relevant
        return bool((key == self.key).all() and (records.at(self.length_at, _INT32) == self.length).all())


@dataclass(frozen=True, slots=True)
class _Texts:
    """The short texts of a message: their rows, the offsets of all their bytes, and which of these each has."""

    rows: Offsets
    at: Offsets
    parts: list[slice]

    @classmethod
    def lying(cls, rows: Offsets, begin: Offsets, size: NDArray[np.int32]) -> "_Texts":
        end = np.cumsum(size)
        at = np.arange(size.sum()) + np.repeat(begin - end + size, size)
        return cls(rows, at, [slice(*part) for part in zip((end - size).tolist(), end.tolist(), strict=True)])

    def read(self, records: Records) -> list[str]:
        """Return the texts, decoded all at once where each byte is a character."""
        encoded = records.at(self.at, _UINT8).tobytes()
        if encoded.isascii():
            return list(map(encoded.decode("ascii").__getitem__, self.parts))
        return [encoded[part].decode("utf-8", errors="surrogateescape") for part in self.parts]


def _walk(records: Records) -> tuple[list[int], dict[int, int]]:
    """Where each record begins; and, by row, where values end whose size does not follow from their type."""
    data, lead, at, end = records.data, records.lead, records.start, records.end
    starts: list[int] = []
    value_ends: dict[int, int] = {}
    for row in range(records.count):
        first = at + lead
        if first >= end:
            raise DecodeError(f"{records.count} values are announced, {row} are there")
        starts.append(at)
        size = _SIZES[data[first] | data[first + 1] << 8]
        if size:
            at = first + size
        else:
            tail_bytes = tail_size(data[first])
            value_ends[row] = variant_end(data, first + 1, end)
            at = value_ends[row] + tail_bytes
    if at > end:
        raise DecodeError(f"{records.count} values are announced, the last one goes beyond the end")
    return starts, value_ends


def _tail(key: NDArray[np.uint16], at: Offsets) -> dict[str, tuple[Offsets, Offsets]]:
    """Rows and offsets of what follows the values, by name; the values end at these offsets."""
    tail: dict[str, tuple[Offsets, Offsets]] = {}
    for bit, name, fmt in TAIL:
        has = key & bit != 0
        rows = np.flatnonzero(has)
        if name:
            tail[name] = rows, at[rows]
        at = at + has * np.dtype(fmt).itemsize
    return tail


def rows_by_kind(kinds: NDArray[np.uint8]) -> dict[Kind, Offsets]:
    """The rows of each kind that there is."""
    return {kind: rows for kind in Kind if len(rows := np.flatnonzero(kinds == kind))}


def _table(of_type: Mapping[int, int], otherwise: int) -> NDArray[np.uint8]:
    """A number for each type, to look up many at once."""
    return np.array([of_type.get(number, otherwise) for number in range(0x100)], np.uint8)


def _sizes() -> tuple[NDArray[np.uint8], bytes]:
    """Bytes of a DataValue without and with what follows the value, by mask and, in the second byte, type.

    0 where they do not follow from these, or where the mask is none.
    """
    heads = np.ones((0x100, 0x100), np.uint8)
    heads[:, HAS_VALUE::2] = _table({0: 2} | {number: 2 + size for number, size in SIZE.items()}, 0)[:, None]
    sizes = np.zeros_like(heads)
    for mask in MASKS:
        sizes[:, mask] = np.where(heads[:, mask], heads[:, mask] + tail_size(mask), 0)
    return heads.ravel(), sizes.tobytes()


_KINDS: Final = _table({0: Kind.FLOAT, **KIND}, Kind.OBJECT)
_OTHER: Final = _table(dict.fromkeys([0, *NUMBER], 0), 1)
_HEADS, _SIZES = _sizes()
