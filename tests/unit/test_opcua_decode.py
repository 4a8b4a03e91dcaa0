"""Answers of a server to batches: messages written out by hand, field by field."""

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary, variant_to_binary
from asyncua.ua.uaerrors import BadNoSubscription

from connectors._opcua.decode import (
    DecodeError,
    Event,
    history_response,
    publish_response,
    read_response,
    republish_response,
)
from gateway.model import Batch, Kind, Quality

NOW_NS = 1_767_592_800_000_000_000
TICKS = 116_444_736_000_000_000 + NOW_NS // 100
"""The same moment on the wire."""
EPOCH = bytes(8)
NULL = b"\xff\xff\xff\xff"


def header(result: int = 0, diagnostics: bytes = b"\0", strings: bytes = NULL, more: bytes = b"\0\0\0") -> bytes:
    """ResponseHeader: timestamp, request handle, result, DiagnosticInfo, string table, additional header."""
    return EPOCH + struct.pack("<II", 3, result) + diagnostics + strings + more


def double(x: float) -> bytes:
    """A DataValue with a value and nothing else."""
    return b"\x01\x0b" + struct.pack("<d", x)


def structure(number: int, body: bytes) -> bytes:
    """An ExtensionObject of the OPC UA namespace, type id in four bytes, with a binary body."""
    return struct.pack("<BBHBi", 1, 0, number, 1, len(body)) + body


def data_change(*values: bytes, count: int | None = None, diagnostics: bytes = NULL) -> bytes:
    """A DataChangeNotification; client handles count from 1."""
    items = [struct.pack("<I", i) + value for i, value in enumerate(values, 1)]
    return structure(811, struct.pack("<i", len(values) if count is None else count) + b"".join(items) + diagnostics)


def message(*notifications: bytes) -> bytes:
    """A NotificationMessage, the eighth."""
    return struct.pack("<I", 8) + EPOCH + struct.pack("<i", len(notifications)) + b"".join(notifications)


def publish(*notifications: bytes, head: bytes = header(), end: bytes = NULL + NULL) -> bytes:
    """A PublishResponse of subscription 5."""
    return head + struct.pack("<I", 5) + NULL + b"\0" + message(*notifications) + end


def read(*values: bytes) -> bytes:
    return header() + struct.pack("<i", len(values)) + b"".join(values) + NULL


def plain(batches: Sequence[Batch]) -> dict[Kind, tuple[list[Any], ...]]:
    """Columns as lists: tags, times, values, qualities."""
    return {b.kind: (b.tag.tolist(), b.time.tolist(), b.value.tolist(), b.quality.tolist()) for b in batches}


def changes(*values: bytes) -> dict[Kind, tuple[list[Any], ...]]:
    return plain(publish_response(publish(data_change(*values)), NOW_NS).batches)


def test_a_keep_alive_has_the_next_number_and_nothing_else() -> None:
    for body in (publish(), publish().replace(struct.pack("<i", 0) + NULL + NULL, NULL * 3)):
        found = publish_response(body, NOW_NS)
        assert (found.subscription, found.sequence, found.changes, found.status) == (5, 8, 0, None)
        assert [*found.batches, *found.events, *found.available, *found.results, found.more] == [False]


def test_what_surrounds_the_notifications() -> None:
    body = (
        header()
        + struct.pack("<IiII?", 5, 2, 6, 7, True)
        + message(data_change(double(1.5)))
        + struct.pack("<iIIi", 2, 0, 0x807A_0000, 0)
    )
    found = publish_response(body, NOW_NS)
    assert (found.available, found.more, found.results) == ([6, 7], True, [0, 0x807A_0000])
    assert plain(found.batches) == {Kind.FLOAT: ([1], [NOW_NS], [1.5], [0])}


def test_a_republished_message_has_only_itself() -> None:
    found = republish_response(header() + message(data_change(double(1.5), double(2.5))), NOW_NS)
    assert (found.subscription, found.sequence, found.changes, found.available) == (0, 8, 2, ())
    assert plain(found.batches) == {Kind.FLOAT: ([1, 2], [NOW_NS] * 2, [1.5, 2.5], [0, 0])}


def test_the_end_of_a_subscription_and_what_nobody_knows() -> None:
    unknown = structure(4711, b"\x01\x02\x03")
    ended = structure(820, struct.pack("<I", 0x800A_0000) + b"\0")
    found = publish_response(publish(unknown, ended, data_change(double(1.0))), NOW_NS)
    assert (found.status, found.changes) == (0x800A_0000, 1)


