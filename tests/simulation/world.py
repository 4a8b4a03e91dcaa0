"""A gateway in a world that fails around it: the real supervisor, hub, journal, latest table and drains, life by life.

Everything that is emitted is witnessed, and what must hold at every moment is checked at every moment. What must hold
in the end is for the tests to ask.
"""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gateway.drain import drain
from gateway.hub import Hub
from gateway.journal import Journal
from gateway.journal.limits import Limits
from gateway.latest import Latest
from gateway.ledger import Account, Ledger
from gateway.model import Batch, Catalog, Record, Tag
from gateway.supervise import Health, keep_device, keep_running
from tests.property.strategies import rows
from tests.simulation.fakes import Books, Disk, DiskThread, FarSide, Machine, Weather
from tests.simulation.loop import LoopClock

PERIODS_S = (5.0, 15.0, 30.0, 60.0)
FAR_SIDES = ("bus", "historian")
CALM = Limits(sync_s=5.0, trim_s=30.0, retention_s=600.0)


@dataclass(frozen=True)
class Emission:
    """What one emission was: its n-th is the record with position n, for every device has one asset."""

    asset: int
    rows: list[tuple[Any, ...]]


def contents(batches: Sequence[Batch]) -> list[tuple[Any, ...]]:
    return [row for batch in batches for row in rows(batch)]


class World:
    """The plant and the far sides, which outlive the gateway; `live` is one life of it."""

    def __init__(self, folder: Path, seed: int, limits: Limits = CALM) -> None:
        self.weather = Weather(random.Random(seed))
        self.emissions: list[Emission] = []
        self.far_sides = {name: FarSide(self.weather) for name in FAR_SIDES}
        self.lost: Counter[str] = Counter()
        self.committed = 0
        self.lives = 0
        self.path = folder / "life0" / "journal.db"
        self._folder = folder
        self._limits = limits
        self._tags = [
            [Tag(f"plant/machine{n}", name, device=f"machine{n}") for name in ("a", "b", "c", "on")]
            for n in range(len(PERIODS_S))
        ]

    async def live(self, seconds: float, *, killed: bool = False, heals: bool = False) -> None:
        """Run the gateway for a while, and stop it, or kill it. If the world heals before that, all must be well."""
        life = Life(self)
        async with asyncio.TaskGroup() as outside:
            stopped = asyncio.Event()
            living = outside.create_task(life.run(stopped))
            await asyncio.sleep(seconds)
            if heals:
                self.weather.bad = False
                await asyncio.sleep(life.patience_s)
                life.check_all_is_well()
            if killed:
                self._remains()
                living.cancel()
            else:
                stopped.set()
        life.bury(killed=killed)
        self.lives += 1

    def _remains(self) -> None:
        """What a killed process leaves behind: its files as they are at this moment, no matter how it would go on."""
        folder = self._folder / f"life{self.lives + 1}"
        shutil.copytree(self.path.parent, folder)
        self.path = folder / "journal.db"


class Life:
    """One gateway process, wired as the application does it: drains outside, devices inside."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._weather = world.weather
        self._catalog = Catalog()
        self._disk = Disk(world.path, world.weather)
        self._disk.load(self._catalog)
        numbers = [np.array([self._catalog.add(tag) for tag in tags], np.uint32) for tags in world._tags]
        self._disk.save(self._catalog)
        assert self._disk.last >= max(world.committed, self._known())
        del world.emissions[self._disk.last :]  # what was never committed, nobody has been told of
        self._books = Books(world.path.with_name("ledger.db"), world.weather)
        thread = DiskThread(world.weather)
        self.ledger = Ledger(
            self._books, thread, self._catalog, LoopClock(), retention_s=1e9, keep_s=20.0, down=self._down
        )
        self.journal = Journal(self._disk, DiskThread(world.weather), LoopClock(), world._limits, self.ledger)
        self._latest = Latest(len(self._catalog))
        self._hub = Hub(self._catalog, self._latest, self.journal)
        self._machines = [Machine(n, s, world.weather) for n, s in zip(numbers, PERIODS_S, strict=True)]
        self.devices = [Health(f"device {n}") for n in range(len(self._machines))]
        self.parts = {name: Health(name) for name in world.far_sides}
        devices = {f"machine{n}": machine for n, machine in enumerate(self._machines)}
        self.ledger.begin(self._disk, self.journal, devices)
        self.patience_s = 30.0 + max(PERIODS_S) * 5.0 + 300.0

    def _down(self, sink: str) -> str:
        return self.parts[sink].error if self.parts[sink].state == "down" else ""

    def _known(self) -> int:
        """The newest position that anybody has been told of."""
        return max((position for side in self._world.far_sides.values() for position in side.records), default=0)

    async def run(self, stopped: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.journal.run())
            keeping_books = tasks.create_task(self._kept(self.ledger.run, Health("ledger")))
            for name, side in self._world.far_sides.items():
                cursor = self.journal.cursor(name)
                tasks.create_task(self._kept(partial(drain, cursor, side), self.parts[name]))
            async with asyncio.TaskGroup() as sources:
                keeping = [
                    sources.create_task(self._keep(machine, health, books))
                    for machine, health, books in zip(
                        self._machines, self.devices, self.ledger.accounts.values(), strict=True
                    )
                ]
                keeping.append(sources.create_task(self._watch()))
                await stopped.wait()
                for task in keeping:
                    task.cancel()
            self.journal.close()
            keeping_books.cancel()
        await self.journal.finish()
        with suppress(OSError):
            await self.ledger.end()

    def bury(self, *, killed: bool) -> None:
        """Close the books: what has not been committed is counted as lost, unless the process was killed."""
        world, journal = self._world, self.journal
        world.lost += journal.lost
        world.committed = journal.committed
        assert journal.committed >= self._known()
        assert killed or len(world.emissions) - journal.committed == journal.lost["journal_failed"]
        self._disk.close()
        self._books.close()

    def check_all_is_well(self) -> None:
        assert [health.state for health in (*self.devices, *self.parts.values())] == ["up"] * 6
        assert self.journal.failure == ""
        assert all(cursor.behind <= len(self._machines) for cursor in self.journal.cursors.values())

    async def _kept(self, run: Any, health: Health) -> None:
        await keep_running(run, health, clock=LoopClock(), chance=self._weather.chance)

    async def _keep(self, machine: Machine, health: Health, books: Account) -> None:
        def emit(*batches: Batch) -> None:
            asset = int(self._catalog.asset_of[machine.tags[0]])
            self._world.emissions.append(Emission(asset, contents(batches)))
            self._hub(*batches)
            self._check_down_is_not_good(machine, health)

        await keep_device(
            machine,
            machine.tags,
            emit,
            self._latest,
            health,
            clock=LoopClock(),
            chance=self._weather.chance,
            books=books,
        )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(7.0)
            for machine, health in zip(self._machines, self.devices, strict=True):
                self._check_down_is_not_good(machine, health)

    def _check_down_is_not_good(self, machine: Machine, health: Health) -> None:
        if health.state == "down":
            assert (self._latest.quality[machine.tags] >= 0x4000_0000).all()


def record_contents(record: Record) -> Emission:
    return Emission(record.asset, contents(record.batches))
