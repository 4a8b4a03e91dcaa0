"""Operating regimes: the few points at which a machine is run, told from its settings.

What only trembles is no setting. In each regime a tag has its own mean and deviation, so what is left, z, says the same
in all of them.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_APART: Final = 0.1
"""Regimes are at least so far apart, in units of the range of a setting."""
_TREMBLES: Final = 0.01
"""A range smaller than this share of its largest value is no setting."""
_FARTHEST: Final = 8.0
_STILL: Final = 1e-6
"""A deviation smaller than this share of the level is that of a constant."""


class Regimes:
    """Learned from rows of a fleet: `settings`, shape (rows, settings), and `tags`, shape (rows, n)."""

    def __init__(self, settings: Matrix, tags: Matrix) -> None:
        ranges = np.ptp(settings, axis=0)
        self._unit = np.where(ranges > np.maximum(_TREMBLES * np.abs(settings).max(axis=0), 0.1), ranges, np.inf)
        self._centres = _leaders(settings / self._unit)
        regime = self._of(settings)
        rows = [tags[regime == number] for number in range(len(self._centres))]
        self._mean = np.array([part.mean(axis=0) for part in rows])
        self._deviation = np.array([part.std(axis=0) for part in rows])
        self._moves = (self._deviation > _STILL * np.maximum(np.abs(self._mean), 1e-9)).any(axis=0)
        self._deviation[self._deviation <= _STILL * np.abs(self._mean)] = np.inf

    @property
    def n(self) -> int:
        """How many tags do something at all."""
        return int(self._moves.sum())

    def __len__(self) -> int:
        return len(self._centres)

    def z(self, settings: Matrix, tags: Matrix) -> Matrix:
        """Return how far each tag that does something is from its mean in this regime, shape (rows, n)."""
        regime = self._of(settings)
        z = (tags - self._mean[regime]) / self._deviation[regime]
        far: Matrix = np.clip(z, -_FARTHEST, _FARTHEST)[:, self._moves]
        return far

    def _of(self, settings: Matrix) -> NDArray[np.intp]:
        """The nearest regime of each row."""
        distance = np.abs(settings[:, None] / self._unit - self._centres).max(axis=2)
        nearest: NDArray[np.intp] = distance.argmin(axis=1)
        return nearest


def _leaders(rows: Matrix) -> Matrix:
    """Each row that is far from all before it (Hartigan, Clustering Algorithms, 3: the leader algorithm)."""
    leaders = rows[:1]
    for row in np.unique(np.round(rows / _APART), axis=0) * _APART:
        if np.abs(leaders - row).max(axis=1).min() > _APART:
            leaders = np.vstack([leaders, row])
    return leaders
