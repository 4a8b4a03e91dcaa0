"""Readings as they arrived, by scan and series, as bytes and back: what a row of the tail holds. Pure.

A device is read again and again, all of its tags at once: that is a grid, with one row of tags and one column of times
instead of both for each reading. What is no such thing is a grid of one row, with a column for each reading.

    row     version = 2 (1) | crc32 of all that follows (4) | zstd of grid ...
    grid    kind (8) | columns of time: 1 or k (4) | of quality (4) | s (4) | k (4) | series (4 k) | time (8 per item)
            | quality (4 per item) | value (8 per item, of booleans 1, of objects as encoding.pack writes them),
            each of them up to a multiple of 8 bytes, so that numpy reads them where they are

All numbers are little-endian. Rows of versions before begin as zstd does, and hold a record of batches.
"""

import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from gateway.model import Batch, Kind, encoding
from gateway.model.batch import kind_of

_VERSION: Final = 2
_ROW: Final = struct.Struct("<BI")
_GRID: Final = struct.Struct("<QIIII")
_ALIGNED: Final = 8
_SERIES: Final = np.dtype(np.uint32)
_TIME: Final = np.dtype(np.int64)
_QUALITY: Final = np.dtype(np.uint32)
_WORTH: Final = 32
"""Readings of a scan, on average, from which on grids cost less than readings one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Readings of one kind: `value` (s, k) has a row for each scan and a column for each of `series` (k,).

    `time` and `quality` are (s, k), or (s, 1) where all of a scan have the same. If a series has several columns, they
    are in the order in which they came, as its rows are.
    """

    series: NDArray[np.uint32]
    time: NDArray[np.int64]
    quality: NDArray[np.uint32]
    value: NDArray[Any]

    def __len__(self) -> int:
        return self.value.size

    @property
    def kind(self) -> Kind:
        return kind_of(self.value)

    def of(self, which: slice | NDArray[np.intp]) -> "Grid":
        """Return the columns of some series."""
        time = self.time if self.time.shape[1] == 1 else self.time[:, which]
        quality = self.quality if self.quality.shape[1] == 1 else self.quality[:, which]
        return Grid(self.series[which], time, quality, self.value[:, which])

    def between(self, first: int, last: int) -> "Grid":
        """Return the columns of the series first to last."""
        return self.of(slice(*np.searchsorted(self.series, (first, last + 1))))

    def batch(self) -> Batch:
        """Return the readings series by series."""
        shape = self.value.shape
        time, quality = np.broadcast_to(self.time, shape).T.ravel(), np.broadcast_to(self.quality, shape).T.ravel()
        return Batch(np.repeat(self.series, shape[0]), time, self.value.T.ravel(), quality)


def gridded(batches: Iterable[Batch]) -> Iterator[Grid]:
    """Return batches whose `tag` is the series as grids, their series in order."""
    by_kind: dict[Kind, list[Batch]] = {}
    for batch in batches:
        if len(batch):
            by_kind.setdefault(batch.kind, []).append(batch)
    for parts in by_kind.values():
        scans: dict[bytes, list[Batch]] = {}
        for part in parts:
            scans.setdefault(part.tag.tobytes(), []).append(part)
        if sum(map(len, parts)) >= _WORTH * len(scans) and _apart([same[0].tag for same in scans.values()]):
            for same in scans.values():
                yield _ordered(_grid_of(same))
        else:
            yield _loose(parts)


def merged(grids: Sequence[Grid]) -> list[Grid]:
    """Return the readings of grids of one kind, those of a series within one grid, in the order in which they came."""
    scans: dict[bytes, list[Grid]] = {}
    for grid in grids:
        scans.setdefault(grid.series.tobytes(), []).append(grid)
    if _apart([same[0].series for same in scans.values()]):
        return [_below(same) for same in scans.values()]
    return [_loose([grid.batch() for grid in grids])]


def encode(grids: Sequence[Grid]) -> bytes:
    """Return grids as a row of the tail."""
    packed = _tools.compressor.compress(b"".join(part for grid in grids for part in _parts(grid)))
    return _ROW.pack(_VERSION, zlib.crc32(packed)) + packed


