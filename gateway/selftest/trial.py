"""A trial: a gateway as a child process, faults by chance, and how long it takes until values of now arrive again."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from gateway.bus.broker import Broker
from gateway.mqtt import connect
from gateway.payload import parse
from gateway.ports import free
from gateway.selftest.device import VALUES, Device
from gateway.selftest.line import Line, line
from gateway.selftest.tally import Told, Verdict, judge

_DEVICES: Final = 3
_POLL: Final = "20ms"
_PATIENCE_S: Final = 90.0
_JOURNAL: Final = "1MiB"
"""So small that a broker that is away for some seconds fills it."""
_TURN_S: Final = 0.02


class Stuck(OSError):
    """The gateway did not recover."""


@dataclass(slots=True)
class Result:
    """What a trial has found. `recovery_s` is by kind of fault; `blocks` is how often the journal was full."""

    seed: int
    kills: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    recovery_s: dict[str, list[float]] = field(default_factory=dict)
    blocks: int = 0
    unexplained: int = 0
    ledger_off: int = 0

    @property
    def lost(self) -> int:
        return sum(verdict.lost_bus + verdict.lost_history for verdict in self.verdicts)

    @property
    def duplicated(self) -> int:
        return sum(v.duplicated for v in self.verdicts) + sum(told.duplicated for told in self.told)

    @property
    def reordered(self) -> int:
        return sum(told.reordered for told in self.told)

    @property
    def wrong(self) -> int:
        return sum(told.wrong for told in self.told)

    @property
    def passed(self) -> bool:
        return not (self.lost or self.duplicated or self.reordered or self.wrong or self.unexplained or self.ledger_off)


async def trial(kills: int, seed: int, folder: Path, say: Callable[[str], None]) -> Result:
    """Run as many rounds as there are kills, and one of each other fault at least. Raises OSError if it gets stuck."""
    async with _Plant.built(folder, random.Random(seed)) as plant:
        result = Result(seed, recovery_s=plant.recovery_s)
        await plant.first()
        for fault in plant.faults:
            await plant.suffer(fault)
            say(f"{fault}: recovered in {plant.recovery_s[fault][-1]:.2f} s")
        for n in range(kills):
            await plant.kill()
            say(f"kill {n + 1} of {kills}: recovered in {plant.recovery_s['gateway killed'][-1]:.2f} s")
        result.kills = kills
        await plant.finish(result)
    return result


class _Plant:
    """Devices, broker, the line to it, a subscriber, and one gateway after the other."""

    def __init__(
        self, folder: Path, chance: random.Random, devices: Sequence[Device], line: Line, config: Path
    ) -> None:
        self.recovery_s: dict[str, list[float]] = {}
        self.faults: Mapping[str, Callable[[], Awaitable[None]]] = {
            "broker closed": self._broker_closed,
            "broker silent": self._broker_silent,
            "device cut": self._device_cut,
            "device frozen": self._device_frozen,
            "journal full": self._journal_full,
        }
        self.told = [Told() for _ in devices]
        self.blocks = 0
        self._folder = folder
        self._chance = chance
        self._devices = devices
        self._line = line
        self._config = config
        self._gateway: asyncio.subprocess.Process | None = None
        self._api = ""

    @classmethod
    @asynccontextmanager
    async def built(cls, folder: Path, chance: random.Random) -> AsyncIterator["_Plant"]:
        """All but the gateway."""
        async with AsyncExitStack() as stack:
            devices = [await stack.enter_async_context(Device()) for _ in range(_DEVICES)]
            broker = Broker("127.0.0.1", port := free(), folder / "broker", folder / "broker.log")
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            running = tasks.create_task(broker.run(lambda: None))
            stack.callback(running.cancel)
            await broker.ready.wait()
            way = await stack.enter_async_context(line(port))
            config = folder / "selftest.json"
            config.write_text(json.dumps(_config(folder, devices, way.port)), encoding="utf-8")
            plant = cls(folder, chance, devices, way, config)
            mqtt = await stack.enter_async_context(connect(f"mqtt://127.0.0.1:{port}", "selftest"))
            await mqtt.subscribe("uns/self/test/+/_batch", plant._receive)
            stack.push_async_callback(plant._end)
            yield plant

    # --- the gateway ----------------------------------------------------------------------

    async def start(self) -> None:
        words = ["-m", "gateway", "run", str(self._config), "--json"]
        with (self._folder / "gateway.log").open("ab") as log_file:
            gateway = await asyncio.create_subprocess_exec(
                sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=log_file
            )
        assert gateway.stdout is not None
        self._gateway = gateway
        said = await gateway.stdout.readline()
        if not said:
            raise Stuck(f"the gateway ended with code {await gateway.wait()}: see {self._folder / 'gateway.log'}")
        self._api = json.loads(said)["api"]

    async def first(self) -> None:
        """Start the first gateway, and wait until its values arrive."""
        await self._recovered("first start", self.start)

    async def kill(self) -> None:
        """Kill the gateway at some moment, perhaps while something else is broken too, and start it again."""
        joint = self._chance.choice([None, None, self._line.cut, self._line.swallow, self._devices[0].cut])
        await asyncio.sleep(self._chance.uniform(0.0, 0.5))
        if joint is not None:
            joint()
        await asyncio.sleep(self._chance.uniform(0.0, 1.0))
        for device in self._devices:
            device.excuse()
        assert self._gateway is not None
        self._gateway.kill()
        await self._gateway.wait()
        self._line.snap()
        await self._line.join()
        await self._recovered("gateway killed", self.start)

    async def suffer(self, fault: str) -> None:
        """Break something, mend it, and wait until values of now arrive again."""
        await self._recovered(fault, self.faults[fault])

    async def finish(self, result: Result) -> None:
        """Stop the devices, wait until all has arrived, and compare."""
        for device in self._devices:
            device.excuse()
            device.frozen = True
        await self._until(self._nothing_waits, "records still wait in the journal")
        names = [f"device{n}" for n in range(_DEVICES)]
        stored = [await self._stored(name) for name in names]
        rows = [row for name in names for row in await self._pages("/api/v1/ledger", "rows", device=name, start="-1d")]
        good = sum(row["good"] for row in rows)
        result.told, result.blocks = self.told, result.blocks + self.blocks
        result.unexplained = sum(row["unexplained"] for row in rows)
        result.ledger_off = abs(good - (1 + VALUES) * sum(map(len, stored)))
        for device, told, numbers in zip(self._devices, self.told, stored, strict=True):
            result.verdicts.append(judge(device.connections, told.numbers, numbers))

    async def _end(self) -> None:
        if self._gateway is not None and self._gateway.returncode is None:
            self._gateway.terminate()
            await self._gateway.wait()

    # --- faults: each breaks something and mends it ---------------------------------------

    async def _broker_closed(self) -> None:
        self._line.cut()
        await asyncio.sleep(self._chance.uniform(0.5, 3.0))
        await self._line.join()

    async def _broker_silent(self) -> None:
        self._line.swallow()
        await asyncio.sleep(self._chance.uniform(0.5, 3.0))
        self._line.snap()

    async def _device_cut(self) -> None:
        self._chance.choice(self._devices).cut()

    async def _device_frozen(self) -> None:
        device = self._chance.choice(self._devices)
        device.excuse()
        device.frozen = True
        await asyncio.sleep(self._chance.uniform(0.5, 3.0))
        device.frozen = False

    async def _journal_full(self) -> None:
        """Keep the broker away until the journal makes the devices wait."""
        self._line.cut()
        await self._until(self._blocked, "the journal is not full")
        self.blocks += 1
        await self._line.join()

    # --- what it is waited for ------------------------------------------------------------

    async def _recovered(self, fault: str, suffer: Callable[[], Awaitable[None]]) -> None:
        """Suffer a fault; note the time from its end, or from the start of a new gateway, to values of after it."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await suffer()
        begin = loop.time() if fault in self.faults else begin
        newest = [device.number for device in self._devices]

        async def anew() -> bool:
            return all(told.newest > number for told, number in zip(self.told, newest, strict=True))

        await self._until(anew, f"no new values arrive after: {fault}")
        self.recovery_s.setdefault(fault, []).append(loop.time() - begin)

    async def _until(self, true: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not await true():  # noqa: ASYNC110 (what the gateway knows, nobody tells us)
                    await asyncio.sleep(_TURN_S)
        except TimeoutError:
            raise Stuck(f"{what}, within {_PATIENCE_S:g} s: see {self._folder / 'gateway.log'}") from None

    async def _blocked(self) -> bool:
        return 'gateway_part_blocked{part="journal"} 1' in await self._get("/metrics")

    async def _nothing_waits(self) -> bool:
        await asyncio.sleep(2.5)  # for the ledger, which is written every two seconds
        lines = (await self._get("/metrics")).splitlines()
        waiting = [line for line in lines if line.startswith("gateway_part_behind_")]
        return bool(waiting) and all(line.endswith(" 0") or line.endswith(" 0.0") for line in waiting)

    async def _stored(self, device: str) -> list[int]:
        path = f"/api/v1/history/{device}/number"
        rows = await self._pages(path, "readings", **{"from": "-1d", "limit": "100000"})
        return [int(row["value"]) for row in rows if row["quality"] == "good"]

    async def _pages(self, path: str, key: str, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = json.loads(await self._get(f"{path}?{urlencode(query | {'cursor': cursor})}"))
            found += page[key]
            cursor = page["next"]
            if not cursor:
                return found

    async def _get(self, path: str) -> str:
        """Ask the gateway; HTTP/1.0 by hand, so that nothing but this program is needed. Empty if it is not there."""
        host, _, port = self._api.removeprefix("http://").rpartition(":")
        with suppress(ConnectionError):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer.partition(b"\r\n\r\n")[2].decode()
        return ""

    def _receive(self, topic: str, payload: bytes, retained: bool) -> None:
        device = int(topic.split("/")[3].removeprefix("device"))
        self.told[device].take(parse(payload))


def _config(folder: Path, devices: Sequence[Device], broker: int) -> dict[str, Any]:
    tags: dict[str, Any] = {"number": {"register": "holding:0", "type": "uint32"}}
    tags |= {f"v{k}": {"register": f"holding:{2 + 2 * k}", "type": "uint32"} for k in range(VALUES)}
    return {
        "site": {"enterprise": "self", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": {"url": f"mqtt://127.0.0.1:{broker}", "per_tag": False},
        "journal": {"size": _JOURNAL, "policy": "block"},
        "api": {"listen": "127.0.0.1:0"},
        "devices": {
            f"device{n}": {
                "connect": f"modbus://127.0.0.1:{device.port}",
                "asset": f"device{n}",
                "poll": _POLL,
                "timeout": "500ms",
                "tags": tags,
            }
            for n, device in enumerate(devices)
        },
    }
