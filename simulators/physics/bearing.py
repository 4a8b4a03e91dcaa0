"""A rolling bearing: the frequencies at which a damaged race is struck, and how damage grows."""

from dataclasses import dataclass
from math import cos, exp, log, radians
from typing import Final

GROWTH: Final = 5.0  # e-folds of damage in a life: 8 % of the damage at half the life, 37 % at 80 %


@dataclass(frozen=True, slots=True)
class Bearing:
    """Geometry of a ball bearing: number of balls, ball and pitch diameter [mm], contact angle [degrees]."""

    balls: int
    ball_mm: float
    pitch_mm: float
    contact_deg: float = 0.0

    @property
    def _ratio(self) -> float:
        return self.ball_mm / self.pitch_mm * cos(radians(self.contact_deg))

    @property
    def outer(self) -> float:
        """Ball passes over a point of the outer race, per turn of the shaft (BPFO)."""
        return self.balls / 2.0 * (1.0 - self._ratio)

    @property
    def inner(self) -> float:
        """Ball passes over a point of the inner race, per turn of the shaft (BPFI)."""
        return self.balls / 2.0 * (1.0 + self._ratio)


# Deep groove ball bearing 6208: nine balls of 15/32 inch on a pitch of 60 mm; BPFO 3.61, BPFI 5.39 per turn.
PUMP_BEARING: Final = Bearing(balls=9, ball_mm=11.906, pitch_mm=60.0)


def wear(age: float) -> float:
    """Return the damage, 0 (new) to 1 (failed), at an age of 0 to 1 lives since the first crack.

    Slow, then exponential, like a spall that feeds on its own debris.
    """
    return (exp(GROWTH * min(age, 1.0)) - 1.0) / (exp(GROWTH) - 1.0)


def age(damage: float) -> float:
    """Return the age [lives] at which the damage is this large; the inverse of `wear`."""
    return log(1.0 + damage * (exp(GROWTH) - 1.0)) / GROWTH
