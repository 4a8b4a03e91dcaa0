"""Subscriptions: who wants to know of what, and how it is told: by sync, or as a stream of server-sent events.

They hear every emission (`put`) and keep what somebody wants; nothing here waits or runs by itself. A subscription that
is neither asked nor streamed for a while is forgotten. Whoever has its id and the name of its client has it; to all
others it is not there.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from api.i3x.queue import Queue
from api.i3x.space import Element, Leaf, Place, Space
from api.plant import Plant
from gateway.model import Batch

SUBSCRIPTIONS_MAX: Final = 100
TTL_S: Final = 300.0
_LOOK_NS: Final = 1_000_000_000
"""How often those that are forgotten are looked for."""
_KEEP_ALIVE_S: Final = 15.0
_PACE_S: Final = 0.1
"""No more than ten events per second: what comes meanwhile is in the next one."""


@dataclass(slots=True, eq=False)
class Subscription:
    """One client's interest. `monitored` are the elements, each with the depth it was registered with.

    `wanted` says of each tag whether it is one of them, shape (len(catalog),); `places` are the assets among them, by
    their numbers in the catalog. `reader` is whoever streams it.
    """

    id: str
    client: str
    name: str | None
    queue: Queue
    used_ns: int
    wanted: NDArray[np.bool_]
    places: dict[int, Place] = field(default_factory=dict)
    monitored: dict[str, int] = field(default_factory=dict)
    reader: object | None = None
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, batch: Batch) -> None:
        """Keep what is wanted of a batch."""
        self.widen(int(batch.tag.max()) + 1)
        wanted = self.wanted[batch.rows]
        if wanted.any():
            self.queue.put(batch.where(wanted))
            self.filled.set()

    def widen(self, size: int) -> None:
        """Have room for so many tags: the catalog may have grown."""
        if size > len(self.wanted):
            self.wanted = np.r_[self.wanted, np.zeros(size - len(self.wanted), np.bool_)]

    def touch(self, place: Place) -> None:
        """Take note that an asset has another value."""
        self.queue.touch(place, deep=self.monitored[place.id] != 1 and place.composed)
        self.filled.set()


class Subscriptions:
    """All subscriptions of a plant."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._all: dict[str, Subscription] = {}
        self._looked_ns = 0

    def put(self, batches: Sequence[Batch]) -> None:
        """Hear what was emitted. What comes late, from the history of a device, is no news."""
        if self._plant.now_ns() - self._looked_ns > _LOOK_NS:
            self._forget()
        catalog = self._plant.catalog
        for batch in batches:
            if batch.historical:
                continue
            assets = set(np.unique(catalog.asset_of[batch.rows]).tolist())
            for subscription in self._all.values():
                subscription.take(batch)
                for asset in assets & subscription.places.keys():
                    subscription.touch(subscription.places[asset])

    def create(self, client: str, name: str | None) -> Subscription:
        """Return a new subscription. Raises HTTPException 503 if there are too many."""
        self._forget()
        if len(self._all) >= SUBSCRIPTIONS_MAX:
            raise HTTPException(503, f"there are {SUBSCRIPTIONS_MAX} subscriptions: delete those that nobody needs")
        if not self._all:
            self._plant.listen(self)
        wanted = np.zeros(len(self._plant.catalog), np.bool_)
        made = Subscription(secrets.token_urlsafe(32), client, name, Queue(self._plant), self._plant.now_ns(), wanted)
        self._all[made.id] = made
        return made

    def find(self, client: str, id: str) -> Subscription:
        """Return a client's subscription, which is in use now. Raises HTTPException 404 if it is not there."""
        self._forget()
        found = self._all.get(id)
        if found is None or found.client != client:
            raise HTTPException(404, "there is no such subscription of this client")
        found.used_ns = self._plant.now_ns()
        return found

    def delete(self, subscription: Subscription) -> None:
        """Forget a subscription, and end its stream."""
        del self._all[subscription.id]
        subscription.reader = None
        subscription.filled.set()
        if not self._all:
            self._plant.leave(self)

    def register(self, subscription: Subscription, elements: Sequence[Element], depth: int) -> None:
        """Monitor elements as well, and tell at once what they are now; those that are monitored go on as they are."""
        subscription.widen(len(self._plant.catalog))
        tags: list[int] = []
        for element in elements:
            if element.id in subscription.monitored:
                continue
            subscription.monitored[element.id] = depth
            if isinstance(element, Leaf):
                subscription.wanted[element.number] = True
                tags.append(element.number)
            else:
                subscription.touch(element)
                if element.composed:
                    subscription.places[self._plant.catalog.reserve_asset(element.path)] = element
        for batch in self._plant.latest.read(np.array(tags, np.uint32)) if tags else ():
            subscription.take(batch)

    def unregister(self, subscription: Subscription, element: Element) -> None:
        """Monitor an element no longer; what waits goes on waiting."""
        if subscription.monitored.pop(element.id, None) is None:
            return
        if isinstance(element, Leaf):
            subscription.wanted[element.number] = False
        else:
            subscription.places = {asset: one for asset, one in subscription.places.items() if one.id != element.id}

    async def events(self, subscription: Subscription, space: Callable[[], Space]) -> AsyncIterator[bytes]:
        """Yield what waits and what comes, as server-sent events, until someone else does or it is deleted."""
        queue, dropped = subscription.queue, subscription.queue.dropped
        me = subscription.reader = object()
        subscription.filled.set()  # so that whoever was the reader finds out
        try:
            yield b": open\n\n"
            while subscription.reader is me:
                subscription.filled.clear()
                if queue.dropped > dropped:
                    yield b": %d updates were dropped, they came faster than they were read\n\n" % (
                        queue.dropped - dropped
                    )
                    dropped = queue.dropped
                if updates := queue.take_all(space()):
                    yield b"data: [%s]\n\n" % updates
                    await asyncio.sleep(_PACE_S)
                try:
                    async with asyncio.timeout(_KEEP_ALIVE_S):
                        await subscription.filled.wait()
                except TimeoutError:
                    yield b": keep-alive\n\n"
        finally:
            subscription.used_ns = self._plant.now_ns()
            if subscription.reader is me:
                subscription.reader = None

    def _forget(self) -> None:
        """Let those go that nobody has used for long."""
        now_ns = self._looked_ns = self._plant.now_ns()
        for one in list(self._all.values()):
            if one.reader is None and now_ns - one.used_ns > TTL_S * 1e9:
                self.delete(one)


def described(subscription: Subscription) -> dict[str, Any]:
    """Return a subscription as the standard describes it."""
    monitored = [{"elementId": id, "maxDepth": depth} for id, depth in subscription.monitored.items()]
    return {"subscriptionId": subscription.id, "displayName": subscription.name, "monitoredObjects": monitored}
