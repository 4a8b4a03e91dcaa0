"""A write from HTTP to a register of a real Modbus server and back, through the command that is shipped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.integration.process import alive, write
from tests.servers import free_port

TOKENS = {"erp": "erp-0123456789abcdef", "page": "page-0123456789abcdef"}
SPEED = "/api/v1/values/hall/drive/speed"


class Drive:
    """A pymodbus server with registers of its own; `written` is what it was told, `silent` whether it still answers."""

    def __init__(self) -> None:
        self.port = free_port()
        self.written: list[tuple[int, Any]] = []
        self.silent = asyncio.Event()

    async def answer(
        self, function: int, start: int, address: int, count: int, current: list[int], values: Any
    ) -> None:
        if values is not None:
            self.written.append((address, values))
        if self.silent.is_set():
            await asyncio.sleep(3600.0)


@asynccontextmanager
async def drive() -> AsyncIterator[Drive]:
    one = Drive()
    words = [SimData(0, values=[0] * 100, datatype=DataType.REGISTERS)]
    server = ModbusTcpServer([SimDevice(1, words, action=one.answer)], address=("127.0.0.1", one.port))
    await server.serve_forever(background=True)
    try:
        yield one
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus says no types here


def configuration(folder: Path, port: int) -> dict[str, Any]:
    return {
        "site": {"enterprise": "acme", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": {"listen": f"127.0.0.1:{free_port()}"},
        "historian": "none",
        "api": {"listen": "127.0.0.1:0", "tokens": TOKENS, "writers": ["erp"]},
        "devices": {
            "drive": {
                "connect": f"modbus://127.0.0.1:{port}",
                "asset": "hall/drive",
                "poll": "50ms",
                "timeout": "500ms",
                "tags": {
                    "speed": {"register": "holding:4", "scale": 0.1, "write": True, "limits": [0, 200]},
                    "ramp": {"register": "holding:6", "type": "float32", "order": "CDAB"},
                },
            }
        },
    }


class Desk:
    """Asks a running gateway, with a token."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def write(self, id: str, value: object, who: str = "erp", tag: str = "hall/drive/speed") -> httpx.Response:
        wish = {"id": id, "tag": tag, "value": value}
        return await self._http.post("/api/v1/writes", json=wish, headers=bearer(who))

    async def until(self, path: str, **wanted: object) -> None:
        """Ask until an answer has these members. Raises TimeoutError."""
        async with asyncio.timeout(20):
            while True:
                found = (await self._http.get(path, headers=bearer("page"))).json()
                if wanted.items() <= found.items():
                    return


def bearer(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[who]}"}


@asynccontextmanager
async def desk(folder: Path, port: int) -> AsyncIterator[Desk]:
    config = write(folder / "plant.yaml", configuration(folder, port))
    async with alive(config) as gateway, httpx.AsyncClient(base_url=gateway.ready["api"], timeout=20) as http:
        yield Desk(http)


async def test_a_value_goes_to_the_register_once_and_comes_back(tmp_path: Path) -> None:
    async with drive() as device, desk(tmp_path, device.port) as one:
        await one.until(SPEED, value=0.0)
        done = await one.write("a", 120.5)
        assert (done.status_code, done.json()["status"]) == (200, "done")
        assert done.json()["read_back"] == pytest.approx(120.5)
        assert (await one.write("a", 120.5)).json() == done.json()
        await one.until(SPEED, value=120.5)
        assert device.written == [(4, [1205])]


async def test_what_is_refused_never_reaches_the_device(tmp_path: Path) -> None:
    async with drive() as device, desk(tmp_path, device.port) as one:
        await one.until(SPEED, value=0.0)
        answers = [
            await one.write("a", 200.1),
            await one.write("b", 100, who="page"),
            await one.write("c", 1.5, tag="hall/drive/ramp"),
            await one.write("d", "fast"),
        ]
        assert [answer.status_code for answer in answers] == [422, 403, 403, 422]
        assert device.written == []


async def test_a_device_that_falls_silent_leaves_it_unknown_and_then_is_away(tmp_path: Path) -> None:
    async with drive() as device, desk(tmp_path, device.port) as one:
        await one.until(SPEED, value=0.0)
        device.silent.set()
        unknown = await one.write("a", 100)
        assert (unknown.status_code, unknown.json()["write"]["status"]) == (504, "unknown")
        assert (await one.write("a", 100)).json() == unknown.json()
        await one.until("/api/v1/devices/drive", state="down")
        assert (await one.write("b", 100)).status_code == 503
        assert [value for _, value in device.written] in ([], [[1000]])
