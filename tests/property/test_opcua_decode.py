"""The columnar decoder against asyncua's, value for value and bit for bit; and against bytes that are no message."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary, variant_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._opcua.decode import DecodeError, Published, publish_response, read_response
from connectors._opcua.variants import json_value, kind_value
from gateway import payload
from gateway.model import Batch, Kind
from tests.changes import batches
from tests.property.strategies import BITS, UINT32, rows

NOW_NS: Final = 1_767_592_800_000_000_000
EPOCH: Final = 116_444_736_000_000_000
YEAR_1602: Final = 365 * 86_400 * 10**7
LATEST_NS: Final = 2**63 - 1
Type = ua.VariantType

# --- what is drawn ------------------------------------------------------------------------


@dataclass(frozen=True)
class Value:
    """A DataValue before it is encoded; `variant` is encoded already."""

    mask: int
    variant: bytes
    status: int
    source: int
    server: int
    picoseconds: int

    def encoded(self, mask: int) -> bytes:
        """The fields in the order of OPC 10000-6, 5.2.2.17, which asyncua does not keep to with picoseconds."""
        fields = (
            (0x01, self.variant),
            (0x02, struct.pack("<I", self.status)),
            (0x04, struct.pack("<q", self.source)),
            (0x10, struct.pack("<H", self.picoseconds)),
            (0x08, struct.pack("<q", self.server)),
            (0x20, struct.pack("<H", self.picoseconds)),
        )
        return bytes([mask]) + b"".join(field for bit, field in fields if mask & bit)

    def asyncuas(self) -> ua.DataValue:
        return struct_from_binary(ua.DataValue, Buffer(self.encoded(self.mask & 0x0F)))

    def time_ns(self) -> int:
        """Source time, else server time, else now; exact to 100 ns."""
        for bit, ticks in ((0x04, self.source), (0x08, self.server)):
            if self.mask & bit and ticks >= YEAR_1602:
                return max(-LATEST_NS, min(LATEST_NS, 100 * (ticks - EPOCH)))
        return NOW_NS


TIMES = st.datetimes(datetime(1601, 1, 1), datetime(9999, 12, 31)).map(lambda time: time.replace(tzinfo=UTC))
TICKS = st.one_of(
    TIMES.map(lambda time: (time - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10),
    st.integers(EPOCH, EPOCH * 2),
    st.sampled_from([0, 1, YEAR_1602 - 1, YEAR_1602, EPOCH - 92_233_720_368_547_759, EPOCH + 92_233_720_368_547_758]),
    st.integers(-(2**63), 2**63 - 1),
)
TEXT = st.text(max_size=6)
INTEGERS = {
    Type.SByte: st.integers(-(2**7), 2**7 - 1),
    Type.Byte: st.integers(0, 2**8 - 1),
    Type.Int16: st.integers(-(2**15), 2**15 - 1),
    Type.UInt16: st.integers(0, 2**16 - 1),
    Type.Int32: st.integers(-(2**31), 2**31 - 1),
    Type.UInt32: UINT32,
    Type.Int64: st.integers(-(2**63), 2**63 - 1),
    Type.UInt64: st.integers(0, 2**64 - 1),
}
NODE_IDS = st.builds(
    ua.NodeId,
    st.one_of(st.integers(0, 2**32 - 1), TEXT, st.uuids(), st.binary(max_size=4)),
    st.integers(0, 2**16 - 1),
)
LOCALIZED = st.builds(ua.LocalizedText, st.one_of(st.none(), TEXT), st.one_of(st.none(), TEXT))
SIMPLE: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    Type.Boolean: st.booleans(),
    **INTEGERS,
    Type.Float: st.floats(width=32),
    Type.Double: st.floats(),
    Type.String: st.one_of(TEXT, st.none(), st.integers(60, 70).map("x".__mul__)),
    Type.DateTime: TIMES,
    Type.Guid: st.uuids(),
    Type.ByteString: st.one_of(st.binary(max_size=6), st.none()),
    Type.XmlElement: st.builds(ua.XmlElement, TEXT),
    Type.NodeId: NODE_IDS,
    Type.ExpandedNodeId: NODE_IDS,
    Type.StatusCode: st.builds(ua.StatusCode, UINT32),
    Type.QualifiedName: st.builds(ua.QualifiedName, TEXT, st.integers(0, 2**15 - 1)),
    Type.LocalizedText: LOCALIZED,
    Type.ExtensionObject: st.one_of(
        st.builds(ua.Range, st.floats(), st.floats()),
        st.builds(ua.EUInformation, TEXT, st.integers(-5, 5), LOCALIZED, LOCALIZED),
        st.builds(ua.ExtensionObject, st.just(ua.NodeId.from_string("ns=2;i=7")), st.binary(min_size=1, max_size=6)),
    ),
    Type.DiagnosticInfo: st.builds(ua.DiagnosticInfo, SymbolicId=st.integers(0, 9), AdditionalInfo=TEXT),
}


@st.composite
def variants(draw: st.DrawFn) -> ua.Variant:
    """A variant as asyncua makes them: null, scalar, array or matrix of any built-in type."""
    kind = draw(st.sampled_from([None, Type.DataValue, Type.Variant, *SIMPLE]))
    if kind is None:
        return ua.Variant()
    if kind is Type.Variant:
        return ua.Variant(draw(st.lists(variants(), max_size=3)), Type.Variant, is_array=True)
    if kind is Type.DataValue:
        return ua.Variant(draw(st.builds(ua.DataValue, variants(), SourceTimestamp=TIMES)), Type.DataValue)
    match draw(st.sampled_from(["scalar", "scalar", "array", "matrix"])):
        case "scalar":
            return ua.Variant(draw(SIMPLE[kind]), kind)
        case "array":
            return ua.Variant(draw(st.lists(SIMPLE[kind], max_size=4)), kind, is_array=True)
        case _:
            row = st.lists(SIMPLE[kind], min_size=2, max_size=2)
            return ua.Variant(draw(st.lists(row, min_size=1, max_size=3)), kind)


RAW = st.one_of(
    BITS.map(lambda bits: b"\x0b" + struct.pack("<Q", bits)),
    UINT32.map(lambda bits: b"\x0a" + struct.pack("<I", bits)),
    st.sampled_from([0x7F80_0001, 0xFFC1_2345, 0x8000_0000]).map(lambda bits: b"\x0a" + struct.pack("<I", bits)),
    st.integers(0, 255).map(lambda byte: b"\x01" + bytes([byte])),
    TICKS.map(lambda ticks: b"\x0d" + struct.pack("<q", ticks)),
    st.binary(max_size=6).map(lambda text: b"\x0c" + struct.pack("<i", len(text)) + text),
    st.sampled_from(
        [b"\x18\x03\x07", b"\x18\x18\x00", b"\x0c" + b"\xff" * 4, b"\x8b" + b"\xff" * 4, b"\x80" + b"\0" * 4]
    ),
)
"""What asyncua's encoder does not make: floats with odd bits, booleans of 2, times of any number, text of
any bytes, variants in variants."""

VALUES = st.builds(
    Value,
    st.integers(0, 0x3F),
    st.one_of(RAW, variants().map(variant_to_binary)),
    st.one_of(st.just(0), UINT32),
    TICKS,
    TICKS,
    st.integers(0, 9999),
)


@st.composite
def messages(draw: st.DrawFn, most: int = 130) -> list[Value]:
    """A few values, and many that are like them, in an order or none."""
    patterns = draw(st.lists(VALUES, min_size=1, max_size=4))
    n = draw(st.one_of(st.integers(0, 6), st.integers(0, most)))
    if draw(st.booleans()):
        return [patterns[i % len(patterns)] for i in range(n)]
    return draw(st.lists(st.sampled_from(patterns), min_size=n, max_size=n))


HEADER: Final = struct_to_binary(ua.ResponseHeader())


def extension(number: int, body: bytes) -> bytes:
    return struct.pack("<BBHBi", 1, 0, number, 1, len(body)) + body


def published(notifications: Sequence[bytes]) -> bytes:
    """The body of a PublishResponse with these notifications."""
    return b"".join(
        [
            HEADER,
            struct.pack("<IiII?", 5, 2, 7, 8, True),
            struct.pack("<Iqi", 8, EPOCH, len(notifications)),
            *notifications,
            struct.pack("<iIi", 1, 0x8012_0000, -1),
        ]
    )


def changed(values: Sequence[Value], handles: Sequence[int]) -> bytes:
    """A DataChangeNotification."""
    items = [struct.pack("<I", h) + value.encoded(value.mask) for h, value in zip(handles, values, strict=True)]
    return extension(811, struct.pack("<i", len(values)) + b"".join(items) + b"\xff" * 4)


def by_kind(found: Sequence[Batch]) -> dict[Kind, list[tuple[Any, ...]]]:
    return {batch.kind: rows(batch) for batch in found}


def agrees(found: Sequence[Batch], values: Sequence[Value], handles: Sequence[int]) -> None:
    """Tags, values, qualities and order are asyncua's; times too, to the microsecond that asyncua keeps."""
    assert len({batch.kind for batch in found}) == len(found)
    wanted = by_kind(batches([(h, v.asyncuas()) for h, v in zip(handles, values, strict=True)], NOW_NS))
    mine = by_kind(found)
    assert mine.keys() == wanted.keys()
    exact = {h: v.time_ns() for h, v in zip(handles, values, strict=True)}
    asyncuas = {h: v.asyncuas() for h, v in zip(handles, values, strict=True)}
    for kind, theirs in wanted.items():
        for (_, tag, time, value, quality), (_, their_tag, their_time, their_value, their_quality) in zip(
            mine[kind], theirs, strict=True
        ):
            assert (tag, value, quality) == (their_tag, their_value, their_quality), asyncuas[tag]
            assert time == exact[tag]
            assert 0 <= time - their_time < 1000


