"""A line to a limit, and how sure it is (Bayesian linear regression).

With the prior p(a, b, sigma^2) ~ 1 / sigma^2 the line a + b t of n points has, at each time t, a Student distribution
with nu = n - 2 degrees of freedom (Gelman et al., Bayesian Data Analysis, 3rd ed., 14.2):

    mean + b (t - mean t)        scale^2 = s^2 (1 / n + (t - mean t)^2 / Sxx)

So the probability that it is beyond the limit at t is known, and the times at which that is 5, 50 and 95 % are where it
crosses: the roots of a quadratic (Fieller, J. R. Statist. Soc. B 16, 1954). There are none as long as the slope itself
may be nothing; then nothing can be said. Neighbouring points that err together count for fewer, n (1 - r) / (1 + r)
with r their correlation (Santer et al., J. Geophys. Res. 105, 2000, eq. 6). What bends is no line: of the last points
as many are taken as lie along one.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

LEAST: Final = 24
"""Of fewer points that err together the interval holds too little: of 12, correlated by 0.7, 60 % in place of 90."""
_BEYOND: Final = 0.05
"""What may be outside the interval, on each side."""
_BENT: Final = 3.0
"""A second-degree term so many times its own error bends a line."""
_ROUNDING: Final = 1e-9
_FREEDOM_MIN: Final = 4.0
_CORRELATION_MAX: Final = 0.95
_REACH: Final = 3.0
"""How far ahead a line says something, in units of the time for which it has been seen."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """When a limit is reached, counted from the last point, and the interval of 90 %; `low` may be 0."""

    likely: float
    low: float
    high: float


def crossing(time: Matrix, value: Matrix, limit: float) -> Crossing | None:
    """Return when the line through the last points reaches a limit from below; None if that cannot be said.

    `time` ascends, shape (n,); `value`, shape (n,), is finite and below the limit at the end.
    """
    n = len(value)
    while n >= LEAST and _bent(time[-n:], value[-n:]):
        n //= 2
    return _crossing(time[-n:], value[-n:], limit) if n >= LEAST else None


def _crossing(time: Matrix, value: Matrix, limit: float) -> Crossing | None:
    n, middle, level = len(time), float(time.mean()), float(value.mean())
    x = time - middle
    square = float(x @ x)
    slope = float(x @ value) / square
    left = value - level - slope * x
    freedom = _worth(left) - 2
    if slope <= 0 or freedom < _FREEDOM_MIN:
        return None
    far = student(1 - _BEYOND, freedom) ** 2 * float(left @ left) / freedom
    missing = limit - level
    a, b, c = slope**2 - far / square, slope * missing, missing**2 - far / n
    if a <= 0:
        return None
    root = max(0.0, b * b - a * c) ** 0.5
    ahead = middle - float(time[-1])
    low, likely, high = (max(0.0, at + ahead) for at in ((b - root) / a, missing / slope, (b + root) / a))
    return Crossing(likely, low, high) if high <= _REACH * float(time[-1] - time[0]) else None


def _bent(time: Matrix, value: Matrix) -> bool:
    """Whether a parabola fits better than chance makes it."""
    x = (time - time.mean()) / max(float(np.ptp(time)), np.finfo(np.float64).tiny)
    design = np.column_stack([np.ones_like(x), x, x * x])
    inverse = np.linalg.pinv(design.T @ design)
    fitted = inverse @ design.T @ value
    left = value - design @ fitted
    freedom = max(1.0, _worth(left) - 3)
    error = float(left @ left / freedom * inverse[2, 2]) ** 0.5
    rounding = _ROUNDING * float(np.abs(value).max())
    return bool(abs(fitted[2]) > max(_BENT * error, rounding))


def _worth(left: Matrix) -> float:
    """How many points that err on their own say as much as these, whose residuals are given.

    Residuals of a line that was fitted look less alike than the errors are, by (2 + 4 r) / n (Marriott, Pope,
    Biometrika 41, 1954).
    """
    n, power = len(left), float(left @ left)
    alike = float(left[1:] @ left[:-1]) / power if power > 0 else 0.0
    alike = float(np.clip((alike + 2 / n) / (1 - 4 / n), 0, _CORRELATION_MAX))
    return n * (1 - alike) / (1 + alike)


def student(probability: float, freedom: float) -> float:
    """Return a quantile of Student's distribution, within 0.3 % from 3 degrees of freedom on.

    Abramowitz, Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**i for i, term in enumerate(terms, 1))
