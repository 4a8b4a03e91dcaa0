"""What is on an MQTT broker already: sensors, other gateways, edge nodes of Sparkplug B. It is read, not written.

    devices:
      hall:
        connect: mqtts://reader:${MQTT_PASSWORD}@broker:8883
        asset: packaging/hall
        tags:
          temperature: {topic: hall/t1, unit: Cel}
          humidity: {topic: hall/air, value: $.humidity, time: $.ts, time_unit: ms, unit: "%"}
      filler:                                     # an asset of another gateway
        connect: mqtt://broker
        batch: uns/acme/dresden/packaging/line1/filler
        asset: packaging/line1/filler
        tags:
          temperature: {unit: Cel}
      press:
        connect: mqtt://broker
        sparkplug: plant1/edge7/press
        asset: forming/press
        tags:
          force: {name: Inputs/Force, unit: N}

A device is one connection. What its messages mean is the business of its sources: topics.py, batches.py, sparkplug.py.
All messages that arrived in one turn of the event loop are dealt with together.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from connectors._bus.batches import Batches
from connectors._bus.discover import discover as discover
from connectors._bus.options import DeviceOptions as DeviceOptions
from connectors._bus.options import TagOptions as TagOptions
from connectors._bus.source import COUNTS, Books, Heard, Remarks, Source
from connectors._bus.sparkplug import Sparkplug
from connectors._bus.topics import Topics
from connectors._pace import heed_cancel
from gateway.contracts import Clock, Device, DeviceError, Emit
from gateway.model import Quality
from gateway.mqtt import Mqtt, connect

SCHEMES: Final = ("mqtt", "mqtts")
_WAITING_MAX: Final = 10_000
"""Messages that may wait until the journal has room; further ones are dropped, counted, and missed where numbered."""


def address(options: TagOptions) -> str:
    """Return where a tag comes from, for people."""
    if not options.topic:
        return options.name or "by its name"
    return f"{options.topic} {options.value}" if options.value else options.topic


def connector(device: Device, clock: Clock) -> "Bus":
    """Plan the sources of a device. Raises ValueError for a tag that has none."""
    return Bus(device, clock)


class Bus:
    """Read from one broker. `counts` are explained in docs/operations.md.

    A broker that is away is tried every 5 s at least (`retry_s`); it keeps nobody waiting.
    """

    retry_s = 5.0

    def __init__(self, device: Device, clock: Clock) -> None:
        self._device = device
        self._options: DeviceOptions = device.options
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self._learned: dict[str, Any] = {}
        self._sources = _sources(device, clock, Books(self.counts, Remarks(device.name, self._learned)), self._learned)
        self._waiting: deque[Heard] = deque()
        self._news = asyncio.Event()

    @property
    def learned(self) -> Mapping[str, Any]:
        """What people should know, and which messages of another gateway are in our journal."""
        return self._learned

    async def run(self, emit: Emit) -> None:
        self._waiting.clear()
        for source in self._sources:
            await source.begin()
        async with AsyncExitStack() as stack:
            mqtt = await self._connect(stack)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(mqtt.lost())
                    for source in self._sources:
                        tasks.create_task(self._attend(source, mqtt, emit))
                    await self._hear(emit)
            except BaseExceptionGroup as group:
                raise _first(group) from None

    async def _connect(self, stack: AsyncExitStack) -> Mqtt:
        """Connect. Raises DeviceError if the broker does not let us in, OSError if it is not there."""
        timeout_s = self._options.timeout
        try:
            return await stack.enter_async_context(
                connect(self._device.url, self._options.client_id, timeout_s=timeout_s)
            )
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {timeout_s:g} s") from error
        except ConnectionRefusedError as error:
            if error.errno is None:  # it is there, and says why
                raise DeviceError(str(error), Quality.BAD_USER_ACCESS_DENIED) from error
            raise

    async def _attend(self, source: Source, mqtt: Mqtt, emit: Emit) -> None:
        """Subscribe to the topics of a source, and do what it wants done."""
        async with asyncio.TaskGroup() as tasks:
            for topic in source.filters:
                tasks.create_task(self._subscribe(topic, source, mqtt, emit))
        await source.tend(mqtt, emit)

    async def _subscribe(self, topic: str, source: Source, mqtt: Mqtt, emit: Emit) -> None:
        try:
            await mqtt.subscribe(topic, self._receive)
        except ConnectionRefusedError:
            source.refused(topic, emit)

    def _receive(self, topic: str, payload: bytes, retained: bool) -> None:
        self.counts["messages"] += 1
        if len(self._waiting) < _WAITING_MAX:
            self._waiting.append(Heard(topic, payload, retained))
        else:
            self.counts["messages_dropped"] += 1
        self._news.set()

    async def _hear(self, emit: Emit) -> None:
        """Deal with what comes, for ever; as long as the journal has no room it waits."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._device.room()
            heed_cancel()
            messages = list(self._waiting)
            self._waiting.clear()
            for source in self._sources:
                source.hear(messages, emit)


def _sources(device: Device, clock: Clock, books: Books, learned: dict[str, Any]) -> Sequence[Source]:
    options: DeviceOptions = device.options
    sources: list[Source] = []
    if any(keys.topic for keys in device.tag_options):
        sources.append(Topics(device, clock, books))
    others = [tag.name for tag, keys in zip(device.tags, device.tag_options, strict=True) if not keys.topic]
    if others and not (options.batch or options.sparkplug):
        raise ValueError(f"tag {others[0]} has no topic: give it one, or the device batch or sparkplug")
    if options.batch and others:
        sources.append(Batches(device, clock, books, learned))
    if options.sparkplug and others:
        sources.append(Sparkplug(device, clock, books))
    return sources


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception of a group, however deep in it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
