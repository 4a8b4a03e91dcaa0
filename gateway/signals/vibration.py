"""Vibration of a machine: features of a waveform, lines of its bearing, zone of severity (ISO 13374-2).

    signals:
      bearing: {type: vibration, input: utilities/pump1/vibration/waveform, sample_rate: 16000}
      drive_end:
        {type: vibration, input: utilities/pump1/vibration/waveform, sample_rate: 16000, group: 2, support: rigid,
         bearing: {elements: 9, diameter: 11.906, pitch: 60}, speed: utilities/pump1/speed}
      casing: {type: vibration, input: utilities/fan3/velocity, group: 1, support: flexible}

A waveform is one of acceleration and becomes features (_data_manipulation/waveform.py), at its own time. With `group`
and `support` its velocity has a zone of ISO 20816-3 (_state_detection/zones.py); so has an input that is an rms value
of its own, in mm/s or um. Without both no zone is named: the limits depend on them. The alarm is on in zones C and D.

With the geometry of a bearing and the speed of its shaft the envelope is looked at for the lines of damage
(_data_manipulation/bearing.py, _lines.py): their amplitudes, the trend of each, and as one object all that was found.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.model import Batch, Catalog, Kind, Quality, Tag
from gateway.model.unit import Unit, unit
from gateway.signals._data_manipulation.bearing import FAULTS, Bearing
from gateway.signals._data_manipulation.waveform import features, features_and_envelope
from gateway.signals._lines import Lines
from gateway.signals._state_detection.zones import LETTERS, Group, Support, Zones, limits

_UNITS: Final = {"rms": "m/s2", "kurtosis": "1", "crest_factor": "1", "velocity": "mm/s"}
_VELOCITY: Final = 3
_RPM_MAX: Final = 1e6
_WINDOWS_MAX: Final = 64
"""Waveforms that are computed at once; of 100,000 samples they take 50 MB."""


class Options(BaseModel):
    """Keys of a vibration signal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str = Field(description="path of the tag with the waveform, acceleration; or with an rms value, mm/s or um")
    sample_rate: float | None = Field(default=None, gt=0, le=1e6, description="samples per second of a waveform")
    group: Group | None = Field(default=None, description="1: more than 300 kW, 2: 15 to 300 kW (ISO 20816-3)")
    support: Support | None = Field(default=None, description="of the machine: rigid or flexible (ISO 20816-3)")
    bearing: Bearing | None = Field(default=None, description="its elements, diameter, pitch, contact")
    speed: str | float | None = Field(
        default=None, description="path of the tag with the speed of the shaft, {rev}/min or Hz; or a number in r/min"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.group is None) is not (self.support is None):
            raise ValueError("group and support go together: give both, or none for no zone")
        if (self.bearing is None) is not (self.speed is None):
            raise ValueError("bearing and speed go together: give both, or none for no lines")
        if isinstance(self.speed, float) and not 0 < self.speed <= _RPM_MAX:
            raise ValueError("speed is a path, or a number of turns per minute above 0")
        if self.sample_rate is None and (self.bearing is not None or self.group is None):
            raise ValueError("give sample_rate for a waveform, or group and support for an rms value")
        return self


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    found = {}
    of = f"of {options.input}"
    if options.sample_rate is not None:
        for role, code in _UNITS.items():
            found[role] = Tag(asset, f"_maintenance/{name}_{role}", unit=code, description=f"{role} {of}")
    if options.group is not None:
        zone = f"zone of ISO 20816-3, group {options.group}, {options.support}, {of}"
        labels = dict(enumerate(LETTERS))
        found["zone"] = Tag(asset, f"_maintenance/{name}_zone", description=zone, labels=labels)
        found["alarm"] = Tag(asset, f"_alarm/{name}", description=f"{zone}, is C or D")
    if options.bearing is not None:
        for fault in FAULTS:
            line = f"_maintenance/{name}_{fault}"
            found[fault] = Tag(asset, line, unit="m/s2", description=f"{fault} in the envelope {of}")
            found[f"{fault}_trend"] = Tag(asset, f"{line}_trend", unit="/d", description=f"relative growth of {fault}")
        found["lines"] = Tag(asset, f"_maintenance/{name}_lines", description=f"bearing lines {of}, as found")
    return found


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> "Vibration":
    """Raises ValueError for an input whose unit is none of what it has to be."""
    number = catalog.number(options.input)
    code = catalog[number].unit
    scale, zones, lines = 1.0, None, None
    if options.sample_rate is not None:
        scale = _factor(code or "m/s2", "m/s2", f"{options.input} is to be a waveform of acceleration")
    if options.group is not None and options.support is not None:
        measured = unit("mm/s") if options.sample_rate is not None else _known(code, options.input)
        try:
            zones = Zones(limits(options.group, options.support, measured))
        except ValueError as error:
            raise ValueError(f"{options.input} is in {code}: {error}") from None
    if options.bearing is not None and options.sample_rate is not None:
        speed, to_hz = _speed(options.speed, catalog)
        told = {role: outputs[role] for role in ("lines", *FAULTS, *(f"{fault}_trend" for fault in FAULTS))}
        lines = Lines(options.bearing, options.sample_rate, speed, to_hz, told)
    return Vibration(number, options.sample_rate, outputs, scale=scale, zones=zones, lines=lines)


