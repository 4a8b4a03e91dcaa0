"""The course of a machine so far: where its tags are, where they come from, how fast they move, how old it is."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_MEMORIES: Final = (5, 15, 40)
"""Rows that an exponential average remembers."""
_YOUTH: Final = 20
"""Rows that show how this machine was when it was new."""
_SPANS: Final = (20, 50)
"""Rows over which a slope is taken."""
_FEW: Final = 5
_AGE: Final = 100.0
AGES: Final = 2
"""The last features say how old the machine is, all others what it does."""


def features(z: Matrix) -> Matrix:
    """Return the features after each row of a machine, from its first row on.

    `z`, shape (rows, n), in; (rows, 7 n + 2) out: three exponential averages, the mean of all so far, the way from its
    youth, two slopes in z per span, and its age, plain and as a logarithm. Each row knows of those up to it.
    """
    rows = np.arange(1, len(z) + 1)[:, None]
    averages = [_average(z, memory) for memory in _MEMORIES]
    total = np.cumsum(z, axis=0)
    youth = total[np.minimum(rows[:, 0], _YOUTH) - 1] / np.minimum(rows, _YOUTH)
    slopes = [_slope(z, span) for span in _SPANS]
    age = rows / _AGE
    return np.hstack([*averages, total / rows, averages[1] - youth, *slopes, age, np.log1p(10 * age)])


def _average(z: Matrix, memory: int) -> Matrix:
    """An exponential average that begins with the first row, not with nothing."""
    share = 2 / (memory + 1)
    found = np.empty_like(z)
    average, weight = np.zeros(z.shape[1]), 0.0
    for row, out in zip(z, found, strict=True):
        average += share * (row - average)
        weight += share * (1 - weight)
        out[:] = average / weight
    return found


def _slope(z: Matrix, span: int) -> Matrix:
    """Least squares over the last rows, per span; nothing after a few rows only."""
    found = np.zeros_like(z)
    for end in range(_FEW, len(z) + 1):
        part = z[max(0, end - span) : end]
        x = np.arange(len(part)) - (len(part) - 1) / 2
        found[end - 1] = x @ part / (x @ x) * span
    return found
