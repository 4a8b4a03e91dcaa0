"""The edge node on a real Mosquitto: sessions, the primary host, commands, outages."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.bench import pipeline
from gateway.bus.sparkplug.node import EdgeNode
from gateway.bus.sparkplug.session import BirthNumber, Options, Session
from gateway.clock import SystemClock
from gateway.latest import Latest
from gateway.model import Batch, Catalog, Record, Tag
from gateway.mqtt import Message, Mqtt, connect
from gateway.mqtt.sparkplug.names import Names
from tests import servers
from tests.integration.process import GatewayProcess, alive, plant, write
from tests.tahu import Payload, parsed

NCMD = "spBv1.0/g/NCMD/n"
STATE = "spBv1.0/STATE/scada"


class Host(servers.Subscriber):
    """A host application: hears everything of Sparkplug, as protobuf reads it."""

    def __init__(self, port: int) -> None:
        super().__init__(port, "spBv1.0/#")
        self._read: list[tuple[str, Any]] = []

    def heard(self, verb: str) -> list[Any]:
        """Return the payloads with this verb, in order."""
        for topic, payload, _ in self.messages[len(self._read) :]:
            level = topic.split("/")[2]
            self._read.append((level, parsed(payload) if level[1:] in ("BIRTH", "DATA", "DEATH") else None))
        return [said for level, said in self._read if level == verb]

    def verbs(self) -> list[str]:
        return [topic.split("/")[2] for topic, _, _ in self.messages]

    async def hear(self, verb: str, n: int = 1) -> None:
        await self.until(lambda: self.verbs().count(verb) >= n)


@dataclass
class Rig:
    """An edge node with one device of two tags in this process; commands that it passes on are in `written`."""

    folder: Path
    urls: list[str]
    host: str = ""
    writes: bool = False
    position: int = 0
    ups: int = 0
    written: list[tuple[str, Any, str]] = field(default_factory=list)
    online: asyncio.Event = field(default_factory=asyncio.Event)
    all_written: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.catalog = Catalog([Tag("p/press", "force", device="press"), Tag("p/press", "count", device="press")])
        self.latest = Latest(2)
        clock = SystemClock()
        node = EdgeNode(
            Names("g", "n"), "p", self.catalog, self.latest, clock, alive=lambda _: True, newest=lambda: self.position
        )
        options = Options(self.urls, "edge", self.host, self._write if self.writes else None)
        self.session = Session(options, node, BirthNumber(self.folder / "sparkplug.json"), clock)

    async def _write(self, tag: str, value: Any, id: str, expires_ns: int) -> None:
        self.written.append((tag, value, id))
        if len(self.written) == 4:
            self.all_written.set()

    def _up(self) -> None:
        self.ups += 1
        self.online.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run sessions one after another, as the supervisor does, without its patience."""

        async def sessions() -> None:
            while True:
                try:
                    await self.session.run(self._up)
                except OSError:
                    self.online.clear()
                    await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(sessions())]
            if self.writes:
                running.append(tasks.create_task(self.session.obey(lambda: None)))
            yield
            for task in running:
                task.cancel()
        self.online.clear()

    def emit(self, value: float) -> Record:
        self.position += 1
        batch = Batch.of([0, 1], SystemClock().now_ns(), [value, value + 0.5])
        self.latest.update(batch)
        return Record(self.position, 0, 1, self.position, 0, (batch,))

    async def tell(self, value: float) -> None:
        """Have a reading when a session stands, so that it is news."""
        await self.online.wait()
        await self.session.write([self.emit(value)])


async def say(mqtt: Mqtt, topic: str, payload: bytes, *, retain: bool = False) -> None:
    await mqtt.publish([Message(topic, payload, retain=retain)])


def state(online: bool, time_ms: int) -> bytes:
    return json.dumps({"online": online, "timestamp": time_ms}).encode()


def command(name: str, time_ms: int | None = None, **value: Any) -> bytes:
    now_ms = SystemClock().now_ns() // 1_000_000
    payload = Payload(timestamp=now_ms if time_ms is None else time_ms)
    payload.metrics.add(name=name, **value)
    text: bytes = payload.SerializeToString()
    return text


REBIRTH = command("Node Control/Rebirth", datatype=11, boolean_value=True)


