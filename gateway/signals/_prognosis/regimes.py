"""Operating regimes: the few points at which a machine is run, told from its settings.

What only trembles is no setting. In each regime a tag has its own mean and deviation, so what is left, z, says the same
in all of them.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_APART: Final = 0.1
"""Regimes are at least so far apart, in units of the range of a setting."""
_STRANGE: Final = 2 * _APART
"""A row so far from all regimes is in none of them."""
_TREMBLES: Final = 0.01
"""A range smaller than this share of its largest value is no setting."""
_FARTHEST: Final = 8.0
_STILL: Final = 1e-6
"""A deviation smaller than this share of the level is that of a constant."""


@dataclass(frozen=True, slots=True)
class Regimes:
    """The regimes of a fleet: where they are in settings, and how each tag is in each of them.

    A setting is divided by `unit` to be compared; `low` and `high` are what a fleet had of it, with some room.
    """

    unit: Matrix
    centres: Matrix
    low: Matrix
    high: Matrix
    mean: Matrix
    deviation: Matrix
    moves: NDArray[np.bool_]
    """Which tags do something at all."""

    @classmethod
    def of(cls, settings: Matrix, tags: Matrix) -> Self:
        """Learn from rows of a fleet: `settings`, shape (rows, settings), and `tags`, shape (rows, n)."""
        ranges = np.ptp(settings, axis=0)
        trembles = np.maximum(_TREMBLES * np.abs(settings).max(axis=0), 0.1)
        unit = np.where(ranges > trembles, ranges, np.inf)
        centres = _leaders(settings / unit)
        room = np.maximum(_APART * ranges, trembles)
        regime = _nearest(settings / unit, centres)[0]
        rows = [tags[regime == number] for number in range(len(centres))]
        mean = np.array([part.mean(axis=0) for part in rows])
        deviation = np.array([part.std(axis=0) for part in rows])
        moves = (deviation > _STILL * np.maximum(np.abs(mean), 1e-9)).any(axis=0)
        deviation[deviation <= _STILL * np.abs(mean)] = np.inf
        low, high = settings.min(axis=0) - room, settings.max(axis=0) + room
        return cls(unit, centres, low, high, mean, deviation, moves)

    @property
    def n(self) -> int:
        """How many tags do something at all."""
        return int(self.moves.sum())

    def __len__(self) -> int:
        return len(self.centres)

    def z(self, settings: Matrix, tags: Matrix) -> Matrix:
        """Return how far each tag that does something is from its mean in this regime, shape (rows, n)."""
        regime, _ = _nearest(settings / self.unit, self.centres)
        z = (tags - self.mean[regime]) / self.deviation[regime]
        far: Matrix = np.clip(z, -_FARTHEST, _FARTHEST)[:, self.moves]
        return far

    def strange(self, settings: Matrix) -> NDArray[np.bool_]:
        """Return which rows are of no regime, shape (rows,)."""
        _, distance = _nearest(settings / self.unit, self.centres)
        outside = ((settings < self.low) | (settings > self.high)).any(axis=1)
        strange: NDArray[np.bool_] = outside | (distance > _STRANGE)
        return strange


def _nearest(rows: Matrix, centres: Matrix) -> tuple[NDArray[np.intp], Matrix]:
    """Of each row the nearest centre, and how far it is."""
    distance = np.abs(rows[:, None] - centres).max(axis=2)
    return distance.argmin(axis=1), distance.min(axis=1)


def _leaders(rows: Matrix) -> Matrix:
    """Each row that is far from all before it (Hartigan, Clustering Algorithms, 3: the leader algorithm)."""
    leaders = rows[:1]
    for row in np.unique(np.round(rows / _APART), axis=0) * _APART:
        if np.abs(leaders - row).max(axis=1).min() > _APART:
            leaders = np.vstack([leaders, row])
    return leaders
