"""What every sink must do (Sink in gateway/contracts), with a real broker or database behind it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.bus.publisher import Publisher
from gateway.bus.sparkplug.node import EdgeNode
from gateway.bus.sparkplug.session import BirthNumber, Options, Session
from gateway.bus.topics import Topics
from gateway.clock import SystemClock
from gateway.contracts import Sink
from gateway.historian.history import History, Progress
from gateway.historian.rollup import MINUTE_NS
from gateway.historian.schema import engine
from gateway.historian.sink import Historian
from gateway.latest import Latest
from gateway.model import Batch, Catalog, Record, Tag
from gateway.mqtt.sparkplug.names import Names
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


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_history_answers_the_same_before_and_after_it_is_compacted(tmp_path: Path, database: str) -> None:
    """Readings of two tags, each again some time later: in order, late and come again."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'history.db'}"
        if database == "postgresql":
            url = stack.enter_context(servers.postgresql(tmp_path))
        history = History(engine(url))
        stack.callback(history.close)
        one, other = history.series([Tag("plant/press", "force"), Tag("plant/press", "state")]).tolist()
        for position, first in enumerate((0, 100, 50, 100)):
            times = START_NS + np.arange(first, first + 60) * 1_000_000_000
            force = Batch.of([one] * 60, times, times / 7e9, [0, 0x808A_0000] * 30)
            state = Batch.of([other] * 60, times, ["on" if k % 3 else "off" for k in range(60)])
            history.append([force, state], Progress("gw1", "j", position), position)
            before = _answers(history)
            for waiting in history.tail():
                assert history.compact(waiting.shard) == 120
            assert _answers(history) == before
        assert len(_answers(history)["force"][0][0]) == 160
        assert history.forget(START_NS + 10**18) > 0
        assert not any(_answers(history).values())


def _answers(history: History) -> dict[str, Any]:
    """All that history says of two tags, as lists."""
    answers: dict[str, Any] = {}
    for name in ("force", "state"):
        path = f"plant/press/{name}"
        found = history.readings(path, START_NS, END_NS)
        answers[name] = [(p.time.tolist(), p.value.tolist(), p.quality.tolist()) for p in found]
        last = history.at(path, END_NS)
        answers[f"{name} at the end"] = [] if last is None else last.value.tolist()
        for minutes in (1, 60):
            rows = history.aggregate(path, START_NS, END_NS, minutes * MINUTE_NS).rows()
            answers[f"{name} per {minutes} min"] = [
                {key: round(x, 3) if isinstance(x, float) else x for key, x in row.items()} for row in rows
            ]
    return answers
