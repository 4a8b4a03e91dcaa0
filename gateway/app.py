"""The gateway put together: what runs, what it hands to what, and in which order it stops. Knows everything.

    audit, broker                                the embedded broker, if there is no other
      publisher, retained topics, API, chores    what needs the broker, or only memory
        questions to history                     none waits for an answer when the API ends
        journal, drains                          end by themselves when the journal is closed and read
          signals, devices, changes of them      leave first

Each level is a scope within the one above. Stopping leaves the innermost: the devices are gone, so nothing new comes;
the journal is closed, the drains hand over what is left, and so on outwards. Nothing is flushed by hand.
"""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from starlette.types import ASGIApp

from api.app import create
from api.identity.caller import clients
from gateway.bus.broker import Broker
from gateway.bus.bulletin import publish_minutes
from gateway.bus.publisher import Publisher
from gateway.bus.replay import Replay
from gateway.bus.retained import Retained
from gateway.bus.topics import Topics
from gateway.calls import Calls
from gateway.changes import Changes, Source
from gateway.commands import Commands
from gateway.config import Config, Document, redacted
from gateway.contracts import Clock
from gateway.derive import Deriving
from gateway.devices import Devices
from gateway.drain import drain
from gateway.hub import Hub
from gateway.latest import Latest
from gateway.mqtt import Access
from gateway.ports import address, listener, until_free
from gateway.production.teller import Teller
from gateway.report import Report
from gateway.serving import serving, tls_context
from gateway.sparkplug import Sparkplug, writers
from gateway.stores import Stores
from gateway.supervise import Health, keep_running, running
from gateway.switch import Switch
from gateway.tracing import traces
from gateway.view import View
from gateway.writes import Writes

_GRACE_S: Final = 5.0
"""How long the sinks may take to hand over the rest at the end; what remains waits in the journal."""
_GATHER_S: Final = 0.25
"""History is written four times per second: a transaction costs the same for one batch and for a hundred."""
_REMEMBER_S: Final = 1.0
"""How old what is known of devices may be after a crash."""

