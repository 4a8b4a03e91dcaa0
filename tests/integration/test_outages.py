"""What is taken away and comes back: broker, device, process, disk. Nothing that reached the journal is lost."""

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.bench import pipeline
from gateway.payload import parse
from tests import servers
from tests.integration.process import GatewayProcess, alive, plant, write

TOPIC = "uns/acme/test/hall/device0/_batch"


def sequences(*subscribers: servers.Subscriber) -> list[int]:
    """The sequence numbers that anybody has seen, in order, without repetitions."""
    return sorted({parse(payload).sequence for one in subscribers for payload in one.on("/device0/_batch")})


def gaps(seen: list[int]) -> list[int]:
    return sorted(set(range(seen[0], seen[-1] + 1)) - set(seen))


@contextmanager
def device_process() -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A device of 300 values as a process that can be stopped for a while, and its port."""
    words = [sys.executable, "-m", "gateway.bench.device", "1", "300"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as device:
        assert device.stdout is not None
        yield device, int(device.stdout.readline())
        device.terminate()


async def more(gateway: GatewayProcess, records: int) -> None:
    """Wait until the journal has so many more records."""
    begin = gateway.metric("gateway_part_records_total", part="journal")
    await asyncio.to_thread(
        gateway.until, lambda: gateway.metric("gateway_part_records_total", part="journal") >= begin + records
    )


async def test_a_broker_that_is_away_costs_nothing(tmp_path: Path) -> None:
    with pipeline.devices(1, 5) as ports, servers.mosquitto(tmp_path) as broker:
        async with servers.line(broker.port) as line, servers.Subscriber(broker.port) as before:
            config = write(tmp_path / "plant.yaml", plant(tmp_path, ports, bus=line.mqtt_url))
            async with alive(config) as gateway:
                await before.until(lambda: len(before.on("_batch")) >= 5)
                line.cut()
                broker.kill()
                await more(gateway, 40)
                broker.start()
                async with servers.Subscriber(broker.port) as after:
                    await line.join()
                    await after.until(lambda: len(after.on("_batch")) >= 60)
                    seen = sequences(before, after)
    assert gaps(seen) == []
    assert seen[0] == 1


async def test_a_gateway_that_is_killed_while_the_broker_is_away_loses_nothing(tmp_path: Path) -> None:
    with pipeline.devices(1, 5) as ports, servers.mosquitto(tmp_path) as broker:
        async with servers.Subscriber(broker.port) as before:
            config = write(tmp_path / "plant.yaml", plant(tmp_path, ports, bus=broker.url))
            gateway = await asyncio.to_thread(GatewayProcess, config)
            await before.until(lambda: len(before.on("_batch")) >= 5)
            broker.kill()
            await more(gateway, 30)
            committed = int(gateway.metric("gateway_part_records_total", part="journal"))
            gateway.kill()
            broker.start()
        async with servers.Subscriber(broker.port) as after, alive(config) as again:
            await after.until(lambda: len(after.on("_batch")) > committed)
            messages = [parse(payload) for payload in after.on("/device0/_batch")]
            seen = sequences(before, after)
            history = again.get("/api/v1/history/hall/device0/stamp", limit="100000")["readings"]
    assert gaps(seen) == []
    assert seen[0] == 1
    assert {message.boot for message in messages} == {1, 2}
    assert len({reading["timestamp"] for reading in history}) >= committed - 1


async def test_a_gateway_that_is_killed_again_and_again_tells_every_reading_once(tmp_path: Path) -> None:
    """To a consumer that drops what it has seen: by (boot, sequence), or by time in history."""
    with pipeline.devices(1, 5) as ports, servers.mosquitto(tmp_path) as broker:
        config = write(tmp_path / "plant.yaml", plant(tmp_path, ports, bus=broker.url))
        async with servers.Subscriber(broker.port) as subscriber:
            for _ in range(4):
                gateway = await asyncio.to_thread(GatewayProcess, config)
                seen = len(sequences(subscriber))
                await subscriber.until(lambda seen=seen: len(sequences(subscriber)) >= seen + 5)  # type: ignore[misc]
                gateway.kill()
            async with alive(config) as gateway:
                seen = len(sequences(subscriber))
                await subscriber.until(lambda: len(sequences(subscriber)) >= seen + 10)
                stored: list[dict[str, Any]] = []

                def complete() -> bool:
                    stored[:] = gateway.get("/api/v1/history/hall/device0/stamp", limit="100000")["readings"]
                    return len(stored) >= len(sequences(subscriber))

                await asyncio.to_thread(gateway.until, complete)
            by_identity = {
                (m.boot, m.sequence): m for m in map(parse, subscriber.on("/device0/_batch")) if "stamp" in m.tags
            }
    assert gaps(sequences(subscriber)) == []
    stamps = [message.values[message.tags.index("stamp")] for message in by_identity.values()]
    good = [reading["value"] for reading in stored if reading["quality"] == "good"]
    assert len(good) == len(set(good))
    assert set(good) >= {stamp for stamp in stamps if stamp is not None} - set(stamps[-3:])


async def test_a_device_that_dies_turns_bad_and_comes_back(tmp_path: Path) -> None:
    async with servers.modbus() as device:
        config = plant(tmp_path, [device.port], bus=None, poll="50ms", tags=1)
        async with alive(write(tmp_path / "plant.yaml", config)) as gateway:

            def quality() -> str:
                return str(gateway.get("/api/v1/values/hall/device0/v0")["quality"])

            await asyncio.to_thread(gateway.until, lambda: quality() == "good")
            await device.stop()
            await asyncio.to_thread(gateway.until, lambda: quality() == "bad")
            (state,) = gateway.get("/api/v1/devices")
            assert state["state"] == "down"
            assert gateway.get("/healthz")["status"] == "warn"
            assert gateway.get("/readyz")["status"] == "pass"
            await device.start()
            rows: list[dict[str, Any]] = []

            def over() -> bool:
                rows[:] = gateway.get("/api/v1/history/hall/device0/v0")["readings"]
                return [row["quality"] for row in rows][-1:] == ["good"] and "bad" in {row["quality"] for row in rows}

            await asyncio.to_thread(gateway.until, over)
    assert rows[0]["quality"] == "good"
    assert all((row["value"] is None) == (row["quality"] == "bad") for row in rows)


def refusal_is_known(gateway: GatewayProcess) -> bool:
    return bool(gateway.get("/api/v1/values/hall/device0/v1")["reason"] == "BadNodeIdUnknown")


async def test_what_a_device_taught_is_known_after_a_restart(tmp_path: Path) -> None:
    async with servers.modbus() as device:
        device.illegal = {6}  # within v1
        config = write(tmp_path / "plant.yaml", plant(tmp_path, [device.port], bus=None, poll="50ms", tags=3))
        refused = []
        for _ in range(2):
            async with alive(config) as gateway:
                await asyncio.to_thread(gateway.until, partial(refusal_is_known, gateway))
                told = gateway.get("/api/v1/devices/device0")
                refused.append(told["counts"].get("exceptions", 0))
                assert told["learned"]["refused"] == [["holding", 6, 2, 2]]
                assert gateway.get("/api/v1/values/hall/device0/v2")["quality"] == "good"
    assert refused[0] > 0
    assert refused[1] == 0


async def test_a_device_that_falls_silent_is_never_good_again_until_it_speaks(tmp_path: Path) -> None:
    """The connection stands and nobody answers: values keep their own time, and none of them is good."""
    with device_process() as (device, port):
        config = plant(tmp_path, [port], bus=None, tags=300)
        async with alive(write(tmp_path / "plant.yaml", config)) as gateway:

            def values() -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = gateway.get("/api/v1/values")
                return found

            await asyncio.to_thread(gateway.until, lambda: all(row["quality"] == "good" for row in values()))
            device.send_signal(signal.SIGSTOP)
            await asyncio.to_thread(gateway.until, lambda: not any(row["quality"] == "good" for row in values()))
            silent = values()
            assert {row["reason"] for row in silent} == {"BadTimeout", "UncertainNoCommunicationLastUsableValue"}
            assert all((row["value"] is None) == (row["quality"] == "bad") for row in silent)
            last_usable = {row["path"]: row for row in silent if row["quality"] == "uncertain"}
            assert {row["path"]: row for row in values() if row["path"] in last_usable} == last_usable
            device.send_signal(signal.SIGCONT)
            await asyncio.to_thread(gateway.until, lambda: all(row["quality"] == "good" for row in values()))


async def test_a_disk_that_is_full_is_said_and_costs_nothing(tmp_path: Path) -> None:
    """No file may grow any more, as on a full disk; readings wait in memory until there is room again."""
    with pipeline.devices(1, 5) as ports, servers.mosquitto(tmp_path) as broker:
        config = write(tmp_path / "plant.yaml", plant(tmp_path, ports, bus=broker.url, historian="none"))
        async with servers.Subscriber(broker.port) as subscriber, alive(config) as gateway:
            await subscriber.until(lambda: len(sequences(subscriber)) >= 5)
            limits = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            await asyncio.to_thread(gateway.until, lambda: gateway.get("/readyz")["status"] == "fail")
            assert "journal" in gateway.get("/healthz")["checks"]
            await more(gateway, 20)
            resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, limits)
            await asyncio.to_thread(gateway.until, lambda: gateway.get("/readyz")["status"] == "pass")
            count = int(gateway.metric("gateway_part_records_total", part="journal"))
            await subscriber.until(lambda: len(sequences(subscriber)) >= count)
    assert gaps(sequences(subscriber)) == []


@pytest.mark.parametrize("kind", ["broker", "device"])
async def test_it_starts_with_everything_away(tmp_path: Path, kind: str) -> None:
    absent = servers.free_port()
    with pipeline.devices(1, 1) as ports, servers.mosquitto(tmp_path) as broker:
        bus = f"mqtt://127.0.0.1:{absent}" if kind == "broker" else broker.url
        devices = [absent] if kind == "device" else ports
        async with alive(write(tmp_path / "plant.yaml", plant(tmp_path, devices, bus=bus))) as gateway:
            assert gateway.get("/livez")["status"] == "pass"
            await asyncio.to_thread(gateway.until, lambda: gateway.get("/healthz")["status"] == "warn")
