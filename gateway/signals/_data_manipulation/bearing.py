"""A rolling bearing in the spectrum of the squared envelope: where damage has its lines, and how strong they are.

Per turn of the shaft, with N rolling elements of diameter d on a pitch D, contact angle a, r = d / D cos a:

    bpfo  outer race   N / 2 (1 - r)          bsf   an element    D / (2 d) (1 - r^2)
    bpfi  inner race   N / 2 (1 + r)          ftf   the cage      (1 - r) / 2

(Randall, Antoni, Mechanical Systems and Signal Processing 25, 2011, eqs. 1 to 4.) Elements slide, by a percent or two,
so a line is the strongest one near to its place. What passes the load zone once per turn is modulated by that, so
sidebands tell one damage from another: the shaft's beside bpfi, the cage's beside bsf. Amplitudes of noise have a
Rayleigh distribution, in which one in 2^(k^2) is more than k times the median: that is the noise floor, and what counts
as a line is `_CLEAR` times as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, radians
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Matrix = NDArray[np.float64]

HARMONICS: Final = 5
_SIDEBANDS: Final = (-2, -1, 1, 2)
"""Beside each of the first `_CARRIERS` harmonics."""
_CARRIERS: Final = 3
_CLEAR: Final = 3.7
"""One in 13,000 amplitudes of noise; some fifty are looked at."""
_SLIP: Final = 0.02
_NEAR: Final = 1
"""Lines beside its own in which a Hann window shows a tone."""
_NEIGHBOURS: Final = 24
"""Lines whose median is the noise there."""
FAULTS: Final = ("bpfo", "bpfi", "bsf", "ftf")


class Bearing(BaseModel):
    """Geometry of a rolling bearing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    elements: int = Field(ge=3, le=200, description="balls or rollers of a row")
    diameter: float = Field(gt=0, description="of one of them; the unit is that of pitch")
    pitch: float = Field(gt=0, description="diameter of the circle on which they run")
    contact: float = Field(default=0.0, ge=0, lt=90, description="contact angle in degrees")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.diameter >= self.pitch:
            raise ValueError("the diameter of an element is smaller than the pitch")
        return self

    @property
    def per_turn(self) -> Mapping[str, float]:
        """Frequencies of the faults, per turn of the shaft."""
        ratio = self.diameter / self.pitch * cos(radians(self.contact))
        return {
            "bpfo": self.elements / 2 * (1 - ratio),
            "bpfi": self.elements / 2 * (1 + ratio),
            "bsf": self.pitch / (2 * self.diameter) * (1 - ratio**2),
            "ftf": (1 - ratio) / 2,
        }


@dataclass(frozen=True, slots=True)
class Line:
    """A fault in one spectrum. `amplitude` is that of its clear harmonics in m/s2; the other two count clear lines."""

    hertz: float
    amplitude: float
    harmonics: int
    sidebands: int


def lines(spectrum: Matrix, step_hz: float, bearing: Bearing, shaft_hz: float) -> tuple[Mapping[str, Line], float]:
    """Return the lines of each fault and the noise floor [m/s2] of a squared envelope spectrum, shape (m,).

    `step_hz` is from line to line. Harmonics end where the spectrum does, or at the first that is not clear.
    """
    turns = bearing.per_turn
    floor = _floor(spectrum)
    clear = spectrum > _CLEAR * floor
    beside = {"bpfo": shaft_hz, "bpfi": shaft_hz, "bsf": turns["ftf"] * shaft_hz, "ftf": 0.0}
    found = {
        fault: _line(spectrum, clear, turns[fault] * shaft_hz / step_hz, beside[fault] / step_hz, step_hz)
        for fault in FAULTS
    }
    return found, float(np.median(floor)) ** 0.5


def _floor(spectrum: Matrix) -> Matrix:
    """The noise around each line, shape (m,); bubbles and rubbing raise it at low frequencies."""
    width = min(_NEIGHBOURS, len(spectrum) - 1)
    n = (len(spectrum) - 1) // width
    medians = np.median(spectrum[1 : 1 + n * width].reshape(n, width), axis=1)
    middles = 0.5 + (np.arange(n) + 0.5) * width
    floor: Matrix = np.interp(np.arange(len(spectrum)), middles, medians)
    return floor


def _line(spectrum: Matrix, clear: NDArray[np.bool_], place: float, beside: float, step_hz: float) -> Line:
    """Look for harmonics of a place and for what is beside them, both counted in lines of the spectrum."""
    peaks = [_peak(spectrum, place * (i + 1)) for i in range(HARMONICS)]
    n = next((i for i, at in enumerate(peaks) if at is None or not clear[at]), HARMONICS)
    harmonics = [at for at in peaks[:n] if at is not None]
    sidebands = 0
    if beside > 2 * _NEAR + 1:  # else they cannot be told from the line itself
        near = [_peak(spectrum, at + i * beside, slip=0.0) for at in harmonics[:_CARRIERS] for i in _SIDEBANDS]
        sidebands = sum(at is not None and bool(clear[at]) for at in near)
    amplitude = float(spectrum[harmonics].sum()) ** 0.5
    return Line((harmonics[0] if n else place) * step_hz, amplitude, n, sidebands)


def _peak(spectrum: Matrix, place: float, slip: float = _SLIP) -> int | None:
    """The strongest line near a place; None beyond the ends of the spectrum."""
    first = max(1, round(place * (1 - slip)) - _NEAR)
    last = round(place * (1 + slip)) + _NEAR
    if last >= len(spectrum) or last < first:
        return None
    return first + int(spectrum[first : last + 1].argmax())
