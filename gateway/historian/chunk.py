"""Readings of one series as compressed bytes, and back, bit exact. Pure.

Little-endian: crc32 of all that follows (4) | version = 1 (1) | kind (1) | form of value (1) | decimals (1) | n (4) |
first time (8) | all good (1) | zstd of
    time     n-1 differences, int64, shuffled
    quality  n x uint32, shuffled; nothing if all are good
    value    by form
               0 decimal   differences of round(x 10^decimals), int64, shuffled; only where that gives the same floats
               1 xor       each float's bits exclusive-or the one before, shuffled
               2 integer   differences, wrapping, 64 bit, shuffled
               3 boolean   packed bits
               4 objects   as encoding.pack writes them

Process values are decimals with noise in the last digits, so most differences are small, and shuffling (the first
bytes of all numbers, then the second bytes, ...) puts the zeros together for zstd.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from gateway.model import Kind
from gateway.model.encoding import pack, unpack

VERSION: Final = 1
_CRC: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<BBBBIqB")
_DECIMAL, _XOR, _INTEGER, _BOOLEAN, _OBJECTS = range(5)
_DECIMALS_MAX: Final = 6
_LOOKED_AT: Final = 16
_EXACT: Final = 2.0**53
_LEVEL: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Readings of one series, in order of time: columns `time` int64 ns, `value`, `quality` uint32, shape (n,)."""

    time: NDArray[np.int64]
    value: NDArray[Any]
    quality: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.time)


def encode(readings: Readings, kind: Kind) -> bytes:
    """Return the readings, at least one, as a chunk."""
    form, decimals, value = _value(readings.value, kind)
    all_good = not readings.quality.any()
    body = b"".join(
        (
            _shuffle(np.diff(readings.time)),
            b"" if all_good else _shuffle(readings.quality),
            value,
        )
    )
    head = _HEAD.pack(VERSION, kind, form, decimals, len(readings), int(readings.time[0]), all_good)
    whole = head + zstandard.ZstdCompressor(level=_LEVEL).compress(body)
    return _CRC.pack(zlib.crc32(whole)) + whole


def decode(data: bytes) -> tuple[Kind, Readings]:
    """Return kind and readings of a chunk. Raises ValueError if it is damaged or of another version."""
    if len(data) < _CRC.size + _HEAD.size or _CRC.unpack_from(data)[0] != zlib.crc32(data[_CRC.size :]):
        raise ValueError("chunk is damaged: its checksum does not match")
    version, kind, form, decimals, n, first, all_good = _HEAD.unpack_from(data, _CRC.size)
    if version != VERSION:
        raise ValueError(f"chunk has version {version}, this program reads {VERSION}")
    body = zstandard.ZstdDecompressor().decompress(data[_CRC.size + _HEAD.size :])
    step = 8 * (n - 1)
    time = np.empty(n, np.int64)
    time[0] = first
    time[1:] = _unshuffle(body[:step], np.dtype("<i8"))
    np.cumsum(time, out=time)
    if all_good:
        quality = np.zeros(n, np.uint32)
        rest = body[step:]
    else:
        quality = _unshuffle(body[step : step + 4 * n], np.dtype("<u4"))
        rest = body[step + 4 * n :]
    return Kind(kind), Readings(time, _DECODE[form](rest, n, decimals, Kind(kind)), quality)


def _value(value: NDArray[Any], kind: Kind) -> tuple[int, int, bytes]:
    if kind is Kind.OBJECT:
        return _OBJECTS, 0, pack(value.tolist())
    if kind is Kind.BOOLEAN:
        return _BOOLEAN, 0, np.packbits(value).tobytes()
    if kind is not Kind.FLOAT:
        return _INTEGER, 0, _shuffle(_differences(value.view(np.uint64)))
    decimals = _decimals(value)
    scaled = None if decimals is None else _scaled(value, decimals)
    if decimals is not None and scaled is not None:
        return _DECIMAL, decimals, _shuffle(_differences(scaled.view(np.uint64)))
    bits = value.view(np.uint64)
    return _XOR, 0, _shuffle(np.bitwise_xor(bits, np.concatenate((np.zeros(1, np.uint64), bits[:-1]))))


def _decimals(value: NDArray[np.float64]) -> int | None:
    """How many decimals a few of the values have, as they are written; None if they are not decimals of that kind."""
    most = 0
    for x in value[:: max(1, len(value) // _LOOKED_AT)].tolist():
        text = repr(x)
        most = max(most, len(text.partition(".")[2].rstrip("0")))
        if most > _DECIMALS_MAX or "e" in text or "n" in text:
            return None
    return most


def _scaled(value: NDArray[np.float64], decimals: int) -> NDArray[np.int64] | None:
    """The values as whole numbers of 10^-decimals, or None if that would change one bit of one of them."""
    power = 10.0**decimals
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(value * power)
        if not (np.abs(whole) < _EXACT).all():
            return None
        scaled = whole.astype(np.int64)
    same = (scaled / power).view(np.uint64) == value.view(np.uint64)
    return scaled if same.all() else None


def _decimal(body: bytes, n: int, decimals: int, kind: Kind) -> NDArray[np.float64]:
    value: NDArray[np.float64] = _sums(body).view(np.int64) / 10.0**decimals
    return value


def _xor(body: bytes, n: int, decimals: int, kind: Kind) -> NDArray[Any]:
    return np.bitwise_xor.accumulate(_unshuffle(body, np.dtype("<u8"))).view(np.float64)


def _integer(body: bytes, n: int, decimals: int, kind: Kind) -> NDArray[Any]:
    return _sums(body).view(kind.dtype)


def _boolean(body: bytes, n: int, decimals: int, kind: Kind) -> NDArray[Any]:
    return np.unpackbits(np.frombuffer(body, np.uint8), count=n).astype(np.bool_)


def _objects(body: bytes, n: int, decimals: int, kind: Kind) -> NDArray[Any]:
    return unpack(body, n)[0]


_DECODE: Final[dict[int, Callable[[bytes, int, int, Kind], NDArray[Any]]]] = {
    _DECIMAL: _decimal,
    _XOR: _xor,
    _INTEGER: _integer,
    _BOOLEAN: _boolean,
    _OBJECTS: _objects,
}


def _differences(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The first number and the differences that follow, modulo 2^64, zigzag: small either way becomes small."""
    steps = np.diff(bits, prepend=np.uint64(0)).view(np.int64)
    return ((steps << 1) ^ (steps >> 63)).view(np.uint64)


def _sums(body: bytes) -> NDArray[np.uint64]:
    zigzag = _unshuffle(body, np.dtype("<u8"))
    steps = (zigzag >> np.uint64(1)) ^ (~(zigzag & np.uint64(1)) + np.uint64(1))
    return np.cumsum(steps, dtype=np.uint64)


def _shuffle(column: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(column).view(np.uint8).reshape(len(column), column.itemsize).T.tobytes()


def _unshuffle(data: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    bytes_ = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1).T
    return np.ascontiguousarray(bytes_).view(dtype)[:, 0]
