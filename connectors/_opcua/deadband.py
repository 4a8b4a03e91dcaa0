"""Deadbands where the server does not have them itself: the same rule, here (OPC 10000-4, 7.22.2).

A number is told if it differs from the one that was told last by more than the deadband of its tag, or in its status.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Kind

_NUMBERS: Final = (Kind.FLOAT, Kind.INTEGER, Kind.UNSIGNED)


class Deadbands:
    """The deadbands of some tags of a connection, by number."""

    def __init__(self) -> None:
        self._tag = np.empty(0, np.uint32)
        self._band = np.empty(0)
        self._value = np.empty(0)
        self._quality = np.empty(0, np.uint32)

    def add(self, bands: Mapping[int, float]) -> None:
        """Have an eye on these tags from now on; their next number is told."""
        if not bands:
            return
        known = dict(zip(self._tag.tolist(), self._band.tolist(), strict=True)) | dict(bands)
        self._tag = np.array(sorted(known), np.uint32)
        self._band = np.array([known[tag] for tag in self._tag.tolist()])
        self._value = np.full(len(known), np.nan)
        self._quality = np.zeros(len(known), np.uint32)

    def __call__(self, batch: Batch) -> Batch:
        """Return the readings that are to be told, in order."""
        if not len(self._tag) or batch.kind not in _NUMBERS:
            return batch
        at = np.searchsorted(self._tag, batch.tag)
        at[at == len(self._tag)] = 0
        waiting = np.flatnonzero(self._tag[at] == batch.tag)
        told = np.ones(len(batch), np.bool_)
        while len(waiting):  # a tag may be there several times: the first of each, then the second, ...
            _, first = np.unique(at[waiting], return_index=True)
            told[waiting[first]] = self._beyond(at[waiting[first]], batch.take(waiting[first]))
            waiting = np.delete(waiting, first)
        return batch.where(told)

    def _beyond(self, at: NDArray[np.intp], batch: Batch) -> NDArray[np.bool_]:
        """Which of these, one per tag, are to be told; they are the last ones then."""
        value = batch.value.astype(np.float64)
        with np.errstate(invalid="ignore"):
            within = np.abs(value - self._value[at]) <= self._band[at]  # never true of what is no number
        beyond: NDArray[np.bool_] = ~within | (batch.quality != self._quality[at])
        self._value[at[beyond]], self._quality[at[beyond]] = value[beyond], batch.quality[beyond]
        return beyond
