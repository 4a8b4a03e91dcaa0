"""Batches as bytes, and back: what the journal and the tail of history keep. Pure.

All numbers are little-endian.

    record   crc32 of all that follows (4) | version = 1 (1) | number of batches (1) | batch ...
    batch    kind, and 0x80 if it is historical (1) | n (4) | column tag | column time | column quality | column value
    column   form (1) | body
               0 raw       n items of the column's type
               1 constant  1 item
               2 range     1 item x; the column is x, x+1, ... x+n-1
               3 items     n times: form (1) | length (4) | JSON text (0) or float64 array (1); kind OBJECT only

A device that is polled with one time stamp and all of whose values are good costs eight bytes per reading and some
thirty more per batch. The CRC is over the record and not over the file, so that one damaged record costs one record.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model.batch import Batch, Kind, objects

VERSION: Final = 1
_RAW, _CONSTANT, _RANGE, _ITEMS = range(4)
_JSON, _ARRAY = range(2)
_HISTORICAL: Final = 0x80
_CRC: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<IBB")
_BATCH: Final = struct.Struct("<BI")
_ITEM: Final = struct.Struct("<BI")
_TAG: Final = np.dtype("<u4")
_TIME: Final = np.dtype("<i8")
_QUALITY: Final = np.dtype("<u4")
_VALUE: Final = {
    Kind.FLOAT: np.dtype("<f8"),
    Kind.INTEGER: np.dtype("<i8"),
    Kind.UNSIGNED: np.dtype("<u8"),
    Kind.BOOLEAN: np.dtype("?"),
}


class Damaged(ValueError):
    """The bytes are not what `encode` wrote."""


def encode(batches: Sequence[Batch]) -> bytes:
    """Return the batches, at most 255, as one record."""
    body = b"".join((bytes((VERSION, len(batches))), *(part for batch in batches for part in _parts(batch))))
    return _CRC.pack(zlib.crc32(body)) + body


def decode(data: bytes) -> tuple[Batch, ...]:
    """Return the batches of a record. Raises Damaged if a byte is missing, added or changed."""
    if len(data) < _HEAD.size:
        raise Damaged(f"record of {len(data)} bytes is too short")
    crc, version, count = _HEAD.unpack_from(data)
    if zlib.crc32(data[_CRC.size :]) != crc:
        raise Damaged("checksum of record does not match")
    if version != VERSION:
        raise Damaged(f"record has version {version}, this program reads {VERSION}")
    reader = _Reader(data, _HEAD.size)
    return tuple(reader.batch() for _ in range(count))


def pack(items: Sequence[Any]) -> bytes:
    """Return text, JSON values and float arrays one after another; what JSON cannot carry becomes its Python text."""
    return b"".join(_item(item) for item in items)


def unpack(data: bytes, n: int, at: int = 0) -> tuple[NDArray[np.object_], int]:
    """Return the n items that `pack` wrote at a place, and where they end."""
    items = []
    for _ in range(n):
        form, length = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        body = data[at : at + length]
        items.append(np.frombuffer(body, "<f8") if form == _ARRAY else json.loads(body))
        at += length
    return objects(items), at


def _parts(batch: Batch) -> Iterator[bytes]:
    yield _BATCH.pack(batch.kind | _HISTORICAL * batch.historical, len(batch))
    yield _column(batch.tag, _TAG)
    yield _column(batch.time, _TIME)
    yield _column(batch.quality, _QUALITY)
    if batch.kind is Kind.OBJECT:
        yield bytes((_ITEMS,)) + pack(batch.value.tolist())
    else:
        yield _raw(batch.value, _VALUE[batch.kind])


def _column(column: NDArray[Any], dtype: np.dtype[Any]) -> bytes:
    """Encode a column that is often all the same or counts upwards; a comparison or two find out."""
    if len(column) > 1:
        step = int(column[1]) - int(column[0])
        if step == 0 and (column == column[0]).all():
            return bytes((_CONSTANT,)) + column[:1].astype(dtype).tobytes()
        if step == 1 and (np.diff(column) == 1).all():
            return bytes((_RANGE,)) + column[:1].astype(dtype).tobytes()
    return _raw(column, dtype)


def _raw(column: NDArray[Any], dtype: np.dtype[Any]) -> bytes:
    return bytes((_RAW,)) + column.astype(dtype, copy=False).tobytes()


def _item(item: Any) -> bytes:
    if isinstance(item, np.ndarray):
        body = item.astype("<f8", copy=False).tobytes()
        return _ITEM.pack(_ARRAY, len(body)) + body
    body = json.dumps(item, default=repr).encode("ascii")
    return _ITEM.pack(_JSON, len(body)) + body


class _Reader:
    """Walks over the bytes of a record whose checksum is right."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def batch(self) -> Batch:
        form, n = _BATCH.unpack_from(self._data, self._at)
        self._at += _BATCH.size
        tag = self._column(n, _TAG)
        time = self._column(n, _TIME)
        quality = self._column(n, _QUALITY)
        value = self._column(n, _VALUE.get(Kind(form & ~_HISTORICAL), np.dtype(object)))
        return Batch(tag, time, value, quality, historical=bool(form & _HISTORICAL))

    def _column(self, n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        form = self._data[self._at]
        self._at += 1
        if form == _CONSTANT:
            return np.repeat(self._items(1, dtype), n)
        if form == _RANGE:
            counted: NDArray[Any] = np.arange(n, dtype=dtype) + self._items(1, dtype)
            return counted
        if form == _RAW:
            return self._items(n, dtype)
        values, self._at = unpack(self._data, n, self._at)
        return values

    def _items(self, n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        items = np.frombuffer(self._data, dtype, n, self._at)
        self._at += n * dtype.itemsize
        return items.astype(dtype.newbyteorder("="), copy=False)