def decode(data: bytes) -> list[Grid]:
    """Return the grids of a row of the tail. Raises ValueError if it is damaged."""
    if data[:4] == zstandard.FRAME_HEADER:
        return list(gridded(encoding.decode(_unpacked(data))))
    if len(data) < _ROW.size or _ROW.unpack_from(data) != (_VERSION, zlib.crc32(memoryview(data)[_ROW.size :])):
        raise ValueError("it is damaged: its checksum does not match")
    return list(_grids(_unpacked(data[_ROW.size :])))


class _Tools(threading.local):
    """They take longer to make than a row, and are for one thread at a time."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=1)
        self.decompressor = zstandard.ZstdDecompressor()


_tools: Final = _Tools()


def _unpacked(packed: bytes) -> bytes:
    try:
        return _tools.decompressor.decompress(packed)
    except zstandard.ZstdError as error:
        raise ValueError(f"it is damaged: {error}") from error


def _apart(series: Sequence[NDArray[np.uint32]]) -> bool:
    """Whether no series is there twice."""
    every = np.sort(np.concatenate(series))
    return bool((every[1:] != every[:-1]).all())


def _loose(parts: Sequence[Batch]) -> Grid:
    """Batches as a grid of one row."""
    columns = zip(*((part.tag, part.time, part.quality, part.value) for part in parts), strict=True)
    series, *others = map(np.concatenate, columns)
    return _ordered(Grid(series, *(column[None] for column in others)))


def _grid_of(scans: Sequence[Batch]) -> Grid:
    """Batches of the same tags as one grid."""
    time, quality = np.stack([scan.time for scan in scans]), np.stack([scan.quality for scan in scans])
    return Grid(scans[0].tag, _shared(time), _shared(quality), np.stack([scan.value for scan in scans]))


def _shared(column: NDArray[Any]) -> NDArray[Any]:
    """One column if all of them are alike."""
    return column[:, :1] if (column == column[:, :1]).all() else column


def _ordered(grid: Grid) -> Grid:
    """The grid by series."""
    if (grid.series[1:] >= grid.series[:-1]).all():
        return grid
    return grid.of(np.argsort(grid.series, kind="stable"))


def _below(grids: Sequence[Grid]) -> Grid:
    """Grids of the same series as one, in their order."""
    k = len(grids[0].series)
    return Grid(
        grids[0].series,
        _joined([grid.time for grid in grids], k),
        _joined([grid.quality for grid in grids], k),
        np.concatenate([grid.value for grid in grids]),
    )


def _joined(columns: Sequence[NDArray[Any]], k: int) -> NDArray[Any]:
    if len({column.shape[1] for column in columns}) > 1:
        columns = [np.broadcast_to(column, (len(column), k)) for column in columns]
    return np.concatenate(columns)


def _parts(grid: Grid) -> Iterator[bytes]:
    kind = grid.kind
    yield _GRID.pack(kind, grid.time.shape[1], grid.quality.shape[1], *grid.value.shape)
    value = grid.value
    for column in (grid.series, grid.time, grid.quality):
        yield from _padded(column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes())
    if kind is Kind.OBJECT:
        yield from _padded(encoding.pack(value.ravel().tolist()))
    else:
        yield from _padded(value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes())


def _padded(part: bytes) -> tuple[bytes, bytes]:
    return part, bytes(-len(part) % _ALIGNED)


def _grids(body: bytes) -> Iterator[Grid]:
    at = 0

    def items(dtype: np.dtype[Any], rows: int, columns: int) -> NDArray[Any]:
        nonlocal at
        found = np.frombuffer(body, dtype.newbyteorder("<"), rows * columns, at).reshape(rows, columns)
        at += found.nbytes + -found.nbytes % _ALIGNED
        return found.astype(dtype, copy=False)

    while at < len(body):
        kind, times, qualities, s, k = _GRID.unpack_from(body, at)
        at += _GRID.size
        series, time, quality = items(_SERIES, 1, k)[0], items(_TIME, s, times), items(_QUALITY, s, qualities)
        if kind == Kind.OBJECT:
            found, end = encoding.unpack(body, s * k, at)
            value, at = found.reshape(s, k), end + -end % _ALIGNED
        else:
            value = items(Kind(kind).dtype, s, k)
        yield Grid(series, time, quality, value)
