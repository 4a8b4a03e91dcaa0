"""Shift: a tag is on another level than before. For all tags at once.

The mean of the last few rows against a baseline, the mean of rows that lag behind them. In units of how far the tag
wanders within the age of that baseline (structure.py) this is

    z = |short mean - baseline| / sqrt(D(age of the baseline))

The alarm comes when z stays beyond a limit. From then on nothing is learned from the tag: the baseline stays and gets
older. The alarm goes when z has fallen for a while to a share of its peak, or after so long that the level must be how
the machine is run now: it is adopted. Either way a new baseline is learned, and for a while the limit is higher. So no
alarm latches, and few flicker.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.signals._state_detection.means import Mean
from gateway.signals._state_detection.structure import Structure

_OLDEST: Final = 200
"""Age of a baseline, in ticks, up to which the warm-up tells how far a tag wanders."""
_ENOUGH: Final = 3
"""A mean needs one of so many of its values."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Lengths are in ticks, limits in z. The defaults are for ticks of a second; docs/maintenance.md says whence."""

    warm_up: int = 400
    short: int = 8
    base: int = 40
    lag: int = 30
    limit: float = 6.0
    on: int = 2
    off: int = 20
    low: float = 2.0
    share: float = 0.2
    adopt: int = 440
    wary: int = 400
    wary_limit: float = 9.0


class Shift:
    """The state of n tags. After each row `z` and `alarm`, shape (n,), are those of that row."""

    def __init__(self, n: int, settings: Settings | None = None) -> None:
        s = self._settings = settings or Settings()
        if s.warm_up < 2 * (s.base + s.short):
            raise ValueError(f"a warm-up of {s.warm_up} ticks is too short for means of {s.base} and {s.short}")
        self._tick = 0
        self._structure = Structure(n, _OLDEST)
        self._warm_up = np.full((s.warm_up, n), np.nan)
        self._seen = np.zeros(n, np.int64)
        self._short, self._base = Mean(n, s.short), Mean(n, s.base, s.lag)
        self._level = np.full(n, np.nan)
        self._level_at = np.zeros(n, np.int64)
        self._streak = np.zeros(n, np.int64)
        self._peak = np.zeros(n)
        self._since = np.zeros(n, np.int64)
        self._wary_until = np.zeros(n, np.int64)
        self.z = np.full(n, np.nan)
        self.alarm = np.zeros(n, np.bool_)
        self.adopted = np.zeros(n, np.bool_)
        """Whose alarm went with this row because its level was adopted."""

    def step(self, row: NDArray[np.float64]) -> None:
        """Take the next row, shape (n,); NaN for what is not good, or not to be judged and learned from now."""
        row = np.where(np.isfinite(row), row, np.nan)
        self._learn(row)
        self._short.add(row)
        self._base.add(row)
        self._compare()
        self._decide()
        self._tick += 1

    def _learn(self, row: NDArray[np.float64]) -> None:
        """Take the warm-up of those tags that have not had all of theirs."""
        lacking = np.flatnonzero((self._seen < self._settings.warm_up) & ~np.isnan(row))
        if len(lacking):
            self._warm_up[self._seen[lacking], lacking] = row[lacking]
            self._seen[lacking] += 1
            ready = lacking[self._seen[lacking] == self._settings.warm_up]
            if len(ready):
                self._structure.learn(ready, self._warm_up[:, ready], self._settings.short, self._settings.base)

    def _compare(self) -> None:
        """Work out z; NaN as long as there is no baseline."""
        s = self._settings
        base = self._base.of(-(-s.base // _ENOUGH))
        fresh = ~self.alarm & ~np.isnan(base)
        self._level = np.where(self.alarm | fresh, np.where(fresh, base, self._level), np.nan)
        self._level_at[fresh] = self._tick - s.lag
        short = self._short.of(-(-s.short // _ENOUGH))
        self.z = np.abs(short - self._level) / self._structure.at(self._tick - self._level_at)

    def _decide(self) -> None:
        """Raise and clear alarms. What cannot be judged with this row stays as it is."""
        s, z = self._settings, self.z
        beyond = ~self.alarm & (z > np.where(self._tick < self._wary_until, s.wary_limit, s.limit))
        calm = self.alarm & (z < np.fmax(s.low, s.share * self._peak))
        self._streak = np.where(np.isnan(z), self._streak, np.where(beyond | calm, self._streak + 1, 0))
        raised = beyond & (self._streak >= s.on)
        over = calm & (self._streak >= s.off)
        self.adopted = self.alarm & ~over & (self._tick - self._since >= s.adopt)
        ended = over | self.adopted
        self._since[raised] = self._tick
        self._peak = np.where(raised | self.alarm, np.fmax(np.where(raised, 0.0, self._peak), z), 0.0)
        self._streak[raised | ended] = 0
        self._wary_until[ended] = self._tick + s.wary
        self._base.forget(ended)
        self.alarm = (self.alarm | raised) & ~ended
