"""What every sink must do (Sink in gateway/contracts.py), with a real broker or database behind it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.bus.publisher import Publisher
from gateway.bus.sparkplug.names import Names
from gateway.bus.sparkplug.node import EdgeNode
from gateway.bus.sparkplug.session import BirthNumber, Options, Session
from gateway.bus.topics import Topics
from gateway.clock import SystemClock
from gateway.contracts import Sink
from gateway.historian.history import History
from gateway.historian.schema import engine
from gateway.historian.sink import Historian
from gateway.latest import Latest
from gateway.model import Batch, Catalog, Record, Tag
from gateway.payload import parse
from tests import servers
from tests.inline import inline
from tests.tahu import parsed

START_NS = 1_700_000_000_000_000_000
END_NS = START_NS + 3_600_000_000_000


def records(first: int, n: int) -> list[Record]:
    """Return n records of one asset with one reading each; the value is the position."""
    return [
        Record(i, 0, 1, i, 0, (Batch.of([0], START_NS + i * 1_000_000, [float(i)]),)) for i in range(first, first + n)
    ]


@dataclass
class Far:
    """A sink and its far side. `values` gives what has arrived there, in order, repetitions left out."""

    sink: Sink
    values: Callable[[int], Awaitable[list[float]]]


@asynccontextmanager
async def _bus(broker: servers.BrokerProcess) -> AsyncIterator[Far]:
    catalog = Catalog([Tag("plant/press", "force")])
    publisher = Publisher([broker.url], Topics("uns", "plant", "gw1"), catalog, 1, SystemClock())
    async with servers.Subscriber(broker.port) as subscriber, asyncio.TaskGroup() as tasks:
        connection = tasks.create_task(publisher.run(lambda: None))

        async def values(n: int) -> list[float]:
            def unique() -> dict[int, float]:
                messages = map(parse, subscriber.on("uns/plant/press/_batch"))
                return {message.sequence: message.values[0] for message in messages}

            await subscriber.until(lambda: len(unique()) >= n)
            return list(unique().values())

        yield Far(publisher, values)
        connection.cancel()


@asynccontextmanager
async def _mosquitto(folder: Path) -> AsyncIterator[Far]:
    with servers.mosquitto(folder) as broker:
        async with _bus(broker) as far:
            yield far


@asynccontextmanager
async def _nats(folder: Path) -> AsyncIterator[Far]:
    with servers.nats(folder) as broker:
        async with _bus(broker) as far:
            yield far


@asynccontextmanager
async def _sparkplug(folder: Path) -> AsyncIterator[Far]:
    """Metrics of the node, for the tag has no device; the value of a reading is its own number."""
    catalog = Catalog([Tag("plant/press", "force")])
    node = EdgeNode(Names("g", "n"), "plant", catalog, Latest(1), SystemClock(), alive=lambda _: True, newest=lambda: 0)
    with servers.mosquitto(folder) as broker:
        number = BirthNumber(folder / "sparkplug.json")
        session = Session(Options([broker.url], "edge"), node, number, SystemClock())
        async with servers.Subscriber(broker.port) as subscriber, asyncio.TaskGroup() as tasks:
            connection = tasks.create_task(session.run(lambda: None))

            async def values(n: int) -> list[float]:
                def unique() -> dict[int, float]:
                    told = [metric for payload in subscriber.on("/NDATA/n") for metric in parsed(payload).metrics]
                    return {metric.timestamp: metric.double_value for metric in told}

                await subscriber.until(lambda: len(unique()) >= n)
                return list(unique().values())

            yield Far(session, values)
            connection.cancel()


@asynccontextmanager
async def _history(url: str) -> AsyncIterator[Far]:
    history = History(engine(url))
    catalog = Catalog([Tag("plant/press", "force")])
    historian = Historian(history, inline, catalog, SystemClock(), gateway="gw1", journal="j", retention_s=1e9)

    async def values(n: int) -> list[float]:
        return [x for part in history.readings("plant/press/force", START_NS, END_NS) for x in part.value.tolist()]

    yield Far(historian, values)
    history.close()


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[Far]:
    async with _history(f"sqlite:///{folder / 'history.db'}") as far:
        yield far


@asynccontextmanager
async def _postgresql(folder: Path) -> AsyncIterator[Far]:
    with servers.postgresql(folder) as url:
        async with _history(url) as far:
            yield far


RIGS: dict[str, Callable[[Path], AbstractAsyncContextManager[Far]]] = {
    "mosquitto": _mosquitto,
    "nats": _nats,
    "sparkplug": _sparkplug,
    "sqlite": _sqlite,
    "postgresql": _postgresql,
}


@pytest.fixture(params=RIGS)
async def far(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Far]:
    async with RIGS[request.param](tmp_path) as far:
        yield far


async def test_what_was_written_has_arrived_in_order(far: Far) -> None:
    for first in range(1, 1001, 100):
        await far.sink.write(records(first, 100))
    assert await far.values(1000) == [float(i) for i in range(1, 1001)]


async def test_records_that_come_again_count_once(far: Far) -> None:
    await far.sink.write(records(1, 10))
    await far.sink.write(records(6, 10))
    assert await far.values(15) == [float(i) for i in range(1, 16)]


async def test_it_can_be_stopped_at_any_moment(far: Far) -> None:
    """What was stopped is written again, as the drain does, and then it is all there once."""
    for turns in range(12):
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(far.sink.write(records(1 + 10 * turns, 10)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
        await far.sink.write(records(1 + 10 * turns, 10))
    assert await far.values(120) == [float(i) for i in range(1, 121)]
