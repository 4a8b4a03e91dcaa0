"""Means of the last rows, or of rows some time ago, of all tags at once."""

import numpy as np
from numpy.typing import NDArray


class Mean:
    """The mean of `size` rows, of which the newest is `lag` rows old; NaN is left out, and so is what was forgotten."""

    def __init__(self, n: int, size: int, lag: int = 0) -> None:
        self._size, self._lag = size, lag
        self._rows = np.full((size + lag, n), np.nan)
        self._tick = 0
        self._sum = np.zeros(n)
        self.count = np.zeros(n, np.int64)
        """Of how many values, shape (n,)."""

    def add(self, row: NDArray[np.float64]) -> None:
        """Take the next row, shape (n,)."""
        length = len(self._rows)
        slot = self._tick % length
        leaving = self._rows[slot].copy()
        self._rows[slot] = row
        if slot == 0:
            self._add_up()
        else:
            self._move(self._rows[(self._tick - self._lag) % length], leaving)
        self._tick += 1

    def forget(self, tags: NDArray[np.bool_]) -> None:
        """Begin anew for these tags, shape (n,)."""
        self._rows[:, tags] = np.nan
        self._sum[tags] = 0.0
        self.count[tags] = 0

    def of(self, least: int) -> NDArray[np.float64]:
        """Return the means, shape (n,); NaN for those of fewer values than `least`."""
        return np.where(self.count >= least, self._sum / np.maximum(self.count, 1), np.nan)

    def _move(self, entering: NDArray[np.float64], leaving: NDArray[np.float64]) -> None:
        for row, sign in ((entering, 1), (leaving, -1)):
            finite = np.isfinite(row)
            self._sum += np.where(finite, sign * row, 0.0)
            self.count += sign * finite

    def _add_up(self) -> None:
        """Add up anew, now and then, what rounding would make of sums that are only ever moved."""
        window = self._rows[
            np.arange(self._tick - self._lag - self._size + 1, self._tick - self._lag + 1) % len(self._rows)
        ]
        finite = np.isfinite(window)
        self._sum = np.where(finite, window, 0.0).sum(axis=0)
        self.count = finite.sum(axis=0)