async def test_a_session_begins_with_births_and_ends_with_a_death(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with Host(broker.port) as host:
            rig = Rig(tmp_path, [broker.url])
            for number in range(3):
                async with rig.running():
                    await rig.tell(1.0 + number)
                    await host.hear("DDATA", number + 1)
                await host.hear("NDEATH", number + 1)
            assert host.verbs() == ["NBIRTH", "DBIRTH", "DDATA", "NDEATH"] * 3
    births, deaths = host.heard("NBIRTH"), host.heard("NDEATH")
    numbers = [next(m.long_value for m in birth.metrics if m.name == "bdSeq") for birth in births]
    assert numbers == [death.metrics[0].long_value for death in deaths] == [0, 1, 2]
    assert [payload.seq for verb in ("NBIRTH", "DBIRTH", "DDATA") for payload in host.heard(verb)[:1]] == [0, 1, 2]


async def test_the_number_of_births_goes_on_after_a_restart_and_begins_anew_after_255(tmp_path: Path) -> None:
    path = tmp_path / "sparkplug.json"
    path.write_text('{"bdSeq": 254}', encoding="utf-8")
    assert [BirthNumber(path).next() for _ in range(3)] == [255, 0, 1]
    path.write_text("nonsense", encoding="utf-8")
    assert BirthNumber(path).next() == 0


async def test_a_number_that_cannot_be_kept_is_told_and_counts_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    number = BirthNumber(tmp_path / "missing" / "sparkplug.json")
    assert [number.next(), number.next()] == [0, 1]
    assert "cannot be written" in caplog.text


async def test_a_node_that_breaks_off_is_dead_by_its_will(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with Host(broker.port) as host, servers.line(broker.port) as line:
            rig = Rig(tmp_path, [line.mqtt_url])
            async with rig.running():
                await rig.tell(1.0)
                await host.hear("DDATA")
                line.cut()
                await host.hear("NDEATH")
                await line.join()
                await host.hear("NBIRTH", 2)
    (first, second) = (next(m.long_value for m in b.metrics if m.name == "bdSeq") for b in host.heard("NBIRTH"))
    assert (first, host.heard("NDEATH")[0].metrics[0].long_value, second) == (0, 0, 1)


async def test_what_the_broker_has_not_taken_is_not_confirmed(tmp_path: Path) -> None:
    """It has QoS 0, so the connection would take it, and lose it."""
    with servers.mosquitto(tmp_path) as broker:
        async with Host(broker.port) as host, servers.line(broker.port) as line:
            rig = Rig(tmp_path, [line.mqtt_url])
            async with rig.running():
                await rig.tell(1.0)
                await host.hear("DDATA")
                line.swallow()
                async with asyncio.TaskGroup() as tasks:
                    writing = tasks.create_task(lost(rig.tell(2.0)))
                    await asyncio.wait([writing], timeout=0.2)
                    assert not writing.done()
                    line.cut()


async def lost(work: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(ConnectionError, match="lost"):
        await work


async def test_a_rebirth_is_answered_and_a_storm_of_them_is_not(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with Host(broker.port) as host, connect(broker.url, "host") as mqtt:
            rig = Rig(tmp_path, [broker.url])
            async with rig.running():
                await rig.tell(1.0)
                await host.hear("NBIRTH", 1)
                for _ in range(50):
                    await say(mqtt, NCMD, REBIRTH)
                await host.hear("NBIRTH", 2)
                await rig.tell(2.0)
                await host.hear("DDATA", 2)
    assert host.verbs().count("NBIRTH") <= 3
    assert rig.session.counts()["rebirths_asked"] == 50
    assert [birth.seq for birth in host.heard("NBIRTH")] == [0] * host.verbs().count("NBIRTH")


async def test_without_the_primary_host_nothing_is_said(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with Host(broker.port) as host, connect(broker.url, "host") as mqtt:
            await say(mqtt, STATE, state(False, 5), retain=True)
            rig = Rig(tmp_path, [broker.url], host="scada")
            past = [rig.emit(float(i)) for i in range(3)]
            async with rig.running(), asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(rig.session.write(past))
                await say(mqtt, "spBv1.0/STATE/other", state(True, 10), retain=True)
                await say(mqtt, STATE, state(True, 10), retain=True)
                await waiting
                await host.hear("DDATA", 2)
                await say(mqtt, STATE, state(False, 9))  # of a connection before
                await rig.tell(3.0)
                await host.hear("DDATA", 3)
                await say(mqtt, STATE, state(False, 10))
                await host.hear("NDEATH")
                later = [rig.emit(float(i)) for i in range(4, 7)]
                waiting = tasks.create_task(rig.session.write(later))
                await say(mqtt, STATE, state(True, 20), retain=True)
                await waiting
                await host.hear("DDATA", 5)
    verbs = [verb for verb in host.verbs() if verb not in ("scada", "other")]
    session = ["NBIRTH", "DBIRTH", "DDATA", "DDATA"]
    assert [v for v in verbs if v != "STATE"] == [*session, "DDATA", "NDEATH", *session, "NDEATH"]
    told = [(m.double_value, m.is_historical) for data in host.heard("DDATA") for m in data.metrics[:1]]
    assert told == [(0.0, True), (1.0, True), (3.0, False), (4.0, True), (5.0, True)]  # 2 and 6 are in the births
    assert rig.ups == 2


async def test_the_next_broker_is_tried_when_the_primary_host_leaves(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with servers.mosquitto(tmp_path / "a") as one, servers.mosquitto(tmp_path / "b") as two:
        async with Host(one.port) as host, connect(one.url, "host") as mqtt, connect(two.url, "host") as other:
            await say(mqtt, STATE, state(True, 5), retain=True)
            await say(other, STATE, state(True, 1), retain=True)
            async with Host(two.port) as second, Rig(tmp_path, [one.url, two.url], host="scada").running():
                await host.hear("NBIRTH")
                assert "NBIRTH" not in second.verbs()
                await say(mqtt, STATE, state(False, 5), retain=True)
                await second.hear("NBIRTH")
                assert host.verbs()[-1] == "NDEATH"


async def test_a_flood_of_commands_is_cut_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with connect(broker.url, "host") as mqtt:
            rig = Rig(tmp_path, [broker.url], writes=True)
            async with rig.running():
                await rig.online.wait()
                flood = [command("force", datatype=10, double_value=float(i)) for i in range(200)]
                await mqtt.publish([Message("spBv1.0/g/DCMD/n/press", payload) for payload in flood])
                counts = rig.session.counts()
                while counts["commands"] + counts["commands_flooded"] < len(flood):
                    await rig.tell(1.0)
                    counts = rig.session.counts()
    assert 50 <= len(rig.written) < 150
    assert len([line for line in caplog.messages if line.startswith("commands by Sparkplug are refused")]) == 1


async def test_commands_reach_the_writes_once_and_only_if_they_are_new(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether somebody may write, and within which limits, is the business of gateway/writes.py."""
    caplog.set_level(logging.WARNING)
    dcmd = "spBv1.0/g/DCMD/n/press"
    with servers.mosquitto(tmp_path) as broker:
        async with Host(broker.port) as host, connect(broker.url, "host") as mqtt:
            await say(mqtt, dcmd, command("force", datatype=10, double_value=1.0), retain=True)
            rig = Rig(tmp_path, [broker.url], writes=True)
            async with rig.running():
                await rig.tell(1.0)
                await host.hear("DBIRTH")
                alias = next(m.alias for m in host.heard("DBIRTH")[0].metrics if m.name == "count")
                by_alias = Payload(timestamp=SystemClock().now_ns() // 1_000_000)
                by_alias.metrics.add(alias=alias, double_value=7.5)
                for payload in (
                    b"\xff\xff nonsense",
                    command("unknown", datatype=10, double_value=2.0),
                    command("force", time_ms=0, datatype=10, double_value=3.0),
                    command("force", datatype=10, double_value=4.0),
                    by_alias.SerializeToString(),
                    by_alias.SerializeToString(),
                ):
                    await say(mqtt, dcmd, payload)
                await say(mqtt, dcmd, command("force", datatype=10, is_null=True))
                async with asyncio.timeout(15):
                    await rig.all_written.wait()
    assert [(tag, value) for tag, value, _ in rig.written] == [
        ("p/press/force", 4.0), ("p/press/count", 7.5), ("p/press/count", 7.5), ("p/press/force", None),
    ]  # fmt: skip
    assert len({id for _, _, id in rig.written}) == 3  # the same message twice has one id, so it is written once
    for why in ("it is retained", "no protobuf", "names no metric", "does not say when"):
        assert why in caplog.text


async def test_without_writes_no_command_is_heeded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with Host(broker.port) as host, connect(broker.url, "host") as mqtt:
            rig = Rig(tmp_path, [broker.url])
            async with rig.running():
                await rig.tell(1.0)
                await say(mqtt, NCMD, command("force", datatype=10, double_value=1.0))
                await say(mqtt, NCMD, REBIRTH)
                await host.hear("NBIRTH", 2)
    assert "writes are off" in caplog.text


# --- the whole gateway --------------------------------------------------------------------


def stamps(host: Host) -> set[int]:
    """All values of the tag that is different in every poll, of births and data."""
    aliases = {m.alias for birth in host.heard("DBIRTH")[:1] for m in birth.metrics if m.name == "stamp"}
    said = [m for verb in ("DBIRTH", "DDATA") for payload in host.heard(verb) for m in payload.metrics]
    return {m.long_value for m in said if m.alias in aliases and m.HasField("long_value")}


def stored(gateway: GatewayProcess) -> set[int]:
    readings = gateway.get("/api/v1/history/hall/device0/stamp", limit="100000")["readings"]
    return {int(reading["value"]) for reading in readings if reading["quality"] == "good"}


async def test_what_is_read_while_the_broker_is_away_is_told_later_as_history(tmp_path: Path) -> None:
    with pipeline.devices(1, 5) as ports, servers.mosquitto(tmp_path) as broker:
        async with servers.line(broker.port) as line, Host(broker.port) as host:
            keys = plant(tmp_path, ports, bus=line.mqtt_url, sparkplug={})
            async with alive(write(tmp_path / "plant.yaml", keys)) as gateway:
                await host.hear("DDATA", 5)
                line.cut()
                before = gateway.metric("gateway_part_records_total", part="journal")
                await asyncio.to_thread(
                    gateway.until,
                    lambda: gateway.metric("gateway_part_records_total", part="journal") > before + 40,
                )
                await line.join()
                known = await asyncio.to_thread(stored, gateway)
                await host.until(lambda: known <= stamps(host))
    assert len(known) > 40
    late = [m for data in host.heard("DDATA") for m in data.metrics if m.is_historical]
    assert late
    assert len(host.heard("NBIRTH")) == 2


async def test_a_gateway_that_is_killed_says_so_by_its_will_and_tells_the_rest_when_it_is_back(tmp_path: Path) -> None:
    with pipeline.devices(1, 5) as ports, servers.mosquitto(tmp_path) as broker:
        async with Host(broker.port) as host:
            config = write(
                tmp_path / "plant.yaml", plant(tmp_path, ports, bus=broker.url, sparkplug={"group": "Plant 1"})
            )
            for number in range(3):
                gateway = await asyncio.to_thread(GatewayProcess, config)
                await host.hear("DDATA", 10 * (number + 1))
                gateway.kill()
                await host.hear("NDEATH", number + 1)
            async with alive(config) as gateway:
                await host.hear("NBIRTH", 4)
                known = await asyncio.to_thread(stored, gateway)
                await host.until(lambda: known <= stamps(host))
    assert len(known) > 20
    assert host.messages[0][0] == "spBv1.0/Plant 1/NBIRTH/gw1"
    births = [next(m.long_value for m in birth.metrics if m.name == "bdSeq") for birth in host.heard("NBIRTH")]
    assert births == [death.metrics[0].long_value for death in host.heard("NDEATH")] == [0, 1, 2, 3]


async def test_a_device_that_is_lost_is_dead_and_born_again(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with servers.modbus() as device, Host(broker.port) as host:
            keys = plant(tmp_path, [device.port], bus=broker.url, sparkplug={})
            async with alive(write(tmp_path / "plant.yaml", keys)):
                await host.hear("DBIRTH")
                await device.stop()
                await host.hear("DDEATH")
                await device.start()
                await host.hear("DBIRTH", 2)
            await host.hear("NDEATH")
    order = [verb for verb in host.verbs() if verb != "DDATA"]
    assert order == ["NBIRTH", "DBIRTH", "DDEATH", "DBIRTH", "NDEATH"]


async def test_a_command_writes_a_register_and_comes_back_as_data(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with servers.modbus() as device, Host(broker.port) as host, connect(broker.url, "host") as mqtt:
            keys = plant(tmp_path, [device.port], bus=broker.url, sparkplug={"writes": True})
            tag = {"register": "holding:40", "type": "uint16", "write": True, "limits": [0, 100]}
            keys["devices"]["device0"]["tags"] = {"setpoint": tag}
            topic = "spBv1.0/acme:test/DCMD/gw1/device0"

            def values() -> list[int]:
                return [metric.long_value for data in host.heard("DDATA") for metric in data.metrics]

            async with alive(write(tmp_path / "plant.yaml", keys)):
                await host.hear("DBIRTH")
                for value in (500, 42):  # outside the limits, and within
                    await say(mqtt, topic, command("setpoint", datatype=7, long_value=value))
                await host.until(lambda: 42 in values())
    assert device.holding[40] == 42
    assert 500 not in values()
