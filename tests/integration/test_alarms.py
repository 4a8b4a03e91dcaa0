"""Alarms through the shipped command: from a device to API, bus and history, acknowledged, over SIGKILL."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import orjson

from gateway.bench import pipeline
from tests.integration.process import GatewayProcess, alive, plant, write
from tests.servers import Subscriber, nats

HIGH = "hall/device0/stamp/stamp_high"
STATE = "uns/acme/test/hall/device0/_alarm/stamp/stamp_high"


def alarm(gateway: GatewayProcess) -> dict[str, Any]:
    found: dict[str, Any] = gateway.get(f"/api/v1/alarms/{HIGH}")["alarm"]
    return found


async def test_an_alarm_is_raised_once_and_acknowledged_over_a_crash(tmp_path: Path) -> None:
    rules = {"stamp": {"tag": "hall/device0/stamp", "limits": {"high": 1}, "priority": "high"}}
    with nats(tmp_path) as broker, pipeline.devices(1, 1) as ports:
        keys = plant(tmp_path, ports, bus=broker.url, tags=1, alarms={"rules": rules})
        config = write(tmp_path / "plant.yaml", keys)
        async with Subscriber(broker.port) as seen:
            first = await asyncio.to_thread(GatewayProcess, config)
            await seen.until(lambda: bool(seen.on(STATE)))
            before = await asyncio.to_thread(alarm, first)
            wish = {"alarms": [HIGH], "comment": "seen", "event_id": before["event_id"]}
            answer = await asyncio.to_thread(httpx.post, first.ready["api"] + "/api/v1/alarms/acknowledge", json=wish)
            assert answer.json()["alarms"][0]["state"] == "acknowledged"
            await asyncio.to_thread(first.kill)
            async with alive(config) as second:
                after = await asyncio.to_thread(alarm, second)
                assert (after["state"], after["event_id"]) == ("acknowledged", before["event_id"])
                await seen.until(lambda: len(seen.on(STATE)) >= 2)
            events = [orjson.loads(message)["data"] for message in seen.on("hall/device0/_event")]
    told = [(event["Deed"], event["To"]) for event in {event["EventId"]: event for event in events}.values()]
    assert told == [("raise", "unacknowledged"), ("acknowledge", "acknowledged")]
