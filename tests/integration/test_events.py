"""Events and values of every shape, from an OPC UA server to the bus, the API and history, over a restart."""

import asyncio
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from asyncua import ua

from tests.conformance.test_opcua_events import Machine, machine
from tests.integration.process import GatewayProcess, alive, write
from tests.servers import BrokerProcess, Subscriber, free_port, nats

HALL = "acme/test/hall/filler"
ALARM = f"uns/{HALL}/_alarm/pump/highlevel"
ENDED = "ended while the gateway did not hear it"
BIG = 2**60 + 1


def configuration(folder: Path, server: Machine, broker: BrokerProcess) -> dict[str, Any]:
    tags = {
        "alarms": {"events": "i=2253"},
        "serials": {"node": "nsu=urn:test:events;s=Serials"},
        "matrix": {"node": "nsu=urn:test:events;s=Matrix"},
    }
    return {
        "site": {"enterprise": "acme", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": {"url": broker.url},
        "api": {"listen": f"127.0.0.1:{free_port()}"},
        "devices": {"filler": {"connect": server.url, "asset": "hall/filler", "publishing": "50ms", "tags": tags}},
    }


async def until_told(gateway: GatewayProcess, message: str) -> list[Any]:
    """Wait until history has an event; return all that it has of the tag."""
    found: list[Any] = []

    def told() -> bool:
        found[:] = [reading["value"] for reading in history(gateway, "alarms")]
        return any(value and value["Message"] == message for value in found)

    await asyncio.to_thread(gateway.until, told)
    return found


def history(gateway: GatewayProcess, tag: str) -> list[Any]:
    readings: list[Any] = gateway.get(f"/api/v1/history/hall/filler/{tag}")["readings"]
    return readings


async def test_events_arrive_everywhere_and_once(tmp_path: Path) -> None:
    with nats(tmp_path) as broker:
        async with machine() as server, Subscriber(broker.port) as seen:
            server.at = datetime.now(UTC)  # history forgets what is old
            await server.add("Serials", ua.Variant([BIG, -BIG], ua.VariantType.Int64))
            await server.add("Matrix", ua.Variant([[1.5, math.nan], [2.0, 3.0]], ua.VariantType.Double))
            await server.alarm("pump", active=True, acked=False, message="hot")
            plant = write(tmp_path / "plant.yaml", configuration(tmp_path, server, broker))
            async with alive(plant) as gateway:
                await first_life(server, gateway, seen)
            await server.alarm("pump", active=False, acked=True, message="never heard")
            async with alive(plant) as gateway:
                found = await until_told(gateway, ENDED)
                await seen.until(lambda: len(seen.on(ALARM)) == 2)
    assert sorted(value["Message"] for value in found if value) == ["door open", ENDED, "hot"]
    state = orjson.loads(seen.on(ALARM)[-1])
    assert (state["value"], state["quality"], state["reason"]) == (False, "uncertain", "UncertainSubNormal")


async def first_life(server: Machine, gateway: GatewayProcess, seen: Subscriber) -> None:
    await until_told(gateway, "hot")
    await server.happen("door open")
    await until_told(gateway, "door open")
    latest = await asyncio.to_thread(gateway.get, "/api/v1/values/hall/filler/serials")
    assert latest["value"] == [str(BIG), str(-BIG)]
    await asyncio.to_thread(gateway.until, lambda: bool(history(gateway, "matrix")))
    assert (await asyncio.to_thread(history, gateway, "matrix"))[0]["value"] == [[1.5, None], [2.0, 3.0]]
    await seen.until(lambda: len(seen.on("/_event")) == 2)
    events = [orjson.loads(message) for message in seen.on(f"uns/{HALL}/_event")]
    assert [event["data"]["Message"] for event in events] == ["hot", "door open"]
    assert len({event["id"] for event in events}) == 2
    (state,) = map(orjson.loads, seen.on(ALARM))
    assert (state["value"], state["event"]["Message"]) == (True, "hot")
