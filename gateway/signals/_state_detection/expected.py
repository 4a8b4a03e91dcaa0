"""What tags of a machine should be, given how much it has to do; for all tags at once, in one way of running.

Ridge regression of each tag on the drivers (Hoerl, Kennard, Technometrics 12, 1970), learned from rows of normal
running. What it leaves over goes through an average (EWMA; Roberts 1959), which is compared with

    allowed = max(limit * usual deviation of that average, band)

Rows whose drivers are
beyond those learned from are not judged: a straight line says nothing of them. They are learned, as are some of all the
others as long as they are far from any limit: as many again as there are, each time it takes as long as all before,
so that an hour teaches what an hour can and a slow fault is never learned from as if it were normal.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_WEIGHT: Final = 0.15
"""Of the newest row in the average."""
_FARTHEST: Final = 8.0
"""A row counts as no farther than so many times what is allowed: the average would remember it for too long."""
_RIDGE: Final = 0.02
"""As a share of the rows learned from."""
_MARGIN: Final = 0.15
"""By how much of their range drivers may be beyond what was learned."""
_ROWS_MAX: Final = 8
"""So many times the warm-up are kept."""
_NORMAL: Final = 0.5
"""Rows are learned from only while all ratios are less."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Lengths are in rows. `band` is a share of the level, `limit` is in usual deviations."""

    warm_up: int = 120
    limit: float = 6.0
    band: float = 0.03


class Expected:
    """The state of n tags in one way of running. After each row all that is public is of that row, shape (n,)."""

    def __init__(self, bands: Matrix, drivers: int, settings: Settings) -> None:
        """Take the least that each tag may deviate by in its unit, NaN for the share of its level."""
        n = len(bands)
        self._settings = settings
        self._bands = bands
        self._rows = np.full((settings.warm_up, n + drivers), np.nan)
        self._seen = 0
        self._every = 1
        self._since = 0
        self._low, self._high = np.full(drivers, np.inf), np.full(drivers, -np.inf)
        self._middle, self._scale = np.zeros(drivers), np.ones(drivers)
        self._model: Matrix | None = None
        self._average = np.full(n, np.nan)
        self.is_ = self.should = self.deviation = self.ratio = np.full(n, np.nan)
        self.allowed = np.full(n, np.nan)

    def begin(self) -> None:
        """Forget what was on the way: the machine was run in another way meanwhile."""
        self._average[:] = np.nan
        self.idle()

    def idle(self) -> None:
        """Judge nothing with this row."""
        self.ratio = np.full(len(self._average), np.nan)

    def step(self, row: Matrix, drivers: Matrix, *, calm: bool) -> None:
        """Take the next row; tags may be NaN. `calm` says that there is no alarm, so that it may teach."""
        inside = bool(((drivers >= self._low - self._reach) & (drivers <= self._high + self._reach)).all())
        if self._model is None:
            self._learn(row, drivers, due=True)
            return
        if not inside:
            self._learn(row, drivers, due=calm)
            return
        self._judge(row, drivers)
        if calm and (not (self.ratio >= _NORMAL).any()):
            self._learn(row, drivers, due=self._since >= self._every)

    @property
    def _reach(self) -> Matrix:
        reach: Matrix = _MARGIN * np.maximum(self._high - self._low, 0.0)
        return reach

    def _judge(self, row: Matrix, drivers: Matrix) -> None:
        assert self._model is not None
        self.is_, self.should = row, self._features(drivers[None])[0] @ self._model
        most = _FARTHEST * self.allowed
        over = np.clip(row - self.should, -most, most)
        moved = self._average + _WEIGHT * (over - self._average)
        self._average = np.where(
            np.isnan(over), self._average, np.where(np.isnan(self._average), over * _WEIGHT, moved)
        )
        self.deviation = self._average
        self.ratio = np.where(np.isnan(row), np.nan, np.abs(self._average) / self.allowed)

    def _learn(self, row: Matrix, drivers: Matrix, *, due: bool) -> None:
        """Keep a row if it is due, and learn anew each time there are a quarter more."""
        self._since += 1
        if not due or np.isnan(row).any() or self._seen == _ROWS_MAX * self._settings.warm_up:
            return
        self._since = 0
        if self._seen == len(self._rows):
            self._rows = np.vstack([self._rows, np.full_like(self._rows, np.nan)])
        self._rows[self._seen] = np.concatenate([row, drivers])
        self._seen += 1
        if self._seen >= self._settings.warm_up and (
            self._model is None or self._seen % (self._settings.warm_up // 4) == 0
        ):
            self._fit()

    def _fit(self) -> None:
        n, warm_up = len(self._bands), self._settings.warm_up
        y, x = self._rows[: self._seen, :n], self._rows[: self._seen, n:]
        if self._model is None:
            self._middle, self._scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3 * np.abs(x.mean(axis=0)) + 1e-9)
        self._low, self._high = x.min(axis=0, initial=np.inf), x.max(axis=0, initial=-np.inf)
        features = self._features(x)
        ridge = _RIDGE * len(x) * np.eye(features.shape[1])
        ridge[0, 0] = 0.0
        middle = y.mean(axis=0)
        model: Matrix = np.linalg.solve(features.T @ features + ridge, features.T @ (y - middle))
        model[0] += middle
        self._model = model
        self.allowed = self._usual(y - features @ model, features.shape[1], y)
        self._every = max(1, (self._seen - warm_up) * 20 // warm_up)

    def _usual(self, over: Matrix, p: int, y: Matrix) -> Matrix:
        """What is allowed, by what the average of the residuals was; rows that were kept apart count as single ones."""
        averages = np.zeros_like(over)
        for i in range(1, len(over)):
            averages[i] = averages[i - 1] + _WEIGHT * (over[i] - averages[i - 1])
        usual = np.sqrt((averages**2).mean(axis=0) * len(over) / max(len(over) - p, 1))
        band = np.where(np.isnan(self._bands), self._settings.band * np.abs(y.mean(axis=0)), self._bands)
        least: Matrix = np.fmax(self._settings.limit * usual, band) + np.finfo(np.float64).tiny
        return least

    def _features(self, x: Matrix) -> Matrix:
        """1 and the drivers, shape (rows, p)."""
        return np.column_stack([np.ones(len(x)), (x - self._middle) / self._scale])