def test_events_are_their_fields_as_json_has_them() -> None:
    fields = [
        ua.Variant("high"),
        ua.Variant(700, ua.VariantType.UInt16),
        ua.Variant(),
        ua.Variant([1, 2], ua.VariantType.Int16),
        ua.Variant(ua.NodeId(), ua.VariantType.NodeId),
        ua.Variant(math.nan, ua.VariantType.Double),
        ua.Variant(ua.StatusCode(ua.UInt32(0x8034_0000)), ua.VariantType.StatusCode),
    ]
    events = ua.EventNotificationList([ua.EventFieldList(3, fields), ua.EventFieldList(4, [])])
    found = publish_response(publish(structure(916, struct_to_binary(events))), NOW_NS).events
    assert found == [Event(3, ["high", 700, None, [1.0, 2.0], None, None, fields[-1].Value], True), Event(4, [], True)]


def test_a_field_without_a_meaning_leaves_the_others() -> None:
    for senseless in (NOTHINGS, b"\x16" + CUT_SHORT):
        fields = struct.pack("<Ii", 3, 2) + senseless + b"\x06\x07\x00\x00\x00"
        (found,) = publish_response(publish(structure(916, struct.pack("<i", 1) + fields)), NOW_NS).events
        assert found == Event(3, [None, 7], False)


def test_a_header_may_be_full() -> None:
    diagnostics = b"\x7f" + bytes(16) + struct.pack("<i", 2) + b"ns" + bytes(4) + b"\x01" + bytes(4)
    strings = struct.pack("<ii", 1, 3) + b"abc"
    full = header(diagnostics=diagnostics, strings=strings, more=structure(4711, b"\x01\x02"))
    assert publish_response(publish(data_change(double(1.0)), head=full), NOW_NS).changes == 1


@pytest.mark.parametrize("code", [0x8079_0000, 0x4000_0000, 0xC000_0000])
def test_a_service_that_failed_raises_its_status(code: int) -> None:
    for decode in (publish_response, republish_response):
        with pytest.raises(ua.UaStatusCodeError) as error:
            decode(header(code), NOW_NS)
        assert error.value.code == code
        assert isinstance(error.value, BadNoSubscription) == (code == 0x8079_0000)
    with pytest.raises(ua.UaStatusCodeError):
        read_response(header(code), np.zeros(1, np.uint32), NOW_NS)


HISTORY = 658
"""HistoryData_Encoding_DefaultBinary (OPC 10000-6, A.3)."""


def kept(*values: bytes, status: int = 0, point: bytes = NULL) -> bytes:
    """A HistoryReadResult."""
    return struct.pack("<I", status) + point + structure(HISTORY, struct.pack("<i", len(values)) + b"".join(values))


def history(*results: bytes) -> bytes:
    return header() + struct.pack("<i", len(results)) + b"".join(results) + NULL


@pytest.mark.parametrize("n", [1, 100])
def test_the_history_of_each_node_has_its_tag_and_says_where_it_goes_on(n: int) -> None:
    text = b"\x01\x0c" + struct.pack("<i", 2) + b"ab"
    refused = struct.pack("<I", 0x8072_0000) + NULL + b"\0\0\0"
    more = kept(*[double(1.0), text] * n, status=0x00A6_0000, point=struct.pack("<i", 3) + b"abc")
    first, second, third = history_response(history(more, refused, kept(double(2.0))), [7, 8, 9], NOW_NS)
    assert (first.status, first.point) == (0x00A6_0000, b"abc")
    assert {kind: (tags, values) for kind, (tags, _, values, _) in plain(first.batches).items()} == {
        Kind.FLOAT: ([7] * n, [1.0] * n),
        Kind.OBJECT: ([7] * n, ["ab"] * n),
    }
    assert (second.status, second.point, second.batches) == (0x8072_0000, b"", ())
    assert (third.point, [batch.tag.tolist() for batch in third.batches]) == (b"", [[9]])


@pytest.mark.parametrize("n", [1, 100])
def test_every_cut_through_a_history_is_an_error(n: int) -> None:
    body = history(kept(*[double(1.0), b"\x01\x01\x01"] * n))
    for length in range(len(body)):
        with pytest.raises(DecodeError):
            history_response(body[:length], [7], NOW_NS)


def test_the_history_of_another_number_of_nodes_is_an_error() -> None:
    with pytest.raises(DecodeError, match="2 nodes was asked for, that of 1"):
        history_response(history(kept()), [7, 8], NOW_NS)


