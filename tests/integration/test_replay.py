"""A consumer that has missed messages gets them again from a real gateway, over a real broker, and nobody else does."""

import asyncio
import json
from pathlib import Path
from typing import Any

import paho.mqtt.publish as mqtt_publish

from gateway.bench import pipeline
from gateway.payload import parse
from tests import servers
from tests.integration.process import GatewayProcess, alive, plant, write

OWN = "uns/acme/test/_gateway/gw1"


async def ask(port: int, *, retain: bool = False, **request: Any) -> None:
    body = json.dumps({"id": "r1", "reply": "erp", "asset": "hall/device0"} | request)
    await asyncio.to_thread(
        mqtt_publish.single, f"{OWN}/replay", body, qos=1, retain=retain, hostname="127.0.0.1", port=port
    )


async def answer(consumer: servers.Subscriber, id: str = "r1") -> dict[str, Any]:
    """Wait for the end of an answer."""

    def ends() -> list[dict[str, Any]]:
        return [end for end in map(json.loads, consumer.on("/replayed/erp")) if end["id"] == id]

    await consumer.until(lambda: bool(ends()))
    return ends()[-1]


def replayed(consumer: servers.Subscriber) -> list[bytes]:
    return consumer.on("/replayed/erp/acme/test/hall/device0/_batch")


async def test_what_was_missed_comes_again_byte_for_byte(tmp_path: Path) -> None:
    with pipeline.devices(1, 5) as ports, servers.mosquitto(tmp_path) as broker:
        config = write(tmp_path / "plant.yaml", plant(tmp_path, ports, bus=broker.url, poll="20ms"))
        async with servers.Subscriber(broker.port) as all_of_it, alive(config) as gateway:
            await all_of_it.until(lambda: len(all_of_it.on("hall/device0/_batch")) >= 130)
            own = servers.Subscriber(broker.port, f"{OWN}/replayed/erp/#")
            batches = servers.Subscriber(broker.port, "uns/acme/test/hall/device0/_batch")
            async with own as consumer, batches as others:
                await ask(broker.port, first=10, last=129)
                end = await answer(consumer)
                assert (end["sent"], end["missing"], end["next"]) == (120, [], None)
                first_time = {parse(p).sequence: p for p in all_of_it.on("test/hall/device0/_batch")}
                assert replayed(consumer) == [first_time[n] for n in range(10, 130)]
                assert all(parse(payload).sequence >= 130 for payload in others.on("/_batch"))
                await told_what_is_not_there(broker.port, consumer, gateway)


async def told_what_is_not_there(port: int, consumer: servers.Subscriber, gateway: GatewayProcess) -> None:
    await ask(port, id="future", first=10_000_000, last=10_000_004)
    end = await answer(consumer, "future")
    assert (end["sent"], end["missing"]) == (0, [[10_000_000, 10_000_004]])
    await ask(port, id="much", first=1, last=5_000)
    end = await answer(consumer, "much")
    assert end["next"] == 1001
    assert end["sent"] + sum(b - a + 1 for a, b in end["missing"]) == 1000
    await ask(port, id="unknown", asset="hall/nothing", first=1, last=2)
    assert (await answer(consumer, "unknown"))["error"] == "there is no such asset"
    await ask(port, id="retained", first=1, last=2, retain=True)  # known with MQTT 5 also by those who are there
    await ask(port, id="wrong", first=2, last=1)
    await asyncio.to_thread(gateway.until, lambda: gateway.metric("gateway_part_refused_total", part="replay") == 2)


async def test_a_retained_request_is_not_answered(tmp_path: Path) -> None:
    with pipeline.devices(1, 5) as ports, servers.mosquitto(tmp_path) as broker:
        await ask(broker.port, first=1, last=5, retain=True)
        config = write(tmp_path / "plant.yaml", plant(tmp_path, ports, bus=broker.url))
        async with servers.Subscriber(broker.port, f"{OWN}/#") as consumer, alive(config) as gateway:
            await asyncio.to_thread(
                gateway.until, lambda: gateway.metric("gateway_part_refused_total", part="replay") == 1
            )
            assert replayed(consumer) == []


async def test_what_the_journal_has_forgotten_is_said(tmp_path: Path) -> None:
    with pipeline.devices(1, 5) as ports, servers.mosquitto(tmp_path) as broker:
        keys = plant(tmp_path, ports, bus=broker.url, poll="20ms", journal={"retention": "1s"})
        async with (
            servers.Subscriber(broker.port, f"{OWN}/#") as consumer,
            alive(write(tmp_path / "plant.yaml", keys)) as gateway,
        ):
            await asyncio.to_thread(
                gateway.until, lambda: gateway.metric("gateway_part_records_total", part="journal") > 350
            )
            await ask(broker.port, first=1, last=350)
            end = await answer(consumer)
            assert end["missing"][0][0] == 1
            assert end["sent"] + sum(b - a + 1 for a, b in end["missing"]) == 350
            assert [parse(p).sequence for p in replayed(consumer)] == list(range(end["missing"][0][1] + 1, 351))


async def test_the_ledger_of_each_minute_is_published(tmp_path: Path) -> None:
    """Retained, five seconds after the end of the minute; at most 65 s from now."""
    with pipeline.devices(1, 5) as ports, servers.mosquitto(tmp_path) as broker:
        config = write(tmp_path / "plant.yaml", plant(tmp_path, ports, bus=broker.url))
        async with servers.Subscriber(broker.port, f"{OWN}/ledger") as consumer, alive(config) as gateway:
            await consumer.until(lambda: bool(consumer.messages), patience_s=75.0)
            message = json.loads(consumer.messages[0][1])
            (row,) = gateway.get("/api/v1/ledger", end=message["minute"].replace(":00.0", ":01.0"))["rows"]
    assert message["gateway"] == "gw1"
    assert message["devices"]["device0"]["good"] == row["good"] > 0
    assert message["devices"]["device0"]["unexplained"] == 0
