"""Real servers for tests, on ports that are free, with files in a temporary folder. Nothing here is a mock."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import paho.mqtt.client as mqtt
import pytest
from asyncua import Server, ua
from cryptography.hazmat.primitives.serialization import Encoding
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer, ModbusUdpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.bus.broker import executable
from gateway.selftest.line import Line as Line
from gateway.selftest.line import line as line
from tests.certificates import made


def free_port() -> int:
    """Return a TCP port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def needs(program: str) -> str:
    """Return the path of a program of the machine, or skip the test that needs it."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed; .ci/run installs it")
    return found


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate of 127.0.0.1 and its key; give their paths."""
    device = made("device", uri=None, dns=(), ca=True, path_length=0, usage=None, purposes=())
    (folder / "cert.pem").write_bytes(device.certificate.public_bytes(Encoding.PEM))
    device.write_key(folder / "key.pem")
    return folder / "cert.pem", folder / "key.pem"


# --- Modbus -------------------------------------------------------------------------------

ModbusServer = ModbusTcpServer | ModbusTlsServer | ModbusUdpServer | ModbusSerialServer


MakeModbusServer = Callable[[list[SimDevice], int], ModbusServer]


def _modbus_tcp(devices: list[SimDevice], port: int) -> ModbusServer:
    return ModbusTcpServer(devices, address=("127.0.0.1", port))


class ModbusRig:
    """A pymodbus server with registers that a test can change; addresses in `illegal` answer exception 2.

    `make` says over what it is reached; by TCP if nothing else is said.
    """

    def __init__(self, make: MakeModbusServer = _modbus_tcp) -> None:
        self._make = make
        self.port = free_port()
        self.holding = [0] * 2000
        self.inputs = [0] * 2000
        self.coils = [False] * 200
        self.illegal: set[int] = set()
        self.delay_s = 0.0
        self.requests = 0
        self._server: ModbusServer | None = None

    async def start(self) -> None:
        bits = [SimData(0, values=[False] * 208, datatype=DataType.BITS)]
        words = [SimData(0, count=2000, datatype=DataType.REGISTERS)]
        self._server = self._make([SimDevice(1, (bits, bits, words, words), action=self._answer)], self.port)
        await self._server.serve_forever(background=True)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus says no types here
            self._server = None

    def connections(self) -> list[Any]:
        """The connections of clients that the server has."""
        assert self._server is not None
        return list(self._server.active_connections.values())

    async def _answer(
        self, function: int, start: int, address: int, count: int, current: list[int], written: Any
    ) -> ExcCodes | None:
        self.requests += 1
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if function in (1, 2):  # pymodbus keeps bits sixteen to a word
            for word in range(12):
                current[word] = sum(bit << i for i, bit in enumerate(self.coils[16 * word : 16 * word + 16]))
            return None
        if self.illegal & set(range(address, address + count)):
            return ExcCodes.ILLEGAL_ADDRESS
        table = self.inputs if function == 4 else self.holding
        if written:
            table[address : address + count] = written
        current[address - start : address - start + count] = table[address : address + count]
        return None


@asynccontextmanager
async def modbus(make: MakeModbusServer = _modbus_tcp) -> AsyncIterator[ModbusRig]:
    rig = ModbusRig(make)
    await rig.start()
    try:
        yield rig
    finally:
        await rig.stop()


