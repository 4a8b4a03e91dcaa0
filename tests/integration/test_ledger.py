"""The ledger of a real gateway: what it serves of refused registers, a broker that is away, and a gateway killed."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from tests import servers
from tests.integration.process import GatewayProcess, alive, plant, write


def rows(gateway: GatewayProcess, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.get("/api/v1/ledger", **params)["rows"]
    return found


def gaps(gateway: GatewayProcess) -> dict[str, dict[str, Any]]:
    """The gaps of all rows, by cause; the last of each."""
    return {gap["cause"]: gap for row in rows(gateway) for gap in row["gaps"]}


def total(gateway: GatewayProcess, key: str) -> int:
    return sum(row[key] for row in rows(gateway))


async def until(gateway: GatewayProcess, what: Any, *arguments: Any) -> None:
    await asyncio.to_thread(gateway.until, partial(what, gateway, *arguments))


def has_cause(gateway: GatewayProcess, cause: str) -> bool:
    return cause in gaps(gateway)


def all_delivered(gateway: GatewayProcess) -> bool:
    """Whether every sink has all that came, but for what came since the ledger was written."""
    found = rows(gateway)
    return bool(found) and all(sink["waiting"] < 50 for row in found for sink in row["sinks"].values())


def sink_was_down(gateway: GatewayProcess) -> bool:
    return any(row["sinks"].get("bus", {}).get("down") for row in rows(gateway))


async def test_every_gap_has_its_cause_and_every_reading_its_delivery(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with servers.modbus() as device, servers.line(broker.port) as line:
            await story(tmp_path, device, line)


async def story(folder: Path, device: servers.ModbusRig, line: servers.Line) -> None:
    device.illegal = {6}  # within v1
    keys = plant(folder, [device.port], bus=line.mqtt_url, poll="50ms", tags=3)
    config = write(folder / "plant.yaml", keys)
    gateway = await asyncio.to_thread(GatewayProcess, config)
    try:
        await until(gateway, has_cause, "exception 2")
        assert gaps(gateway)["exception 2"]["where"] == "holding:6 float32 ABCD"
        line.cut()
        await until(gateway, sink_was_down)
        await line.join()
        await until(gateway, all_delivered)
        await device.stop()
        await until(gateway, has_cause, "not connected: ECONNREFUSED")
        await device.start()
        before = total(gateway, "good")
        await until(gateway, lambda one: total(one, "good") > before + 100)
    finally:
        gateway.kill()
    async with alive(config) as again:
        await until(again, has_cause, "gateway killed")
        found = rows(again)
        assert all(row["unexplained"] == 0 for row in found[:-1])
        assert found[-1]["unexplained"] <= 8  # of a poll that is not yet written down


async def test_pages_and_problems(tmp_path: Path) -> None:
    async with servers.modbus() as device, alive(write(tmp_path / "plant.yaml", twice(tmp_path, device.port))) as one:
        await until(one, lambda gateway: len(rows(gateway)) >= 2)
        first = one.get("/api/v1/ledger", limit="1")
        second = one.get("/api/v1/ledger", limit="1", cursor=first["next"])
        assert [page["rows"][0]["device"] for page in (first, second)] == ["device0", "device1"]
        assert {row["device"] for row in rows(one, device="device1")} == {"device1"}
        assert rows(one, start="-2h", end="-1h") == []
        wrong = {"device": "nobody", "start": "soon", "end": "-2h", "cursor": "x", "limit": "0"}
        statuses = {key: one.get("/api/v1/ledger", **{key: value})["status"] for key, value in wrong.items()}
        assert statuses == {"device": 404, "start": 422, "end": 422, "cursor": 422, "limit": 422}


def twice(folder: Path, port: int) -> dict[str, Any]:
    return plant(folder, [port, port], bus=None)
