"""From one configuration to the next while the plant runs: planned beside it, then one step in which nothing waits.

    plan      away from the event loop: what differs, new numbers, connectors of the devices that are touched
    turn      store the new numbers; stop the devices that are touched, and wait for them;
              then at once: catalog, latest table, signals, devices

Whoever keeps something per tag (publisher, retained topics, Sparkplug, history, streams) sees by the catalog's
`generation` that it is another one; nobody is called. What is not touched is not asked.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.config import Config, Document
from gateway.config.change import Change
from gateway.contracts import Clock, Describe, KeepWords, nobody_keeps
from gateway.derive import Derived
from gateway.devices import Devices
from gateway.journal import Journal
from gateway.latest import Latest
from gateway.model import Catalog
from gateway.model.method import Method
from gateway.model.quality import good
from gateway.plan import Plan, PlannedDevice, plan
from gateway.plugins import Protocols, signal_kinds
from gateway.recall import Built
from gateway.supervise import Health


@dataclass(frozen=True, slots=True)
class Next:
    """A configuration that can take over. `differing` are the numbers of tags that are not as before."""

    change: Change
    plan: Plan
    differing: NDArray[np.uint32]
    shared: dict[str, dict[str, Any]]


class Switch:
    """Holds what a configuration has come to. `running` is what it was without devices and signals: that stays."""

    def __init__(
        self,
        running: Config,
        catalog: Catalog,
        latest: Latest,
        journal: Journal,
        save: Callable[[Catalog], Awaitable[None]],
        clock: Clock,
        words: Callable[[str], KeepWords] = lambda device: nobody_keeps,
    ) -> None:
        self._running = running
        self._catalog = catalog
        self._latest = latest
        self._journal = journal
        self._save = save
        self._clock = clock
        self._words = words
        self._shared: dict[str, dict[str, Any]] = {}
        self.derived = Derived({}, 0)
        self.methods: dict[str, Method] = {}

    def begin(self, config: Config, document: Document, learned: Mapping[str, Mapping[str, Any]]) -> Plan:
        """Plan the first configuration. Raises ConfigError with all that cannot be built."""
        first = self._planned(config, document, self._catalog, learned, self._shared, self._catalog.describe)
        self.methods.update(first.methods)
        self.derived = Derived(first.signals, len(self._catalog))
        return first

    def plan(
        self, config: Config, document: Document, change: Change, learned: Mapping[str, Mapping[str, Any]]
    ) -> Next:
        """Plan the next configuration; blocking, and nothing that runs is touched. Raises ConfigError."""
        catalog = self._catalog.successor()
        shared = {protocol: dict(kept) for protocol, kept in self._shared.items()}
        following = self._planned(
            config, document, catalog, learned, shared, self._catalog.describe, only=frozenset(change.starts)
        )
        return Next(change, following, self._catalog.differing(catalog), shared)

    async def turn(self, following: Next, devices: Devices) -> None:
        """Take over the next configuration. Raises OSError if its numbers cannot be stored, and changes nothing."""
        catalog, change = following.plan.catalog, following.change
        for path in catalog.assets[len(self._catalog.assets) :]:
            self._catalog.reserve_asset(path)
        for tag in catalog.tags[len(self._catalog) :]:
            self._catalog.reserve(tag.asset, tag.name)
        try:
            await self._save(self._catalog)
        except sqlite3.Error as error:
            raise OSError(f"the journal cannot be written: {error}") from error
        await devices.stop(change.stops)
        self._catalog.become(catalog, following.differing)
        self._latest.forget(following.differing)
        self._shared = following.shared
        self.methods.clear()
        self.methods.update(following.plan.methods)
        self._derive(following)
        devices.replace(change.stops, following.plan.devices)

    def works(self, device: tuple[PlannedDevice, Health], since: int = 0) -> bool:
        """Whether a device is up and has a good reading that came after a version of the latest table."""
        planned, health = device
        came = self._latest.known(planned.numbers) & (self._latest.version[planned.numbers] > since)
        return health.state == "up" and bool((came & good(self._latest.quality[planned.numbers])).any())

    def _derive(self, following: Next) -> None:
        """Keep the signals that are as they were, with what they remember."""
        changed, running = set(following.differing.tolist()), self.derived.signals

        def stays(name: str, built: Built) -> bool:
            inputs = set(built.signal.inputs.tolist())
            same = name in running and inputs == set(running[name].signal.inputs.tolist())
            return same and not changed & inputs and name not in following.change.signals

        self.derived.signals = {
            name: running[name] if stays(name, built) else built for name, built in following.plan.signals.items()
        }
        self.derived.tags = len(self._catalog)

    def _planned(
        self,
        config: Config,
        document: Document,
        catalog: Catalog,
        learned: Mapping[str, Mapping[str, Any]],
        shared: dict[str, dict[str, Any]],
        describe: Describe,
        only: frozenset[str] | None = None,
    ) -> Plan:
        return plan(
            self._running.model_copy(update={"devices": config.devices, "signals": config.signals}),
            document,
            catalog,
            Protocols(),
            signal_kinds(),
            self._clock,
            learned,
            journal=self._journal,
            shared=shared,
            describe=describe,
            words=self._words,
            only=only,
        )
