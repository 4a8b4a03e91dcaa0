"""How far a tag wanders when all is well: the structure function of its level.

    D(g) = mean of (short mean - mean of the baseline that ended g ticks before)^2

(Kolmogorov 1941; the variogram of Cressie, Statistics for Spatial Data, 2.4). A tag that is noise about a level has the
same D at every age g of the baseline; one that wanders, as temperatures do, has a D that grows, so the band that it is
allowed is wider the older the baseline is. Ages that the warm-up is too short for follow as a power law.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_AGES: Final = 24
"""Ages at which D is computed; between them it is straight in the logarithm of the age."""
_FEW: Final = 5
"""So many differences make a mean."""
_POWER_MAX: Final = 2.0
"""That of a tag which moves steadily in one direction."""
_FLOOR: Final = 1e-9
"""The least D, as a share of the variance, or of the square of the level: a constant has none."""


class Structure:
    """D of n tags by age. Columns are set as soon as their tag has been watched long enough."""

    def __init__(self, n: int, oldest: int) -> None:
        self._root = np.full((oldest, n), np.nan)
        self._power = np.zeros(n)

    def learn(self, tags: NDArray[np.intp], rows: NDArray[np.float64], short: int, base: int) -> None:
        """Take the warm-up of some tags, shape (rows, len(tags)), all finite, rows > base + short + _FEW."""
        oldest = len(self._root)
        ages = np.unique(np.round(np.geomspace(1, min(oldest, len(rows) - base - _FEW), _AGES)).astype(np.intp))
        total = np.vstack([np.zeros(len(tags)), np.cumsum(rows - rows[0], axis=0)])
        squares = np.maximum.accumulate([_square(total, int(age), short, base) for age in ages])
        level = rows.mean(axis=0)
        least = _FLOOR * np.maximum(rows.var(axis=0), level * level) + np.finfo(np.float64).tiny
        squares = np.maximum(squares, least)
        late = ages >= ages[-1] // 10
        self._power[tags] = _slope(np.log(ages[late]), np.log(squares[late])) / 2
        every = np.log(np.arange(1, oldest + 1))
        for column, tag in enumerate(tags.tolist()):
            self._root[:, tag] = np.sqrt(np.interp(every, np.log(ages), squares[:, column]))

    def at(self, age: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the square root of D at the age of each baseline in ticks, shape (n,); NaN where it is not known."""
        oldest = len(self._root)
        root = self._root[np.clip(age, 1, oldest) - 1, np.arange(len(age))]
        older = age > oldest
        if older.any():
            root[older] *= (age[older] / oldest) ** self._power[older]
        return root


def _square(total: NDArray[np.float64], age: int, short: int, base: int) -> NDArray[np.float64]:
    """D at one age, shape (n,); `total[i]` is the sum of the first i rows."""
    end = np.arange(max(age + base, short), len(total))
    level = (total[end - age] - total[end - age - base]) / base
    difference = (total[end] - total[end - short]) / short - level
    mean: NDArray[np.float64] = np.mean(difference**2, axis=0)
    return mean


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares, column by column, no less than flat and no more than _POWER_MAX."""
    x = x - x.mean()
    slope: NDArray[np.float64] = np.clip(
        (x[:, None] * (y - y.mean(axis=0))).sum(axis=0) / max(float((x * x).sum()), 1e-300), 0, _POWER_MAX
    )
    return slope
