"""The shipped simulator as a process of its own, seen by an OPC UA client and a Modbus client.

Nothing waits for a fixed time: a probe is repeated, each with real input and output, until it sees what it is for.
"""

import asyncio
import json
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asyncua import Client, Node, ua
from numpy.typing import NDArray
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from simulators.__main__ import main
from simulators.instruments import UNITS
from simulators.physics.line import MACHINES
from simulators.servers import maps, nodes
from simulators.servers.control import ALLOWED

NAMES = ("opcua", "energy", "compressor", "chiller", "pump", "control")
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Simulator:
    """A running simulator and where to find it."""

    process: "subprocess.Popen[str]"
    truth: Path
    opcua: str
    control: str
    ports: dict[str, int]

    async def switch(self, capsys: pytest.CaptureFixture[str], *words: str) -> str:
        """Give a command at the control port; return what was said."""
        assert await asyncio.to_thread(main, ["--control", self.control, *words]) == 0
        return capsys.readouterr().out

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.truth.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["fault"] == kind]


@contextmanager
def free_ports(n: int) -> Iterator[list[int]]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(n)]
        yield [item.getsockname()[1] for item in sockets]


def plant_file(folder: Path, *more: str) -> Path:
    """Write a plant file whose ports were free a moment ago."""
    with free_ports(len(NAMES)) as ports:
        at = dict(zip(NAMES, ports, strict=True))
    scheme = {"opcua": "opc.tcp://", "control": ""}
    servers = [f"  {name}: {scheme.get(name, 'modbus://')}127.0.0.1:{port}" for name, port in at.items()]
    path = folder / "plant.yaml"
    path.write_text("\n".join(["seed: 7", "accelerate: 60", "servers:", *servers, *more]) + "\n", encoding="utf-8")
    return path


def start(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "simulators", *arguments], text=True, stdout=subprocess.PIPE, **options
    )


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("simulator")
    truth = folder / "truth.jsonl"
    with start(str(plant_file(folder)), "--json", "--free-ports", "--truth", str(truth)) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            assert ready["ready"] is True
            bound = dict(
                zip(("opcua", "compressor", "chiller", "energy", "pump"), ready["servers"].values(), strict=True)
            )
            ports = {name: int(address.rpartition(":")[2]) for name, address in bound.items()}
            yield Simulator(process, truth, bound["opcua"], ready["control"], ports)
        finally:
            process.terminate()


@asynccontextmanager
async def modbus(simulator: Simulator, device: str, timeout_s: float = 3.0) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=simulator.ports[device], timeout=timeout_s, retries=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


async def until(probe: Callable[[], Awaitable[bool]]) -> None:
    """Repeat a probe until it is true."""
    async with asyncio.timeout(PATIENCE_S):
        while not await probe():
            pass


def float32(words: Sequence[int], order: str) -> float:
    first, second = words if order in ("ABCD", "BADC") else reversed(words)
    data = struct.pack(">HH", first, second)
    if order in ("BADC", "DCBA"):
        data = bytes((data[1], data[0], data[3], data[2]))
    return float(struct.unpack(">f", data)[0])


# --- OPC UA ----------------------------------------------------------------------------------


async def test_every_node_can_be_read_with_type_range_and_unit(simulator: Simulator) -> None:
    async with Client(simulator.opcua) as client:
        for tag in (*nodes.tags(), *nodes.pump_tags()):
            node = await find(client, tag.device, tag.path)
            data = await node.read_data_value()
            assert data.Value is not None
            assert data.Value.VariantType is tag.type, tag.name
            assert data.SourceTimestamp is not None
            if tag.instrument is not None:
                span = await (await node.get_child("0:EURange")).read_value()
                units = await (await node.get_child("0:EngineeringUnits")).read_value()
                code = UNITS[tag.instrument.unit][0]
                assert (span.Low, span.High) == (tag.instrument.low, tag.instrument.high)
                assert units.UnitId == (int.from_bytes(code.encode(), "big") if code else -1)
                assert await node.read_type_definition() == ua.NodeId(ua.Int32(ua.ObjectIds.AnalogItemType))