Task = Coroutine[Any, Any, None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """What to tell whoever started the gateway, once it is up."""

    api: str
    mqtt: str
    devices: int
    tags: int


class Gateway:
    """One gateway process. Raises OSError if a file or port is taken, ConfigError if something cannot be built.

    `source` is where the configuration came from, if it may be changed while it runs.
    """

    def __init__(
        self, config: Config, document: Document, clock: Clock, chance: random.Random, source: Source | None = None
    ) -> None:
        self._config = config.model_copy(update={"devices": {}, "signals": {}})  # the plan has what is needed of them
        self.name = config.id
        self._clock = clock
        self._chance = chance
        folder = Path(config.data_dir)
        self.parts: dict[str, Health] = {}
        with ExitStack() as resources:  # closed at once if something cannot be built
            stores = self._stores = Stores(config, clock, resources, self._down)
            self.catalog, self.journal, self.ledger = stores.catalog, stores.journal, stores.ledger
            self.latest = Latest()
            parts = (self.catalog, self.latest, self.journal, stores.save, clock, stores.words)
            self._switch = Switch(self._config, *parts)
            first = self._switch.begin(config, document, stores.learned.load())
            planned = first.devices
            stores.begin({device.name: device.connector for device in planned})
            self._production = stores.open_production(first.units, config.production)
            self.alarms = stores.open_alarms(config, first.alarms, self._switch.methods)
            self._webhooks = stores.open_webhooks(config, chance)
            self.latest.grow(len(self.catalog))
            self.hub = Hub(self.catalog, self.latest, self.journal)
            self.devices = Devices(planned, self.hub, self.latest, self.ledger, clock, chance)
            self._traces = traces(config, partial(stores.threads, "tracing"))
            access = Access(config.bus.version, **config.bus.tls.model_dump())
            topics = self._topics = Topics(config.bus.root, config.site.path, config.id)
            bus = (config.bus.addresses(), topics, self.catalog, self.journal.boot, clock, access)
            self.publisher = Publisher(*bus, mark=self._traces.mark)
            self._replay = Replay(self.publisher, topics, self.catalog, self.journal.find)
            self._retained = Retained(self.publisher, topics, self.catalog, self.latest, config.bus.min_interval)
            self._broker = Broker(*address(config.bus.listen), folder / "broker", folder / "broker.log")
            self._deriving = Deriving(self._switch.derived, self.journal, self.hub, self._stores.work)
            self.changes = self._open_changes(source, config, document.text)
            self._resources = resources.pop_all()
        door = (config.site.path, self.devices.connector, writers(config), clock, self._stores.audit)
        self.writes = Writes(self.catalog, *door)
        self._sparkplug = Sparkplug(config, self.catalog, self.latest, self.journal, clock, self.devices, self.writes)

    async def run(self, stop: asyncio.Event, ready: Callable[[Ready], None]) -> None:
        """Run until `stop` is set; `ready` is called once everything has been started."""
        embedded = "embedded" in self._config.bus.urls
        if embedded:
            await until_free(*address(self._config.bus.listen))
        with self._resources:
            http = self._resources.enter_context(listener(*address(self._config.api.listen)))
            async with (
                running(self._kept("audit", self._stores.audit.run, self._stores.audit.counts)),
                running(*(self._kept(*part) for part in self._traces.parts)),
                running(*([self._kept("broker", self._broker.run)] if embedded else [])),
                running(*self._services()),
                serving(self._api(), http, self._tls(), [str(proxy) for proxy in self._config.api.proxies]),
                running(*self._questions()),
                self._durable(),
                running(*self._signals()),
                self.devices.running(),
                running(*self._changing()),
            ):
                ready(self._ready(http))
                await stop.wait()

    # --- what runs on each level, from the outside in -------------------------------------

    def _services(self) -> list[Task]:
        services = [self._kept("bus", self._publish, lambda: {"too_large": self.publisher.too_large})]
        services.append(self._kept("device profiles", self._remember))
        services.append(self._kept("ledger", self.ledger.run, lambda: self.ledger.counts))
        report = partial(publish_minutes, self.ledger.minute, self.publisher, self._topics, self._clock)
        services.append(self._kept("ledger topic", report))
        services.append(self._kept("replay", self._replay.run, lambda: self._replay.counts))
        services += [self._kept(*part) for part in self._sparkplug.services(self._until_broker)]
        if self._config.bus.writes:
            commands = Commands(self.publisher, self._topics, self.catalog, self.writes, self._clock)
            services.append(self._kept("commands", commands.run, lambda: commands.counts))
        if self._config.bus.per_tag:
            self.hub.join(self._retained.mailbox)
            services.append(self._kept("retained topics", self._retained.run))
        if (historian := self._stores.historian) is not None:
            services.append(self._kept("history chores", historian.chores, historian.counts))
        if (answers := self._stores.answers) is not None:
            services.append(self._kept("words", answers.run, answers.counts))
        if self._webhooks is not None:
            services += [self._kept(*part) for part in self._webhooks.parts()]
        if self._production is not None and (keys := self._config.production) is not None:
            keeper, desk = self._production
            cursor = self.journal.cursor("production")
            services.append(self._kept("production chores", lambda up: keeper.chores(up, lambda: cursor.behind)))
            services.append(self._kept("orders", desk.run, lambda: {"orders_taken": desk.orders_taken}))
            teller, end = Teller(desk, self.catalog, self.hub), self.journal.appended
            run = partial(teller.run, caught_up=lambda: cursor.position >= end)
            services.append(self._kept("production events", run, lambda: {"events_told": teller.told}))
            topics = Report(desk, self.publisher, self._topics, self._clock, keys.publish)
            services.append(self._kept("production topics", topics.run))
        return services

    def _questions(self) -> list[Task]:
        queries = self._stores.queries
        return [] if queries is None else [self._kept("queries", queries.run, queries.counts)]

    async def _publish(self, up: Callable[[], None]) -> None:
        await self._until_broker()
        await self.publisher.run(up)

    async def _until_broker(self) -> None:
        if "embedded" in self._config.bus.urls:
            await self._broker.ready.wait()

    async def _remember(self, up: Callable[[], None]) -> None:
        """Keep what connectors learn about their devices."""
        try:
            while True:
                await self._stores.work(self._stores.learned.store, self.devices.profiles())
                up()
                await asyncio.sleep(_REMEMBER_S)
        finally:
            self._stores.learned.store(self.devices.profiles())

    @asynccontextmanager
    async def _durable(self) -> AsyncIterator[None]:
        """The journal and its drains; at the end they get some time to hand over what is left."""
        try:
            async with asyncio.timeout(None) as patience, asyncio.TaskGroup() as tasks:
                tasks.create_task(self.journal.run(), name="journal")
                for task in self._drains():
                    tasks.create_task(task)
                yield
                self.journal.close()
                patience.reschedule(asyncio.get_running_loop().time() + _GRACE_S)
        except TimeoutError:
            behind = {name: cursor.behind for name, cursor in self.journal.cursors.items() if cursor.behind}
            if behind:
                log.warning("records wait in the journal for the next start: %s", behind)
        await self.journal.finish()
        with suppress(OSError):  # what that costs, the next start finds in the journal
            await self.ledger.end()
        if self._stores.answers is not None:
            await self._stores.answers.end()

    def _drains(self) -> list[Task]:
        bus, published = self.journal.cursor("bus"), self._traces.publisher(self.publisher)
        drains = [self._kept("publisher", lambda up: drain(bus, published, up))]
        drains += [self._kept(*part) for part in self._sparkplug.drains()]
        advised, ratings = self.journal.cursor("ratings"), self._stores.ratings
        drains.append(self._kept("ratings", lambda up: drain(advised, ratings, up, _GATHER_S), ratings.counts))
        if (historian := self._stores.historian) is not None:
            history, stored = self.journal.cursor("historian"), self._traces.historian(historian)
            drains.append(self._kept("historian", lambda up: drain(history, stored, up, _GATHER_S)))
        if self._production is not None:
            keeper, production = self._production[0], self.journal.cursor("production")
            drains.append(self._kept("production", lambda up: drain(production, keeper, up, _GATHER_S), keeper.counts))
        if (alarms := self.alarms) is not None:
            told = self.journal.cursor("alarms")
            drains.append(self._kept("alarms", lambda up: drain(told, alarms, up, _GATHER_S), alarms.counts))
        if (hooks := self._webhooks) is not None:
            happened = self.journal.cursor("webhooks")
            drains.append(self._kept("webhooks", lambda up: drain(happened, hooks, up)))
        return drains

    def _signals(self) -> list[Task]:
        tasks, alarms = [self._kept("signals", self._deriving.run, self._deriving.counts)], self.alarms
        if alarms is not None:
            cursor = self.journal.cursor("alarms")
            tasks.append(self._kept("alarm events", lambda up: alarms.tell(self.hub, lambda: cursor.behind, up)))
        return tasks

    def _changing(self) -> list[Task]:
        changes = self.changes
        return [self._kept("configuration", changes.run, lambda: changes.counts)] if changes is not None else []

    def _kept(
        self,
        name: str,
        run: Callable[[Callable[[], None]], Coroutine[Any, Any, None]],
        extra: Callable[[], Mapping[str, int]] = dict,
        gauges: Callable[[], Mapping[str, int]] = dict,
    ) -> Task:
        self.parts[name] = Health(name, extra=extra, gauges=gauges)
        return keep_running(run, self.parts[name], clock=self._clock, chance=self._chance)

    # --- what they are made of ------------------------------------------------------------

    def _api(self) -> ASGIApp:
        view = View(
            gateway=self._config.id,
            site=self._config.site.path,
            catalog=self.catalog,
            latest=self.latest,
            hub=self.hub,
            journal=self.journal,
            ledger=self.ledger,
            past=None if self._stores.queries is None else self._stores.queries.ask,
            work=self._stores.work,
            clock=self._clock,
            devices=self.devices,
            parts=self.parts,
            writes=self.writes,
            changes=self.changes,
            audit=self._stores.audit,
            ratings=self._stores.ratings,
            derived=self._switch.derived,
            production=None if self._production is None else self._production[1],
            webhooks=self._webhooks,
            alarms=self.alarms,
            calls=Calls(self.writes, self._config.site.path, self._switch.methods),
        )
        return self._traces.requests(create(view, clients(self._config.api), self._config.api))

    def _tls(self) -> ssl.SSLContext | None:
        tls = self._config.api.tls
        return None if tls is None else tls_context(tls.cert, tls.key)

    def _open_changes(self, source: Source | None, config: Config, text: str) -> Changes | None:
        if source is None:
            return None
        folder = Path(config.data_dir) / "config"
        parts = (self._switch, self.devices, self.latest, self._stores.work, self._clock, self._stores.audit)
        return Changes(source, config, text, folder, *parts)

    def _down(self, sink: str) -> str:
        part = self.parts.get(sink)
        return part.error if part is not None and part.state == "down" else ""

    def _ready(self, http: socket.socket) -> Ready:
        host, port = http.getsockname()[:2]
        urls = [redacted(url) for url in self._config.bus.addresses()]
        tags = sum(len(planned.numbers) for planned, _ in self.devices.values())
        scheme = "http" if self._config.api.tls is None else "https"
        return Ready(f"{scheme}://{host}:{port}", urls[0], len(self.devices), tags)
