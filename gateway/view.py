"""The plant as the API sees it: what runs, and the door for writes. Fulfils `api.plant.Plant`."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import api.plant
import api.trail
from gateway import __version__
from gateway.alarms.keeper import AlarmKeeper
from gateway.calls import Calls
from gateway.changes import Changes
from gateway.contracts import Answer, Clock, Offload, Spectral, Step, Traced
from gateway.derive import Derived
from gateway.historian.queries import Ask, nobody_leaves
from gateway.hub import Hub
from gateway.journal import Journal
from gateway.latest import Latest
from gateway.ledger import Ledger
from gateway.model import Catalog, Record
from gateway.model.tag import shadow_of
from gateway.plan import PlannedDevice
from gateway.production.desk import Desk
from gateway.ratings import Ratings
from gateway.supervise import Health
from gateway.webhooks.desk import Webhooks
from gateway.writes import Request, Result, Writes

T = TypeVar("T")


class View:
    """Everything the API may look at, and ask for."""

    version = __version__

    def __init__(
        self,
        *,
        gateway: str,
        site: str,
        catalog: Catalog,
        latest: Latest,
        hub: Hub,
        journal: Journal,
        ledger: Ledger,
        past: Ask | None,
        work: Offload,
        clock: Clock,
        devices: Mapping[str, tuple[PlannedDevice, Health]],
        parts: Mapping[str, Health],
        writes: Writes,
        calls: Calls,
        audit: api.trail.Trail,
        ratings: Ratings,
        derived: Derived,
        production: Desk | None = None,
        webhooks: Webhooks | None = None,
        alarms: AlarmKeeper | None = None,
        changes: Changes | None = None,
    ) -> None:
        self.gateway = gateway
        self.site = site
        self.boot = journal.boot
        self.started_ns = clock.now_ns()
        self.catalog = catalog
        self.latest = latest
        self._hub = hub
        self._journal = journal
        self._ledger = ledger
        self._past = past
        self.work = work
        self.keeps_history = past is not None
        self._clock = clock
        self._devices = devices
        self._parts = parts
        self._writes = writes
        self.changes = changes
        self._calls = calls
        self.audit = audit
        self.ratings = ratings
        self._derived = derived
        self.production = production
        self.webhooks = webhooks
        self.alarms = alarms

    def now_ns(self) -> int:
        return self._clock.now_ns()

    @property
    def head(self) -> int:
        return self._journal.appended

    async def after(self, position: int) -> tuple[Sequence[Record], int]:
        try:
            return await self._journal.after(position)
        except sqlite3.Error as error:
            raise ConnectionError(f"the journal cannot be read: {error}") from error

    def listen(self, listener: api.plant.Listener) -> None:
        self._hub.join(listener)

    def leave(self, listener: api.plant.Listener) -> None:
        self._hub.leave(listener)

    def devices(self) -> list[api.plant.Device]:
        return [
            api.plant.Device(
                name=name,
                protocol=planned.protocol,
                address=planned.address,
                asset=planned.asset,
                tags=len(planned.numbers),
                state=health.state,
                since_ns=health.since_ns,
                last_ns=health.last_ns,
                error=health.error,
                counts=health.counts() | planned.connector.counts,
                gauges={"last_success_timestamp_seconds": health.last_ns / 1e9},
                learned=planned.connector.learned,
                causes=getattr(planned.connector, "causes", {}),
            )
            for name, (planned, health) in self._devices.items()
        ]

    def trace(self, number: int) -> Sequence[Step]:
        planned, _ = self._devices.get(self.catalog[number].device, (None, None))
        if planned is None or not isinstance(planned.connector, Traced):
            return []
        return planned.connector.trace(number)

    def spectral(self, asset: str) -> dict[str, Spectral]:
        found: dict[str, Spectral] = {}
        for name, built in self._derived.signals.items():
            first = self.catalog[int(built.outputs[0])]
            if isinstance(built.signal, Spectral) and first.asset == asset and not first.name.startswith(shadow_of("")):
                found[name] = built.signal
        return found

    def parts(self) -> list[api.plant.Part]:
        return [self._journal_part(), *map(_part, self._parts.values())]

    async def ledger(
        self, device: str, start_ns: int, end_ns: int, after: tuple[int, str], rows_max: int
    ) -> Sequence[tuple[tuple[int, str], Mapping[str, Any]]]:
        try:
            found = await self._ledger.rows(device, start_ns, end_ns, after, rows_max)
        except OSError as error:
            raise ConnectionError(str(error)) from error
        return [(key, row.described()) for key, row in found]

    async def ask(
        self,
        question: Callable[..., tuple[T, bytes]],
        /,
        *args: Any,
        gone: Callable[[], Awaitable[bool]] = nobody_leaves,
    ) -> Answer[T]:
        if self._past is None:
            raise ConnectionError("this gateway keeps no history: historian is none in its configuration")
        return await self._past(question, args, gone)

    async def write(self, *, id: str, tag: str, value: Any, who: str, expires_ns: int | None) -> Result:
        return await self._writes.write(Request(id, tag, value, who, expires_ns))

    async def call(
        self, *, id: str, method: str, arguments: Mapping[str, Any], who: str, expires_ns: int | None
    ) -> Result:
        return await self._calls.call(Request(id, method, arguments, who, expires_ns))

    async def written(self, id: str) -> Result:
        return await self._writes.result(id)

    def _journal_part(self) -> api.plant.Part:
        journal = self._journal
        counts = {"records": journal.appended, "blocks": journal.blocks} | {
            f"lost_{reason}": n for reason, n in journal.lost.items()
        }
        gauges = {"bytes": journal.size_bytes, "blocked": int(journal.blocked)} | {
            f"behind_{name}": c.behind for name, c in journal.cursors.items()
        }
        state = "down" if journal.failure else "up"
        return api.plant.Part("journal", state, self.started_ns, journal.failure, counts, gauges)


def _part(health: Health) -> api.plant.Part:
    counts = {name: n for name, n in health.counts().items() if name not in ("readings", "batches")}
    return api.plant.Part(health.name, health.state, health.since_ns, health.error, counts, health.gauges())
