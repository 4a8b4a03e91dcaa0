"""Sensors: a topic for a value, plain (`23.5`, `true`, a text) or somewhere in a JSON document.

A retained message is what the broker kept, of any age: it is uncertain, and has its source time if it tells one. What
comes with an earlier source time than the last reading is late, the same again is a repetition and left out. All
messages that arrived together are one emission, so a thousand sensors cost what one device does.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from connectors._bus import values
from connectors._bus.options import DeviceOptions, TagOptions
from connectors._bus.source import Books, Heard, without_value
from gateway.contracts import Clock, Device, Emit
from gateway.model import Quality
from gateway.model.quality import BAD
from gateway.mqtt import Mqtt

_PAYLOAD_BYTES_MAX: Final = 1 << 20
"""As large as a value of OPC UA may be."""
_LOOKS: Final = 4
"""How often it is looked within `stale` whether something is."""
_NOT_FRESH: Final = Quality.UNCERTAIN_LAST_USABLE_VALUE
_SILENT: Final = Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE


@dataclass(slots=True)
class _Sensor:
    """A tag and the last reading of it; `heard_s` is when that was, by the clock of the event loop.

    `overtaken` is true when something else has been told since: that it is stale, or cannot be read.
    """

    number: int
    name: str
    keys: TagOptions
    stale_s: float
    time: int = 0
    value: Any = None
    heard_s: float = 0.0
    known: bool = False
    numeric: bool = False
    overtaken: bool = False


@dataclass(frozen=True, slots=True)
class _Reading:
    sensor: _Sensor
    time: int
    value: Any
    quality: int
    late: bool = False


class Topics:
    """The tags of a device that have a topic of their own (a Source)."""

    def __init__(self, device: Device, clock: Clock, books: Books) -> None:
        options: DeviceOptions = device.options
        self._clock = clock
        self._books = books
        self._timeout_s = options.timeout
        self._sensors: dict[str, list[_Sensor]] = {}
        for tag, number, keys in zip(device.tags, device.numbers.tolist(), device.tag_options, strict=True):
            if keys.topic:
                stale_s = keys.stale or options.stale or math.inf
                self._sensors.setdefault(keys.topic, []).append(_Sensor(number, tag.name, keys, stale_s))
        self.filters = list(self._sensors)

    async def begin(self) -> None:
        for sensor in self._all():
            sensor.known = sensor.overtaken = False

    def refused(self, topic: str, emit: Emit) -> None:
        sensors = self._sensors.get(topic, [])
        for sensor in sensors:
            sensor.overtaken = True
            self._books.remarks.say(sensor.name, f"the broker refuses {topic}: let this user read it, in the broker")
        self._emit_bad(sensors, Quality.BAD_USER_ACCESS_DENIED, emit)

    def hear(self, messages: Sequence[Heard], emit: Emit) -> None:
        readings = [r for message in messages if message.topic in self._sensors for r in self._readings(message)]
        for late in (False, True):
            if some := [reading for reading in readings if reading.late is late]:
                emit(*values.rows([(r.sensor.number, r.time, r.value, r.quality) for r in some], late=late))

    async def tend(self, mqtt: Mqtt, emit: Emit) -> None:
        """Say after `timeout` of which tags nothing came, and then, again and again, which have become stale."""
        await asyncio.sleep(self._timeout_s)
        silent = [sensor for sensor in self._all() if not sensor.known and not sensor.overtaken]
        for sensor in silent:
            what = f"nothing came on {sensor.keys.topic} within {self._timeout_s:g} s: see what gateway discover hears"
            self._books.remarks.say(sensor.name, what)
        self._emit_bad(silent, Quality.BAD_WAITING_FOR_INITIAL_DATA, emit)
        shortest_s = min((sensor.stale_s for sensor in self._all()), default=math.inf)
        while shortest_s < math.inf:
            await asyncio.sleep(shortest_s / _LOOKS)
            self._tell_stale(emit)

    def _tell_stale(self, emit: Emit) -> None:
        now_s = asyncio.get_running_loop().time()
        some = [s for s in self._all() if s.known and not s.overtaken and now_s - s.heard_s > s.stale_s]
        if not some:
            return
        for sensor in some:
            sensor.overtaken = True
        self._books.counts["stale"] += len(some)
        emit(*values.rows([(s.number, s.time, s.value, _SILENT) for s in some], late=False))

    # --- a message ------------------------------------------------------------------------

    def _readings(self, message: Heard) -> list[_Reading]:
        """What a message says of its tags; those of which it says the same as before are left out."""
        now_ns = self._clock.now_ns()
        self._books.counts["retained"] += message.retained
        sensors = self._sensors[message.topic]
        if len(message.payload) > _PAYLOAD_BYTES_MAX:
            self._books.counts["too_large"] += 1
            what = f"a message on {message.topic} has {len(message.payload)} bytes; the most is 1 MiB"
            for sensor in sensors:
                sensor.overtaken = True
                self._books.remarks.say(sensor.name, what)
            return [_Reading(s, now_ns, None, Quality.BAD_ENCODING_LIMITS_EXCEEDED) for s in sensors]
        readings = [self._reading(sensor, message, now_ns) for sensor in sensors]
        return [reading for reading in readings if reading is not None]

    def _reading(self, sensor: _Sensor, message: Heard, now_ns: int) -> _Reading | None:
        try:
            reading = _read(sensor, message, now_ns)
        except ValueError as error:
            sensor.overtaken = True
            self._books.counts["malformed"] += 1
            self._books.remarks.say(sensor.name, f"a message on {message.topic} is not used: {error}")
            return _Reading(sensor, now_ns, None, Quality.BAD_DECODING_ERROR)
        self._books.remarks.over(sensor.name)
        sensor.heard_s = asyncio.get_running_loop().time()
        timed = sensor.keys.time is not None and sensor.known
        if timed and reading.time == sensor.time and values.same(reading.value, sensor.value) and not sensor.overtaken:
            self._books.counts["repeated"] += 1
            return None
        if timed and reading.time < sensor.time:
            self._books.counts["late"] += 1
            return _Reading(sensor, reading.time, reading.value, reading.quality, late=True)
        sensor.overtaken = bool(reading.quality >= BAD)
        if not sensor.overtaken:
            sensor.known, sensor.time, sensor.value = True, reading.time, reading.value
            sensor.numeric = sensor.numeric or isinstance(reading.value, float)
        return reading

    def _emit_bad(self, sensors: Sequence[_Sensor], quality: Quality, emit: Emit) -> None:
        if sensors:
            tags = np.array([sensor.number for sensor in sensors], np.uint32)
            emit(without_value(tags, self._clock.now_ns(), quality))

    def _all(self) -> list[_Sensor]:
        return [sensor for sensors in self._sensors.values() for sensor in sensors]


def _read(sensor: _Sensor, message: Heard, now_ns: int) -> _Reading:
    """What a message says of a tag. Raises ValueError saying what is wrong with it."""
    keys = sensor.keys
    if keys.value or keys.time or keys.status:
        said = values.document(message.payload)
        value = keys.value.find(said) if keys.value else said
    elif keys.type == "text":
        said, value = None, values.text(message.payload)
    else:
        said = value = values.plain(message.payload)
    value = values.converted(value, keys.type)
    if keys.type == "auto" and sensor.numeric and isinstance(value, str):
        raise ValueError(f"{values.shown(value)} is no number, and its values have been")
    time = values.time_ns(keys.time.find(said), keys.time_unit) if keys.time else now_ns
    code = _status(keys.status.find(said, None)) if keys.status else Quality.GOOD
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return _Reading(sensor, time, None, code if code >= BAD else Quality.BAD_NO_DATA_AVAILABLE)
    return _Reading(sensor, time, value, code or (_NOT_FRESH if message.retained else Quality.GOOD))


def _status(code: Any) -> int:
    if code is None:
        return Quality.GOOD
    if type(code) is not int or not 0 <= code < 1 << 32:
        raise ValueError(f"{values.shown(code)} is no StatusCode")
    return code
