"""The publisher: records onto the bus in order and confirmed, over the first of its brokers that is there.

Batch messages come from the journal's cursor, so none is lost: a group is written and the cursor moves when the
broker has confirmed all of it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Final
from urllib.parse import urlsplit

import orjson

from gateway.bus.events import event_messages
from gateway.bus.topics import Topics
from gateway.cloudevents import Events
from gateway.contracts import Clock
from gateway.model import Catalog, Record
from gateway.mqtt import PLAIN, Access, Hear, Message, Mqtt, TooLarge, connect
from gateway.mqtt.packets import QOS
from gateway.payload import batch_message, meta_message, timestamp

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
"""How often it is looked whether tags came or went, or devices have said what they are."""

_FAREWELL_S: Final = 2.0
"""How long the end may wait for a broker to hear that we are going; its last will says the same."""

_FILTERS_MAX: Final = 100
"""Topics in one SUBSCRIBE."""

_LOSSES_MAX: Final = 3
"""So often a broker hangs up on the same messages before they are sent one by one, and on one before it is dropped."""


class Publisher:
    """A Sink, and the connection that it and the retained topics share.

    `urls` are brokers in order of preference: the first that is there is taken, and those before it are asked every
    `look_s` whether they are back. `mark` gives what batch messages have as properties, with MQTT 5.
    """

    def __init__(
        self,
        urls: Sequence[str],
        topics: Topics,
        catalog: Catalog,
        boot: int,
        clock: Clock,
        access: Access = PLAIN,
        look_s: float = 60.0,
        mark: Callable[[], bytes] = bytes,
    ) -> None:
        self._urls = urls
        self._access = access
        self._look_s = look_s
        self._mark = mark
        self._topics = topics
        self._catalog = catalog
        self._events = Events(catalog)
        self._boot = boot
        self._clock = clock
        self._mqtt: Mqtt | None = None
        self._up = asyncio.Event()
        self._listeners: list[tuple[Sequence[str], Hear, int]] = []
        self._refused: list[str] = []
        self.connections = 0
        self.messages = 0
        self.too_large = 0
        self._losses = 0
        self._alone: tuple[bytes, int] = (b"", 0)
        self._largest = 0

    def listen(self, topics: Sequence[str], hear: Hear, *, qos: int = QOS) -> None:
        """Subscribe to topics, without wildcards, on every connection to come."""
        self._listeners.append((topics, hear, qos))

    async def run(self, up: Callable[[], None]) -> None:
        """Connect, say that the gateway is online and what its tags are, and stay until the connection is lost.

        `up` is called when a connection stands. Raises OSError when there is none any more.
        """
        while True:
            async with AsyncExitStack() as stack:
                place, mqtt = await self._first(stack)
                try:
                    version = self._catalog.version
                    await self._deliver(mqtt, [self._online(True), *self._meta(self._catalog)])
                    await self._subscribe(mqtt)
                    self._mqtt = mqtt
                    self.connections += 1
                    self._up.set()
                    up()
                    await self._stay(place, mqtt, version)
                    await mqtt.publish([self._online(False)])
                except asyncio.CancelledError:
                    with suppress(TimeoutError, ConnectionError):
                        async with asyncio.timeout(_FAREWELL_S):
                            await mqtt.publish([self._online(False)])
                    raise
                finally:
                    self._mqtt = None
                    self._up.clear()

    async def write(self, records: Sequence[Record]) -> None:
        """Publish each record as one batch message and wait for the broker's word; wait for a broker if need be.

        Events among the readings follow as messages of their own.
        """
        mark = self._mark()
        messages = [message for record in records for message in self._messages(record, mark)]
        try:
            if self._losses < _LOSSES_MAX:
                await self.publish(messages)
            else:
                await self._one_by_one(messages)
        except ConnectionResetError:
            self._losses += 1
            raise
        self._losses = 0
        self._largest = max([self._largest, *(len(message.payload) for message in messages)])

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish over the connection there is, or the next one.

        What is larger than the broker takes is dropped and counted. Raises ConnectionError if the connection is lost
        meanwhile, MessageRefused if the broker does not want one of them.
        """
        while self._mqtt is None:
            await self._up.wait()
        await self._deliver(self._mqtt, messages)
        self.messages += len(messages)

    # --- the broker ---------------------------------------------------------------------

    async def _first(self, stack: AsyncExitStack) -> tuple[int, Mqtt]:
        """The first broker that takes us, and its place. Raises OSError if none does."""
        wrong: list[str] = []
        for place in range(len(self._urls)):
            try:
                return place, await stack.enter_async_context(self._connection(place, will=self._online(False)))
            except OSError as error:
                if len(self._urls) == 1:
                    raise
                wrong.append(f"{urlsplit(self._urls[place]).hostname}: {str(error) or 'no answer in time'}")
        raise ConnectionError(f"no broker takes us: {'; '.join(wrong)}")

    async def _stay(self, place: int, mqtt: Mqtt, version: int) -> None:
        """Say what devices tell of their tags after this version, until a broker that is preferred is back.

        Raises ConnectionError when this one is lost.
        """
        loop = asyncio.get_running_loop()
        look_at = loop.time() + self._look_s
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_LOOK_S, self._look_s)):
                    await mqtt.lost()
            changed, version = self._catalog.changed(version), self._catalog.version
            assets = {self._catalog[number].asset for number in changed}
            if assets:
                said = self._meta(n for n in self._catalog if self._catalog[n].asset in assets)
                gone = {self._topics.meta(asset) for asset in assets} - {message.topic for message in said}
                await self._deliver(mqtt, [*said, *(Message(topic, b"", retain=True) for topic in gone)])
            if loop.time() >= look_at:
                if await self._better(place):
                    return
                look_at = loop.time() + self._look_s

    async def _better(self, place: int) -> bool:
        """Whether a broker that is preferred to the one at this place takes us."""
        for before in range(place):
            with suppress(OSError):
                async with self._connection(before, suffix="-look"):
                    return True
        return False

    async def _subscribe(self, mqtt: Mqtt) -> None:
        """Subscribe where the broker lets us; what it refuses is said once, the rest goes on without."""
        refused: list[str] = []
        for topics, hear, qos in self._listeners:
            for start in range(0, len(topics), _FILTERS_MAX):
                some = topics[start : start + _FILTERS_MAX]
                if await _refused(mqtt, some, hear, qos):
                    refused += [topic for topic in some if await _refused(mqtt, [topic], hear, qos)]
        if refused != self._refused:
            self._refused = refused
            if refused:
                what = ", ".join(refused[:3]) + (f" and {len(refused) - 3} more" if len(refused) > 3 else "")
                log.warning("the broker refuses the subscription to %s; nobody can ask for anything there", what)

    def _connection(
        self, place: int, *, will: Message | None = None, suffix: str = ""
    ) -> AbstractAsyncContextManager[Mqtt]:
        name = f"itot-gateway-{self._topics.gateway}{suffix}"
        return connect(self._urls[place], name, will, access=self._access)

    # --- what it takes ------------------------------------------------------------------

    async def _deliver(self, mqtt: Mqtt, messages: Sequence[Message]) -> None:
        try:
            await mqtt.publish(messages)
        except TooLarge:
            for message in messages:
                try:
                    await mqtt.publish([message])
                except TooLarge as error:
                    self._drop(message, str(error))

    async def _one_by_one(self, messages: Sequence[Message]) -> None:
        """Find the message on which the broker hangs up, for before MQTT 5 it cannot say that one is too large.

        It is one that has been alone in flight each time, and larger than all that it ever confirmed.
        """
        for message in messages:
            payload, losses = self._alone
            if payload == message.payload and losses >= _LOSSES_MAX and len(payload) > self._largest:
                self._drop(message, f"the broker hangs up on a message of {len(payload)} bytes to {message.topic}")
                continue
            try:
                await self.publish([message])
            except ConnectionResetError:
                self._alone = (message.payload, losses + 1 if payload == message.payload else 1)
                raise

    def _drop(self, message: Message, why: str) -> None:
        self.too_large += 1
        log.error("dropped, for the broker will never take it: %s: raise its limit, or split the asset", why)

    # --- what there is to say -------------------------------------------------------------

    def _online(self, online: bool) -> Message:
        return Message(self._topics.status, self._status(online=online), retain=True)

    def _status(self, *, online: bool) -> bytes:
        now = timestamp(self._clock.now_ns())
        return orjson.dumps({"online": online, "gateway": self._topics.gateway, "boot": self._boot, "timestamp": now})

    def _messages(self, record: Record, mark: bytes) -> list[Message]:
        topic = self._topics.batch(self._catalog.assets[record.asset])
        batch = Message(topic, batch_message(record, self._catalog, self._topics.gateway), properties=mark)
        return [batch, *event_messages(record, self._events, self._catalog, self._topics)]

    def _meta(self, numbers: Iterable[int]) -> list[Message]:
        """What these tags are, one message per asset, of which they must be all."""
        by_asset: dict[str, list[int]] = {}
        for number in numbers:
            by_asset.setdefault(self._catalog[number].asset, []).append(number)
        return [
            Message(self._topics.meta(asset), meta_message([self._catalog[n] for n in of_asset]), retain=True)
            for asset, of_asset in by_asset.items()
        ]


async def _refused(mqtt: Mqtt, topics: Sequence[str], hear: Hear, qos: int) -> bool:
    """Subscribe; whether the broker refuses one of the topics."""
    try:
        await mqtt.hear(topics, hear, qos=qos)
    except ConnectionRefusedError:
        return True
    return False
