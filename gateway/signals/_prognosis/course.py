"""The course of machines so far: where their tags are, where they come from, how fast they move, how old they are."""

from collections.abc import Callable, Sequence
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


def _slopes(rows: int) -> Matrix:
    """The weights of the last rows in a slope by least squares, the latest last, shape (spans, longest span)."""
    weights = np.zeros((len(_SPANS), max(_SPANS)))
    for weight, span in zip(weights, _SPANS, strict=True):
        n = min(rows, span)
        x = np.arange(n) - (n - 1) / 2
        if n >= _FEW:
            weight[-n:] = x / (x @ x) * span
    return weights


_SLOPES: Final = np.array([_slopes(rows) for rows in range(max(_SPANS) + 1)])


class Course:
    """k machines side by side, n tags of each; each row knows of those up to it."""

    def __init__(self, k: int, n: int) -> None:
        self._rows = 0
        self._averages = Averages(_MEMORIES, (k, n))
        self._total = np.zeros((k, n))
        self._youth = np.zeros((k, n))
        self._last = np.zeros((k, max(_SPANS), n))

    def step(self, z: Matrix) -> Matrix:
        """Take the next row of each machine, shape (k, n), and return the features after it, shape (k, 7 n + 2).

        These are three exponential averages, the mean of all so far, the way from its youth, two slopes in z per
        span, and its age, plain and as a logarithm.
        """
        self._rows += 1
        averages = self._averages.step(z)
        self._total += z
        if self._rows <= _YOUTH:
            self._youth = self._total / self._rows
        self._last = np.concatenate([self._last[:, 1:], z[:, None]], axis=1)
        slopes = _SLOPES[min(self._rows, max(_SPANS))] @ self._last
        age = self._rows / _AGE
        ages = np.broadcast_to([age, np.log1p(10 * age)], (len(z), AGES))
        way = averages[1] - self._youth
        return np.hstack([*averages, self._total / self._rows, way, *slopes.swapaxes(0, 1), ages])


class Averages:
    """Exponential averages with these memories in rows, each of values of a shape; they begin with the first."""

    def __init__(self, memories: Sequence[int], shape: tuple[int, ...]) -> None:
        self._share = (2 / (np.array(memories) + 1.0)).reshape(-1, *[1] * len(shape))
        self._average = np.zeros((len(memories), *shape))
        self._weight = np.zeros_like(self._share)

    def step(self, z: Matrix) -> Matrix:
        """Take the next values and return the averages, shape (memories, *shape)."""
        self._average += self._share * (z - self._average)
        self._weight += self._share * (1 - self._weight)
        average: Matrix = self._average / self._weight
        return average


def side_by_side(runs: Sequence[Matrix], step: Callable[[Matrix], Matrix]) -> list[Matrix]:
    """Go through all runs at once and return what `step`, (k, n) to (k, m), made of each row of each run.

    A run that is over shows its last row for as long as the others go on; nothing of that is returned.
    """
    n = np.array([len(run) for run in runs])
    ends = np.cumsum(n)
    rows = np.vstack(runs)
    found: Matrix | None = None
    for i in range(int(n.max())):
        at = ends - n + np.minimum(i, n - 1)
        made = step(rows[at])
        found = np.empty((len(rows), made.shape[1])) if found is None else found
        found[at[i < n]] = made[i < n]
    assert found is not None
    return np.split(found, ends[:-1])
