"""Modbus over everything that carries it, against pymodbus and libmodbus: the same tags, the same trouble."""

import asyncio
import os
import ssl
import subprocess
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer, ModbusUdpServer

from connectors import modbus
from connectors._modbus import endpoint
from connectors._modbus.line import Line
from connectors._modbus.options import Tls
from gateway.clock import SystemClock
from gateway.contracts import Device, DeviceError
from gateway.model import Tag
from tests import servers
from tests.conformance.test_connectors import PATIENCE_S, Heard, running

TAGS: dict[str, dict[str, Any]] = {
    "temperature": {"register": "input:0", "type": "float32"},
    "count": {"register": "holding:10", "type": "uint32", "order": "CDAB"},
    "running": {"register": "coil:5"},
    "setpoint": {"register": "holding:40", "type": "int16", "scale": 0.1, "write": True},
    "far": {"register": "holding:1500"},
}


@dataclass(frozen=True)
class Reached:
    """A server, and what a configuration says to reach it."""

    rig: servers.ModbusRig
    url: str
    options: dict[str, Any]


@asynccontextmanager
async def _tcp(folder: Path) -> AsyncIterator[Reached]:
    async with servers.modbus() as rig:
        yield Reached(rig, f"modbus://127.0.0.1:{rig.port}", {})


@asynccontextmanager
async def _udp(folder: Path) -> AsyncIterator[Reached]:
    async with servers.modbus(lambda devices, port: ModbusUdpServer(devices, address=("127.0.0.1", port))) as rig:
        yield Reached(rig, f"modbus+udp://127.0.0.1:{rig.port}", {})


@asynccontextmanager
async def _rtu_over_tcp(folder: Path) -> AsyncIterator[Reached]:
    def make(devices: list[Any], port: int) -> servers.ModbusServer:
        return ModbusTcpServer(devices, framer=FramerType.RTU, address=("127.0.0.1", port))

    async with servers.modbus(make) as rig:
        yield Reached(rig, f"modbus+rtu://127.0.0.1:{rig.port}", {})


@asynccontextmanager
async def _tls(folder: Path) -> AsyncIterator[Reached]:
    """Both sides show a certificate, as Modbus/TCP Security asks for."""
    cert, key = servers.certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(cert))
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED

    def make(devices: list[Any], port: int) -> servers.ModbusServer:
        return ModbusTlsServer(devices, framer=FramerType.SOCKET, address=("127.0.0.1", port), sslctx=context)

    async with servers.modbus(make) as rig:
        tls = Tls(ca=str(cert), cert=str(cert), key=str(key))
        yield Reached(rig, f"modbus+tls://127.0.0.1:{rig.port}", {"tls": tls})


@asynccontextmanager
async def _serial(folder: Path) -> AsyncIterator[Reached]:
    with serial_line() as (here, there):

        def make(devices: list[Any], port: int) -> servers.ModbusServer:
            return ModbusSerialServer(devices, port=there, baudrate=115_200, parity="N", stopbits=2)

        async with servers.modbus(make) as rig:
            yield Reached(rig, f"modbus+rtu://{here}?baud=115200&parity=N", {})


TRANSPORTS = {"tcp": _tcp, "udp": _udp, "rtu over tcp": _rtu_over_tcp, "tls": _tls, "serial": _serial}


@contextmanager
def serial_line() -> Iterator[tuple[str, str]]:
    """Two serial ports with a cable between them, as pairs of pseudo-terminals; give their paths."""
    loop = asyncio.get_running_loop()
    pairs = [os.openpty(), os.openpty()]
    for _, end in pairs:
        tty.setraw(end)
    (left, _), (right, _) = pairs
    loop.add_reader(left, lambda: os.write(right, os.read(left, 4096)))
    loop.add_reader(right, lambda: os.write(left, os.read(right, 4096)))
    try:
        yield os.ttyname(pairs[0][1]), os.ttyname(pairs[1][1])
    finally:
        loop.remove_reader(left)
        loop.remove_reader(right)
        for pair in pairs:
            for end in pair:
                os.close(end)


@pytest.fixture(params=TRANSPORTS)
async def reached(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reached]:
    async with TRANSPORTS[request.param](tmp_path) as server:
        server.rig.inputs[0:2] = np.array([20.5], ">f4").view(">u2").tolist()
        server.rig.holding[10:12] = [7, 0]
        server.rig.holding[40] = 123
        server.rig.holding[1500] = 99
        server.rig.coils[5] = True
        yield server


def build(reached: Reached, tags: dict[str, dict[str, Any]], **options: Any) -> tuple[modbus.Modbus, Heard]:
    keys = [{key: value for key, value in one.items() if key != "write"} for one in tags.values()]
    device = Device(
        name="d",
        url=reached.url,
        options=modbus.DeviceOptions(**{"poll": 0.05, "timeout": 0.5} | reached.options | options),
        tags=[Tag("plant/d", name, writable="write" in one) for name, one in tags.items()],
        numbers=np.arange(len(tags), dtype=np.uint32),
        tag_options=[modbus.TagOptions(**one) for one in keys],
    )
    return modbus.connector(device, SystemClock()), Heard(list(tags))


EXPECTED = {"temperature": 20.5, "count": 7, "running": True, "setpoint": 12.3, "far": 99}


async def test_every_tag_is_read(reached: Reached) -> None:
    connector, heard = build(reached, TAGS)
    async with running(connector, heard):
        await heard.until(lambda: heard.value == EXPECTED)
    assert set(heard.quality.values()) == {0}


