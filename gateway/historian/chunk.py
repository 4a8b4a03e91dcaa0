"""Readings of series as compressed bytes, and back, bit exact: many series in one pass of numpy. Pure.

A chunk is the values and qualities of one series. Its times are a piece of their own, for the tags of a device are read
together: series with the same times share one piece. Both begin with the same header, little-endian:

    crc32 of all that follows (4) | version = 2 (1) | kind (1) | form (1) | decimals (1) | width (1) | all good (1)
    | n (4) | first number (8) | zstd of the body, nothing if that is empty

    body    quality  n x uint32, shuffled; nothing if all are good
            numbers  the other n - 1, `width` (0, 1, 2, 4 or 8) bytes each, shuffled; width 0: all of them are zero
    form    0 decimal   differences of round(x 10^decimals); only where that gives the same floats
            1 single    the same, where the float32 that is nearest to it gives the same floats
            2 xor       each float's bits exclusive-or the one before
            3 integer   differences, modulo 2^64
            4 boolean   body is packed bits
            5 objects   body is as encoding.pack writes them
            6 times     differences, less the smallest of them, which stands before the numbers (8)

Differences are zigzag but for times: small either way becomes small. Process values are decimals with noise in the last
digits, so most need one byte; shuffling (the first bytes of all numbers, then the second bytes, ...) puts the zeros of
the others together for zstd.
"""

import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from gateway.model import Kind
from gateway.model.encoding import pack, unpack

