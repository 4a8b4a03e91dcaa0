"""Register addresses as people write them."""

import pytest

from connectors._modbus.address import Address, parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("holding:40", Address("holding", 40)),
        ("input:12.3", Address("input", 12, 3)),
        ("coil:0", Address("coil", 0)),
        ("discrete:65535", Address("discrete", 65_535)),
        ("holding:0x1F", Address("holding", 31)),
        ("holding:7.15", Address("holding", 7, 15)),
        ("40001", Address("holding", 0)),
        (40001, Address("holding", 0)),
        (30003, Address("input", 2)),
        ("10001", Address("discrete", 0)),
        ("00001", Address("coil", 0)),
        ("49999.0", Address("holding", 9_998, 0)),
        ("400001", Address("holding", 0)),
        ("465536", Address("holding", 65_535)),
        ("holding:0x0BB7", Address("holding", 2999)),
        ("holding:0BB7h", Address("holding", 2999)),
        ("input:3000h.4", Address("input", 0x3000, 4)),
        ("%MW100", Address("holding", 100)),
        ("%MW0.15", Address("holding", 0, 15)),
        ("%M7", Address("coil", 7)),
        ("4x0001", Address("holding", 0)),
        ("4X100.2", Address("holding", 99, 2)),
        ("3x65536", Address("input", 65_535)),
        ("1x0008", Address("discrete", 7)),
        ("HR100", Address("holding", 99)),
        ("HR1.3", Address("holding", 0, 3)),
        ("IR5", Address("input", 4)),
        ("C3", Address("coil", 2)),
        ("DI7", Address("discrete", 6)),
    ],
)
def test_addresses_that_are_understood(text: str | int, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize("address", [Address("holding", 40), Address("input", 12, 3), Address("coil", 0)])
def test_what_is_shown_can_be_read_again(address: Address) -> None:
    assert parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "explained"),
    [
        ("holding:40", "holding:40"),
        ("input:12.3", "input:12.3"),
        (40041, "40041 = holding:40"),
        ("HR100", "HR100 = holding:99"),
        ("%MW100", "%MW100 = holding:100"),
        ("holding:0BB7h.1", "holding:0BB7h.1 = holding:2999.1"),
    ],
)
def test_what_was_written_and_the_wire_address_are_shown_side_by_side(text: str | int, explained: str) -> None:
    assert parse(text).explained == explained


def test_an_address_that_nobody_wrote_explains_itself() -> None:
    assert Address("holding", 40).explained == "holding:40"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "40",
        40,
        "hold:4",
        "Holding:4",
        "holding:-1",
        "holding:4.",
        "holding:x",
        "20001",
        "50001",
        "4000",
        "4000001",
        " 40001",
        "0x0001",
        "3000h",
        "holding:0BG7h",
        "hr100",
        "HR",
        "%IW3",
        "1!400001.3#BB",
    ],
)
def test_what_is_no_address_is_named_with_the_forms(text: str | int) -> None:
    with pytest.raises(ValueError, match="is not an address: write area and number") as caught:
        parse(text)
    assert repr(str(text)) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("holding:65536", "address 65536 is outside 0..65535"),
        ("40000", "address -1 is outside 0..65535"),
        ("465537", "address 65536 is outside"),
        ("HR0", "address -1 is outside"),
        ("4x0", "address -1 is outside"),
        ("holding:10000h", "address 65536 is outside"),
        ("DI7.1", "of an input or holding register"),
        ("%M7.0", "of an input or holding register"),
        ("holding:0.16", "a bit is 0..15"),
        ("coil:0.1", "of an input or holding register"),
        ("00001.1", "of an input or holding register"),
    ],
)
def test_what_cannot_be_is_said(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text)
