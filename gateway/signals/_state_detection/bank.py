"""The bank: the simple charts of process control, for all tags of a plant at once and at little cost.

A tag has a level and a variance, exponential averages of accepted rows that lag behind the newest, so that what has
just begun is no part of them. With z = (x - level) / sigma, each of these is told in units of its limit:

- tail: how seldom z was as large, -log10 P = -log10(q) + log10(|z|/u) / gamma beyond u, which q of the rows exceed
  (Hill, Annals of Statistics 3, 1975; u and gamma follow row by row);
- cusum: max(0, c + z - k) of either side (Page, Biometrika 41, 1954; NIST/SEMATECH e-Handbook 6.3.2.3);
- shift: a fast average of z in units of its own deviation (Roberts, Technometrics 1, 1959);
- stuck: rows without any change, of a tag that never was so for half as long;
- range: outside the range of the instrument (NAMUR NE 107: out of specification).

The alarm comes when one of them stays beyond its limit, and goes when all stay within half of it. While it lasts
nothing is learned; when it has lasted for so long that this must be how the plant is run now, the level is taken over.
So nothing latches.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

CHARTS: Final = ("tail", "cusum", "shift", "stuck", "range")
_ABSURD: Final = 1e100
"""Nothing that is measured; its square would be no number."""
_FAR: Final = 1e6
_FARTHEST: Final = 8.0
"""Sums and averages take no row as farther, in sigma: they would remember it for too long."""
_CLEAR: Final = 0.5
_SUM_MAX: Final = 4.0
"""Sums grow no farther, in limits, so that they are soon back."""
_RARE: Final = 0.05
_FLOOR: Final = 1e-6
"""The least sigma, as a share of the level: a constant has none."""
_TINY: Final = 1e-150
_LOG10_E: Final = float(np.log10(np.e))
_LOG10_RARE: Final = float(np.log10(_RARE))
_SIDES: Final = np.array([[1.0], [-1.0]])
_GAMMA: Final = 0.2
"""That of the tail of a normal distribution about its 95 % quantile, for the beginning."""
_QUANTILE: Final = 1.96


@dataclass(frozen=True, slots=True)
class Settings:
    """Lengths are in ticks; `tail` in powers of ten, `cusum` and `slack` in sigma, `shift` in those of the average."""

    warm_up: int = 600
    memory: int = 600
    lag: int = 30
    fast: float = 0.2
    tail: float = 6.0
    cusum: float = 25.0
    slack: float = 1.0
    shift: float = 8.0
    still: int = 60
    on: int = 3
    off: int = 30
    adopt: int = 1800


class Bank:
    """The state of n tags. After each row these are those of that row: `ratio`, `chart` and `alarm`, shape (n,)."""

    def __init__(self, low: Matrix, high: Matrix, settings: Settings | None = None) -> None:
        """`low` and `high` are the ranges of the instruments, shape (n,), infinite where there is none."""
        s = self._settings = settings or Settings()
        n = len(low)
        self._low, self._high = low, high
        self._tick = 0
        self._seen = np.zeros(n)
        self._level, self._variance = np.zeros(n), np.zeros(n)
        self._late = np.full((s.lag, n), np.nan)
        """The newest rows, which nothing is learned from yet."""
        self._last = np.full(n, np.nan)
        self._still, self._stillest = np.zeros(n), np.full(n, float(s.still))
        self._fast, self._sums = np.zeros(n), np.zeros((2, n))
        self._u, self._gamma = np.full(n, _QUANTILE), np.full(n, _GAMMA)
        self._streak, self._lasted = np.zeros(n), np.zeros(n)
        self._edge, self._enough = np.ones(n), np.full(n, s.on)
        """The ratio that an alarm comes or goes at, and rows that it takes."""
        self._ratios = np.zeros((len(CHARTS), n))
        self.ratio = np.full(n, np.nan)
        """That of the worst chart; NaN where the tag is not known, or not yet."""
        self.alarm = np.zeros(n, np.bool_)
        self.adopted = np.zeros(n, np.bool_)
        """Whose alarm went with this row because its level was adopted."""

    @property
    def chart(self) -> NDArray[np.intp]:
        """Which of CHARTS is the worst, shape (n,)."""
        worst: NDArray[np.intp] = self._ratios.argmax(axis=0)
        return worst

    def step(self, row: Matrix, part: int = 0) -> None:
        """Take the next row, shape (n,); NaN for what is not good: it is neither judged nor learned from.

        Which part of the day it is makes no difference here.
        """
        known = np.abs(row) < _ABSURD
        judged = known & (self._seen >= self._settings.warm_up)
        sigma = np.sqrt(self._variance) + _FLOOR * np.abs(self._level) + _TINY
        z = np.where(judged, row - self._level, 0.0) / sigma
        self._judge(z, judged)
        self._still = np.where(known, (self._still + 1) * (row == self._last), self._still)
        self._ratios[3] = self._still / (2 * self._stillest)
        self._ratios[4] = 2.0 * ((row < self._low) | (row > self._high))
        self._decide(judged)
        self._learn(row, known & ~self.alarm)
        self._last = np.where(known, row, self._last)
        self._tick += 1

    def _judge(self, z: Matrix, judged: NDArray[np.bool_]) -> None:
        """The charts of z: tail, cusum, shift."""
        s = self._settings
        size = np.minimum(np.abs(z), _FAR)
        way = np.log(np.maximum(size / self._u, 1.0))
        self._ratios[0] = (way * _LOG10_E / self._gamma - _LOG10_RARE) / s.tail
        self._follow_tail(way, judged & ~self.alarm)
        near = np.minimum(np.maximum(z, -_FARTHEST), _FARTHEST)
        sums = self._sums + near * _SIDES - s.slack * judged
        self._sums = np.minimum(np.maximum(sums, 0.0), _SUM_MAX * s.cusum)
        self._ratios[1] = np.maximum(*self._sums) / s.cusum
        self._fast += s.fast * judged * (near - self._fast)
        self._ratios[2] = np.abs(self._fast) / (s.shift * (s.fast / (2 - s.fast)) ** 0.5)

    def _follow_tail(self, way: Matrix, calm: NDArray[np.bool_]) -> None:
        """Move u so that a twentieth of the rows exceeds it, and gamma to the mean way beyond it."""
        share = 1 / self._settings.memory
        beyond = calm & (way > 0)
        self._gamma += share / _RARE * beyond * (np.minimum(way, 1.0) - self._gamma)
        self._u *= 1 + share * (beyond - _RARE * calm)

    def _decide(self, judged: NDArray[np.bool_]) -> None:
        s = self._settings
        worst = self._ratios.max(axis=0)
        self.ratio = np.where(judged, worst, np.nan)
        contrary = (worst > self._edge) ^ self.alarm
        self._streak = np.where(judged, (self._streak + 1) * contrary, self._streak)
        self._lasted = (self._lasted + judged) * self.alarm
        turned = self._streak >= self._enough
        self.adopted = (self._lasted >= s.adopt) & ~turned
        changed = turned | self.adopted
        if changed.any():
            self._turn(changed)

    def _turn(self, changed: NDArray[np.bool_]) -> None:
        """Raise or clear these alarms. What one was about is over, or adopted: then all is learned from nothing."""
        s = self._settings
        ended = changed & self.alarm
        self.alarm = self.alarm ^ changed
        self._edge = np.where(self.alarm, _CLEAR, 1.0)
        self._enough = np.where(self.alarm, s.off, s.on)
        self._streak[changed] = 0
        self._late[:, changed] = np.nan
        self._sums[:, ended] = self._fast[ended] = 0
        self._stillest = np.where(self.adopted, np.maximum(self._stillest, self._still), self._stillest)
        self._seen[self.adopted] = 0

    def _learn(self, row: Matrix, accepted: NDArray[np.bool_]) -> None:
        """Learn from the row that is `lag` ticks old, if it was accepted, and put this one in its place."""
        s = self._settings
        place = self._tick % s.lag
        away = self._late[place] - self._level
        taught = ~np.isnan(away)
        away = np.where(taught, away, 0.0)
        self._late[place] = np.where(accepted, row, np.nan)
        self._seen += taught
        share = taught / np.minimum(np.maximum(self._seen, 1.0), s.memory)
        self._level += share * away
        self._variance += share * ((1 - share) * away * away - self._variance)
        if (self._seen < s.warm_up).any():
            learning = accepted & (self._seen < s.warm_up)
            self._stillest = np.where(learning, np.maximum(self._stillest, self._still), self._stillest)
