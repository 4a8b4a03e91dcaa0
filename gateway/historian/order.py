"""Readings in order: by series and time, each once. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.historian.chunk import Readings
from gateway.model import Batch, Kind

SHARD_SERIES: Final = 256
"""Series that are stored together."""


def once(batch: Batch) -> tuple[Batch, int]:
    """Return the readings of a shard by series and time, of those with the same series and time the last one.

    Beside them, how many were left out for one that has another value.
    """
    if (batch.tag[1:] >= batch.tag[:-1]).all():
        found = batch
    else:
        found = batch.take(np.argsort((batch.tag % SHARD_SERIES).astype(np.uint8), kind="stable"))
    same = found.tag[1:] == found.tag[:-1]
    if (same & (found.time[1:] < found.time[:-1])).any():
        found = found.take(np.lexsort((found.time, found.tag)))
    again = same & (found.time[1:] == found.time[:-1])
    left_out = np.flatnonzero(again)
    replaced = int(np.count_nonzero(~_alike(found.value[left_out], found.value[left_out + 1])))
    return found.where(np.append(~again, True)[: len(found)]), replaced


def _alike(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are the same; one that is no number is the same as itself."""
    if a.dtype.kind == "O":
        return np.array([np.array_equal(x, y) for x, y in zip(a, b, strict=True)], np.bool_)
    alike: NDArray[np.bool_] = (a == b) | ((a != a) & (b != b))
    return alike


def batch_of(series: int, readings: Readings) -> Batch:
    """Return readings as a batch whose `tag` is their series."""
    return Batch(np.full(len(readings), series, np.uint32), readings.time, readings.value, readings.quality)


def numbers(parts: Sequence[Batch]) -> Batch:
    """Return the readings of all kinds, ordered by series and time, as floats, again in that order; NaN for text."""
    floats = []
    for batch in parts:
        value = np.full(len(batch), np.nan) if batch.kind is Kind.OBJECT else batch.value.astype(np.float64, copy=False)
        floats.append(Batch(batch.tag, batch.time, value, batch.quality))
    if len(floats) == 1:
        return floats[0]
    every = Batch.join(floats)
    return every.take(np.lexsort((every.time, every.tag)))


def between(batch: Batch, first: int, last: int) -> Batch:
    """The readings of series first to last of a batch that is ordered by series."""
    rows = slice(*np.searchsorted(batch.tag, (first, last + 1)))
    return Batch(batch.tag[rows], batch.time[rows], batch.value[rows], batch.quality[rows])
