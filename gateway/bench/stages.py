"""CPU of each stage: the same devices polled at the same rate, with one stage more in every round.

What a round costs more than the one before is the stage that came in. All of it runs in this process but the
devices and the broker.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np

from gateway.bench.measured import ROUNDS, Measured, best, meanwhile
from gateway.bench.reader import connector
from gateway.bus.publisher import Publisher
from gateway.bus.topics import Topics
from gateway.clock import SystemClock, ThreadOffload
from gateway.contracts import Emit
from gateway.derive import Derived, Deriving
from gateway.drain import drain
from gateway.historian.history import History
from gateway.historian.schema import engine
from gateway.historian.sink import Historian
from gateway.hub import Hub
from gateway.journal import Journal, JournalFile
from gateway.latest import Latest
from gateway.model import Batch, Catalog
from gateway.recall import Built
from gateway.signals import drift

STAGES = ("acquire", "journal", "bus", "history", "signals")


async def measure(
    ports: Sequence[int], values: int, mqtt_url: str, period_s: float, duration_s: float
) -> list[Measured]:
    """Return what the first stage costs, the first two, the first three, ... at one poll per period."""
    prefixes = [STAGES[: n + 1] for n in range(len(STAGES))]
    each_s = duration_s / ROUNDS
    rounds = [
        [await _round(stages, ports, values, mqtt_url, period_s, each_s) for stages in prefixes] for _ in range(ROUNDS)
    ]
    return [row for row in best(rounds) if row]


async def _round(
    stages: Sequence[str], ports: Sequence[int], values: int, mqtt_url: str, period_s: float, duration_s: float
) -> Measured:
    catalog = Catalog()
    connectors = [connector(catalog, i, port, values, period_s) for i, port in enumerate(ports)]
    counted = 0
    with tempfile.TemporaryDirectory() as folder:
        async with _pipeline(stages, catalog, mqtt_url, Path(folder)) as emit:

            def count(*batches: Batch) -> None:
                nonlocal counted
                counted += sum(map(len, batches))
                emit(*batches)

            async with asyncio.TaskGroup() as tasks:
                polls = [tasks.create_task(one.run(count)) for one in connectors]
                await asyncio.sleep(max(1.0, 2 * period_s))  # connections and first plans are not what is measured
                measured = await meanwhile(stages[-1], lambda: counted, duration_s)
                for poll in polls:
                    poll.cancel()
    return measured


@asynccontextmanager
async def _pipeline(stages: Sequence[str], catalog: Catalog, mqtt_url: str, folder: Path) -> AsyncIterator[Emit]:
    """What comes behind the connectors, up to the last stage that is wanted."""
    if stages == ("acquire",):
        yield lambda *batches: None
        return
    async with AsyncExitStack() as stack:

        def thread() -> ThreadOffload:
            return ThreadOffload(stack.enter_context(ThreadPoolExecutor(1)))

        clock = SystemClock()
        file = JournalFile(folder / "journal.db")
        stack.callback(file.close)
        file.save(catalog)
        journal = Journal(file, thread(), clock)
        hub = Hub(catalog, Latest(len(catalog)), journal)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = [tasks.create_task(journal.run())]
        if "bus" in stages:
            publisher = Publisher([mqtt_url], Topics("bench", "site", "stages"), catalog, journal.boot, clock)
            running.append(tasks.create_task(publisher.run(lambda: None)))
            running.append(tasks.create_task(drain(journal.cursor("bus"), publisher, lambda: None)))
        if "history" in stages:
            history = History(engine(f"sqlite:///{folder / 'history.db'}"))
            stack.callback(history.close)
            sink = Historian(history, thread(), catalog, clock, gateway="bench", journal=journal.id, retention_s=1e9)
            running.append(tasks.create_task(drain(journal.cursor("history"), sink, lambda: None, 0.25)))
        if "signals" in stages:
            signals = {asset: _watch(catalog, asset) for asset in list(catalog.assets)}
            deriving = Deriving(Derived(signals, len(catalog)), journal, hub, thread())
            running.append(tasks.create_task(deriving.run(lambda: None)))
        yield hub
        for task in running:
            task.cancel()


def _watch(catalog: Catalog, asset: str) -> Built:
    outputs = {role: catalog.number(f"{asset}/v{i}") for i, role in enumerate(("z", "alarm", "ratio"), 1)}
    options = drift.Options(input=f"{asset}/v0")
    return Built(drift.signal(options, outputs, catalog), "drift", np.array(list(outputs.values()), np.uint32))
