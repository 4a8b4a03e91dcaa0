"""The publisher: records onto the bus in order and confirmed, and the latest value of each tag retained.

Batch messages come from the journal's cursor, so none is lost: a group is written and the cursor moves when the
broker has confirmed all of it. Retained topics are a view of the latest table instead: what matters of them is how
things are now, so after an outage only that is sent.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.bus.events import event_messages, event_tags
from gateway.bus.mqtt import Message, Mqtt, Receive, connect
from gateway.bus.topics import Topics
from gateway.contracts import Clock
from gateway.latest import Latest
from gateway.mailbox import Mailbox
from gateway.model import Batch, Catalog, Kind, Record
from gateway.payload import batch_message, meta_message, tag_messages, timestamps

log = logging.getLogger(__name__)

_PASS_S = 0.05
"""Retained topics are looked at no more often than this, whatever the plant does."""

_PASS_MESSAGES_MAX = 100
"""A retained message costs a broker some 0.05 ms, so this bounds what retained topics can take of a core."""

_LOOK_S: Final = 1.0
"""How often it is looked whether tags came or went, or devices have said what they are."""

_FAREWELL_S = 2.0
"""How long the end may wait for a broker to hear that we are going; its last will says the same."""


class Publisher:
    """A Sink, and the connection that it and the retained topics share. `run` is the life of one connection."""

    def __init__(self, urls: Sequence[str], topics: Topics, catalog: Catalog, boot: int, clock: Clock) -> None:
        self._urls = itertools.cycle(urls)
        self._topics = topics
        self._catalog = catalog
        self._is_event = event_tags(catalog)
        self._generation = catalog.generation
        self._boot = boot
        self._clock = clock
        self._mqtt: Mqtt | None = None
        self._up = asyncio.Event()
        self._receivers: dict[str, Receive] = {}
        self._refused: set[str] = set()
        self.connections = 0
        self.messages = 0

    def listen(self, topic: str, receive: Receive) -> None:
        """Subscribe to a topic, without wildcards, on every connection to come."""
        self._receivers[topic] = receive

    async def run(self, up: Callable[[], None]) -> None:
        """Connect, say that the gateway is online and what its tags are, and stay until the connection is lost.

        `up` is called when the connection stands. Raises OSError when there is none any more.
        """
        will = Message(self._topics.status, self._status(online=False), retain=True)
        async with connect(next(self._urls), f"itot-gateway-{self._topics.gateway}", will) as mqtt:
            version = self._catalog.version
            status = Message(self._topics.status, self._status(online=True), retain=True)
            await mqtt.publish([status, *self._meta(self._catalog)])
            await self._subscribe(mqtt)
            self._mqtt = mqtt
            self.connections += 1
            self._up.set()
            up()
            try:
                await self._stay(mqtt, version)
            except asyncio.CancelledError:
                with suppress(TimeoutError, ConnectionError):
                    async with asyncio.timeout(_FAREWELL_S):
                        await mqtt.publish([will])
                raise
            finally:
                self._mqtt = None
                self._up.clear()

    async def write(self, records: Sequence[Record]) -> None:
        """Publish each record as one batch message and wait for the broker's word; wait for a broker if need be.

        Events among the readings follow as messages of their own.
        """
        await self.publish([message for record in records for message in self._messages(record)])

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish over the connection there is, or the next one. Raises ConnectionError if it is lost meanwhile."""
        while self._mqtt is None:
            await self._up.wait()
        await self._mqtt.publish(messages)
        self.messages += len(messages)

    def _messages(self, record: Record) -> list[Message]:
        if self._generation != self._catalog.generation:
            self._is_event, self._generation = event_tags(self._catalog), self._catalog.generation
        topic = self._topics.batch(self._catalog.assets[record.asset])
        batch = Message(topic, batch_message(record, self._catalog, self._topics.gateway))
        return [batch, *event_messages(record, self._is_event, self._catalog, self._topics)]

    async def _stay(self, mqtt: Mqtt, version: int) -> None:
        """Say what becomes of the tags after this version. Raises ConnectionError when the broker is lost."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await mqtt.lost()
            changed, version = self._catalog.changed(version), self._catalog.version
            assets = {self._catalog[number].asset for number in changed}
            if assets:
                said = self._meta(n for n in self._catalog if self._catalog[n].asset in assets)
                gone = {self._topics.meta(asset) for asset in assets} - {message.topic for message in said}
                await mqtt.publish([*said, *(Message(topic, b"", retain=True) for topic in gone)])

    async def _subscribe(self, mqtt: Mqtt) -> None:
        """Subscribe where the broker lets us; what it refuses is said once, the rest goes on without."""
        for topic in self._receivers:
            try:
                await mqtt.subscribe(topic, self._received)
            except ConnectionRefusedError:
                if topic not in self._refused:
                    log.warning("the broker refuses the subscription to %s; nobody can ask for anything there", topic)
                self._refused.add(topic)

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:
        if topic in self._receivers:
            self._receivers[topic](topic, payload, retained)

    def _status(self, *, online: bool) -> bytes:
        (now,) = timestamps(np.array([self._clock.now_ns()]))
        return orjson.dumps({"online": online, "gateway": self._topics.gateway, "boot": self._boot, "timestamp": now})

    def _meta(self, numbers: Iterable[int]) -> list[Message]:
        """What these tags are, one message per asset, of which they must be all."""
        by_asset: dict[str, list[int]] = {}
        for number in numbers:
            by_asset.setdefault(self._catalog[number].asset, []).append(number)
        return [
            Message(self._topics.meta(asset), meta_message([self._catalog[n] for n in of_asset]), retain=True)
            for asset, of_asset in by_asset.items()
        ]


class Retained:
    """Keeps one retained topic per tag at its latest value: by exception, with deadband, and not too often.

    A change that a later one overtakes before its turn is never sent; the batch messages have it. The topic of a tag
    that was removed is cleared, and again on each new connection, for nobody knows what its broker has.
    """

    def __init__(
        self, publisher: Publisher, topics: Topics, catalog: Catalog, latest: Latest, interval_s: float
    ) -> None:
        self.mailbox = Mailbox(1)
        self._publisher = publisher
        self._topics = topics
        self._catalog = catalog
        self._latest = latest
        self._interval_s = interval_s
        self._generation = -1
        self._deadband: NDArray[np.float64] = np.zeros(0)
        self._connection = 0
        self._seen = 0
        self._sent = Latest()
        self._sent_at: NDArray[np.float64] = np.zeros(0)
        self._pending = np.zeros(0, np.bool_)

    async def run(self, up: Callable[[], None]) -> None:
        """Publish what changes, for ever; after a lost connection, everything anew."""
        up()
        while True:
            if self._connection != self._publisher.connections:
                self._forget()
            try:
                await self._publish_due()
            except ConnectionError:
                self._forget()
            await asyncio.sleep(_PASS_S)
            if not self._pending.any():
                with suppress(TimeoutError):  # a tag that is removed says nothing
                    async with asyncio.timeout(_LOOK_S):
                        await self.mailbox.take()

    async def _publish_due(self) -> None:
        now = asyncio.get_running_loop().time()
        self._look()
        due = np.flatnonzero(self._pending & (now - self._sent_at >= self._interval_s)).astype(np.uint32)
        due = due[np.argsort(self._sent_at[due], kind="stable")][:_PASS_MESSAGES_MAX]
        if len(due) == 0:
            return
        batches = self._latest.read(due)
        await self._publisher.publish([message for batch in batches for message in self._messages(batch)])
        self._pending[due] = False
        self._sent_at[due] = now
        for batch in batches:
            self._sent.update(batch)

    def _look(self) -> None:
        """Mark the tags that differ from what was sent."""
        if self._generation != self._catalog.generation:
            self._look_around()
        new = self._latest.changed(self._seen)
        self._seen = self._latest.now
        if len(new):
            self._pending[new] |= _differs(self._latest, self._sent, new, self._deadband)
            self._pending[new] |= ~self._catalog.configured[new]

    def _look_around(self) -> None:
        """Take note of the tags there are now."""
        self._generation = self._catalog.generation
        more = len(self._catalog) - len(self._pending)
        self._sent.grow(len(self._catalog))
        self._sent_at = np.append(self._sent_at, np.full(more, -np.inf))
        self._pending = np.append(self._pending, np.zeros(more, np.bool_))
        self._deadband = np.array([tag.deadband for tag in self._catalog.tags])

    def _messages(self, batch: Batch) -> list[Message]:
        there = self._catalog.configured[batch.tag]
        batch, gone = batch.where(there), batch.tag[~there]
        tags = [self._catalog[number] for number in batch.tag.tolist()]
        said = [(tag, payload) for tag, payload in tag_messages(batch, tags)]
        said += [(self._catalog[number], b"") for number in gone.tolist()]
        return [Message(self._topics.tag(tag.path), payload, retain=True) for tag, payload in said]

    def _forget(self) -> None:
        self._connection = self._publisher.connections
        self._seen = 0
        self._sent = Latest(len(self._catalog))
        self._sent_at[:] = -np.inf
        self._pending[:] = False


def _differs(now: Latest, sent: Latest, tag: NDArray[np.uint32], deadband: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a reading is worth a message: another quality, another kind, or a value beyond the deadband."""
    other = (now.quality[tag] != sent.quality[tag]) | (now.kind[tag] != sent.kind[tag])
    number = now.kind[tag] == Kind.FLOAT
    with np.errstate(invalid="ignore"):
        far = np.abs(now.bits[tag].view(np.float64) - sent.bits[tag].view(np.float64)) > deadband[tag]
    moved = np.where(number, far, now.bits[tag] != sent.bits[tag])
    text = now.kind[tag] == Kind.OBJECT
    if text.any():
        moved[text] = [_unlike(a, b) for a, b in zip(now.object[tag[text]], sent.object[tag[text]], strict=True)]
    different: NDArray[np.bool_] = other | moved
    return different


def _unlike(a: object, b: object) -> bool:
    return isinstance(a, np.ndarray) or a != b
