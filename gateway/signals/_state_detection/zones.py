"""Zones of vibration severity, rms, of machines that stand on their own (ISO 20816-3:2022, annex A).

    A  as newly commissioned    B  for long-term operation    C  not for long-term operation    D  damaging

The limits depend on the group of the machine (1: more than 300 kW, or shaft height of 315 mm and more; 2: 15 to 300 kW)
and on whether its support is rigid or flexible. A zone is left upwards at its limit and downwards a tenth below, so
that a machine at a limit does not flicker.
"""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gateway.model.unit import Unit, unit

Group = Literal[1, 2]
Support = Literal["rigid", "flexible"]

LETTERS: Final = "ABCD"
_LIMITS: Final[Mapping[tuple[Group, Support], Mapping[str, tuple[float, float, float]]]] = {
    (1, "rigid"): {"mm/s": (2.3, 4.5, 7.1), "um": (29, 57, 90)},
    (1, "flexible"): {"mm/s": (3.5, 7.1, 11.0), "um": (45, 90, 140)},
    (2, "rigid"): {"mm/s": (1.4, 2.8, 4.5), "um": (22, 45, 71)},
    (2, "flexible"): {"mm/s": (2.3, 4.5, 7.1), "um": (37, 71, 113)},
}
_BACK: Final = 0.9
"""Our choice; the standard has none."""


def limits(group: Group, support: Support, measured: Unit) -> NDArray[np.float64]:
    """Return the upper limits of zones A, B and C in a unit of velocity or displacement. Raises ValueError."""
    for code, found in _LIMITS[group, support].items():
        if unit(code).dimension == measured.dimension:
            return np.array(found) * unit(code).to(measured)[0]
    raise ValueError("zones need a velocity (mm/s) or a displacement (um)")


class Zones:
    """The zone of one value."""

    def __init__(self, limits: NDArray[np.float64]) -> None:
        self._limits = limits
        self._beyond = np.zeros(len(limits), np.bool_)

    def of(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the zone with each value, 0 for A to 3 for D, shape (n,) in and out, n > 0; all are finite."""
        up = values[:, None] > self._limits
        settled = up | (values[:, None] < _BACK * self._limits)
        last = np.maximum.accumulate(np.where(settled, np.arange(1, len(values) + 1)[:, None], 0))
        known = np.vstack([self._beyond, up])  # row 0 is how it was before
        beyond = np.take_along_axis(known, last, axis=0)
        self._beyond = beyond[-1]
        zone: NDArray[np.int64] = beyond.sum(axis=1)
        return zone
