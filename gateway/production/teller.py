"""From the news of production into the hub, as readings of tags that are events; and from there to whoever listens."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.contracts import Emit
from gateway.model import Batch, Catalog, Quality
from gateway.model.batch import objects
from gateway.production.desk import Desk

_LOOK_S: Final = 1.0

Event = tuple[str, int, dict[str, Any]]
"""Path of the tag, time of the reading [ns], and what happened."""


class Teller:
    """Tells each event once. `told` counts them."""

    def __init__(self, desk: Desk, catalog: Catalog, emit: Emit) -> None:
        self.told = 0
        self._desk = desk
        self._catalog = catalog
        self._emit = emit
        self._waiting: frozenset[str] = frozenset()

    async def run(self, up: Callable[[], None], caught_up: Callable[[], bool]) -> None:
        """Tell what is news until cancelled. Raises ConnectionError if the disk fails.

        Begins when production has `caught_up` with what the journal had at the start: an event that was told before
        is known to be told then.
        """
        while True:
            if caught_up():
                self._tell(await self._desk.ask(self._desk.news))
            up()
            await asyncio.sleep(_LOOK_S)

    def _tell(self, events: Sequence[Event]) -> None:
        """Emit what was not emitted in this life; the rest is on its way through the journal."""
        for path, time_ns, event in events:
            if event["EventId"] not in self._waiting:
                number = self._catalog.number(path)
                self._emit(Batch.of([number], time_ns, objects([event]), Quality.GOOD))
                self.told += 1
        self._waiting = frozenset(event["EventId"] for _, _, event in events)
