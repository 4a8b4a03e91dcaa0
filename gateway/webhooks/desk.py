"""From the journal's cursor into the outbox, and from there to the endpoints; and what the API asks of it. A Sink.

How far the journal is taken is written with the letters, so records that come again are known and passed over. What
happened before there were webhooks is not sent.
"""

import logging
import random
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.cloudevents import Event, Events
from gateway.contracts import Clock, Offload
from gateway.model import Catalog, Record
from gateway.payload import timestamp
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.letters import Letter, letter
from gateway.webhooks.outbox import Outbox
from gateway.webhooks.post import Post
from gateway.webhooks.sender import Deliver, Sender, filed
from gateway.webhooks.verdict import Answer

Run = Callable[[Callable[[], None]], Coroutine[Any, Any, None]]
Numbers = Callable[[], Mapping[str, int]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tested:
    """What became of a test: the `webhook-id` that was sent, the status of the answer, or why there was none."""

    id: str
    status: int | None
    error: str


class Webhooks:
    """The webhooks of a gateway, `journal` being the name of its journal. `offload` has one thread, for the outbox."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        outbox: Outbox,
        offload: Offload,
        catalog: Catalog,
        clock: Clock,
        chance: random.Random,
        gateway: str,
        journal: str,
        post: Callable[[Endpoint], Deliver] = Post,
    ) -> None:
        self.senders = {one.name: Sender(one, outbox, offload, post(one), clock, chance) for one in endpoints}
        self._outbox = outbox
        self._offload = offload
        self._catalog = catalog
        self._clock = clock
        self._gateway = gateway
        self._journal = journal
        self._place, self._since_ns = outbox.reached(journal)
        self._events = Events(catalog)
        self._tests = 0
        for name, count in outbox.strangers(self.senders, clock.now_ns()).items():
            log.warning("webhooks: %d events wait for %s, which is not configured any more", count, name)

    def parts(self) -> list[tuple[str, Run, Numbers, Numbers]]:
        """Return what runs: its name, what it does, what it counts, and what there is of it."""
        return [(f"webhook {name}", one.run, one.counts, one.gauges) for name, one in self.senders.items()]

    @property
    def names(self) -> Collection[str]:
        return self.senders.keys()

    async def write(self, records: Sequence[Record]) -> None:
        """Keep what happened for those who want it. Raises ConnectionError if the disk does not take it."""
        found: list[tuple[Endpoint, str, Letter]] = []
        place = self._place
        for record in records:
            if record.place <= place:
                continue
            place = record.place
            if record.received >= self._since_ns:
                asset = self._catalog.assets[record.asset]
                for event in self._events.of(record, self._gateway):
                    wanting = [sender.endpoint for sender in self.senders.values() if sender.endpoint.wants(event)]
                    found += [(endpoint, asset, letter(event)) for endpoint in wanting]
        if found:
            await self._put(found, place)
        self._place = place

    async def states(self) -> Sequence[Mapping[str, Any]]:
        """Return how each endpoint does: names and numbers, times in ns, never secrets. Raises ConnectionError."""
        return [await sender.described() for sender in self.senders.values()]

    async def dead(self, name: str, after: int, most: int) -> Sequence[Mapping[str, Any]]:
        """Return what was given up for an endpoint, after a number, oldest first. Raises KeyError, ConnectionError."""
        return await filed(self._offload, self._outbox.dead, self.senders[name].endpoint, after, most)

    async def replay(
        self, name: str, *, ids: Sequence[str] | None = None, between_ns: tuple[int, int] | None = None
    ) -> tuple[int, int]:
        """Send again what was given up: these, or what came in [start, end). Raises KeyError, ConnectionError.

        Return how many go, and how many do not because no more may wait.
        """
        sender = self.senders[name]
        now_ns = self._clock.now_ns()
        wanted = partial(self._outbox.replay, ids=ids, between_ns=between_ns)
        done = await filed(self._offload, wanted, sender.endpoint, now_ns)
        sender.wake()
        return done

    async def test(self, name: str) -> Tested:
        """Send a signed event that says it is a test. Raises KeyError, ConnectionError."""
        self._tests += 1
        now_ns = self._clock.now_ns()
        value = {"EventType": "TestEvent", "Message": f"a test of webhook {name} by gateway {self._gateway}"}
        source, id = f"{self._gateway}/webhooks/{name}", f"{self._gateway}-test-{now_ns}-{self._tests}"
        event = Event(source, id, timestamp(now_ns), value)
        one, answer = await self.senders[name].test(event)
        if isinstance(answer, Answer):
            return Tested(one.id, answer.status, "" if answer.good else answer.words)
        return Tested(one.id, None, answer)

    async def _put(self, found: Sequence[tuple[Endpoint, str, Letter]], place: int) -> None:
        now_ns = self._clock.now_ns()
        counted = await filed(self._offload, self._outbox.put, found, self._journal, place, now_ns)
        for name, counts in counted.items():
            sender = self.senders[name]
            if counts["events_dropped"] and not sender.counted["events_dropped"]:
                log.error("webhook %s: %d events wait, and no more may: some are given up", name, sender.endpoint.queue)
            sender.counted.update(counts)
            sender.wake()
