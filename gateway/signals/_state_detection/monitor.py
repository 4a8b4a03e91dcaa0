"""Asset monitor: whether the tags of a machine still belong together as they did.

From rows of normal running a model is learned that says each row from the one before: a ridge regression of order one
on standardised tags (VAR(1); Luetkepohl, New Introduction to Multiple Time Series Analysis, 2.1). What it leaves over,
the residual r, goes through averages of several speeds (multivariate EWMA; Lowry, Woodall, Champ, Rigdon,
Technometrics 34, 1992), and each of these has a distance from nothing:

    m_i = (1 - lambda) m_(i-1) + lambda r_i          T2 = m' C^-1 m (2 - lambda) / lambda

with C the covariance of r. A limit of T2 that is read off the rows it was learned from is too low by far, so the
rows are learned from and judged in turn, in blocks that lie together (blocked cross-validation; Bergmeir, Benitez,
Information Sciences 191, 2012), and the tail of the logarithm of T2 is taken as normal. What a tag has to do with it is
its part of T2, (C^-1 m)_i m_i (Alcala, Qin, Automatica 45, 2009, partial decomposition).
"""

import itertools
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_FOLDS: Final = 5
_RIDGE: Final = 0.01
"""As a share of the variance of a tag."""
_NOISE: Final = 1e-3
"""Added to the variance of each residual, as a share of that of its tag: two tags may be one and the same."""
_SLOW: Final = 0.2
_FARTHEST: Final = 3.0
"""Slow averages take a residual as no farther than so many times the usual: they would remember it for too long."""
_FLOOR: Final = 1e-6
"""The least standard deviation, as a share of the level: a constant has none."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`false_alarms` is the share of normal rows that may be beyond a limit."""

    speeds: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03)
    false_alarms: float = 0.02


@dataclass(frozen=True, slots=True)
class _Model:
    """What is normal, of standardised rows: `step` says the next row from one, `precision` is C^-1."""

    step: Matrix
    precision: Matrix

    @classmethod
    def of(cls, before: Matrix, after: Matrix) -> Self:
        """Learn from pairs of rows, shape (pairs, n) each."""
        pairs, n = before.shape
        step = np.linalg.solve(before.T @ before + _RIDGE * pairs * np.eye(n), before.T @ after)
        left = after - before @ step
        return cls(step, np.linalg.inv(left.T @ left / pairs + _NOISE * np.eye(n)))

    def residuals(self, before: Matrix, after: Matrix, speeds: Matrix) -> Matrix:
        """What is left over of a row, as each average takes it, shape (speeds, n)."""
        left = after - before @ self.step
        distance = float(np.sqrt(left @ self.precision @ left / len(left)))
        near: Matrix = np.where(speeds < _SLOW, left * min(1.0, _FARTHEST / max(distance, _FARTHEST)), left)
        return near


class Monitor:
    """A model of n tags, and where they are. After each row `ratio`, `beyond` and `shares` are those of that row."""

    def __init__(self, rows: Matrix, settings: Settings | None = None) -> None:
        """Learn from rows of normal running, shape (ticks, n), all finite.

        Raises ValueError if there are too few: there must be more pairs of rows in each part than tags.
        """
        ticks, n = rows.shape
        if ticks // _FOLDS * (_FOLDS - 1) <= n + 1:
            raise ValueError(f"{ticks} rows are too few to learn how {n} tags belong together")
        self._speeds = np.array((settings or Settings()).speeds)[:, None]
        self._mean = rows.mean(axis=0)
        self._deviation = np.fmax(rows.std(axis=0), _FLOOR * np.abs(self._mean) + np.finfo(np.float64).tiny)
        standard = self._standard(rows)
        self._model = _Model.of(standard[:-1], standard[1:])
        self._limit = self._limits(standard, (settings or Settings()).false_alarms)
        self._before: Matrix | None = None
        self._averages = np.zeros((len(self._speeds), n))
        self.ratio = np.nan
        """The largest T2 in units of its limit; NaN if it is not known."""
        self.beyond = False
        self.shares = np.zeros(n)
        """What each tag has to do with it, shape (n,); they add up to 1."""

    def step(self, row: Matrix) -> None:
        """Take the next row, shape (n,). One with a NaN, or after such a row, is neither judged nor averaged."""
        before, self._before = self._before, None
        self.ratio, self.beyond = np.nan, False
        if not np.isfinite(row).all():
            return
        self._before = self._standard(row)
        if before is None:
            return
        self._averages += self._speeds * (self._model.residuals(before, self._before, self._speeds) - self._averages)
        parts = self._parts(self._averages, self._model)
        ratios = parts.sum(axis=1) / self._limit
        worst = int(ratios.argmax())
        self.ratio, self.beyond = float(ratios[worst]), bool(ratios[worst] > 1)
        guilty = np.fmax(parts[worst], 0)
        self.shares = guilty / max(float(guilty.sum()), np.finfo(np.float64).tiny)

    def _standard(self, rows: Matrix) -> Matrix:
        standard: Matrix = (rows - self._mean) / self._deviation
        return standard

    def _parts(self, averages: Matrix, model: _Model) -> Matrix:
        """The part of each tag in T2 at each speed, shape (speeds, n)."""
        parts: Matrix = averages @ model.precision * averages * (2 - self._speeds) / self._speeds
        return parts

    def _limits(self, standard: Matrix, false_alarms: float) -> Matrix:
        """The limit of T2 at each speed, shape (speeds,); together they are crossed as often as is allowed."""
        edges = np.linspace(0, len(standard), _FOLDS + 1).astype(np.intp)
        logs = np.log(np.vstack([self._judged(standard, *part) for part in itertools.pairwise(edges)]))
        far = NormalDist().inv_cdf(1 - false_alarms / len(self._speeds))
        limit: Matrix = np.exp(logs.mean(axis=0) + far * logs.std(axis=0))
        return limit

    def _judged(self, standard: Matrix, begin: int, end: int) -> Matrix:
        """T2 of the rows of a block, by what was learned from all others; shape (ticks, speeds)."""
        first = np.arange(len(standard) - 1)
        outside = first[(first + 1 < begin) | (first >= end)]
        model = _Model.of(standard[outside], standard[outside + 1])
        averages = np.zeros((len(self._speeds), standard.shape[1]))
        found = []
        for before, after in itertools.pairwise(standard[begin:end]):
            averages += self._speeds * (model.residuals(before, after, self._speeds) - averages)
            found.append(self._parts(averages, model).sum(axis=1))
        return np.array(found)
