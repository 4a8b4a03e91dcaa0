"""The panel: turns what is true into what instruments show. Range, resolution, noise, and sensors at fault.

A reading is a pure function of the truth, the seed and the moment; looking twice, or not at all, changes nothing.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulators.instruments import INSTRUMENTS, SENSORS
from simulators.physics.noise import at_moment

_ALL: Final = [item for items in INSTRUMENTS.values() for item in items]
_LOW: Final = np.array([item.low for item in _ALL])
_HIGH: Final = np.array([item.high for item in _ALL])
_NOISE: Final = np.array([item.noise for item in _ALL])
_RESOLUTION: Final = np.array([item.resolution for item in _ALL])
_DECIMALS: Final = [max(0, round(-np.log10(item.resolution))) for item in _ALL]
_INDEX: Final = {sensor: i for i, sensor in enumerate(SENSORS)}

Truth = Mapping[str, Mapping[str, float]]


def show(
    truth: Truth, *, key: int, moment: int, drifts: Mapping[str, float], stuck: Mapping[str, float]
) -> dict[str, float]:
    """Return what every sensor (`device/name`) shows at a moment, from the true values by device and name.

    `drifts` are offsets in shares of the range, `stuck` the values that do not move any more.
    """
    values = np.array([truth[device][item.name] for device, items in INSTRUMENTS.items() for item in items])
    noise = _NOISE * at_moment(key, moment).standard_normal(len(values))
    values += np.where(values == 0.0, 0.0, noise)  # what stands still, or is off, makes no noise
    for sensor, share in drifts.items():
        i = _INDEX[sensor]
        values[i] += share * (_HIGH[i] - _LOW[i])
    shown = dict(zip(SENSORS, _quantised(values), strict=True))
    return shown | dict(stuck)


def _quantised(values: NDArray[np.float64]) -> list[float]:
    """Return the values as the last digit of each instrument allows, without binary crumbs."""
    steps = np.rint(np.clip(values, _LOW, _HIGH) / _RESOLUTION) * _RESOLUTION
    return [round(value, digits) for value, digits in zip(steps.tolist(), _DECIMALS, strict=True)]
