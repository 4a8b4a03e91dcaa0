"""A gateway that was stopped or killed reads what it missed from the server's history: all of it, once, and flagged."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from gateway.historian.history import History
from gateway.historian.schema import engine
from gateway.payload import Message, parse
from tests import servers
from tests.integration.process import GatewayProcess, alive, write

TAG = "acme/test/hall/press/temperature"
OPCUA: dict[str, Any] = {
    "connect": "",
    "asset": "hall/press",
    "publishing": "50ms",
    "sampling": "2ms",
    "history": {"delay": "200ms"},
}


class Counting:
    """A server whose one value counts up, by one each 10 ms; `value` is what it has now."""

    def __init__(self, server: servers.OpcUaRig) -> None:
        self._server = server
        self.value = 0
        self.goes = True
        self._moved = asyncio.Event()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            if not self.goes:
                continue
            self.value += 1
            await self._server.set("Temperature", ua.Variant(float(self.value), ua.VariantType.Double))
            self._moved.set()

    async def go_on(self, changes: int) -> None:
        """Wait until it has changed so often."""
        end = self.value + changes
        while self.value < end:
            self._moved.clear()
            await self._moved.wait()


@asynccontextmanager
async def counting() -> AsyncIterator[tuple[servers.OpcUaRig, Counting]]:
    async with servers.opcua() as server, asyncio.TaskGroup() as tasks:
        await server.historize("Temperature")
        plant = Counting(server)
        task = tasks.create_task(plant.run())
        yield server, plant
        task.cancel()


def configuration(folder: Path, url: str, bus: str | None) -> Path:
    tags = {"temperature": {"node": f"nsu={servers.OpcUaRig.URI};s=Temperature"}}
    config: dict[str, Any] = {
        "site": {"enterprise": "acme", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": {"url": bus},
        "api": {"listen": "127.0.0.1:0"},
        "devices": {"press": OPCUA | {"connect": url, "tags": tags}},
    }
    return write(folder / "plant.yaml", config)


def told(subscriber: servers.Subscriber) -> list[Message]:
    """The records on the bus; one that comes again after a crash is the same record."""
    messages = map(parse, subscriber.on("/hall/press/_batch"))
    return list({(one.boot, one.sequence): one for one in messages}.values())


def changes(messages: list[Message]) -> list[tuple[int, float]]:
    """When each change happened, and to which value; what the gateway says of a lost device is none."""
    columns = [zip(one.time_us, one.values, one.status, strict=True) for one in messages]
    return [(time, value) for rows in columns for time, value, status in rows if status == 0]


def stored(folder: Path) -> list[float]:
    with closing(History(engine(f"sqlite:///{folder / 'data' / 'history.db'}"))) as history:
        return [value for part in history.readings(TAG, 0, 2**62) for value in part.value[part.quality == 0].tolist()]


def accounted(gateway: GatewayProcess, recovered: int) -> bool:
    """Whether the ledger has all that was read from history as recovered, and nothing as lost."""
    rows = gateway.get("/api/v1/ledger", start="-1h", end="now")["rows"]
    assert all(gap["readings"] is None for row in rows for gap in row["gaps"])
    return sum(int(row["recovered"]) for row in rows) == recovered


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_what_a_restart_missed_is_told_once(tmp_path: Path, end: str) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with counting() as (server, plant), servers.Subscriber(broker.port) as subscriber:
            config = configuration(tmp_path, server.url, broker.url)

            def has(value: float) -> bool:
                return any(value <= one for _, one in changes(told(subscriber)))

            def whole() -> bool:
                values = {value for _, value in changes(told(subscriber))}
                return len(values) == max(values) - min(values) + 1 and max(values) >= plant.value

            for _ in range(3):
                gateway = await asyncio.to_thread(GatewayProcess, config)
                await subscriber.until(partial(has, plant.value))
                await plant.go_on(30)
                await asyncio.to_thread(getattr(gateway, end))
                await plant.go_on(50)
            async with alive(config) as gateway:
                plant.goes = False
                await subscriber.until(whole)
                missed = [one for one in told(subscriber) if one.historical]
                await asyncio.to_thread(gateway.until, partial(accounted, gateway, len(changes(missed))))
            repeated = {pair: n for pair, n in Counter(changes(told(subscriber))).items() if n > 1}
            assert not repeated
            values = [value for _, value in changes(told(subscriber))]
            assert sorted(stored(tmp_path)) == sorted(values)
            assert len(changes(missed)) >= 150
