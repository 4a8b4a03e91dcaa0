"""Change points: the moments at which the level of a tag changes. For all tags at once.

The mean of the last rows against that of the rows before them, in units of what this difference is when all is well
(two adjacent windows, as in Kifer, Ben-David, Gehrke: Detecting Change in Data Streams, VLDB 2004). A change shows for
as long as it moves through the windows, so for a while after one no other is told of that machine.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.signals._state_detection.means import Mean

_FLOOR = 1e-6
"""The least usual difference, as a share of the level: a constant has none."""
_ENOUGH = 2
"""A mean needs one of so many of its values."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Lengths are in ticks, the limit is in usual differences."""

    warm_up: int = 400
    short: int = 20
    before: int = 60
    limit: float = 3.5
    pause: int = 30


class Changes:
    """The state of n tags of one machine. After each row `z`, shape (n,), and `changed` are those of that row."""

    def __init__(self, n: int, settings: Settings | None = None) -> None:
        s = self._settings = settings or Settings()
        self._tick = 0
        self._pause_until = 0
        self._short, self._before = Mean(n, s.short), Mean(n, s.before, s.short)
        self._squares = np.zeros(n)
        self._seen = np.zeros(n, np.int64)
        self.z = np.full(n, np.nan)
        self.changed = False

    def step(self, row: NDArray[np.float64]) -> None:
        """Take the next row, shape (n,); NaN for what is not good."""
        s = self._settings
        row = np.where(np.isfinite(row), row, np.nan)
        self._short.add(row)
        self._before.add(row)
        before = self._before.of(-(-s.before // _ENOUGH))
        difference = np.abs(self._short.of(-(-s.short // _ENOUGH)) - before)
        learning = self._tick < s.warm_up
        whole = self._tick + 1 >= s.before + s.short  # a window may have gaps, but not have begun in the middle
        known = ~np.isnan(difference) & whole
        if learning:
            self._squares[known] += difference[known] ** 2
            self._seen += known
        usual = np.sqrt(self._squares / np.maximum(self._seen, 1))
        self.z = np.where(known, difference, np.nan) / np.fmax(
            usual, _FLOOR * np.abs(before) + np.finfo(np.float64).tiny
        )
        self.changed = not learning and self._tick >= self._pause_until and bool((self.z > s.limit).any())
        if self.changed:
            self._pause_until = self._tick + s.pause
        self._tick += 1
