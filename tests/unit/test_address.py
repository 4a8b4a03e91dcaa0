"""Register addresses as people write them."""

import pytest

from connectors._address import Address, parse


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
    ],
)
def test_addresses_that_are_understood(text: str | int, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize("address", [Address("holding", 40), Address("input", 12, 3), Address("coil", 0)])
def test_what_is_shown_can_be_read_again(address: Address) -> None:
    assert parse(str(address)) == address


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
        ("holding:0.16", "a bit is 0..15"),
        ("coil:0.1", "of an input or holding register"),
        ("00001.1", "of an input or holding register"),
    ],
)
def test_what_cannot_be_is_said(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text)
