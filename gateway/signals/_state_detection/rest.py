"""Stuck sensors: a tag stays the same to the last digit, for much longer than it ever did while it was learned from.

A tag whose sensor lives has noise in its last digit. How long it rests all the same is learned from so many rows in
which the machine runs; one that is at rest for a good part of them is a setting or a counter, and never stuck. A rest
counts from its beginning, also if the machine stood still meanwhile, but it is judged only while the machine runs: much
of what is at rest when it does not has reason to be.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_LONGER: Final = 4
"""So many times its longest rest make a tag stuck."""
_RESTLESS: Final = 4
"""A tag must not rest for more than one of so many rows that are learned from."""


class Rest:
    """How long n tags have been at rest, in rows. After each row `ratio`, shape (n,), is 1 for what is stuck."""

    def __init__(self, n: int, warm_up: int, least: int) -> None:
        self._warm_up, self._least = warm_up, least
        self._seen = np.zeros(n, np.int64)
        self._before = np.full(n, np.nan)
        self._rest = np.zeros(n, np.int64)
        self._running = np.zeros(n, np.int64)
        self._longest = np.zeros(n, np.int64)
        self.ratio = np.full(n, np.nan)
        """NaN as long as it is learned, and while the machine does not run."""

    def look(self, row: NDArray[np.float64], runs: bool) -> None:
        """Take the next row, shape (n,), NaN is neither rest nor motion; and whether the machine runs."""
        known = ~np.isnan(row)
        rests = row == self._before
        self._rest = np.where(known, np.where(rests, self._rest + 1, 0), self._rest)
        self._running = np.where(known, np.where(rests & runs, self._running + 1, 0), self._running)
        self._before = np.where(known, row, self._before)
        learning = (self._seen < self._warm_up) & known & runs
        self._longest = np.where(learning, np.maximum(self._longest, self._running), self._longest)
        self._seen += learning
        least = np.maximum(self._least, _LONGER * (self._longest + 1))
        rest = np.where(self._longest < self._warm_up // _RESTLESS, self._rest / least, 0.0)
        self.ratio = np.where((self._seen >= self._warm_up) & known & runs, rest, np.nan)
