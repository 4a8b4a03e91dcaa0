"""Writing a node of an OPC UA server: in its type, its value alone, read back; and what a server says against it."""

import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, Server, ua
from asyncua.common.callback import CallbackType
from asyncua.server.uaprocessor import UaProcessor

from connectors._opcua.writing import write
from gateway.contracts import DeviceError
from gateway.model import Quality
from tests.servers import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRITTEN: list[tuple[str, Any]] = [
    ("SByte", -128),
    ("Byte", 255),
    ("Int16", -32768),
    ("UInt16", 65535),
    ("Int32", -(2**31)),
    ("UInt32", 2**32 - 1),
    ("Int64", -(2**53) - 1),
    ("UInt64", 2**64 - 1),
    ("Float", -0.5),
    ("Double", 1e300),
    ("Boolean", True),
    ("String", "Grüße"),
]
"""A value of each type that can be written; each is the type's first or last where it has one."""

BEFORE: dict[str, Any] = {"Boolean": False, "String": ""}


class Rig:
    """A server with a writable variable of each type and some that are special; `written` is what was sent to it."""

    def __init__(self) -> None:
        self.server = Server()
        self.written: list[ua.DataValue] = []
        self.url = f"opc.tcp://127.0.0.1:{free_port()}"
        self.answer: tuple[Any, int] | None = None

    async def start(self) -> None:
        await self.server.init()
        self.server.set_endpoint(self.url)
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        for name, _ in WRITTEN:
            await self.add(name, ua.Variant(BEFORE.get(name, 0), ua.VariantType[name]))
        self.server.subscribe_server_callback(CallbackType.PreWrite, self._seen)
        self.server.subscribe_server_callback(CallbackType.PostWrite, self._answered)
        await self.server.start()

    async def add(self, name: str, value: ua.Variant, data_type: ua.NodeId | None = None) -> Any:
        """Add a variable that may be written."""
        node = await self.server.nodes.objects.add_variable(self.node(name), name, value, datatype=data_type)
        await node.set_writable()
        return node

    @staticmethod
    def node(name: str) -> ua.NodeId:
        return ua.NodeId(ua.String(name), ua.Int16(1))

    async def _seen(self, event: Any, _service: Any) -> None:
        if event.is_external:
            self.written += [asked.Value for asked in event.request_params.NodesToWrite]

    async def _answered(self, event: Any, _service: Any) -> None:
        """Put another value, and give another status, if a test wants it."""
        if event.is_external and self.answer is not None:
            value, status = self.answer
            for i, asked in enumerate(event.request_params.NodesToWrite):
                event.response_params[i] = ua.StatusCode(ua.UInt32(status))
                await self.server.get_node(asked.NodeId).write_value(ua.Variant(value, asked.Value.Value.VariantType))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Rig]:
    """One server for all, for it takes a second to start."""
    rig = Rig()
    await rig.start()
    yield rig
    await rig.server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def rig(served: Rig) -> Rig:
    served.written.clear()
    served.answer = None
    return served


