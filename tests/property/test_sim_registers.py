"""Registers: whatever the type and order, a dumb decoder reads the value back."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from simulators.servers.registers import bit_words, encode

# How the bytes A B C D are found in the order in which they come.
ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
order_names = st.sampled_from(sorted(ORDERS))


def sorted_bytes(words: list[int], order: str) -> bytes:
    """Return the bytes of two words, big-endian, by looking up where each one is."""
    assert all(0 <= word <= 0xFFFF for word in words)
    wire = struct.pack(">HH", *words)
    return bytes(wire[ORDERS[order].index(i)] for i in range(4))


@given(st.floats(width=32, allow_nan=False), order_names)
def test_a_float_comes_back_exactly(value: float, order: str) -> None:
    assert struct.unpack(">f", sorted_bytes(encode(value, "float32", order), order)) == (value,)


@given(st.integers(-(2**33), 2**33), order_names)
def test_integers_come_back_or_are_clipped(value: int, order: str) -> None:
    unsigned = struct.unpack(">I", sorted_bytes(encode(value, "uint32", order), order))
    signed = struct.unpack(">i", sorted_bytes(encode(value, "int32", order), order))
    assert unsigned == (min(max(value, 0), 2**32 - 1),)
    assert signed == (min(max(value, -(2**31)), 2**31 - 1),)


@given(st.lists(st.booleans(), max_size=60))
def test_bits_come_back(bits: list[bool]) -> None:
    words = bit_words(bits)
    assert [bool(words[i // 16] >> (i % 16) & 1) for i in range(len(bits))] == bits
