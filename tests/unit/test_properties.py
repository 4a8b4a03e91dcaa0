"""Properties of MQTT 5 against bytes worked out from the standard, and whatever a broker may send."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt import properties

TEXT = st.text(max_size=20)
BLOCK = st.fixed_dictionaries(
    {},
    optional={
        properties.MESSAGE_EXPIRY: st.integers(0, 2**32 - 1),
        properties.RECEIVE_MAXIMUM: st.integers(0, 2**16 - 1),
        properties.MAXIMUM_QOS: st.integers(0, 1),
        properties.RESPONSE_TOPIC: TEXT,
        properties.CORRELATION_DATA: st.binary(max_size=200),
        properties.REASON_STRING: TEXT,
    },
)


def test_a_block_is_its_length_and_identifier_and_value_of_each() -> None:
    told: dict[int, int | str | bytes] = {
        properties.MESSAGE_EXPIRY: 10,
        properties.RESPONSE_TOPIC: "r",
        properties.CORRELATION_DATA: b"\x01",
    }
    assert properties.encode(told) == bytes.fromhex("0d 02 0000000a 08 0001 72 09 0001 01")
    assert properties.encode({}) == properties.NONE


@settings(deadline=None)
@given(BLOCK, st.binary(max_size=5))
def test_what_was_encoded_is_read_and_what_follows_it_is_left(told: dict[int, int | str | bytes], rest: bytes) -> None:
    assert properties.split(properties.encode(told) + rest) == (told, rest)


def test_what_nobody_needs_is_passed_over() -> None:
    block = bytes.fromhex("0d 26 0001 61 0001 62 0b 8101 21 0014")  # user property, subscription identifier 129
    assert properties.split(block + b"rest") == ({properties.RECEIVE_MAXIMUM: 20}, b"rest")


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=40))
def test_what_is_malformed_is_a_value_error(data: bytes) -> None:
    try:
        _, rest = properties.split(data)
    except ValueError:
        return
    assert data.endswith(rest)


@pytest.mark.parametrize("block", ["", "03 21 00", "02 7f 00", "05 08 0009 61 62", "04 21 0014", "ff ff ff ff 01"])
def test_a_block_that_is_cut_or_unknown_is_a_value_error(block: str) -> None:
    with pytest.raises(ValueError, match=r"propert|integer"):
        properties.split(bytes.fromhex(block))


def test_a_reason_is_told_in_words_and_in_those_of_the_broker() -> None:
    assert properties.reason(0x87, {}) == "not authorized"
    assert properties.reason(0x97, {properties.REASON_STRING: "10 per s"}) == "a quota is exceeded ('10 per s')"
    assert properties.reason(0xEE, {}) == "code 238"
