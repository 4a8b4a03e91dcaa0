"""Laws that several machines share, as pure formulas on floats. Knows nothing of machines."""

from math import exp, sqrt
from typing import Final, NamedTuple

WATER_KJ_PER_LITRE_K: Final = 4.19  # heat capacity of water per volume, near 4 C

# R134a: saturation pressure 2.93 bar at 0 C and 10.17 bar at 40 C, joined by Clausius-Clapeyron.
_R134A_A: Final = 10.817
_R134A_B_K: Final = 2661.0


def clip(x: float, low: float, high: float) -> float:
    """Return x, but not below low nor above high."""
    return low if x < low else high if x > high else x  # noqa: FURB136 - min and max cost three times as much


def lag(x: float, target: float, tau_s: float, dt_s: float) -> float:
    """Move x towards the target as a first-order lag does; implicit, so no step is too long."""
    return (x * tau_s + target * dt_s) / (tau_s + dt_s)


def ramp(x: float, target: float, rate: float, dt_s: float) -> float:
    """Move x towards the target by at most `rate` per second."""
    return clip(target, x - rate * dt_s, x + rate * dt_s)


def wander(x: float, kick: float, tau_s: float, sigma: float, dt_s: float) -> float:
    """Step an Ornstein-Uhlenbeck process: mean 0, standard deviation sigma, memory tau; kick is N(0, 1)."""
    return x * (1.0 - dt_s / tau_s) + sigma * sqrt(2.0 * dt_s / tau_s) * kick


def saturation_pressure(temperature: float) -> float:
    """Return the pressure [bar] at which R134a boils at a temperature [C]; good to 3 % from -20 to 60 C."""
    return exp(_R134A_A - _R134A_B_K / (temperature + 273.15))


class Drive(NamedTuple):
    """An electric drive: `friction` relative to new [1], motor `current` [A], winding `temperature` [C]."""

    friction: float
    current: float
    temperature: float

    @property
    def power(self) -> float:
        """Electric power [kW] at 400 V three-phase and a power factor of 0.82."""
        return self.current * 0.568


def drive_step(
    drive: Drive, load: float, ambient: float, kick: float, dt_s: float, *, idle_a: float, full_a: float
) -> Drive:
    """Step a drive under a load of 0 (standing) to 1 (design speed).

    The winding warms with the square of the current, 55 K at full load with a time constant of 15 min (IEC 60034
    class B motors are allowed 80 K).
    """
    friction = wander(drive.friction, kick, 120.0, 0.02, dt_s)
    amperes = (idle_a + (full_a - idle_a) * load) * (1.0 + friction) if load > 0.0 else 0.1 * idle_a
    current = lag(drive.current, amperes, 0.8, dt_s)
    rise = 55.0 * (current / full_a) ** 2
    return Drive(friction, current, lag(drive.temperature, ambient + rise, 900.0, dt_s))