@settings(deadline=None, max_examples=400)
@given(messages(), st.integers(0, 1000))
def test_notifications_are_what_asyncua_makes_of_them(values: list[Value], first: int) -> None:
    handles = range(first, first + len(values))
    for _ in range(2):  # the second time their layout is known
        found = publish_response(published([changed(values, handles)]), NOW_NS)
        assert found.changes == len(values)
        agrees(found.batches, values, handles)


@settings(deadline=None, max_examples=200)
@given(messages())
def test_values_read_are_what_asyncua_makes_of_them(values: list[Value]) -> None:
    tags = np.arange(len(values), dtype=np.uint32)
    encoded = b"".join(value.encoded(value.mask) for value in values)
    body = HEADER + struct.pack("<i", len(values)) + encoded + b"\0" * 4
    agrees(read_response(body, tags, NOW_NS), values, tags.tolist())


@settings(deadline=None, max_examples=100)
@given(messages(30), messages(30))
def test_several_notifications_are_joined_in_order(one: list[Value], other: list[Value]) -> None:
    handles = range(len(one) + len(other))
    parts = [changed(one, handles[: len(one)]), changed(other, handles[len(one) :])]
    agrees(publish_response(published(parts), NOW_NS).batches, one + other, handles)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(UINT32, st.lists(variants(), max_size=3)), max_size=3))