async def test_the_line_produces_and_tells_it_to_subscribers(simulator: Simulator) -> None:
    async with Client(simulator.opcua) as client:
        counter = await find(client, "packer", "Admin.ProdProcessedCount")
        seen: asyncio.Queue[int] = asyncio.Queue()

        class Handler:
            def datachange_notification(self, _node: Node, value: int, _data: object) -> None:
                seen.put_nowait(value)

        subscription = await client.create_subscription(100, Handler())
        await subscription.subscribe_data_change(counter)
        async with asyncio.timeout(PATIENCE_S):
            first = await seen.get()
            while await seen.get() <= first:
                pass


async def test_set_points_may_be_written_and_nothing_else(simulator: Simulator) -> None:
    async with Client(simulator.opcua) as client:
        speed = await find(client, "packer", "Status.MachSpeed")
        before = await speed.read_value()
        await speed.write_value(before - 600.0)
        assert await speed.read_value() == before - 600.0
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await speed.write_value(1e6)
        assert caught.value.code == ua.StatusCodes.BadOutOfRange
        assert await speed.read_value() == before - 600.0
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await (await find(client, "packer", "Vacuum")).write_value(1.0)
        assert caught.value.code == ua.StatusCodes.BadUserAccessDenied


async def test_a_node_can_be_bad_and_good_again(simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    async with Client(simulator.opcua) as client:
        node = await find(client, "capper", "Torque")

        async def status() -> int:
            data = await node.read_data_value(raise_on_bad_status=False)
            assert data.StatusCode is not None
            return int(data.StatusCode.value)

        await simulator.switch(capsys, "on", "capper/torque", "exceptions", "--code", "BadDeviceFailure")
        await until(lambda: equals(status(), ua.StatusCodes.BadDeviceFailure))
        await simulator.switch(capsys, "off", "capper/torque", "exceptions")
        await until(lambda: equals(status(), ua.StatusCodes.Good))


async def find(client: Client, device: str, path: str) -> Node:
    namespace = await client.get_namespace_index(f"urn:acme:{device}")
    return client.get_node(ua.NodeId(ua.String(path), ua.Int16(namespace)))


async def equals(asked: Awaitable[object], expected: object) -> bool:
    return await asked == expected


# --- Modbus ----------------------------------------------------------------------------------


@pytest.mark.parametrize("device", sorted(maps.MAPS))
async def test_every_register_can_be_read(simulator: Simulator, device: str) -> None:
    async with modbus(simulator, device) as client:
        for register in maps.MAPS[device].registers:
            count = 1 if "16" in register.type else 2
            answer = await read(client, register.table, register.address, count)
            assert not answer.isError(), register
            assert len(answer.registers) == count
        for bit in maps.MAPS[device].bits:
            assert not (await read(client, bit.table, bit.address, 1)).isError(), bit


async def test_values_of_every_kind_make_sense(simulator: Simulator) -> None:
    async with modbus(simulator, "energy") as client:
        answer = await client.read_input_registers(0, count=80)
        assert 220.0 < float32(answer.registers[0:2], "ABCD") < 240.0
        assert 49.5 < float32(answer.registers[70:72], "ABCD") < 50.5
    async with modbus(simulator, "chiller") as client:
        assert -6.0 < float32((await client.read_input_registers(0, count=2)).registers, "CDAB") < 6.0
    async with modbus(simulator, "pump") as client:
        assert 0.0 <= float32((await client.read_holding_registers(20, count=2)).registers, "DCBA") < 50.0
        assert 15.0 < float32((await client.read_holding_registers(28, count=2)).registers, "BADC") < 120.0
    async with modbus(simulator, "compressor") as client:
        dew_point = (await client.read_holding_registers(3, count=1)).registers[0]
        assert -400 < dew_point - 0x10000 < 0, "negative"
        text = struct.pack(">8H", *(await client.read_holding_registers(32, count=8)).registers)
        assert text.rstrip(b"\0") == b"ACME SK 45 A"


async def test_holes_and_strange_units_are_refused(simulator: Simulator) -> None:
    async with modbus(simulator, "compressor") as client:
        assert (await client.read_holding_registers(8, count=4)).exception_code == 2
        assert (await client.read_holding_registers(60_000, count=1)).exception_code == 2
        assert (await client.read_holding_registers(0, count=1, device_id=9)).exception_code == 11


async def test_a_set_point_is_written_in_its_range_only(simulator: Simulator) -> None:
    async with modbus(simulator, "compressor") as client:
        assert not (await client.write_register(1, 712)).isError()

        async def shown() -> int:
            return int((await client.read_holding_registers(1, count=1)).registers[0])

        await until(lambda: equals(shown(), 712))
        assert (await client.write_register(1, 2_000)).exception_code == 3
        assert (await client.write_register(0, 700)).exception_code == 2
        assert not (await client.write_coil(0, False)).isError()

        async def running() -> bool:
            return bool((await client.read_discrete_inputs(0, count=1)).bits[0])

        await until(lambda: equals(running(), False))
        assert not (await client.write_coil(0, True)).isError()
        await until(lambda: equals(running(), True))


async def test_a_waveform_is_the_same_by_both_protocols_and_never_torn(simulator: Simulator) -> None:
    async with modbus(simulator, "pump") as client, Client(simulator.opcua) as ua_client:
        node = await find(ua_client, "pump", "VibrationWaveform")

        async def both() -> bool:
            before = await snapshot_number(client)
            window = await read_window(client)
            array = np.array(await node.read_value())
            if before != await snapshot_number(client):
                return False
            assert array.shape == (4096,)
            assert 0.3 < np.sqrt(np.mean(array**2)) < 50.0
            assert np.abs(array - window).max() < 0.02
            return True

        await until(both)


async def snapshot_number(client: AsyncModbusTcpClient) -> int:
    high, low = (await client.read_holding_registers(maps.WAVEFORM_COUNTER, count=2)).registers
    return int(high << 16 | low)


async def read_window(client: AsyncModbusTcpClient) -> NDArray[np.float64]:
    """Return the samples in the window [m/s2]."""
    rate, exponent, n = (await client.read_holding_registers(maps.WAVEFORM_RATE, count=3)).registers
    assert (rate, n) == (16_000, 4_096)
    words: list[int] = []
    for start_at in range(0, n, 64):
        words += (await client.read_holding_registers(maps.WAVEFORM_START + start_at, count=64)).registers
    samples = np.array(words, dtype=np.uint16).view(np.int16).astype(np.float64)
    return samples * 10.0 ** (exponent - 0x10000 if exponent > 0x7FFF else exponent)


async def read(client: AsyncModbusTcpClient, table: str, address: int, count: int) -> ModbusPDU:
    match table:
        case "holding":
            return await client.read_holding_registers(address, count=count)
        case "input":
            return await client.read_input_registers(address, count=count)
        case "coil":
            return await client.read_coils(address, count=count)
        case _:
            return await client.read_discrete_inputs(address, count=count)


# --- faults at run time ----------------------------------------------------------------------


async def test_exceptions_hit_their_registers_only(simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    async with modbus(simulator, "chiller") as client:
        await simulator.switch(capsys, "on", "chiller", "exceptions", "--code", "6", "--registers", "input:4-7")
        assert (await client.read_input_registers(6, count=2)).exception_code == 6
        assert (await client.read_input_registers(0, count=6)).exception_code == 6
        assert not (await client.read_input_registers(0, count=4)).isError()
        assert not (await client.read_holding_registers(0, count=1)).isError()
        await simulator.switch(capsys, "off", "chiller", "exceptions")
        assert not (await client.read_input_registers(0, count=6)).isError()


@pytest.mark.parametrize("server", ["chiller", "opcua"])
async def test_communication_is_lost_and_comes_back(
    simulator: Simulator, capsys: pytest.CaptureFixture[str], server: str
) -> None:
    async def refused() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", simulator.ports[server])
        except OSError:
            return True
        writer.close()
        return False

    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.ports[server])
    await simulator.switch(capsys, "on", server, "comms_loss")
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b"", "the client is dropped"
    writer.close()
    await until(refused)
    await simulator.switch(capsys, "off", server, "comms_loss")
    await until(lambda: equals(refused(), False))


async def test_slow_answers_come_late_and_to_the_right_question(
    simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = asyncio.get_running_loop().time
    async with modbus(simulator, "energy", timeout_s=5.0) as client:
        await simulator.switch(capsys, "on", "energy", "slow_answers", "--delay", "0.4s")
        asked = clock()
        assert not (await client.read_input_registers(0, count=2)).isError()
        assert clock() - asked >= 0.4
        assert len((await client.read_input_registers(0, count=6)).registers) == 6
        await simulator.switch(capsys, "off", "energy", "slow_answers")
    async with Client(simulator.opcua) as client_ua:
        node = await find(client_ua, "filler", "Power")
        await simulator.switch(capsys, "on", "opcua", "slow_answers", "--delay", "0.4s")
        asked = clock()
        await node.read_value()
        assert clock() - asked >= 0.4
        await simulator.switch(capsys, "off", "opcua", "slow_answers")


async def test_bearing_wear_is_seen_recorded_and_told_to_nobody(
    simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    async with modbus(simulator, "pump") as client:

        async def velocity() -> float:
            return float32((await client.read_holding_registers(20, count=2)).registers, "DCBA")

        async def is_bad() -> bool:
            return await velocity() > 3.0

        assert await velocity() < 2.0
        said = await simulator.switch(capsys, "on", "pump", "bearing_wear", "--severity", "0.9", "--life", "24h")
        assert said == "pump bearing_wear is on\n"
        await until(is_bad)
        assert "on now:\n  pump bearing_wear since" in await simulator.switch(capsys, "list")
        await simulator.switch(capsys, "off", "pump", "bearing_wear")
    record = simulator.recorded("bearing_wear")
    assert [line["event"] for line in record[:2]] == ["on", "grown"]
    assert record[0]["target"] == "pump"
    assert record[0]["severity"] == 0.9
    assert record[0]["time"].endswith("Z")
    async with Client(simulator.opcua) as ua_client:
        served = [str(node.nodeid.Identifier).lower() for node in await browse(ua_client)]
    assert len(served) > 80
    assert not [name for name in served if any(word in name for word in ("wear", "fault", "truth", "severity"))]
    assert not [item.name for item in maps.PUMP.registers if "wear" in item.name]


async def browse(client: Client) -> list[Node]:
    """Return all nodes of the machines."""
    found: list[Node] = []
    waiting = [node for node in await client.nodes.objects.get_children() if node.nodeid.NamespaceIndex > 1]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += await node.get_children()
    return found


def test_the_control_port_says_what_is_wrong(simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    for words, answer in (
        (["on", "labeler", "jam"], "target: jam cannot befall 'labeler'; did you mean 'labeller'?"),
        (["on", "pump", "cavitation", "--severity", "2"], "severity: Input should be less than or equal to 1"),
        (["on", "pump", "cavitation", "--code", "3"], "code: cavitation has no option code; it has: severity, ramp"),
        (["off", "pump", "cavitation"], "pump cavitation was not on"),
        (["on", "pump"], f"'on pump' is not understood; allowed: {ALLOWED}"),
        (["list", "jamm"], "'jamm': did you mean 'jam'?"),
    ):
        assert main(["--control", simulator.control, *words]) == 1
        assert capsys.readouterr().err.strip() == answer


# --- the command -----------------------------------------------------------------------------


def test_a_signal_ends_it_cleanly(tmp_path: Path) -> None:
    with start(str(plant_file(tmp_path)), "--free-ports") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Bottling line: 60 simulated seconds per second")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert "Ctrl-C ends." in process.stdout.read()


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    with start(
        str(plant_file(tmp_path)), "--free-ports", "--json", "--die-with-parent", stdin=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert json.loads(process.stdout.readline())["ready"] is True
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


def test_a_port_in_use_is_an_error_or_replaced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = plant_file(tmp_path)
    taken = int(path.read_text(encoding="utf-8").split("energy: modbus://127.0.0.1:")[1].split()[0])
    with socket.create_server(("127.0.0.1", taken)):
        assert main([str(path), "--duration", "0.1"]) == 1
        assert f"127.0.0.1:{taken} is in use by another program" in capfd.readouterr().err
        assert main([str(path), "--duration", "0.1", "--free-ports", "--json"]) == 0
        servers = json.loads(capfd.readouterr().out)["servers"]
    assert servers[f"modbus://127.0.0.1:{taken}"] != f"modbus://127.0.0.1:{taken}"
    others = [asked for asked in servers if not asked.endswith(f":{taken}")]
    assert len(others) == len(MACHINES)
    assert all(servers[asked] == asked for asked in others)


def test_wrong_files_and_wrong_usage_have_their_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.yaml")]) == 1
    assert main([]) == 2
    assert main(["--control", "nonsense", "list"]) == 2
    assert main(["--help"]) == 0
    assert "examples:" in capsys.readouterr().out