@pytest_asyncio.fixture(loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[Client]:
    async with Client(rig.url) as one:
        yield one


async def refused(client: Client, node: ua.NodeId, value: Any) -> tuple[Quality, str]:
    with pytest.raises(DeviceError) as caught:
        await write(client, node, value)
    return caught.value.quality, str(caught.value)


async def test_every_type_is_written_as_itself_and_read_back(rig: Rig, client: Client) -> None:
    for name, value in WRITTEN:
        assert await write(client, rig.node(name), value) == value
        data = await rig.server.get_node(rig.node(name)).read_data_value()
        assert data.Value is not None
        assert (data.Value.VariantType, data.Value.Value) == (ua.VariantType[name], value)


async def test_nothing_is_sent_but_the_value(rig: Rig, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The DataValue is the last of a write request; its mask says that there is a value, and no more."""
    requests: list[bytes] = []
    process: Any = UaProcessor._process_message

    async def listen(self: Any, typeid: Any, header: Any, sequence: Any, body: Any) -> Any:
        requests.append(bytes(body.copy().read(len(body))))
        return await process(self, typeid, header, sequence, body)

    monkeypatch.setattr(UaProcessor, "_process_message", listen)
    await write(client, rig.node("Double"), 20.5)
    assert requests[1].endswith(b"\x01\x0b" + struct.pack("<d", 20.5))
    assert len(requests) == 3


async def test_what_does_not_fit_is_told_and_not_sent(rig: Rig, client: Client) -> None:
    with pytest.raises(ValueError, match="256 does not fit Byte, which takes whole numbers from 0 to 255"):
        await write(client, rig.node("Byte"), 256)
    assert rig.written == []


async def test_a_type_that_stands_for_others_is_written_as_the_present_value_is(rig: Rig, client: Client) -> None:
    number, duration = ua.NodeId(ua.Int32(ua.ObjectIds.Number)), ua.NodeId(ua.Int32(ua.ObjectIds.Duration))
    await rig.add("Any", ua.Variant(1, ua.VariantType.UInt16), number)
    await rig.add("Time", ua.Variant(1.0, ua.VariantType.Double), duration)
    assert await write(client, rig.node("Any"), 7) == 7
    assert await write(client, rig.node("Time"), 7) == 7.0
    assert [data.Value.VariantType.name for data in rig.written if data.Value] == ["UInt16", "Double"]


async def test_a_type_that_nobody_knows_is_told_and_not_guessed(rig: Rig, client: Client) -> None:
    await rig.add("Empty", ua.Variant(None, ua.VariantType.Null), ua.NodeId(ua.Int32(ua.ObjectIds.Number)))
    quality, said = await refused(client, rig.node("Empty"), 7)
    assert quality is Quality.BAD_TYPE_MISMATCH
    assert (
        said == "the node has no value now and a data type that stands for several, i=26: nobody knows how to write it"
    )


async def test_an_array_is_not_written(rig: Rig, client: Client) -> None:
    await rig.add("Wave", ua.Variant([1.0, 2.0], ua.VariantType.Double))
    with pytest.raises(ValueError, match="the node is an array"):
        await write(client, rig.node("Wave"), 1.0)


async def test_who_may_write_is_asked_before(rig: Rig, client: Client) -> None:
    shown = await rig.server.nodes.objects.add_variable(rig.node("Shown"), "Shown", 1.0)
    assert await refused(client, shown.nodeid, 2.0) == (
        Quality.BAD_NOT_WRITABLE,
        "BadNotWritable: nobody may write the node",
    )
    locked = await rig.add("Locked", ua.Variant(1.0))
    await locked.unset_attr_bit(ua.AttributeIds.UserAccessLevel, ua.AccessLevel.CurrentWrite)
    assert await refused(client, locked.nodeid, 2.0) == (
        Quality.BAD_USER_ACCESS_DENIED,
        "BadUserAccessDenied: this user may not write the node",
    )
    assert rig.written == []


async def test_a_node_that_is_not_there_or_no_variable_is_told(rig: Rig, client: Client) -> None:
    quality, said = await refused(client, rig.node("Nothing"), 1)
    assert quality in (Quality.BAD_NODE_ID_UNKNOWN, Quality.BAD_NODE_ID_INVALID)
    assert said.endswith(": it has no such node")
    quality, said = await refused(client, ua.NodeId(ua.Int32(ua.ObjectIds.ObjectsFolder)), 1)
    assert said == "BadAttributeIdInvalid"


async def test_a_server_that_says_one_type_and_takes_another_is_told(rig: Rig, client: Client) -> None:
    node = await rig.add("Liar", ua.Variant(1, ua.VariantType.Int32))
    double = ua.Variant(ua.NodeId(ua.Int32(ua.ObjectIds.Double)), ua.VariantType.NodeId)
    await node.write_attribute(ua.AttributeIds.DataType, ua.DataValue(double))
    assert await refused(client, node.nodeid, 2) == (
        Quality.BAD_TYPE_MISMATCH,
        "BadTypeMismatch: the node takes another type than it says",
    )


@pytest.mark.parametrize(
    ("status", "quality", "said"),
    [
        (0x803C_0000, Quality.BAD_OUT_OF_RANGE, "BadOutOfRange: the value is beyond what it allows"),
        (0x803B_0000, Quality.BAD_NOT_WRITABLE, "BadNotWritable: nobody may write the node"),
        (0x8073_0000, Quality.BAD_DEVICE_FAILURE, "BadWriteNotSupported"),
    ],
)
async def test_what_a_server_refuses_has_its_code_and_words(
    status: int, quality: Quality, said: str, rig: Rig, client: Client
) -> None:
    rig.answer = (1.0, status)
    assert await refused(client, rig.node("Double"), 2.0) == (quality, said)


async def test_a_clamped_value_comes_back_as_it_is_now(rig: Rig, client: Client) -> None:
    rig.answer = (50.0, ua.StatusCodes.GoodClamped)
    assert await write(client, rig.node("Double"), 80.0) == 50.0


async def test_a_value_that_is_bad_afterwards_is_told(rig: Rig, client: Client) -> None:
    node = rig.server.get_node(rig.node("Double"))

    async def fail(_event: Any, _service: Any) -> None:
        rig.server.unsubscribe_server_callback(CallbackType.PostWrite, fail)
        data = ua.DataValue(ua.Variant(0.0), StatusCode=ua.StatusCode(ua.UInt32(Quality.BAD_SENSOR_FAILURE)))
        await node.write_value(data)

    rig.server.subscribe_server_callback(CallbackType.PostWrite, fail)
    assert await refused(client, node.nodeid, 1.0) == (Quality.BAD_SENSOR_FAILURE, "BadSensorFailure")


async def test_a_connection_that_has_gone_is_an_os_error(rig: Rig) -> None:
    async with Client(rig.url) as client:
        client.disconnect_socket()
        with pytest.raises(OSError, match="Connection is not open"):
            await write(client, rig.node("Double"), 1.0)