def test_events_are_those_of_asyncua(fields: list[tuple[int, list[ua.Variant]]]) -> None:
    events = ua.EventNotificationList([ua.EventFieldList(handle, variants) for handle, variants in fields])
    encoded = struct_to_binary(events)
    found = publish_response(published([extension(916, encoded)]), NOW_NS).events
    theirs = struct_from_binary(ua.EventNotificationList, Buffer(encoded)).Events
    assert [event.handle for event in found] == [event.ClientHandle for event in theirs]
    for event, other in zip(found, theirs, strict=True):
        fields_ = [json_value(field) if isinstance(field, ua.StatusCode) else field for field in event.fields]
        told = [payload.encoded(field) for field in fields_]
        assert told == [payload.encoded(kind_value(variant)[1]) for variant in other.EventFields or []]


# --- what is no message -------------------------------------------------------------------


def survives(body: bytes) -> Published | None:
    """Decode, or fail in the way that is documented; whatever comes out has as many rows as it says."""
    try:
        found = publish_response(body, NOW_NS)
    except (DecodeError, ua.UaStatusCodeError):
        return None
    assert sum(len(batch) for batch in found.batches) == found.changes
    return found


BODIES = st.builds(
    lambda values, events: published(
        [
            changed(values, range(len(values))),
            extension(916, struct_to_binary(ua.EventNotificationList([ua.EventFieldList(1, events)]))),
            extension(820, struct.pack("<IB", 0x800A_0000, 0)),
        ]
    ),
    messages(70),
    st.lists(variants(), max_size=3),
)


@settings(deadline=None, max_examples=150)
@given(BODIES, st.data())
def test_a_message_cut_short_is_an_error(body: bytes, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(body) - 5))
    assert survives(body[:end]) is None


@settings(deadline=None, max_examples=400)
@given(BODIES, st.data())
def test_bits_turned_over_are_another_message_or_an_error(body: bytes, data: st.DataObject) -> None:
    damaged = bytearray(body)
    for at in data.draw(st.lists(st.integers(24, len(body) - 1), min_size=1, max_size=4)):
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    survives(bytes(damaged))


@settings(deadline=None, max_examples=400)
@given(BODIES, st.data(), st.sampled_from([-(2**31), -5, -4, -1, 2**16, 2**24, 2**31 - 1]))
def test_no_length_is_believed(body: bytes, data: st.DataObject, length: int) -> None:
    at = data.draw(st.integers(24, len(body) - 4))
    survives(body[:at] + struct.pack("<i", length) + body[at + 4 :])


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_an_error(noise: bytes) -> None:
    survives(noise)
    survives(HEADER + noise)
    survives(published([extension(811, noise)]))
    survives(published([extension(811, struct.pack("<i", len(noise) // 12) + noise)]))
    survives(published([extension(916, noise)]))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.integers(0, 60))
def test_any_bytes_are_values_or_an_error(noise: bytes, count: int) -> None:
    try:
        found = read_response(HEADER + struct.pack("<i", count) + noise, np.arange(count, dtype=np.uint32), NOW_NS)
    except DecodeError:
        return
    assert sum(len(batch) for batch in found) == count