VERSION: Final = 2
_CRC: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<BBBBBBIQ")
_STEP: Final = struct.Struct("<Q")
_DECIMAL, _SINGLE, _XOR, _INTEGER, _BOOLEAN, _OBJECTS, _TIMES = range(7)
_DECIMALS_MAX: Final = 6
_LOOKED_AT: Final = 16
_EXACT: Final = 2.0**53
_POWERS: Final = np.array([10.0**digits for digits in range(_DECIMALS_MAX + 1)])
_LEVEL: Final = 1
_ONE: Final = np.uint64(1)
_WIDTHS: Final = np.array([0, 1, 2, 4, 8])
_LARGEST: Final = np.array([0, 2**8 - 1, 2**16 - 1, 2**32 - 1], np.uint64)
_UNSIGNED: Final[dict[int, np.dtype[Any]]] = {
    1: np.dtype("<u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
    8: np.dtype("<u8"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Readings of one series, in order of time: columns `time` int64 ns, `value`, `quality` uint32, shape (n,)."""

    time: NDArray[np.int64]
    value: NDArray[Any]
    quality: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True, eq=False)
class _Numbers:
    """Columns as whole numbers: one per reading, and per series their form, decimals, first number and largest."""

    form: NDArray[np.int64]
    decimals: NDArray[np.int64]
    first: NDArray[np.uint64]
    code: NDArray[np.uint64]


def encode(kind: Kind, value: NDArray[Any], quality: NDArray[np.uint32], starts: NDArray[np.intp]) -> list[bytes]:
    """Return a chunk per series. The columns, shape (n,), hold one series after another, each from its start on."""
    compress = zstandard.ZstdCompressor(level=_LEVEL).compress
    good = ~np.logical_or.reduceat(quality != 0, starts)
    chunks = []
    for a, b, all_good, (form, decimals, width, first, body) in zip(
        starts.tolist(), [*starts[1:].tolist(), len(value)], good.tolist(), _bodies(kind, value, starts), strict=True
    ):
        body = body if all_good else _shuffle(quality[a:b]) + body
        head = _HEAD.pack(VERSION, kind, form, decimals, width, all_good, b - a, first)
        chunks.append(_sealed(head + (compress(body) if body else b"")))
    return chunks


def encode_times(time: NDArray[np.int64]) -> bytes:
    """Return the times of a series, in order, at least one."""
    step = np.diff(time.view(np.uint64))
    least = step.min() if len(step) else np.uint64(0)
    step -= least
    width = int(_WIDTHS[np.searchsorted(_LARGEST, step.max() if len(step) else 0)])
    body = _STEP.pack(int(least)) + (_shuffle(step.astype(_UNSIGNED[width])) if width else b"")
    head = _HEAD.pack(VERSION, Kind.INTEGER, _TIMES, 0, width, True, len(time), int(time[:1].view(np.uint64)[0]))
    return _sealed(head + zstandard.ZstdCompressor(level=_LEVEL).compress(body))


def decode(data: bytes, time: NDArray[np.int64]) -> tuple[Kind, Readings]:
    """Return kind and readings of a chunk. Raises ValueError if it is damaged, of another version or of other times."""
    kind, form, decimals, width, all_good, n, first, body = _opened(data)
    if n != len(time):
        raise ValueError(f"chunk has {n} readings, its times are {len(time)}")
    quality = np.zeros(n, np.uint32) if all_good else _unshuffle(body[: 4 * n], np.dtype("<u4"))
    value = _DECODE[form](_Body(body if all_good else body[4 * n :], n, first, decimals, width, Kind(kind)))
    return Kind(kind), Readings(time, value, quality)


def decode_times(data: bytes) -> NDArray[np.int64]:
    """Return what `encode_times` was given. Raises ValueError if it is damaged or of another version."""
    _, _, _, width, _, n, first, body = _opened(data)
    step = np.full(n, _STEP.unpack_from(body)[0], np.uint64)
    step[0] = first
    if width:
        step[1:] += _unshuffle(body[_STEP.size :], _UNSIGNED[width])
    return np.cumsum(step, dtype=np.uint64).view(np.int64)


def _sealed(whole: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(whole)) + whole


def _opened(data: bytes) -> tuple[Any, ...]:
    """The fields of the header behind its version, and the body."""
    if len(data) < _CRC.size + _HEAD.size or _CRC.unpack_from(data)[0] != zlib.crc32(memoryview(data)[_CRC.size :]):
        raise ValueError("chunk is damaged: its checksum does not match")
    version, *fields = _HEAD.unpack_from(data, _CRC.size)
    if version != VERSION:
        raise ValueError(f"chunk has version {version}, this program reads {VERSION}")
    packed = data[_CRC.size + _HEAD.size :]
    return (*fields, _decompress(packed) if packed else b"")


class _PerThread(threading.local):
    """A decompressor takes longer to make than a chunk to unpack, and is for one thread at a time."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()


_per_thread: Final = _PerThread()


def _decompress(packed: bytes) -> bytes:
    return _per_thread.decompressor.decompress(packed)


# --- values to bodies ---------------------------------------------------------------------

_Coded = tuple[int, int, int, int, bytes]
"""Form, decimals, width, first number and body."""


def _bodies(kind: Kind, value: NDArray[Any], starts: NDArray[np.intp]) -> Iterator[_Coded]:
    stops = [*starts[1:].tolist(), len(value)]
    if kind is Kind.OBJECT:
        return ((_OBJECTS, 0, 0, 0, pack(value[a:b].tolist())) for a, b in zip(starts, stops, strict=True))
    if kind is Kind.BOOLEAN:
        return ((_BOOLEAN, 0, 0, 0, np.packbits(value[a:b]).tobytes()) for a, b in zip(starts, stops, strict=True))
    if kind is Kind.FLOAT:
        return _numbers(_floats(value, starts), starts)
    bits = value.view(np.uint64)
    zeros = np.zeros(len(starts), np.int64)
    return _numbers(_Numbers(zeros + _INTEGER, zeros, bits[starts], _steps(bits)), starts)


def _numbers(numbers: _Numbers, starts: NDArray[np.intp]) -> Iterator[_Coded]:
    code = numbers.code
    code[starts] = 0  # the first number is in the header
    width = _WIDTHS[np.searchsorted(_LARGEST, np.maximum.reduceat(code, starts))]
    stops = [*starts[1:].tolist(), len(code)]
    columns = (numbers.form, numbers.decimals, width, numbers.first, starts)
    for form, decimals, w, first, a, b in zip(*(column.tolist() for column in columns), stops, strict=True):
        yield form, decimals, w, first, _shuffle(code[a + 1 : b].astype(_UNSIGNED[w])) if w else b""


def _floats(value: NDArray[np.float64], starts: NDArray[np.intp]) -> _Numbers:
    """Each series as decimals with as few digits as give the same floats, or else as its bits."""
    length = np.diff(starts, append=len(value))
    looked_at = value[starts[:, None] + length[:, None] * np.arange(_LOOKED_AT) // _LOOKED_AT]
    form, decimals = np.full(len(starts), _XOR), np.zeros(len(starts), np.int64)
    number = value.view(np.uint64).copy()
    for as_form, single in ((_DECIMAL, False), (_SINGLE, True)):
        if (form != _XOR).all():
            break
        likely = np.logical_and.reduce(_scaled(looked_at, _POWERS[:, None, None], single)[1], axis=2)
        while (tried := likely.any(axis=0) & (form == _XOR)).any():
            digits, n = likely[:, tried].argmax(axis=0), length[tried]
            likely[digits, np.flatnonzero(tried)] = False
            rows = slice(None) if tried.all() else np.repeat(tried, length)
            whole, same = _scaled(value[rows], np.repeat(_POWERS[digits], n), single)
            fits = np.logical_and.reduceat(same, np.cumsum(n) - n)
            number[rows] = np.where(np.repeat(fits, n), whole.view(np.uint64), number[rows])
            found = np.flatnonzero(tried)[fits]
            form[found], decimals[found] = as_form, digits[fits]
    bits = np.repeat(form == _XOR, length)
    code = np.empty_like(number)
    if not bits.all():
        code = _steps(number)
    if bits.any():
        code[1:] = np.where(bits[1:], number[1:] ^ number[:-1], code[1:])
    return _Numbers(form, decimals, number[starts], code)


def _scaled(
    value: NDArray[np.float64], power: NDArray[np.float64], single: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The values as multiples of 1 / power, and where that does not change one bit of them, or of their float32."""
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(value * power)
        fits = np.abs(whole) < _EXACT
        number = np.where(fits, whole, 0.0).astype(np.int64)
        back = number / power
        if single:
            back = back.astype(np.float32).astype(np.float64)
    return number, fits & (back.view(np.uint64) == value.view(np.uint64))


def _steps(number: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """How far each number is from the one before, modulo 2^64, zigzag; what the first one gives is of no use."""
    step = np.empty_like(number)
    np.subtract(number[1:], number[:-1], out=step[1:])
    signed = step.view(np.int64)
    return ((signed << 1) ^ (signed >> 63)).view(np.uint64)


# --- bodies to values ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Body:
    """What is left of a chunk once its qualities are off, and what its header says of that."""

    data: bytes
    n: int
    first: int
    decimals: int
    width: int
    kind: Kind

    def codes(self) -> NDArray[np.uint64]:
        """The numbers as they were stored, the first one as it is."""
        codes = np.zeros(self.n, np.uint64)
        if self.width:
            codes[1:] = _unshuffle(self.data, _UNSIGNED[self.width])
        return codes

    def sums(self) -> NDArray[np.uint64]:
        zigzag = self.codes()
        step = (zigzag >> _ONE) ^ -(zigzag & _ONE)
        step[0] = self.first
        return np.cumsum(step, out=step)


def _decimal(body: _Body) -> NDArray[np.float64]:
    value: NDArray[np.float64] = body.sums().view(np.int64) / 10.0**body.decimals
    return value


def _single(body: _Body) -> NDArray[np.float64]:
    return _decimal(body).astype(np.float32).astype(np.float64)


def _xor(body: _Body) -> NDArray[Any]:
    codes = body.codes()
    codes[0] = body.first
    return np.bitwise_xor.accumulate(codes).view(np.float64)


def _integer(body: _Body) -> NDArray[Any]:
    return body.sums().view(body.kind.dtype)


def _boolean(body: _Body) -> NDArray[Any]:
    return np.unpackbits(np.frombuffer(body.data, np.uint8), count=body.n).astype(np.bool_)


def _objects(body: _Body) -> NDArray[Any]:
    return unpack(body.data, body.n)[0]


_DECODE: Final[dict[int, Callable[[_Body], NDArray[Any]]]] = {
    _DECIMAL: _decimal,
    _SINGLE: _single,
    _XOR: _xor,
    _INTEGER: _integer,
    _BOOLEAN: _boolean,
    _OBJECTS: _objects,
}


def _shuffle(column: NDArray[Any]) -> bytes:
    return column.view(np.uint8).reshape(len(column), column.itemsize).T.tobytes()


def _unshuffle(data: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.itemsize == 1:
        return np.frombuffer(data, dtype)
    bytes_ = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1).T
    return np.ascontiguousarray(bytes_).view(dtype)[:, 0]