def test_values_of_a_read_are_those_of_the_tags() -> None:
    tags = np.array([70, 50, 60], np.uint32)
    found = read_response(
        read(double(1.0), b"\x03\x01\x01" + struct.pack("<I", 0x4095_0000), double(3.0)), tags, NOW_NS
    )
    assert plain(found) == {
        Kind.FLOAT: ([70, 60], [NOW_NS] * 2, [1.0, 3.0], [0, 0]),
        Kind.BOOLEAN: ([50], [NOW_NS], [True], [0x4095_0000]),
    }
    read_response(read(*[double(1.0)] * 3), tags, NOW_NS)
    assert tags.flags.writeable


@pytest.mark.parametrize("count", [0, 2, 4])
def test_another_number_of_values_than_asked_for_is_an_error(count: int) -> None:
    with pytest.raises(DecodeError, match=f"3 values were asked for, {count} are there"):
        read_response(read(*[double(1.0)] * count), np.arange(3, dtype=np.uint32), NOW_NS)


TICK = struct.pack("<q", TICKS + 1)
PICOSECONDS = struct.pack("<H", 9_990)


@pytest.mark.parametrize("n", [1, 5, 100])
@pytest.mark.parametrize(
    ("value", "time_ns"),
    [
        (b"\x05\x0b" + EPOCH + TICK, NOW_NS + 100),
        (b"\x09\x0b" + EPOCH + TICK, NOW_NS + 100),
        (b"\x0d\x0b" + EPOCH + EPOCH + TICK, NOW_NS + 100),
        (b"\x3d\x0b" + EPOCH + EPOCH + PICOSECONDS + TICK + PICOSECONDS, NOW_NS + 100),
        (b"\x19\x0b" + EPOCH + PICOSECONDS + TICK, NOW_NS + 100),
        (b"\x0d\x0b" + EPOCH + EPOCH + EPOCH, NOW_NS),
        (b"\x05\x0b" + EPOCH + struct.pack("<q", -1), NOW_NS),
        (b"\x05\x0b" + EPOCH + struct.pack("<q", 2**63 - 1), 2**63 - 1),
        (b"\x05\x0b" + EPOCH + struct.pack("<q", 10**16), 1 - 2**63),
    ],
    ids=["source", "server", "no source", "picoseconds", "one picoseconds", "none", "negative", "latest", "1632"],
)
def test_times_are_exact_to_the_tick_and_picoseconds_lie_between_them(value: bytes, time_ns: int, n: int) -> None:
    assert changes(*[value] * n) == {Kind.FLOAT: (list(range(1, n + 1)), [time_ns] * n, [0.0] * n, [0] * n)}
    mixed = changes(*[value, b"\x01\x01\x01"] * n)
    assert mixed[Kind.FLOAT][1] == [time_ns] * n


@pytest.mark.parametrize("n", [1, 5, 100])
@pytest.mark.parametrize("nothing", [b"\x02", b"\x03\x00", b"\x03\x0c" + NULL, b"\x03\x8b" + NULL])
def test_no_value_is_not_a_number_and_bad_as_the_server_says(nothing: bytes, n: int) -> None:
    bad = nothing + struct.pack("<I", 0x8032_0000)
    for values in ([bad] * n, [bad, double(1.0)] * n):
        (batch,) = publish_response(publish(data_change(*values)), NOW_NS).batches
        missing = batch.quality == 0x8032_0000
        assert np.isnan(batch.value[missing]).all()
        assert missing.sum() == n


def test_the_type_of_a_value_that_is_not_there_is_the_next_handle() -> None:
    """Without a value there is no type: the byte behind the mask, here of a handle that counts, says nothing."""
    assert changes(*[b"\x00"] * 200)[Kind.FLOAT][0] == list(range(1, 201))


def test_a_known_layout_is_not_taken_for_another_of_its_length() -> None:
    real, whole = double(1.0), b"\x01\x08" + struct.pack("<q", 1)
    short, long = (b"\x01\x0c" + struct.pack("<i", len(text)) + text for text in (b"a", b"abc"))
    for one, other in ((real, whole), (short, long)):
        for values in ([one, other] * 50, [other, one] * 50, [one, one, other, other] * 25):
            found = changes(*values)
            assert sum(len(tags) for tags, *_ in found.values()) == 100
            for kind, value in ((Kind.FLOAT, real), (Kind.INTEGER, whole)):
                if kind in found:
                    assert found[kind][0] == [i for i, v in enumerate(values, 1) if v is value]
            if Kind.OBJECT in found:
                assert found[Kind.OBJECT][2] == [{short: "a", long: "abc"}[value] for value in values]


