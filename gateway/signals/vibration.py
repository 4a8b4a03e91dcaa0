"""Vibration features of an acceleration waveform (ISO 13374-2, data manipulation).

    signals:
      bearing: {type: vibration, input: utilities/pump1/vibration/waveform, sample_rate: 16000}

From each waveform x of n samples in m/s2, its mean removed:

    rms           sqrt(mean x^2)                                   m/s2
    kurtosis      mean x^4 / (mean x^2)^2                          1; 3 for noise, more for impacts
    crest_factor  max |x| / rms                                    1
    velocity      rms of the velocity, 10..1000 Hz                 mm/s (ISO 20816-1, 4.2.2)

The velocity comes from the spectrum: integrating divides a line of angular frequency w by w, and by Parseval's
theorem the mean square is the sum over the lines, so no filter has to settle.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gateway.model import Batch, Catalog, Kind, Quality, Tag

_BAND_HZ: Final = (10.0, 1000.0)
_STILL: Final = 1e-12
"""Less than this share of its mean is the rounding of numbers, not the motion of a machine."""
_UNITS: Final = {"rms": "m/s2", "kurtosis": "1", "crest_factor": "1", "velocity": "mm/s"}


class Options(BaseModel):
    """Keys of a vibration signal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str = Field(description="path of the tag with the waveform, acceleration in m/s2")
    sample_rate: float = Field(gt=0, le=1e6, description="samples per second")


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return {
        role: Tag(asset, f"_maintenance/{name}_{role}", unit=unit, description=f"{role} of {options.input}")
        for role, unit in _UNITS.items()
    }


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> "Vibration":
    return Vibration(catalog.number(options.input), options.sample_rate, [outputs[role] for role in _UNITS])


class Vibration:
    """One waveform in, four features out, at the same time and with the same quality."""

    def __init__(self, waveform: int, sample_rate_hz: float, outputs: Sequence[int]) -> None:
        self.inputs = np.array([waveform], dtype=np.uint32)
        self._outputs = np.array(outputs, dtype=np.uint32)
        self._rate_hz = sample_rate_hz

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Return the features of each good waveform; readings that are none are passed over."""
        good = batch.where(batch.good) if batch.kind is Kind.OBJECT else batch.where(np.zeros(len(batch), np.bool_))
        return [
            Batch.of(self._outputs, time, np.array(features(x, self._rate_hz)), Quality.GOOD)
            for x, time in zip(good.value, good.time.tolist(), strict=True)
            if isinstance(x, np.ndarray) and len(x) > 1 and np.isfinite(x).all()
        ]


def features(x: NDArray[Any], sample_rate_hz: float) -> tuple[float, float, float, float]:
    """Return rms [m/s2], kurtosis [1], crest factor [1] and velocity [mm/s] of a waveform in m/s2, shape (n,).

    A waveform that does not move has kurtosis 3 and crest factor 1: there is nothing unusual about it.
    """
    mean = float(np.mean(x, dtype=np.float64))
    x = np.asarray(x, np.float64) - mean
    square = x * x
    power = float(square.mean())
    if power <= (_STILL * mean) ** 2:
        return 0.0, 3.0, 1.0, 0.0
    velocity = velocity_rms(x, sample_rate_hz)
    rms = float(np.sqrt(power))
    return rms, float((square * square).mean()) / power**2, float(np.abs(x).max()) / rms, velocity


def velocity_rms(x: NDArray[np.float64], sample_rate_hz: float, band_hz: tuple[float, float] = _BAND_HZ) -> float:
    """Return the rms velocity in mm/s within a band, of an acceleration in m/s2, shape (n,)."""
    n = len(x)
    lines = np.fft.rfft(x)
    hertz = np.fft.rfftfreq(n, 1 / sample_rate_hz)
    band = (hertz >= band_hz[0]) & (hertz <= band_hz[1])
    velocity = np.abs(lines[band]) / (2 * np.pi * hertz[band])
    return float(1000 * np.sqrt(2 * np.sum(velocity**2)) / n)
