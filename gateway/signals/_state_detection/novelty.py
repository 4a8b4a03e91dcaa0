"""Novelty: a tag does what it never did at this time of day, or goes a way that it never went. For all tags at once.

Two sizes are looked at, each by how seldom it was as large (tail.py):

- how far the value is from what it was at this time of day, give or take a little: the profile of the day is an
  average that forgets, for each part of the day;
- how far the way that it went just now is from the nearest way that it ever went (ways.py).

The two are added up as if they were independent (Fisher, Statistical Methods for Research Workers, 21.1). Who looks
for longer sees more that is rare, so what the longer time costs is taken off. An alarm is over after a while, and
what is usual by then is learned, so none latches.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.signals._state_detection.tail import Tail
from gateway.signals._state_detection.ways import Ways

CHARTS: Final = ("time of day", "way")
_SLOW: Final = 0.05
"""Weight of a row in the level that stands in for a part of the day which has not been yet."""
_PER: Final = 1000.0
"""Rows after which an alarm needs exactly its limit."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Lengths are in ticks, `limit` in powers of ten. docs/maintenance.md says whence they are."""

    warm_up: int = 750
    limit: float = 2.75
    hold: int = 100
    weight: float = 0.2
    near: int = 3
    way: int = 48
    past: int = 16_000
    cost: float = 1.5
    least: int = 600


class Novelty:
    """The state of n tags. After each row `surprise` and `alarm`, shape (n,), are those of that row."""

    def __init__(self, n: int, parts: int, settings: Settings | None = None) -> None:
        """`parts` is how many ticks a day has."""
        s = self._settings = settings or Settings()
        self._profile = Profile(n, parts, s.weight, s.near)
        self._ways = Ways(n, s.way, s.past)
        self._tails = Tail(n), Tail(n)
        self._seen = np.zeros(n, np.int64)
        self._left = np.zeros(n, np.int64)
        """Ticks for which an alarm lasts yet."""
        self.surprise = np.zeros(n)
        self.ratio = np.full(n, np.nan)
        """The surprise in units of the limit; NaN where the tag is not known, or not yet."""
        self.chart = np.zeros(n, np.intp)
        """Which of CHARTS has more to do with it."""
        self.alarm = np.zeros(n, np.bool_)
        self.raised = np.zeros(n, np.bool_)
        """Whose alarm came with this row."""

    def step(self, row: NDArray[np.float64], part: int) -> None:
        """Take the next row, shape (n,), of this part of the day; NaN for what is not known, which teaches nothing."""
        s = self._settings
        row = np.where(np.isfinite(row), row, np.nan)
        sizes = self._profile.add(part, row), self._ways.add(row)
        usual, way = (tail.add(size) for tail, size in zip(self._tails, sizes, strict=True))
        self.chart = (way > usual).astype(np.intp)
        self._seen += ~np.isnan(row)
        self.surprise = usual + way - s.cost * np.log10(np.maximum(self._seen, s.least) / _PER)
        self._left = np.maximum(self._left - 1, 0)
        judged = (self._seen > s.warm_up) & ~np.isnan(row)
        self.ratio = np.where(judged, np.maximum(self.surprise, 0.0) / s.limit, np.nan)
        self.raised = (self._left == 0) & (self.ratio >= 1)
        self._left[self.raised] = s.hold + 1
        self.alarm = self._left > 0


class Profile:
    """What n tags were at each part of the day."""

    def __init__(self, n: int, parts: int, weight: float, near: int) -> None:
        self._usual = np.full((parts, n), np.nan)
        self._level = np.full(n, np.nan)
        self._weight = weight
        self._near = np.arange(-near, near + 1)

    def add(self, part: int, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far a row, shape (n,), is from what is usual about this part of the day, and learn from it."""
        about = np.abs(row - self._usual[(part + self._near) % len(self._usual)])
        about = np.where(np.isnan(about), np.inf, about).min(axis=0)
        self._level = np.where(np.isnan(self._level), row, self._level)
        away: NDArray[np.float64] = np.where(np.isinf(about), np.abs(row - self._level), about)
        known = ~np.isnan(row)
        usual = np.where(np.isnan(self._usual[part]), row, self._usual[part])
        self._usual[part] = np.where(known, usual + self._weight * (row - usual), self._usual[part])
        self._level = np.where(known, self._level + _SLOW * (row - self._level), self._level)
        return away
