"""MQTT packets against bytes worked out from the standard, and a stream cut anywhere."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt import packets
from gateway.mqtt.packets import Splitter

MESSAGES = st.tuples(st.text(max_size=8), st.binary(max_size=300), st.integers(0, 0xFFFF), st.booleans())


def message(topic: str, payload: bytes, identifier: int, retain: bool) -> bytes:
    return packets.publish_head(topic, len(payload), identifier, retain=retain) + payload


def test_a_connection_is_asked_for_as_the_standard_says() -> None:
    assert packets.connect("gw", 30) == bytes.fromhex("10 0e 0004 4d515454 04 02 001e 0002 6777")


def test_a_will_and_a_user_come_in_the_order_of_the_standard() -> None:
    asked = packets.connect("g", 60, user="u", password="pw", will=("t", b"off", True))
    # clean session, will, will QoS 1, will retained, user, password
    assert asked == bytes.fromhex("10 1c 0004 4d515454 04 ee 003c 0001 67 0001 74 0003 6f6666 0001 75 0002 7077")


@pytest.mark.parametrize(
    ("payload_bytes", "length"), [(0, "05"), (122, "7f"), (123, "80 01"), (316, "c1 02"), (2**28 - 6, "ff ff ff 7f")]
)
def test_lengths_are_written_seven_bits_at_a_time(payload_bytes: int, length: str) -> None:
    head = packets.publish_head("t", payload_bytes, 258, retain=False)
    assert head == bytes.fromhex(f"32 {length} 0001 74 0102")


def test_without_an_identifier_a_message_has_qos_0() -> None:
    assert packets.publish_head("t", 5, 0, retain=False) == bytes.fromhex("30 08 0001 74")


def test_acknowledgements_and_subscriptions() -> None:
    assert packets.puback(258) == bytes.fromhex("40 02 0102")
    assert packets.subscribe(1, "uns/#") == bytes.fromhex("82 0a 0001 0005 756e732f23 01")


@settings(deadline=None)
@given(MESSAGES)
def test_a_message_that_was_written_is_read(drawn: tuple[str, bytes, int, bool]) -> None:
    topic, payload, identifier, retain = drawn
    ((first, body),) = Splitter().feed(message(*drawn))
    assert first & packets.TYPE == packets.PUBLISH
    assert packets.published(first, body) == (topic, payload, retain, identifier)


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=5), st.sets(st.integers(0, 1500)))
def test_it_does_not_matter_where_a_stream_is_cut(
    drawn: Sequence[tuple[str, bytes, int, bool]], cuts: set[int]
) -> None:
    stream = b"".join(message(*one) for one in drawn) + packets.PINGREQ
    splitter = Splitter()
    bounds = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    found = [packet for a, b in itertools.pairwise(bounds) for packet in splitter.feed(stream[a:b])]
    assert found == Splitter().feed(stream)
    assert [packets.published(*packet)[:2] for packet in found[:-1]] == [one[:2] for one in drawn]


def test_a_message_with_qos_0_has_nothing_to_acknowledge() -> None:
    assert packets.published(0x30, b"\x00\x01tvalue") == ("t", b"value", False, 0)


@pytest.mark.parametrize("body", ["", "00", "0005 74", "0001 74", "0001 74 01", "0001 ff 0102"])
def test_a_malformed_message_is_an_error(body: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        packets.published(0x32, bytes.fromhex(body))


def test_what_has_no_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="four bytes"):
        Splitter().feed(b"\x30\xff\xff\xff\xff\x01")


@pytest.mark.parametrize("read", [packets.identifier, packets.code])
def test_an_acknowledgement_of_nothing_is_an_error(read: object) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match="packet"):
        read(b"")
