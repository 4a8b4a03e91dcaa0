"""Retained topics: the latest value of each tag, for whoever looks at the bus and wants to know how things are.

They are a view of the latest table: what matters of them is how things are now, so after an outage only that is sent.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from gateway.bus.publisher import Publisher
from gateway.bus.topics import Topics
from gateway.latest import Latest
from gateway.mailbox import Mailbox
from gateway.model import Batch, Catalog, Kind
from gateway.mqtt import Message
from gateway.payload import tag_messages

_PASS_S = 0.05
"""Retained topics are looked at no more often than this, whatever the plant does."""

_PASS_MESSAGES_MAX = 100
"""A retained message costs a broker some 0.05 ms, so this bounds what retained topics can take of a core."""

_LOOK_S = 1.0
"""How often it is looked whether tags came or went."""


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
        """Publish what changes, for ever; after a lost connection, everything anew. Raises MessageRefused."""
        up()
        while True:
            if self._connection != self._publisher.connections:
                self._forget()
            try:
                await self._publish_due()
            except (ConnectionResetError, ConnectionAbortedError):  # what is refused would be asked again at once
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
