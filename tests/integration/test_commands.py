"""Commands from the bus to registers of a real Modbus server, by the shipped command, and what never gets there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import pytest

from gateway.mqtt import Access, Message, Mqtt, connect, properties
from gateway.mqtt.properties import Properties
from tests import brokers, servers
from tests.integration.process import alive, write
from tests.integration.test_writes import Drive, configuration, drive

SPEED = "uns/acme/test/hall/drive/speed"
NOTHING: Properties = MappingProxyType({})
WRITTEN = "uns/acme/test/_gateway/gw1/written"


def soon(s: float = 20.0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=s)).isoformat()


class Desk:
    """Somebody on the bus who commands, and hears what becomes of it."""

    def __init__(self, mqtt: Mqtt) -> None:
        self.mqtt = mqtt
        self.answers: asyncio.Queue[tuple[str, dict[str, Any], Properties]] = asyncio.Queue()
        self.speed: asyncio.Queue[Any] = asyncio.Queue()

    def hear(self, topic: str, payload: bytes, retained: bool, qos: int, told: Properties) -> None:
        if topic == SPEED:
            self.speed.put_nowait(orjson.loads(payload)["value"])
        elif topic.startswith((WRITTEN, "mes/")):
            self.answers.put_nowait((topic, orjson.loads(payload), told))

    async def command(
        self, *, to: str = SPEED, retain: bool = False, told: Properties = NOTHING, **fields: Any
    ) -> None:
        payload = orjson.dumps({"reply": "mes", **fields})
        await self.mqtt.publish([Message(f"{to}/_set", payload, retain, properties.encode(told))])

    async def answer(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            return (await self.answers.get())[1]

    async def until_speed(self, value: float) -> None:
        async with asyncio.timeout(20):
            while await self.speed.get() != value:
                pass


@asynccontextmanager
async def desk(folder: Path, device: Drive, broker: str, version: Any = "5", **keys: Any) -> AsyncIterator[Desk]:
    """A gateway with a writable drive, once it reads it, and somebody on its bus."""
    config: dict[str, Any] = configuration(folder, device.port)
    bus: Mapping[str, Any] = {"writes": True, "min_interval": "10ms", **keys}
    async with connect(broker, "mes", access=Access(version)) as mqtt:
        one = Desk(mqtt)
        await mqtt.hear(["uns/#"], one.hear)
        await mqtt.hear(["mes/answers"], one.hear)
        async with alive(write(folder / "plant.yaml", config | {"bus": config["bus"] | {"url": broker} | bus})):
            await one.until_speed(0.0)
            yield one


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_command_is_carried_out_once_and_answered(tmp_path: Path, version: str) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with drive() as device, desk(tmp_path, device, broker.url, version) as one:
            for _ in range(2):
                await one.command(id="a", value=120.5, expires=soon())
                answer = await one.answer()
                assert (answer["id"], answer["status"], answer["value"]) == ("a", "done", 120.5)
                assert answer["read_back"] == pytest.approx(120.5)
            await one.until_speed(120.5)
            assert device.written == [(4, [1205])]


async def test_what_is_retained_expired_or_not_allowed_never_reaches_the_device(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with connect(broker.url, "before") as mqtt:  # what somebody left there before the gateway came
            old = orjson.dumps({"id": "old", "value": 1, "expires": soon(600), "reply": "mes"})
            await mqtt.publish([Message(f"{SPEED}/_set", old, retain=True)])
        async with drive() as device, desk(tmp_path, device, broker.url) as one:
            said = {"old": await one.answer()}
            await one.command(id="kept", value=2, expires=soon(), retain=True)
            await one.command(id="late", value=3, expires=soon(-1))
            await one.command(id="timeless", value=4)
            await one.command(id="zoneless", value=5, expires="2099-01-05T06:00:10")
            await one.command(id="fast", value=200.1, expires=soon())
            await one.command(id="text", value="6", expires=soon())
            await one.command(id="key", value=7, expires=soon(), force=True)
            await one.mqtt.publish([Message(f"{SPEED}/_set", b'{"id":"nan","value":NaN}')])  # no answer: no reply known
            await one.command(id="ok", value=8, expires=soon())
            while "ok" not in said:
                answer = await one.answer()
                said[answer["id"]] = answer
            assert {id: answer["status"] for id, answer in said.items() if id != "ok"} == dict.fromkeys(
                ("old", "kept", "late", "timeless", "zoneless", "fast", "text", "key"), "refused"
            )
            assert "retained" in said["old"]["detail"]
            assert "retained" in said["kept"]["detail"]
            assert "expired" in said["late"]["detail"]
            assert "no time of expiry" in said["timeless"]["detail"]
            assert device.written == [(4, [80])]


async def test_with_mqtt_5_the_message_expires_and_the_answer_goes_where_it_says(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with drive() as device, desk(tmp_path, device, broker.url) as one:
            told: dict[int, int | str | bytes] = {
                properties.MESSAGE_EXPIRY: 20,
                properties.RESPONSE_TOPIC: "mes/answers",
                properties.CORRELATION_DATA: b"\x00\x01",
            }
            await one.command(id="a", value=50, told=told)
            async with asyncio.timeout(20):
                topic, answer, back = await one.answers.get()
            assert (topic, answer["status"]) == ("mes/answers", "done")
            assert back[properties.CORRELATION_DATA] == b"\x00\x01"
            await one.command(id="b", value=60, told=told | {properties.RESPONSE_TOPIC: f"{SPEED}/_set"})
            assert (await one.answer())["id"] == "b"  # at the topic of its `reply` instead: an answer is no command
            assert device.written == [(4, [500]), (4, [600])]


async def test_a_flood_is_cut_off(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path, "allow_anonymous true\nmax_inflight_messages 1000\n") as broker:
        async with drive() as device, desk(tmp_path, device, broker.url) as one:
            async with asyncio.TaskGroup() as tasks:
                for i in range(300):
                    tasks.create_task(one.command(id=f"n{i}", value=i % 100, expires=soon()))
            for _ in range(50):
                await one.answer()
            assert 50 <= len(device.written) < 200


async def test_it_is_off_by_default(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with drive() as device, desk(tmp_path, device, broker.url, writes=False) as one:
            await one.command(id="a", value=1, expires=soon())
            device.silent.set()  # the next sign of life of the gateway comes after it would have written
            async with asyncio.timeout(20):
                while await one.speed.get() is not None:
                    pass
            assert one.answers.empty()
            assert device.written == []


async def test_by_the_embedded_broker_too(tmp_path: Path) -> None:
    async with (
        brokers.embedded(tmp_path) as rig,
        drive() as device,
        desk(tmp_path, device, rig.url, "3.1.1") as one,
    ):
        await one.command(id="a", value=1, expires=soon())
        assert (await one.answer())["status"] == "done"
        assert device.written == [(4, [10])]
