"""A process whose alarms go on and off, with journal and register on disk, until it is killed or done."""

import asyncio
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.alarming import open_register
from gateway.alarms.keeper import AlarmKeeper
from gateway.alarms.register import TAG
from gateway.alarms.rule import Kind, Rule
from gateway.clock import SystemClock, ThreadOffload
from gateway.config.alarms import Alarms
from gateway.drain import drain
from gateway.hub import Hub
from gateway.journal import Cursor, Journal, JournalFile
from gateway.latest import Latest
from gateway.model import Batch, Catalog, Tag
from gateway.model.tag import EVENT

SITE = "acme/test"
ASSET = f"{SITE}/tank"
TURNS = 200
"""How often the feeder turns its alarms."""


def rules(n: int) -> list[Rule]:
    return [
        Rule(f"tank/t{i}/high", "high", f"{ASSET}/t{i}", ASSET, Kind.LIMIT, "low", 250, limit=5.0) for i in range(n)
    ]


@dataclass
class Plant:
    """Journal, hub and register of so many tags in a folder, running."""

    journal: Journal
    file: JournalFile
    hub: Hub
    keeper: AlarmKeeper
    cursor: Cursor
    numbers: np.ndarray

    def say(self, value: float, time_ns: int, part: slice = slice(None)) -> None:
        tags = self.numbers[part]
        self.hub(Batch(tags, np.full(len(tags), time_ns), np.full(len(tags), value), np.zeros(len(tags), np.uint32)))

    async def quiet(self) -> None:
        """Wait until all that came is taken, and all that followed is told and has come back."""
        while (counts := self.keeper.counts())["transitions"] > counts["transitions_told"] or self.cursor.behind:
            await self.journal.stored()
            await self.keeper.happened("", 0, 1)  # its thread has done then what it was given before


@asynccontextmanager
async def running(folder: Path, n: int) -> AsyncIterator[Plant]:
    with ExitStack() as resources:
        threads = [ThreadOffload(resources.enter_context(ThreadPoolExecutor(1))) for _ in range(2)]
        file = JournalFile(folder / "journal.db")
        resources.callback(file.close)
        catalog, clock = Catalog(), SystemClock()
        numbers = np.array([catalog.add(Tag(ASSET, f"t{i}")) for i in range(n)], np.uint32)
        catalog.add(Tag(ASSET, TAG, datatype=EVENT))
        file.save(catalog)
        journal = Journal(file, threads[0], clock)
        parts = (resources, threads[1], catalog, journal, clock)
        keeper = open_register(Alarms(), rules(n), {}, SITE, folder / "alarms.db", *parts)
        cursor = journal.cursor("alarms")
        hub = Hub(catalog, Latest(len(catalog)), journal)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(journal.run())
            tasks.create_task(drain(cursor, keeper, lambda: None))
            telling = tasks.create_task(keeper.tell(hub, lambda: cursor.behind, lambda: None))
            yield Plant(journal, file, hub, keeper, cursor, numbers)
            telling.cancel()
            journal.close()
        await journal.finish()


async def feed(folder: Path) -> None:
    async with running(folder, 3) as plant:
        for turn in range(TURNS):
            plant.say(9.0 if turn % 2 else 1.0, SystemClock().now_ns(), slice(turn % 3, None))
            await plant.journal.stored()
            sys.stdout.write(f"{turn}\n")
            sys.stdout.flush()
        await plant.quiet()


if __name__ == "__main__":
    asyncio.run(feed(Path(sys.argv[1])))
