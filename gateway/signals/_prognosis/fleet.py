"""Remaining useful life from a fleet: machines of a kind that ran until they failed teach it for the others.

Random tanh features and a ridge regression in closed form (random vector functional link; Pao, Park, Sobajic,
Neurocomputing 6, 1994), the mean of several. The life that counts ends at a cap: a new machine shows nothing of how it
will end. Machines are left out in turn and predicted by the others; what predictions near one missed then are the
quantiles of what it will miss, which is the interval (conformal prediction; Lei et al., JASA 113, 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_FOLDS: Final = 5
_FARTHEST: Final = 5.0
_NEAR: Final = 8.0
"""Predictions of a life so near to another miss by as much."""
_LEAST: Final = 200
"""Rows that an interval is read off, at least."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`cap` in rows; `caution` is how much earlier than likely a life is said to end, because late is worse, in rows;
    `beyond` is what may be outside the interval, on each side.
    """

    cap: float = 125.0
    members: int = 4
    width: int = 1500
    ridge: float = 30.0
    reach: float = 2.0
    caution: float = 1.5
    beyond: float = 0.05


@dataclass(frozen=True, slots=True)
class Life:
    """Remaining rows, shape (k,): most likely, and the ends of the interval."""

    rul: Matrix
    lower: Matrix
    upper: Matrix


@dataclass(frozen=True, slots=True)
class _Member:
    """One regression: features of features, and what they say of life."""

    mix: Matrix
    shift: Matrix
    weight: Matrix

    @classmethod
    def of(cls, rows: Matrix, life: Matrix, mixed: tuple[Matrix, Matrix], settings: Settings) -> Self:
        mix, shift = mixed
        seen = _seen(rows, mix, shift)
        squares = (seen.T @ seen).astype(np.float64) + settings.ridge * np.eye(seen.shape[1])
        weight = np.linalg.solve(squares, (seen.T @ life.astype(np.float32)).astype(np.float64))
        return cls(mix, shift, weight.astype(np.float64))

    def __call__(self, rows: Matrix) -> Matrix:
        life: Matrix = _seen(rows, self.mix, self.shift).astype(np.float64) @ self.weight
        return life


class _Crowd:
    """The mean of several regressions, of standardised features."""

    def __init__(self, rows: Matrix, life: Matrix, mixed: Sequence[tuple[Matrix, Matrix]], settings: Settings) -> None:
        self._mean, self._deviation = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
        self._level = float(life.mean())
        standard = self._standard(rows)
        self._members = [_Member.of(standard, life - self._level, one, settings) for one in mixed]

    def __call__(self, rows: Matrix) -> Matrix:
        standard = self._standard(rows)
        found: Matrix = np.mean([member(standard) for member in self._members], axis=0) + self._level
        return found

    def _standard(self, rows: Matrix) -> Matrix:
        near: Matrix = np.clip((rows - self._mean) / self._deviation, -_FARTHEST, _FARTHEST)
        return near


class Fleet:
    """Learns from the features of machines that failed, each of shape (rows, n), the last row that of the failure."""

    def __init__(self, runs: Sequence[Matrix], chance: np.random.Generator, settings: Settings | None = None) -> None:
        """Mix the features as `chance` has it; the same generator makes the same fleet."""
        s = self._settings = settings or Settings()
        n = runs[0].shape[1]
        mixed = [
            (chance.normal(size=(n, s.width)) * s.reach / np.sqrt(n), chance.uniform(-1, 1, s.width))
            for _ in range(s.members)
        ]
        life = [np.minimum(np.arange(len(run))[::-1], s.cap).astype(np.float64) for run in runs]
        self._crowd = _Crowd(np.vstack(runs), np.concatenate(life), mixed, s)
        said, left = [], []
        for fold in range(_FOLDS):
            others = [i for i in range(len(runs)) if i % _FOLDS != fold]
            crowd = _Crowd(
                np.vstack([runs[i] for i in others]), np.concatenate([life[i] for i in others]), mixed[:1], s
            )
            for i in range(fold, len(runs), _FOLDS):
                said.append(np.clip(crowd(runs[i]), 0, s.cap))
                left.append(life[i])
        self._missed = self._quantiles(np.concatenate(said), np.concatenate(left))

    def predict(self, rows: Matrix) -> Life:
        """Return what is left for machines with these features, shape (k, n)."""
        said = np.clip(self._crowd(rows), 0, self._settings.cap)
        at = np.arange(self._missed.shape[1])
        lower, upper = (np.clip(said + np.interp(said, at, column), 0, self._settings.cap) for column in self._missed)
        return Life(np.clip(said - self._settings.caution, lower, upper), lower, upper)

    def _quantiles(self, said: Matrix, left: Matrix) -> Matrix:
        """What predictions near 0, 1, ... cap missed: lower and upper end, shape (2, cap + 1)."""
        order = np.argsort(said, kind="stable")
        said, missed = said[order], (left - said)[order]
        found = []
        for life in range(int(self._settings.cap) + 1):
            begin, end = np.searchsorted(said, (life - _NEAR, life + _NEAR))
            lacking = max(0, min(_LEAST, len(said)) - (end - begin))
            part = missed[max(0, begin - lacking) : end + lacking]
            found.append(np.quantile(part, (self._settings.beyond, 1 - self._settings.beyond)))
        return np.array(found).T


def _seen(rows: Matrix, mix: Matrix, shift: Matrix) -> NDArray[np.float32]:
    """Half the digits are enough here, and take half the time."""
    near = rows.astype(np.float32)
    return np.hstack([np.tanh(near @ mix.astype(np.float32) + shift.astype(np.float32)), near])
