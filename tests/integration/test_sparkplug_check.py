"""`gateway sparkplug-check` on a real Mosquitto: this gateway passes, an edge node that does things wrong does not."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.bench import pipeline
from gateway.clock import SystemClock
from gateway.mqtt import Message, connect
from tests import servers
from tests.edge import ddata, nbirth
from tests.integration.process import GatewayProcess, alive, command, plant, write

NODE = "acme:test/gw1"


class Check:
    """A run of the command; `asked` waits for what it says on stderr."""

    def __init__(self, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "sparkplug-check", *words, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def asked(self, what: str) -> None:
        assert self._process.stderr is not None
        line = await asyncio.to_thread(self._process.stderr.readline)
        assert what in line, line

    async def result(self) -> tuple[int, dict[int, dict[str, Any]]]:
        """Return the exit code and the checks by number."""
        out, errors = await asyncio.to_thread(self._process.communicate, None, 60)
        assert out, errors
        return self._process.returncode, {check["check"]: check for check in json.loads(out)["checks"]}


def numbers(checks: dict[int, dict[str, Any]], result: str) -> set[int]:
    return {number for number, check in checks.items() if check["result"] == result}


async def test_this_gateway_passes_all_that_it_can_be_asked_for(tmp_path: Path) -> None:
    """Watched on its broker and on its line, with a primary host, a write, a device that is lost, and a restart."""
    port = servers.free_port()
    with servers.mosquitto(tmp_path) as broker:
        async with servers.modbus() as device, servers.Subscriber(broker.port, "spBv1.0/#") as host:
            check = Check(
                broker.url, "--node", NODE, "--listen", f"127.0.0.1:{port}", "--seconds", "4", "--host", "scada",
                "--write", "device0/v0=42", "--restart", "40",
            )  # fmt: skip
            await check.asked("must connect")
            line = f"mqtt://127.0.0.1:{port}"
            keys = plant(tmp_path, [device.port], bus=broker.url, sparkplug={"url": line, "primary_host": "scada"})
            keys["sparkplug"]["writes"] = True
            keys["devices"]["device0"]["tags"]["v0"] |= {"write": True, "limits": [0, 100]}
            config = write(tmp_path / "plant.yaml", keys)
            gateway = await asyncio.to_thread(GatewayProcess, config)
            await host.until(lambda: len(host.on("/NBIRTH/gw1")) >= 3)  # its own, and two that the check asks for
            await device.stop()
            await host.until(lambda: len(host.on("/DDEATH/gw1/device0")) >= 1)
            await device.start()
            await check.asked("stop the edge node")
            await asyncio.to_thread(gateway.stop)
            again = await asyncio.to_thread(GatewayProcess, config)
            code, checks = await check.result()
            await asyncio.to_thread(again.stop)
    assert {number: checks[number]["examples"] for number in numbers(checks, "fail")} == {}
    assert code == 0
    # no MQTT 5, no node metrics, one server, no data sets and templates, and nothing in its data that has not changed
    assert numbers(checks, "not seen") <= {6, 26, 35, 36, 40, 44, 50, 57, 60, 61, 62, 63}


async def test_with_the_embedded_broker_it_passes_too(tmp_path: Path) -> None:
    with pipeline.devices(1, 100) as ports:
        keys = plant(tmp_path, ports, bus=None, tags=100, sparkplug={"primary_host": "scada"})
        async with alive(write(tmp_path / "plant.yaml", keys)) as gateway:
            code, checks = await Check(gateway.ready["mqtt"], "--seconds", "2", "--host", "scada").result()
    assert {number: checks[number]["examples"] for number in numbers(checks, "fail")} == {}
    assert code == 0
    assert {13, 34, 39, 51, 52, 53, 54, 55, 56, 58, 64, 66} <= numbers(checks, "pass")


@asynccontextmanager
async def wrong_node(url: str) -> AsyncIterator[None]:
    """An edge node that is born with QoS 1 and retained, with a wrong seq, has data of no device, and heeds nothing."""
    seqs = iter(range(7, 200, 3))

    async def speak() -> None:
        async with connect(url, "wrong") as mqtt:
            birth = nbirth(now_ms=SystemClock().now_ns() // 1_000_000 - 1000)
            birth.payload.seq = 3
            birth.payload.metrics[1].alias = 5
            await mqtt.publish([Message(birth.topic, birth.payload.SerializeToString(), retain=True)])

            def answer(topic: str, payload: bytes, retained: bool) -> None:
                data = ddata(next(seqs), 1.0)
                mqtt.send(birth.topic, birth.payload.SerializeToString())
                mqtt.send(data.topic, data.payload.SerializeToString())

            await mqtt.subscribe("spBv1.0/g/NCMD/n", answer)
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        speaking = tasks.create_task(speak())
        yield
        speaking.cancel()


async def test_an_edge_node_that_does_things_wrong_fails_what_it_does_wrong(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with servers.Subscriber(broker.port, "spBv1.0/#") as host, wrong_node(broker.url):
            await host.until(lambda: bool(host.messages))
            code, checks = await Check(broker.url, "--seconds", "1").result()
    assert code == 1
    assert numbers(checks, "fail") == {18, 20, 23, 32, 38, 39}
    assert "tck-id-topics-nbirth-seq-num" in checks[20]["ids"]
    assert checks[20]["examples"][0] == "NBIRTH has seq 3"


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["http://x"], 2, "must be mqtt://"),
        (["mqtt://x", "--node", "n"], 2, "GROUP/NODE"),
        (["mqtt://x", "--listen", "127.0.0.1:1"], 2, "needs --node"),
        (["mqtt://x", "--passive", "--host", "scada"], 2, "sends nothing"),
        (["mqtt://x", "--write", "speed"], 2, "DEVICE/METRIC=NUMBER"),
        (["mqtt://127.0.0.1:1"], 1, "refused"),
    ],
)
def test_wrong_use_says_what_is_right(words: list[str], code: int, what: str) -> None:
    done = command("sparkplug-check", *words)
    assert (done.returncode, what in done.stderr.replace("Connect call failed", "refused")) == (code, True)


async def test_a_broker_without_an_edge_node_says_so(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        done = await asyncio.to_thread(command, "sparkplug-check", broker.url, "--passive", "--seconds", "1")
    assert done.returncode == 1
    assert "nothing was heard" in done.stderr
