"""How far the way that a tag went just now is from every way that it went before. For all tags at once.

The distance to the nearest of them is the left discord (Yeh et al., Matrix Profile I, ICDM 2016; of values as they are,
not scaled to their own deviation, for a way that is larger is another one). At every lag the squared distance is a sum:
the difference that is new is added, the oldest is taken away. Values are whole steps of a small part of the deviation
that the tag had in the beginning, so that these sums stay exact.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_STEPS: Final = 1024.0
"""To the deviation."""
_FARTHEST: Final = 2.0**21
"""In steps: the squared distance of a way of 500 rows is a whole number that a float holds."""
_FLOOR: Final = 1e-6
"""The least deviation, as a share of the level: a constant has none."""
_KNOWN: Final = 2 / 3
"""A way is judged if so many of its rows were known; a tag stays what it was between them."""


class Ways:
    """The ways of n tags: the last `size` rows, and those among the `past` rows before them."""

    def __init__(self, n: int, size: int, past: int) -> None:
        self._size, self._past = size, past
        self._rows = np.zeros((2 * (past + size), n))
        self._next = 0
        """Where the next row goes."""
        self._began = 0
        """Where the first row is, as long as it is there."""
        self._square = np.zeros((past + 1, n))
        """Squared distance of the last way from the one that ended `past - i` rows before it."""
        self._last = np.full(n, np.nan)
        self._known = np.zeros((size, n), np.bool_)
        self._seen = np.zeros(n, np.int64)
        self._sum, self._sum_square = np.zeros(n), np.zeros(n)
        self._origin, self._step = np.full(n, np.nan), np.full(n, np.nan)

    def add(self, row: Matrix) -> Matrix:
        """Take a row, shape (n,), NaN for what is not known; return the distances, in deviations, NaN where unknown."""
        known = ~np.isnan(row)
        self._last = np.where(known, row, self._last)
        self._learn(row, known)
        steps = np.rint((self._last - self._origin) / self._step)
        self._push(np.clip(np.nan_to_num(steps, nan=0.0, posinf=_FARTHEST, neginf=-_FARTHEST), -_FARTHEST, _FARTHEST))
        self._known[self._next % self._size] = known
        judged = known & (self._seen >= 4 * self._size) & (self._known.mean(axis=0) >= _KNOWN)
        return np.where(judged, self._nearest(), np.nan)

    def _learn(self, row: Matrix, known: NDArray[np.bool_]) -> None:
        """Learn the step of those that have moved for two ways."""
        self._seen += known
        learning = known & (self._seen <= 2 * self._size)
        if not learning.any():
            return
        origin = np.where(self._seen == 1, row, self._origin)
        self._origin = np.where(learning, origin, self._origin)
        away = np.where(learning, row - self._origin, 0.0)
        self._sum += away
        self._sum_square += away * away
        ready = learning & (self._seen == 2 * self._size)
        mean = self._sum / (2 * self._size)
        deviation = np.sqrt(np.maximum(self._sum_square / (2 * self._size) - mean * mean, 0.0))
        level = np.abs(self._origin + mean)
        least = np.maximum(_FLOOR * level, np.finfo(np.float64).tiny * _STEPS * 2)
        self._step = np.where(ready, np.maximum(deviation, least) / _STEPS, self._step)

    def _push(self, steps: Matrix) -> None:
        """Move on by a row."""
        if self._next == len(self._rows):
            kept = self._past + self._size
            self._rows[:kept] = self._rows[-kept:]
            self._next, self._began = kept, self._began - kept
        at, oldest = self._next, self._next - self._size
        self._rows[at] = steps
        self._change(at, 1.0)
        if oldest >= max(self._began, 0):
            self._change(oldest, -1.0)
        self._next += 1

    def _change(self, at: int, sign: float) -> None:
        """Add what the row at a place has to do with each lag, or take it away."""
        first = max(at - self._past, self._began, 0)
        difference = self._rows[first:at] - self._rows[at]
        self._square[self._past - (at - first) : self._past] += sign * difference * difference

    def _nearest(self) -> Matrix:
        """The least distance from a way that shares no row with the last one."""
        first = self._next - self._size - max(self._began, 0) - self._size + 1
        if first <= 0:
            return np.full(len(self._last), np.nan)
        lags = slice(max(0, self._past - (self._size + first - 1)), self._past - self._size + 1)
        nearest: Matrix = np.sqrt(self._square[lags].min(axis=0)) / _STEPS
        return nearest
