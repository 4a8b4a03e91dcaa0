"""Values that are no single number, from a real server: arrays, matrices, structures, what is too large."""

import base64
import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from asyncua import Node, Server, ua
from asyncua.common.structures104 import new_enum, new_struct
from asyncua.ua.ua_binary import extensionobject_to_binary

from connectors._opcua.values import BYTES_MAX
from gateway import payload
from gateway.contracts import Connector
from gateway.model import Batch
from gateway.model.batch import objects
from gateway.model.encoding import decode, encode
from tests.conformance.test_connectors import RIGS, build, running
from tests.servers import free_port

URI = "urn:test:values"
T = ua.VariantType
NESTED = ua.Variant([ua.Variant(1.5, T.Double), ua.Variant("x", T.String), ua.Variant([2**60], T.Int64)], T.Variant)

FAR = ua.ExpandedNodeId(ua.String("x"), NamespaceUri=ua.String("urn:far;1"), ServerIndex=ua.Int32(3))

VALUES: dict[str, tuple[ua.Variant, Any]] = {
    "booleans": (ua.Variant([True, False], T.Boolean), [True, False]),
    "bytes": (ua.Variant([0, 255], T.Byte), [0.0, 255.0]),
    "shorts": (ua.Variant([-(2**15), 2**15 - 1], T.Int16), [-32768.0, 32767.0]),
    "words": (ua.Variant([0, 2**32 - 1], T.UInt32), [0.0, 4294967295.0]),
    "longs": (ua.Variant([-(2**63), 2**53 + 1], T.Int64), [str(-(2**63)), str(2**53 + 1)]),
    "unsigned": (ua.Variant([7, 2**64 - 1], T.UInt64), [7, str(2**64 - 1)]),
    "floats": (ua.Variant([0.5, math.nan, math.inf], T.Float), [0.5, None, None]),
    "none": (ua.Variant([], T.Double, is_array=True), []),
    "matrix": (ua.Variant([[1.5, math.nan], [3.0, 4.0]], T.Double), [[1.5, None], [3.0, 4.0]]),
    "cube": (ua.Variant([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], T.Int32), [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
    "texts": (ua.Variant(["a", None, "ü"], T.String), ["a", None, "ü"]),
    "times": (ua.Variant([datetime(2026, 1, 5, 6, tzinfo=UTC)], T.DateTime), ["2026-01-05T06:00:00Z"]),
    "guids": (ua.Variant([UUID(int=1)], T.Guid), ["00000000-0000-0000-0000-000000000001"]),
    "byte_strings": (ua.Variant([b"\x01\x02", None], T.ByteString), ["AQI=", None]),
    "statuses": (ua.Variant([ua.StatusCode(ua.UInt32(0x800A_0000))], T.StatusCode), [0x800A_0000]),
    "texts_by_language": (ua.Variant([ua.LocalizedText("Pumpe", "de")], T.LocalizedText), ["Pumpe"]),
    "name": (ua.Variant(ua.QualifiedName("Pump", 2), T.QualifiedName), f"nsu={URI};Pump"),
    "nodes": (
        ua.Variant([ua.NodeId.from_string(text) for text in ("ns=2;s=a", "i=2253", "ns=9;s=b")], T.NodeId),
        [f"nsu={URI};s=a", "i=2253", "ns=9;s=b"],
    ),
    "foreign_node": (
        ua.Variant(FAR, T.ExpandedNodeId),
        "svr=3;nsu=urn:far%3B1;s=x",
    ),
    "nested": (NESTED, [1.5, "x", [str(2**60)]]),
    "range": (ua.Variant(ua.Range(-5.0, 40.0), T.ExtensionObject), {"Low": -5.0, "High": 40.0}),
    "no_structure": (ua.Variant(ua.ExtensionObject(), T.ExtensionObject), None),
}  # fmt: skip


BASE_DATA_TYPE = ua.NodeId(ua.Int32(24))


class Plant:
    """A server with variables that a test adds; its types are known to it alone, for asyncua was not told of them."""

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self.url = url
        self.tags: dict[str, dict[str, Any]] = {}

    async def add(self, name: str, value: ua.Variant) -> Node:
        self.tags[name] = {"node": f"nsu={URI};s={name}"}
        place, shown = ua.NodeId(ua.String(name), ua.Int16(2)), ua.QualifiedName(name, 2)
        return await self.server.nodes.objects.add_variable(place, shown, value, datatype=BASE_DATA_TYPE)

    async def read(self) -> tuple[dict[str, Any], dict[str, int], Connector]:
        """Values as JSON has them, before the journal and after it, and their quality."""
        connector, heard = build(RIGS["opcua"], self.url, self.tags)
        async with running(connector, heard):
            await heard.until(lambda: set(heard.value) == set(self.tags))
        batch = Batch.of(range(len(heard.value)), 1, objects(heard.value.values()))
        (kept,) = decode(encode([batch]))
        told = {name: orjson.loads(payload.encoded(value)) for name, value in heard.value.items()}
        assert [orjson.loads(payload.encoded(value)) for value in kept.value] == list(told.values())
        return told, heard.quality, connector


@asynccontextmanager
async def plant() -> AsyncIterator[Plant]:
    server, url = Server(), f"opc.tcp://127.0.0.1:{free_port()}"
    await server.init()
    server.set_endpoint(url)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    assert await server.register_namespace(URI) == 2
    async with server:
        yield Plant(server, url)


async def test_values_of_every_shape_are_what_json_can_carry() -> None:
    """And they are the same after the journal, which is how history keeps them too."""
    async with plant() as machine:
        for name, (value, _) in VALUES.items():
            await machine.add(name, value)
        told, quality, _ = await machine.read()
    assert told == {name: expected for name, (_, expected) in VALUES.items()}
    assert set(quality.values()) == {0}


async def test_a_value_that_is_too_large_is_bad_counted_and_spoils_no_other() -> None:
    async with plant() as machine:
        most = BYTES_MAX - 5  # a byte for the type, four for the length
        for name, size in {"fits": most, "too_large": most + 1}.items():
            await machine.add(name, ua.Variant(b"\x01" * size, T.ByteString))
        told, quality, connector = await machine.read()
    assert len(told["fits"]) == 4 * math.ceil(most / 3)
    assert quality == {"fits": 0, "too_large": 0x8008_0000}
    assert connector.counts["too_large"] == 1


# --- structures of the server's own -----------------------------------------------------------


def text(words: str) -> bytes:
    return struct.pack("<i", len(words)) + words.encode()


def field(name: str, type_: ua.NodeId | int, rank: int = -1, *, optional: bool = False) -> ua.StructureField:
    data_type = type_ if isinstance(type_, ua.NodeId) else ua.NodeId(ua.Int32(type_))
    return ua.StructureField(Name=name, DataType=data_type, ValueRank=ua.Int32(rank), IsOptional=optional)


async def defined(machine: Plant, name: str, form: ua.StructureType, *fields: ua.StructureField) -> tuple[Node, Node]:
    """A structure as a server has it: the data type and its encoding."""
    type_, (encoding,) = await new_struct(machine.server, 2, name, list(fields), form == ua.StructureType.Union)
    definition = ua.StructureDefinition(
        DefaultEncodingId=encoding.nodeid, BaseDataType=ua.NodeId(ua.Int32(22)), StructureType=form, Fields=list(fields)
    )
    await type_.write_data_type_definition(definition)
    return type_, encoding


def of(encoding: Node, body: bytes) -> ua.ExtensionObject:
    return ua.ExtensionObject(encoding.nodeid, ua.ByteString(body))


Plain, Optional, Union = (
    ua.StructureType.Structure,
    ua.StructureType.StructureWithOptionalFields,
    ua.StructureType.Union,
)
POINT = struct.pack("<dd", 1.5, -2.0)
POINT_TOLD = {"X": 1.5, "Y": -2.0}


BATCH_TOLD = {
    "Name": "B-17",
    "State": 1,
    "Duration": 250.0,
    "Serial": str(2**64 - 1),
    "Limits": [1.0, None],
    "At": POINT_TOLD,
    "Path": [POINT_TOLD, POINT_TOLD],
    "Table": [[1, 2, 3], [4, 5, 6]],
    "Operator": "Ada",
    "Pick": {"Word": "red"},
    "Any": -7,
    "Inner": POINT_TOLD,
    "Started": "2026-01-05T06:00:00Z",
    "Span": {"Low": 0.0, "High": 9.5},
}


async def test_structures_are_decoded_as_their_server_defines_them() -> None:
    """Fields of all shapes; Duration and the enumeration are what they are derived from."""
    async with plant() as machine:
        state = await new_enum(machine.server, 2, "State", ["Idle", "Running"])
        point, point_encoding = await defined(machine, "Point", Plain, field("X", 11), field("Y", 11))
        choice, _ = await defined(machine, "Choice", Union, field("Number", 6), field("Word", 12))
        _, batch = await defined(
            machine,
            "Batch",
            Optional,
            field("Name", 12),
            field("State", state.nodeid),
            field("Duration", 290),
            field("Serial", 9),
            field("Limits", 11, 1),
            field("At", point.nodeid),
            field("Path", point.nodeid, 1),
            field("Table", 4, 2),
            field("Remark", 12, optional=True),
            field("Operator", 12, optional=True),
            field("Pick", choice.nodeid),
            field("Any", 24),
            field("Inner", 22),
            field("Started", 294),
            field("Span", 884),
        )
        body = (
            struct.pack("<I", 0b10)
            + text("B-17")
            + struct.pack("<idQ", 1, 250.0, 2**64 - 1)
            + struct.pack("<idd", 2, 1.0, math.nan)
            + POINT
            + struct.pack("<i", 2) + POINT * 2
            + struct.pack("<iii6h", 2, 2, 3, 1, 2, 3, 4, 5, 6)
            + text("Ada")
            + struct.pack("<I", 2) + text("red")
            + b"\x06" + struct.pack("<i", -7)
            + extensionobject_to_binary(of(point_encoding, POINT))
            + struct.pack("<q", ua.datetime_to_win_epoch(datetime(2026, 1, 5, 6, tzinfo=UTC)))
            + struct.pack("<dd", 0.0, 9.5)
        )  # fmt: skip
        await machine.add("batch", ua.Variant(of(batch, body), T.ExtensionObject))
        await machine.add("points", ua.Variant([of(point_encoding, POINT)] * 2, T.ExtensionObject))
        told, quality, _ = await machine.read()
    assert told["batch"] == BATCH_TOLD
    assert told["points"] == [POINT_TOLD, POINT_TOLD]
    assert set(quality.values()) == {0}


async def test_what_does_not_fit_its_definition_stays_bytes() -> None:
    """Too short, too long, of a type that the server does not define, and a definition that has no end."""
    async with plant() as machine:
        point, point_encoding = await defined(machine, "Point", Plain, field("X", 11), field("Y", 11))
        loop, loop_encoding = await defined(machine, "Loop", Plain, field("A", 11))
        _, matrix_encoding = await defined(machine, "Matrix", Plain, field("A", 2, 2))
        ends = field("A", loop.nodeid), field("B", loop.nodeid)
        await loop.write_data_type_definition(
            ua.StructureDefinition(DefaultEncodingId=loop_encoding.nodeid, StructureType=Plain, Fields=list(ends))
        )
        odd = {
            "short": of(point_encoding, POINT[:-1]),
            "long": of(point_encoding, POINT + b"\0"),
            "loop": of(loop_encoding, b"\0"),
            "nobodys": of(point, POINT),
            "matrix": of(matrix_encoding, struct.pack("<3ib", 2, -1, -1, 7)),
        }
        for name, value in odd.items():
            await machine.add(name, ua.Variant(value, T.ExtensionObject))
        told, quality, _ = await machine.read()
    assert {name: base64.b64decode(value["UaBody"]) for name, value in told.items()} == {
        name: value.Body for name, value in odd.items()
    }
    assert all(value["UaTypeId"].startswith(f"nsu={URI};i=") for value in told.values())
    assert set(quality.values()) == {0}


async def test_a_change_of_a_structure_arrives() -> None:
    async with plant() as machine:
        _, encoding = await defined(machine, "Point", Plain, field("X", 11), field("Y", 11))
        node = await machine.add("point", ua.Variant(of(encoding, POINT), T.ExtensionObject))
        connector, heard = build(RIGS["opcua"], machine.url, machine.tags)
        async with running(connector, heard):
            await heard.until(lambda: "point" in heard.value)
            moved = ua.Variant(of(encoding, struct.pack("<dd", 2.0, 3.0)), T.ExtensionObject)
            await node.write_value(moved)
            await heard.until(lambda: heard.value["point"] == {"X": 2.0, "Y": 3.0})
