"""The air around the plant: a day that is warm at three in the afternoon, and weather on top."""

from math import cos, pi
from typing import NamedTuple

from simulators.physics.calendar import DAY_S
from simulators.physics.laws import wander
from simulators.physics.noise import Noise


class Weather(NamedTuple):
    """Outdoor temperature [C], and how far the weather moves it off the daily course [K]."""

    temperature: float
    deviation: float


def daily(week_s: float, mean: float, swing: float) -> float:
    """Return the temperature [C] of the daily course around `mean` [C], `swing` [K] up at three and down at night."""
    return mean + swing * cos(2.0 * pi * (week_s / DAY_S - 15.0 / 24.0))


def step(weather: Weather, course: float, noise: Noise, dt_s: float) -> Weather:
    """Step the weather around the daily course [C]."""
    deviation = wander(weather.deviation, noise.normal(), 4 * 3600.0, 1.5, dt_s)
    return Weather(course + deviation, deviation)