async def test_one_illegal_address_costs_its_own_tag(reached: Reached) -> None:
    reached.rig.illegal = {1500}
    connector, heard = build(reached, TAGS)
    async with running(connector, heard):
        await heard.until(lambda: heard.quality.get("far") == 0x8034_0000)
    assert {name: heard.quality[name] for name in TAGS if name != "far"} == dict.fromkeys(set(TAGS) - {"far"}, 0)


async def test_a_written_value_is_read_back(reached: Reached) -> None:
    connector, heard = build(reached, TAGS)
    async with running(connector, heard):
        await heard.until(lambda: set(heard.value) == set(TAGS))
        assert await connector.write(3, -45.6) == -45.6
        assert reached.rig.holding[40] == 65_536 - 456
        await heard.until(lambda: heard.value["setpoint"] == -45.6)


async def test_silence_ends_the_run_and_the_next_one_works(reached: Reached) -> None:
    connector, heard = build(reached, TAGS)
    reached.rig.delay_s = 2.0
    with pytest.raises(TimeoutError, match="no answer"):
        async with asyncio.timeout(PATIENCE_S):
            await connector.run(heard)
    reached.rig.delay_s = 0.0
    async with asyncio.timeout(PATIENCE_S):
        while heard.value != EXPECTED:
            try:
                async with running(connector, heard):
                    await heard.until(lambda: heard.value == EXPECTED)
            except* (OSError, DeviceError):
                heard.value.clear()


# --- libmodbus ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def libmodbus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server by libmodbus; its port."""
    program = tmp_path_factory.mktemp("libmodbus") / "server"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], capture_output=True, text=True, check=False
    )
    if flags.returncode:
        pytest.skip("libmodbus is not installed; .ci/run installs it")
    source = Path(__file__).parent.parent / "libmodbus_server.c"
    subprocess.run([servers.needs("gcc"), str(source), "-o", str(program), *flags.stdout.split()], check=True)
    with subprocess.Popen([str(program)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.kill()


def register(address: int) -> int:
    return (address * 7919 + 13) % 65_536


@pytest.mark.parametrize("in_flight", [1, 4, 16, "auto"])
async def test_libmodbus_answers_thousands_of_registers(libmodbus: int, in_flight: int | str) -> None:
    tags = {f"t{n}": {"register": f"holding:{n}"} for n in range(4000)}
    url = f"modbus://127.0.0.1:{libmodbus}"
    async with servers.modbus() as rig:
        connector, heard = build(Reached(rig, url, {"in_flight": in_flight, "poll": 0.001}), tags)
        async with running(connector, heard):
            await heard.until(lambda: len(heard.batches) >= 40)
    assert heard.value == {f"t{n}": register(n) for n in range(4000)}
    assert set(heard.quality.values()) == {0}
    assert connector.counts["timeouts"] == 0


async def test_libmodbus_refuses_what_it_does_not_have(libmodbus: int) -> None:
    tags = {f"t{n}": {"register": f"input:{n}"} for n in range(4900, 5100)}
    async with servers.modbus() as rig:
        connector, heard = build(Reached(rig, f"modbus://127.0.0.1:{libmodbus}", {}), tags)
        async with running(connector, heard):
            await heard.until(lambda: len(heard.quality) == 200)
    assert [name for name, code in heard.quality.items() if not code] == [f"t{n}" for n in range(4900, 5000)]


async def test_what_is_written_to_libmodbus_is_there(libmodbus: int) -> None:
    tags = {
        "word": {"register": "holding:300", "type": "int16", "write": True},
        "big": {"register": "holding:302", "type": "int64", "order": "CDAB", "write": True},
        "field": {"register": "holding:310", "mask": 0x0FF0, "write": True},
        "bit": {"register": "holding:311.9", "write": True},
        "coil": {"register": "coil:300", "write": True},
    }
    wanted: dict[str, float] = {"word": -7, "big": 2**62 + 1, "field": 0xAB, "bit": True, "coil": False}
    before = {"field": register(310), "bit": register(311)}
    async with servers.modbus() as rig:
        connector, heard = build(Reached(rig, f"modbus://127.0.0.1:{libmodbus}", {}), tags)
        async with running(connector, heard):
            await heard.until(lambda: set(heard.value) == set(tags))
            for number, name in enumerate(tags):
                assert await connector.write(number, wanted[name]) == wanted[name]
            heard.value.clear()
            await heard.until(lambda: heard.value == wanted)
    rest = {"whole": {"register": "holding:310"}, "bits": {"register": "holding:311"}}
    async with servers.modbus() as rig:
        connector, heard = build(Reached(rig, f"modbus://127.0.0.1:{libmodbus}", {}), rest)
        async with running(connector, heard):
            await heard.until(lambda: set(heard.value) == set(rest))
    assert heard.value["whole"] == before["field"] & 0xF00F | 0x0AB0
    assert heard.value["bits"] == before["bit"] | 1 << 9


async def test_a_serial_port_that_cannot_be_set_so_is_an_os_error() -> None:
    with serial_line() as (here, _):
        where, _ = endpoint.parse(f"modbus+rtu://{here}?baud=12345")
        with pytest.raises(ConnectionError, match="with baud=12345, parity=E, stop=1 cannot be set so"):
            async with Line(where, SystemClock()).joined(1.0):
                pass


def test_a_key_with_a_pass_phrase_is_an_error_and_no_question(tmp_path: Path) -> None:
    cert, key = servers.certificate(tmp_path)
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    key.write_bytes(loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    tls = Tls(cert=str(cert), key=str(key))
    one = Device("d", "modbus+tls://h", modbus.DeviceOptions(tls=tls), [], np.array([], np.uint32), [])
    with pytest.raises(ValueError, match="tls: the key needs a pass phrase: write it to a file without one"):
        modbus.connector(one, SystemClock())
