"""2^16 patterns of bits and a million random numbers over a broker, in history, fewer by REST: the same come back."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.bus.publisher import Publisher
from gateway.bus.topics import Topics
from gateway.clock import SystemClock
from gateway.historian.history import History, Progress
from gateway.historian.schema import engine
from gateway.historian.sink import Historian
from gateway.model import Batch, Catalog, Record, Tag
from gateway.mqtt import Access, connect
from gateway.payload import parse
from tests import servers
from tests.brokers import background
from tests.drive import SITE, Hall, Still, served
from tests.inline import inline
from tests.property.test_payload import strict

CATALOG = Catalog([Tag("plant/press", name) for name in ("float", "integer", "unsigned")])
START_NS = 1_700_000_000_000_000_000
ROWS = 10_000


def columns(n: int = 1_000_000) -> list[NDArray[Any]]:
    """Finite floats of every sign and exponent and at random, signed and unsigned integers; about `n` each."""
    random = np.random.default_rng(20)
    patterns = np.arange(2**16, dtype=np.uint64) << np.uint64(48)
    bits = random.integers(0, 2**64, n, np.uint64, endpoint=False)
    floats = np.concatenate([patterns, bits]).view(np.float64)
    shifts = random.integers(0, 64, n, np.uint64)  # as many small numbers as large ones
    return [floats[np.isfinite(floats)], bits.view(np.int64) >> shifts.view(np.int64), bits >> shifts]


def records(values: Sequence[NDArray[Any]]) -> Iterator[Record]:
    """The columns cut into records; the time counts the rows of a tag."""
    position = 0
    for number, column in enumerate(values):
        for at in range(0, len(column), ROWS):
            part, position = column[at : at + ROWS], position + 1
            time = START_NS + 1000 * np.arange(at, at + len(part))
            batch = Batch(np.full(len(part), number, np.uint32), time, part, np.zeros(len(part), np.uint32))
            yield Record(position, 0, 1, position, START_NS, (batch,))


def same(found: Sequence[Any], column: NDArray[Any]) -> bool:
    """Whether numbers, or texts of integers beyond 2^53, have the bits of a column."""
    return np.array([column.dtype.type(x) for x in found]).tobytes() == column.tobytes()


async def test_over_the_bus(tmp_path: Path) -> None:
    values = columns()
    found: dict[str, list[Any]] = {tag.name: [] for tag in CATALOG.tags}
    complete = asyncio.Event()

    def receive(topic: str, payload: bytes, retained: bool) -> None:
        if topic.endswith("/_batch"):
            strict(payload)
            message = parse(payload)
            found[message.tags[0]] += message.values
            if [len(one) for one in found.values()] == [len(column) for column in values]:
                complete.set()

    with servers.mosquitto(tmp_path) as broker:
        publisher = Publisher([broker.url], Topics("uns", "plant", "gw1"), CATALOG, 1, SystemClock(), Access("auto"))
        async with connect(broker.url, "reader") as reader, background(publisher.run(lambda: None)):
            await reader.subscribe("uns/#", receive)
            for record in records(values):
                await publisher.write([record])
            async with asyncio.timeout(60):
                await complete.wait()
    assert all(same(one, column) for one, column in zip(found.values(), values, strict=True))


async def test_through_history(tmp_path: Path) -> None:
    values = columns()
    history = History(engine(f"sqlite:///{tmp_path / 'history.db'}"))
    sink = Historian(history, inline, CATALOG, SystemClock(), gateway="gw1", journal="j", retention_s=1e9)
    for record in records(values):
        await sink.write([record])
    for tag, column in zip(CATALOG.tags, values, strict=True):
        parts = history.readings(tag.path, START_NS, START_NS + 1000 * (len(column) + 1))
        assert np.concatenate([part.value for part in parts]).tobytes() == column.tobytes()
    history.close()


async def test_by_rest(tmp_path: Path) -> None:
    hall = Hall(Still())
    history = History(engine(f"sqlite:///{tmp_path / 'history.db'}"))
    for name, column in zip(("speed", "torque", "steps"), columns(200_000), strict=True):
        tag = hall.catalog[hall.catalog.number(f"{SITE}/hall/drive/{name}")]
        (series,) = history.series([tag])
        time = START_NS + 1000 * np.arange(len(column))
        quality = np.zeros(len(column), np.uint32)
        batch = Batch(np.full(len(column), series, np.uint32), time, column, quality)
        history.append([batch], Progress("gw1", "j", 1), 0)
    async with served(hall, tmp_path, {}, history) as client:
        for name, column in zip(("speed", "torque", "steps"), columns(200_000), strict=True):
            found: list[Any] = []
            cursor: str | None = ""
            while cursor is not None:
                span = {"from": "2023-11-14T00:00:00Z", "to": "2023-11-15T00:00:00Z", "limit": "100000"}
                answer = await client.get(f"/api/v1/history/hall/drive/{name}", params=span | {"cursor": cursor})
                page = strict(answer.content)
                found += [row["value"] for row in page["readings"]]
                cursor = page["next"]
            assert same(found, column)
    history.close()