@pytest.mark.parametrize("type_id", [0x0C, 0x0F, 0x83])
def test_a_value_that_looks_like_the_next_record_is_not_taken_for_it(type_id: int) -> None:
    """Text, bytes and an array of bytes that hold a mask and a type just where another message has its next record."""
    key = bytes([0x01, type_id])
    empty, lookalike = (key + struct.pack("<i", len(x)) + x for x in (b"", b"\0" * 4 + key + b"\0" * 4 + key))
    for values in ([empty, lookalike] * 50, [lookalike, empty] * 50, [empty, lookalike] * 50):
        tags, _, found, _ = changes(*values)[Kind.OBJECT]
        assert tags == list(range(1, 101))
        assert [bool(len(value)) for value in found] == [value is lookalike for value in values]


CUT_SHORT = structure(298, b"\xff" * 3)  # of an Argument
MATRIX = b"\xcb" + struct.pack("<idi", 1, 1.0, 2) + struct.pack("<ii", 1000, 1000)
NOTHINGS = b"\x80" + struct.pack("<i", 2**31 - 1)


@pytest.mark.parametrize("n", [1, 100])
@pytest.mark.parametrize(
    "variant",
    [b"\x16" + CUT_SHORT, MATRIX, NOTHINGS, b"\x98" + struct.pack("<i", 1) + NOTHINGS, b"\x4b" + EPOCH + NULL],
    ids=["structure", "dimensions", "array of nothing", "array of nothing in an array", "dimensions of a scalar"],
)
def test_a_value_that_makes_no_sense_is_bad_and_only_it(variant: bytes, n: int) -> None:
    found = changes(*[double(1.0), b"\x01" + variant] * n)
    assert found[Kind.FLOAT] == (list(range(1, 2 * n, 2)), [NOW_NS] * n, [1.0] * n, [0] * n)
    assert found[Kind.OBJECT][2:] == ([None] * n, [Quality.BAD_DECODING_ERROR] * n)


def nested(depth: int) -> bytes:
    value = b"\x01\x01"
    for _ in range(depth):
        value = b"\x98" + struct.pack("<i", 1) + value
    return b"\x01" + value


def test_values_may_be_in_each_other_a_hundred_deep() -> None:
    assert changes(nested(100))[Kind.OBJECT][3] == [0]
    with pytest.raises(DecodeError, match="more than 100 values in each other"):
        changes(nested(101))
    with pytest.raises(DecodeError, match="more than 100"):
        publish_response(header(diagnostics=b"\x40" * 5000), NOW_NS)


HUGE = struct.pack("<i", 2**31 - 1)


@pytest.mark.parametrize(
    "notification",
    [
        data_change(double(1.0), count=2),
        data_change(double(1.0), count=-2),
        data_change(double(1.0), count=2**31 - 1),
        data_change(*[double(1.0)] * 100, count=101),
        data_change(*[double(1.0), b"\x01\x01\x01"] * 50, count=101),
        data_change(b"\x41\x0b" + EPOCH),
        data_change(*[double(1.0), b"\x81\x0b" + EPOCH] * 50),
        data_change(double(1.0), diagnostics=b""),
        data_change(*[double(1.0)] * 100, diagnostics=b""),
        data_change(*[double(1.0), b"\x01\x01\x01"] * 50, diagnostics=b""),
        data_change(*[b"\x01\x0c" + struct.pack("<i", 40)] * 2),
        data_change(b"\x01\x0c" + struct.pack("<i", -2)),
        data_change(b"\x01\x0c" + HUGE),
        data_change(b"\x01\x8c" + HUGE),
        data_change(b"\x01\x86" + HUGE),
        data_change(b"\x01\x97" + HUGE),
        data_change(b"\x01\x11\x3f"),
        data_change(b"\x01\x16\x00\x00\x01" + NULL),
        data_change(b"\x01\x16\x00\x00\x03" + NULL),
        structure(916, HUGE),
        structure(820, b"\0\0"),
    ],
)
def test_malformed_notifications_are_an_error(notification: bytes) -> None:
    with pytest.raises(DecodeError):
        publish_response(publish(notification), NOW_NS)


@pytest.mark.parametrize("n", [1, 3, 100])
def test_every_cut_through_a_message_is_an_error(n: int) -> None:
    text = b"\x01\x0c" + struct.pack("<i", 1) + b"x"
    body = publish(data_change(*[double(1.0), text] * n), end=struct.pack("<iI", 1, 0) + NULL)
    for end in range(len(body) - 4):
        with pytest.raises(DecodeError):
            publish_response(body[:end], NOW_NS)


def test_a_structure_without_a_known_type_is_its_bytes() -> None:
    node = ua.NodeId(ua.Int32(9), ua.Int16(3))
    value = variant_to_binary(ua.Variant(ua.ExtensionObject(node, ua.ByteString(b"\x01\x02"))))
    assert changes(b"\x01" + value)[Kind.OBJECT][2] == [{"UaTypeId": "ns=3;i=9", "UaBody": "AQI="}]