@asynccontextmanager
async def modbus_units(
    units: Mapping[int, Mapping[int, Sequence[int]]],
    identities: Mapping[int, Mapping[int, bytes]] = MappingProxyType({}),
    *,
    silent: bool = False,
) -> AsyncIterator[int]:
    """Serve several units, each with holding registers from some addresses on; give the port.

    A unit without an identity (objects of function 43 by number) refuses to tell it. Other units are answered with
    exception 11, as a bridge does, or not at all if `silent`.
    """

    def answered(sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        """What is sent: pymodbus has one identity for all servers of a process, and no word for a missing unit."""
        if sending and pdu.dev_id not in units:
            return ExceptionResponse(pdu.function_code & 0x7F, 11, pdu.dev_id, pdu.transaction_id)
        if not sending or not isinstance(pdu, ReadDeviceInformationResponse):
            return pdu
        if pdu.dev_id not in identities:
            return ExceptionResponse(pdu.function_code, 1, pdu.dev_id, pdu.transaction_id)
        pdu.information = dict(identities[pdu.dev_id])
        return pdu

    def delivered(sending: bool, frame: bytes) -> bytes:
        return b"" if sending and silent and frame[6] not in units else frame

    port = free_port()
    devices = [
        SimDevice(unit, [SimData(at, values=list(words), datatype=DataType.REGISTERS) for at, words in image.items()])
        for unit, image in {0: {0: [0]}, **units}.items()
    ]
    server = ModbusTcpServer(devices, address=("127.0.0.1", port), trace_pdu=answered, trace_packet=delivered)
    await server.serve_forever(background=True)
    try:
        yield port
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus says no types here


# --- OPC UA -------------------------------------------------------------------------------


class OpcUaRig:
    """An asyncua server with a few variables in a namespace of its own; `filler` namespaces come before it."""

    URI = "urn:test:machine"

    def __init__(self) -> None:
        self.port = free_port()
        self.fillers = 0
        self._server: Server | None = None
        self._nodes: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        server = Server()
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        for i in range(self.fillers):
            await server.register_namespace(f"urn:test:filler{i}")
        index = await server.register_namespace(self.URI)
        for i in range(self.fillers):  # what a wrong namespace index would read
            await server.nodes.objects.add_variable(ua.NodeId(ua.String("Temperature"), ua.Int16(2 + i)), "Decoy", -1.0)
        variables = {
            "Temperature": ua.Variant(20.5, ua.VariantType.Double),
            "Count": ua.Variant(7, ua.VariantType.UInt32),
            "Big": ua.Variant(2**64 - 1, ua.VariantType.UInt64),
            "Running": ua.Variant(True, ua.VariantType.Boolean),
            "Recipe": ua.Variant("Grüße", ua.VariantType.String),
            "Wave": ua.Variant([0.5, -1.5, 2.0], ua.VariantType.Float),
        }
        for name, value in variables.items():
            node = await server.nodes.objects.add_variable(ua.NodeId(ua.String(name), ua.Int16(index)), name, value)
            self._nodes[name] = node
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None

    def sessions(self) -> list[Any]:
        """The sessions of clients that the server has, its own left out."""
        assert self._server is not None
        return list(self._server.iserver._external_sessions)

    async def set(self, name: str, value: ua.Variant, status: int = 0) -> None:
        data = ua.DataValue(value, StatusCode=ua.StatusCode(ua.UInt32(status)), SourceTimestamp=ua.DateTime.now(UTC))
        await self._nodes[name].write_value(data)

    async def describe(self, name: str, unit: ua.EUInformation | None, span: tuple[float, float] | None) -> None:
        """Give a variable the properties of an AnalogItem, or those that it has another value."""
        for what, value in (("EngineeringUnits", unit), ("EURange", ua.Range(*span) if span else None)):
            if value is None:
                continue
            for old in await self._nodes[name].get_properties():
                if (await old.read_browse_name()).Name == what:
                    await old.delete()
            await self._nodes[name].add_property(ua.NodeId(), f"0:{what}", value)

    async def historize(self, name: str, page: int = 10_000) -> None:
        """Keep a history of a variable from now on; it is told in pages of so many values."""
        assert self._server is not None
        self._server.iserver.history_manager.storage.max_history_data_response_size = page
        await self._server.historize_node_data_change(self._nodes[name])

    def subscriptions(self) -> list[Any]:
        """The subscriptions of clients that the server has, its own left out."""
        assert self._server is not None
        own = self._server.iserver.isession.session_id
        return [
            one for one in self._server.iserver.subscription_service.subscriptions.values() if one.session_id != own
        ]

    async def forget_subscriptions(self) -> None:
        """Lose the subscriptions of all clients, as a restart does."""
        assert self._server is not None
        gone = [one.data.SubscriptionId for one in self.subscriptions()]
        await self._server.iserver.subscription_service.delete_subscriptions(gone)


@asynccontextmanager
async def opcua() -> AsyncIterator[OpcUaRig]:
    rig = OpcUaRig()
    await rig.start()
    try:
        yield rig
    finally:
        await rig.stop()


# --- a server that is no server -----------------------------------------------------------


@asynccontextmanager
async def black_hole(port: int) -> AsyncIterator[None]:
    """Accept connections on a port and never say a word."""
    open_ones: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.append(writer)
        await reader.read(-1)

    server = await asyncio.start_server(silent, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for writer in open_ones:
            writer.transport.abort()
        await server.wait_closed()


# --- brokers ------------------------------------------------------------------------------


def until_listening(port: int, process: "subprocess.Popen[bytes]", patience_s: float = 15.0) -> None:
    """Wait until a process accepts connections. Raises AssertionError if it ends or takes too long."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}; code {process.poll()}")


class BrokerProcess:
    """A broker that can be killed and started again on the same port and files."""

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self.port = port
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until_listening(self.port, self._process)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def mosquitto(folder: Path, settings: str = "allow_anonymous true\n") -> Iterator[BrokerProcess]:
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nset_tcp_nodelay true\n{settings}")
    broker = BrokerProcess([needs("mosquitto"), "-c", str(config)], port, folder / "mosquitto.log")
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@contextmanager
def nats(folder: Path, settings: str = "") -> Iterator[BrokerProcess]:
    port = free_port()
    config = folder / "nats.conf"
    config.write_text(
        f'server_name: test\nlisten: "127.0.0.1:-1"\njetstream: {{ store_dir: "{folder}/nats" }}\n'
        f'max_payload: 8388608\nmqtt: {{ host: "127.0.0.1", port: {port} }}\n{settings}'
    )
    broker = BrokerProcess([str(executable()), "--config", str(config)], port, folder / "nats.log")
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


# --- PostgreSQL ---------------------------------------------------------------------------


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Run a cluster of its own and give its URL; as root it runs as the user postgres, as it must."""
    needs("psql")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("the PostgreSQL server is not installed; .ci/run installs it")
    programs, port, data = found[-1].parent, free_port(), folder / "postgresql"
    data.mkdir()
    as_user: list[str] = []
    if os.getuid() == 0:
        shutil.chown(data, "postgres")
        for parent in [folder, *folder.parents]:  # those of pytest, however deep; the others let anybody in
            if parent.stat().st_mode & 0o055 != 0o055:
                parent.chmod(parent.stat().st_mode | 0o055)
        as_user = ["runuser", "-u", "postgres", "--"]
    subprocess.run(
        [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "gateway", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        cwd="/",
    )
    options = ["-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(data), "-F"]
    server = subprocess.Popen([*as_user, str(programs / "postgres"), *options], stderr=subprocess.DEVNULL, cwd="/")
    try:
        until_listening(port, server)
        _until_answering(programs, port)
        yield f"postgresql://gateway@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()


def _until_answering(programs: Path, port: int) -> None:
    for _ in range(500):
        asked = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.02)
    raise AssertionError("PostgreSQL does not answer")


class Subscriber:
    """An MQTT client that is not ours in any way that matters: paho, one thread, everything it receives in order."""

    def __init__(self, port: int, topic: str = "#") -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._topic = topic
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)

    async def __aenter__(self) -> Self:
        self._client.loop_start()
        async with asyncio.timeout(15):
            await self._subscribed.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def until(self, true: Callable[[], bool], patience_s: float = 15.0) -> None:
        """Wait until something is true of what was received. Raises TimeoutError."""
        async with asyncio.timeout(patience_s):
            while not true():
                self._news.clear()
                await self._news.wait()

    def on(self, suffix: str) -> list[bytes]:
        """Return the payloads on topics that end like this, in order."""
        return [payload for topic, payload, _ in self.messages if topic.endswith(suffix)]

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(self._topic, qos=1)

    def _on_subscribe(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._subscribed.set)

    def _on_message(self, _client: mqtt.Client, _user: Any, message: mqtt.MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._take, (message.topic, bytes(message.payload), message.retain))

    def _take(self, message: tuple[str, bytes, bool]) -> None:
        self.messages.append(message)
        self._news.set()
