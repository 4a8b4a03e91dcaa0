"""The lines of a bearing over time: each spectrum with the speed that there was, amplitudes and their trends.

A spectrum waits until the speed of its time is known: until a reading of the speed comes that is not older than it, or
a spectrum that is `_LATE_NS` younger, for a speed may tell its changes only; no more than `_WAITING_MAX` wait. The
speed is the last good one at or before its time. A shaft that turns too slowly for two lines to be told apart has none.

The trend is the slope of the logarithm of the amplitude over time, by least squares over the last spectra: damage feeds
on itself, so it grows by a share of what it is.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Quality
from gateway.model.batch import objects
from gateway.signals._data_manipulation.bearing import FAULTS, Bearing, lines

_LATE_NS: Final = 2_000_000_000
_WAITING_MAX: Final = 16
_SPEEDS_MAX: Final = 4096
_TREND: Final = 60
"""Spectra that a trend is read off, and half as many that it needs at least."""
_DAY_NS: Final = 86_400e9
_APART: Final = 2.0
"""A turn of the shaft is so many lines at least."""


class Lines:
    """The spectra that wait, the speeds they wait for, and the latest amplitudes."""

    def __init__(
        self,
        bearing: Bearing,
        sample_rate_hz: float,
        speed: int | None,
        to_hz: float,
        outputs: Mapping[str, int],
    ) -> None:
        self.speed = speed
        self._bearing, self._rate_hz, self._to_hz = bearing, sample_rate_hz, to_hz
        self._outputs = dict(outputs)
        self._waiting: list[tuple[int, NDArray[np.float64], float]] = []
        self._speed_time = np.empty(0, np.int64)
        self._speed_hz = np.empty(0)
        self._time = np.empty(0, np.int64)
        self._logs = np.empty((0, len(FAULTS)))

    def turn(self, batch: Batch) -> Sequence[Batch]:
        """Take readings of the speed and return what was waiting for them; a bad one says that it is not known."""
        if not len(batch):
            return ()
        hertz = np.where(batch.good, batch.value.astype(np.float64) * self._to_hz, np.nan)
        time, hertz = np.append(self._speed_time, batch.time), np.append(self._speed_hz, np.abs(hertz))
        order = np.argsort(time, kind="stable")[-_SPEEDS_MAX:]
        self._speed_time, self._speed_hz = time[order], hertz[order]
        return self._told(int(time.max()))

    def look(self, time: NDArray[np.int64], spectra: NDArray[np.float64], samples: int) -> Sequence[Batch]:
        """Take spectra of squared envelopes, shape (k, m), of waveforms with so many samples; return what is known."""
        found: list[Batch] = []
        for one, spectrum in zip(time.tolist(), spectra, strict=True):
            self._waiting.append((one, spectrum, self._rate_hz / samples))
            newest = int(self._speed_time[-1]) if len(self._speed_time) else one - _LATE_NS
            found += self._told(max(newest, one - _LATE_NS) if self.speed is not None else one)
        return found

    def _told(self, until_ns: int) -> Sequence[Batch]:
        """Answer what waits and is not younger than this."""
        late = len(self._waiting) - _WAITING_MAX
        ready = [row for i, row in enumerate(self._waiting) if row[0] <= until_ns or i < late]
        self._waiting = [row for i, row in enumerate(self._waiting) if row[0] > until_ns and i >= late]
        return [batch for row in ready for batch in self._looked(*row)]

    def _looked(self, time_ns: int, spectrum: NDArray[np.float64], step_hz: float) -> Sequence[Batch]:
        shaft_hz = self._to_hz
        if self.speed is not None:
            at = int(np.searchsorted(self._speed_time, time_ns, "right")) - 1
            shaft_hz = float(self._speed_hz[at]) if at >= 0 else np.nan
        if not shaft_hz >= _APART * step_hz:
            return ()
        found, floor = lines(spectrum, step_hz, self._bearing, shaft_hz)
        amplitudes = np.array([found[fault].amplitude for fault in FAULTS])
        trends = self._trends(time_ns, np.log(np.maximum(amplitudes, max(floor, np.finfo(np.float64).tiny))))
        evidence: dict[str, Any] = {fault: dataclasses.asdict(line) for fault, line in found.items()}
        evidence |= {"shaft_hertz": shaft_hz, "noise_floor": floor}
        known = [(fault, x) for fault, x in zip((f"{one}_trend" for one in FAULTS), trends, strict=True) if x == x]
        told = [*zip(FAULTS, amplitudes.tolist(), strict=True), *known]
        tags, values = [self._outputs[role] for role, _ in told], [value for _, value in told]
        return [
            Batch.of(tags, time_ns, np.array(values), Quality.GOOD),
            Batch.of([self._outputs["lines"]], time_ns, objects([evidence]), Quality.GOOD),
        ]

    def _trends(self, time_ns: int, logs: NDArray[np.float64]) -> list[float]:
        """The slope of each logarithm per day; NaN as long as there are too few."""
        self._time = np.append(self._time, time_ns)[-_TREND:]
        self._logs = np.vstack([self._logs, logs])[-_TREND:]
        days = (self._time - self._time[-1]) / _DAY_NS
        days -= days.mean()
        square = float(days @ days)
        if len(days) < _TREND // 2 or square == 0:
            return [np.nan] * len(logs)
        slopes: list[float] = (days @ (self._logs - self._logs.mean(axis=0)) / square).tolist()
        return slopes