def _factor(code: str, wanted: str, what: str) -> float:
    try:
        return unit(code).to(unit(wanted))[0]
    except ValueError:
        raise ValueError(f"{what}, but its unit is {code}: write one such as unit: {wanted}") from None


def _known(code: str, path: str) -> Unit:
    if not code:
        raise ValueError(f"{path} has no unit, and zones depend on it: write unit: mm/s or unit: um")
    return unit(code)


def _speed(speed: str | float | None, catalog: Catalog) -> tuple[int | None, float]:
    """The tag with the speed and the factor that makes hertz of it; without a tag the speed itself in hertz."""
    if not isinstance(speed, str):
        return None, (speed or 0.0) / 60
    number = catalog.number(speed)
    return number, _factor(catalog[number].unit or "{rev}/min", "Hz", f"{speed} is to be a speed")


class Vibration:
    """Waveforms or values in; features, zones and lines out, at the same time."""

    def __init__(
        self,
        measured: int,
        sample_rate_hz: float | None,
        outputs: Mapping[str, int],
        *,
        scale: float = 1.0,
        zones: Zones | None = None,
        lines: Lines | None = None,
    ) -> None:
        speed = lines.speed if lines is not None else None
        self.inputs = np.array([measured] if speed is None else [measured, speed], np.uint32)
        self._measured = measured
        self._rate_hz = sample_rate_hz
        self._outputs = dict(outputs)
        self._features = np.array([outputs[role] for role in _UNITS if role in outputs], np.uint32)
        self._scale = scale
        self._zones, self._lines = zones, lines
        self._alarm: bool | None = None

    @property
    def waveform(self) -> int | None:
        return None if self._rate_hz is None else self._measured

    def spectrum(self, samples: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return the squared envelope's amplitudes in (m/s2)^2, and their distance in hertz."""
        rate_hz = self._rate_hz or np.nan
        _, (envelope,) = features_and_envelope(self._scale * samples[None, :], rate_hz)
        return envelope, rate_hz / len(samples)

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Answer each good reading of the kind that the input has; others are passed over."""
        found: list[Batch] = []
        if batch.kind is not Kind.OBJECT and self._lines is not None:
            found += self._lines.turn(batch.where(batch.tag == self._lines.speed))
        good = batch.where(batch.good & (batch.tag == self._measured))
        if self._rate_hz is not None and good.kind is Kind.OBJECT:
            whole = [isinstance(x, np.ndarray) and len(x) > 1 and bool(np.isfinite(x).all()) for x in good.value]
            found += self._waveforms(good.where(np.array(whole, np.bool_)), self._rate_hz)
        elif self._rate_hz is None and good.kind is not Kind.OBJECT:
            finite = good.where(np.isfinite(good.value))
            found += self._severity(finite.time, finite.value.astype(np.float64))
        return found

    def _waveforms(self, batch: Batch, rate_hz: float) -> list[Batch]:
        """Those that lie together and are of one length are computed at once."""
        found: list[Batch] = []
        edges = [0, *(np.flatnonzero(np.diff([len(x) for x in batch.value])) + 1).tolist(), len(batch)]
        cuts = [at for a, b in itertools.pairwise(edges) for at in range(a, b, _WINDOWS_MAX)] + [len(batch)]
        for begin, end in itertools.pairwise(cuts):
            x, time = self._scale * np.array(batch.value[begin:end].tolist(), np.float64), batch.time[begin:end]
            if self._lines is None:
                several = features(x, rate_hz)
            else:
                several, envelopes = features_and_envelope(x, rate_hz)
                found += self._lines.look(time, envelopes, x.shape[1])
            found.append(_table(self._features, time, several))
            found += self._severity(time, several[:, _VELOCITY])
        return found

    def _severity(self, time: NDArray[np.int64], values: NDArray[np.float64]) -> list[Batch]:
        if self._zones is None or not len(values):
            return []
        zone = self._zones.of(values)
        alarm = zone >= LETTERS.index("C")
        before = [self._alarm, *alarm.tolist()]
        changed = np.array(
            [i for i, (one, then) in enumerate(zip(alarm.tolist(), before, strict=False)) if one is not then]
        )
        self._alarm = bool(alarm[-1])
        n = len(changed)
        return [
            Batch.of([self._outputs["zone"]] * len(zone), time, zone, Quality.GOOD),
            *([Batch.of([self._outputs["alarm"]] * n, time[changed], alarm[changed], Quality.GOOD)] if n else []),
        ]


def _table(tags: NDArray[np.uint32], time: NDArray[np.int64], values: NDArray[np.float64]) -> Batch:
    """Rows of values of these tags, shape (rows, tags), as readings."""
    return Batch.of(np.tile(tags, len(time)), np.repeat(time, len(tags)), values.ravel(), Quality.GOOD)
