"""Protobuf on the wire: fields and varints, one at a time or a column at a time. Pure.

A field is a key (number << 3 | wire type) and a value; a varint has seven bits per byte, the least first. What number
and type a field of Sparkplug has stands in schema.py.
"""

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.mqtt.varint import varint as varint

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
VARINT_BYTES_MAX: Final = 10
_DOUBLE: Final = struct.Struct("<d")
_BITS: Final = (1 << 64) - 1
_DIGIT: Final = np.uint8(0x7F)

Field = tuple[int, int, int | bytes]
"""Number, wire type, and the value as it lies there."""


def uint(field: int, number: int) -> bytes:
    """Return a field of an integer; a negative one in two's complement of 64 bits."""
    return varint(field << 3 | VARINT) + varint(number & _BITS)


def double(field: int, number: float) -> bytes:
    """Return a field of a float64."""
    return varint(field << 3 | FIXED64) + _DOUBLE.pack(number)


def data(field: int, body: bytes) -> bytes:
    """Return a field of bytes: a text in UTF-8, a message."""
    return varint(field << 3 | BYTES) + varint(len(body)) + body


def wide_varint(number: int, width: int) -> bytes:
    """Return a number as a varint that has so many bytes; it must not need more. If it needs less it is padded, which
    the encoding allows."""
    digits = bytearray(number >> 7 * k & 0x7F | 0x80 for k in range(width))
    digits[-1] &= 0x7F
    return bytes(digits)


def wide_varints(numbers: NDArray[np.uint64], width: int) -> NDArray[np.uint8]:
    """Return a column of such varints, shape (n, width)."""
    columns = np.empty((len(numbers), width), np.uint8)
    for k in range(width):
        columns[:, k] = numbers >> np.uint64(7 * k)
    columns[:, :-1] |= 0x80
    columns[:, -1] &= _DIGIT
    return columns


def fields(body: bytes) -> Iterator[Field]:
    """Yield the fields of a message. Raises ValueError where it is none."""
    at = 0
    while at < len(body):
        key, at = _varint_at(body, at)
        if not 0 < key >> 3 < 1 << 29:
            raise ValueError(f"no protobuf: a field has number {key >> 3}")
        match key & 7:
            case 0:
                value, at = _varint_at(body, at)
                yield key >> 3, VARINT, value
                continue
            case 1:
                size = 8
            case 2:
                size, at = _varint_at(body, at)
            case 5:
                size = 4
            case other:
                raise ValueError(f"no protobuf: a field has wire type {other}")
        if at + size > len(body):
            raise ValueError("no protobuf: it ends within a field")
        yield key >> 3, key & 7, body[at : at + size]
        at += size


def _varint_at(body: bytes, at: int) -> tuple[int, int]:
    number = 0
    for i, digit in enumerate(body[at : at + VARINT_BYTES_MAX]):
        number |= (digit & 0x7F) << 7 * i
        if digit <= 0x7F:
            return number & _BITS, at + i + 1
    raise ValueError("no protobuf: a number does not end")
