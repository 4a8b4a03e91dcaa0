"""How seldom a tag did what it does now: the tail probability of a size. For all tags at once.

Sizes are counted in classes, eight to an octave. Within the classes the share of those that were as large is what was
seen; beyond the largest twentieth the tail follows a power law (Hill, Annals of Statistics 3, 1975):

    P(X >= x) = k/m (x/u)^(-1/gamma)          gamma = mean of ln(x_i/u) of the k sizes that are beyond u

It is told as -log10 P: 3 is once in a thousand rows.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_PER_OCTAVE: Final = 8
_OCTAVES: Final = 64
"""Sizes from 2^-64 to 2^64 have a class; what is smaller or larger is in the first or in the last."""
_BEYOND: Final = 0.05
_FEW: Final = 10
"""A tail is made of so many sizes at least."""
_GAMMA_MIN: Final = 1e-3


class Tail:
    """The sizes that n tags had so far."""

    def __init__(self, n: int) -> None:
        self._class = np.arange(2 * _OCTAVES * _PER_OCTAVE, dtype=np.int32)
        self._above = np.zeros((n, len(self._class)), np.int32)
        """How many sizes were of this class or of a larger one."""

    def add(self, size: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take sizes, shape (n,), none negative, and return -log10 P by those before them.

        It is 0 for NaN, which teaches nothing, and as long as only few are known.
        """
        known = ~np.isnan(size)
        place = np.log2(np.where(known, size, 1.0), out=np.full(len(size), -np.inf), where=~(known & (size == 0)))
        place = np.clip((place + _OCTAVES) * _PER_OCTAVE, 0, np.nextafter(len(self._class), 0))
        surprise = np.where(known, self._surprise(place), 0.0)
        self._above += known[:, None] & (self._class <= place[:, None])
        return surprise

    def _surprise(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        m = self._above[:, 0]
        k = np.maximum(_FEW, (_BEYOND * m).astype(np.int32))
        edge = (self._above > k[:, None]).sum(axis=1) - 1
        found = np.zeros(len(place))
        power = (place > edge) & (edge > 0)
        seen = ~power & (m > k + 1)
        found[seen] = self._empirical(place, seen)
        found[power] = self._power_law(place, edge, k, power)
        return found

    def _empirical(self, place: NDArray[np.float64], tags: NDArray[np.bool_]) -> NDArray[np.float64]:
        above, place = self._above[tags], place[tags]
        of, rows = place.astype(np.intp), np.arange(len(place))
        larger = np.where(of + 1 < len(self._class), above[rows, np.minimum(of + 1, len(self._class) - 1)], 0)
        as_large = larger + (above[rows, of] - larger) * (1 - (place - of))
        surprise: NDArray[np.float64] = -np.log10((as_large + 1) / (above[:, 0] + 1))
        return surprise

    def _power_law(
        self, place: NDArray[np.float64], edge: NDArray[np.intp], k: NDArray[np.int32], tags: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Of those that are beyond the edge of their tail; the sum of the counts above it is that of the ways to it."""
        above, edge = self._above[tags], edge[tags]
        beyond = above[np.arange(len(edge)), edge]
        ways = np.where(above <= k[tags, None], above, 0).sum(axis=1) + beyond / 2
        gamma = np.maximum(np.log(2) / _PER_OCTAVE * ways / beyond, _GAMMA_MIN)
        surprise: NDArray[np.float64] = (
            np.log10(above[:, 0] / beyond) + (place[tags] - edge) / _PER_OCTAVE * np.log10(2) / gamma
        )
        return surprise
