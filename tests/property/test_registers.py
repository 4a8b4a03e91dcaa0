"""Registers against a dumb decoder, with struct, strings of digits and fractions; and there and back again."""

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._modbus.coding import TYPES, Coding, Order, orders
from connectors._modbus.encoding import encode, keep
from connectors._modbus.registers import columns
from gateway.model import Kind
from tests.property.strategies import exact

STRUCT: Final = {
    "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q",
    "float16": ">e", "float32": ">f", "float64": ">d",
}  # fmt: skip
WORDS: Final = {
    "int32": 2,
    "uint32": 2,
    "float32": 2,
    "bcd32": 2,
    "mod10_32": 2,
    "int64": 4,
    "uint64": 4,
    "float64": 4,
    "mod10_64": 4,
}
WORDS_OF_64: Final = {"CDABGHEF": (1, 0, 3, 2), "EFGHABCD": (2, 3, 0, 1)}
DECODING, NO_DATA = 0x8007_0000, 0x80B1_0000


@dataclass(frozen=True)
class Case:
    """One tag: its coding, the registers that the device has for it, and its scale-factor register if it has one."""

    coding: Coding
    registers: tuple[int, ...]
    factor: int | None = None


# --- the dumb decoder ---------------------------------------------------------------------


def in_order(coding: Coding, registers: tuple[int, ...]) -> bytes:
    """The bytes of a value, most significant first."""
    wire = struct.pack(f">{len(registers)}H", *registers)
    swapped = b"".join(wire[i : i + 2][::-1] for i in range(0, len(wire), 2))
    if coding.type == "string":  # its characters come in the order of registers, whatever the order of words
        return swapped if coding.order in ("BADC", "DCBA") else wire
    if len(coding.order) == 8:
        order = {"DCBAHGFE": "CDABGHEF", "FEHGBADC": "EFGHABCD"}.get(coding.order, coding.order)
        within = wire if order == coding.order else swapped
        return b"".join(within[2 * word : 2 * word + 2] for word in WORDS_OF_64[order])
    return {"ABCD": wire, "DCBA": wire[::-1], "BADC": swapped, "CDAB": swapped[::-1]}[coding.order]


def raw_value(coding: Coding, data: bytes) -> tuple[Any, int]:
    """The value before scaling, and its quality."""
    hexadecimal = data.hex()
    words = [int(hexadecimal[i : i + 4], 16) for i in range(0, len(hexadecimal), 4)]
    match coding.type:
        case "bit":
            return bool(words[0] >> (coding.bit or 0) & 1), 0
        case "string":
            return data.rstrip(b"\0 ").decode("utf-8", "replace"), 0
        case "bcd16" | "bcd32":
            return (int(hexadecimal), 0) if hexadecimal.isdecimal() else (None, DECODING)
        case "mod10_32" | "mod10_64":
            return (int("".join(f"{w:04}" for w in words)), 0) if max(words) <= 9999 else (None, DECODING)
        case "sign_magnitude16":
            return (-1 if words[0] >= 0x8000 else 1) * (words[0] % 0x8000), 0
        case _:
            (value,) = struct.unpack(STRUCT[coding.type], data)
            return (None, NO_DATA) if isinstance(value, float) and math.isnan(value) else (value, 0)


def byte_value(coding: Coding, register: int) -> int:
    byte = register >> 8 if coding.type.endswith("h") else register & 0xFF
    return byte - 256 if coding.type.startswith("int") and byte > 127 else byte


def decoded(case: Case) -> tuple[Any, int]:
    """The value and quality of one tag."""
    coding = case.coding
    if coding.type in ("int8h", "int8l", "uint8h", "uint8l"):
        value, quality = byte_value(coding, case.registers[0]), 0
    elif coding.type == "bit":
        value, quality = raw_value(coding, struct.pack(">H", case.registers[0]))
    else:
        value, quality = raw_value(coding, in_order(coding, case.registers))
    if quality or not (coding.scaled or case.factor is not None):
        return value, quality
    if isinstance(value, float) and math.isinf(value):
        return math.copysign(value, value * float(coding.scale)), quality
    scaled = Fraction(value) * Fraction(coding.scale) + Fraction(coding.offset)
    return scaled * Fraction(10) ** (case.factor or 0), quality


# --- what is drawn ------------------------------------------------------------------------

REGISTER = st.one_of(
    st.integers(0, 0xFFFF), st.sampled_from([0, 0x8000, 0x7FC0, 0xFFFF, 0x0999, 0x270F, 0x4148, 0x7F80])
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    name = draw(st.sampled_from(sorted(TYPES)))
    order: Order = draw(st.sampled_from(orders(name)))
    length = draw(st.integers(1, 5)) if name == "string" else 0
    bit = draw(st.integers(0, 15)) if name == "bit" else None
    scale, offset = "1", "0"
    if name not in ("string", "bit"):
        scale = draw(st.sampled_from(["1", "1.0", "0.1", "0.01", "10", "-0.001", "2.5", "1e-05"]))
        offset = draw(st.sampled_from(["0", "0.0", "-40", "273.15"]))
    registers = draw(st.tuples(*[REGISTER] * (length or WORDS.get(name, 1))))
    factor = draw(st.one_of(st.none(), st.integers(-10, 10))) if name not in ("string", "bit") else None
    return Case(Coding(name, order, bit, length, scale, offset), registers, factor)


def laid_out(
    tags: list[Case], gaps: list[int]
) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int], list[int | None]]:
    """All registers one after another with gaps between them; where each value and each factor begins."""
    image = b""
    at: list[int] = []
    factor_at: list[int | None] = []
    for case, gap in zip(tags, gaps, strict=True):
        image += b"\xa5" * gap
        at.append(len(image))
        image += struct.pack(f">{len(case.registers)}H", *case.registers)
        factor_at.append(None if case.factor is None else len(image))
        image += b"" if case.factor is None else struct.pack(">h", case.factor)
    return np.frombuffer(image, np.uint8), at, factor_at


def close(found: float, wanted: Fraction | float) -> bool:
    """A scaled value is within a few ulps of the exact one; near the largest float it may be infinite already."""
    try:
        nearest = float(wanted)
    except OverflowError:
        nearest = math.inf if wanted > 0 else -math.inf
    if abs(nearest) > 1e300 and math.isinf(found):
        return (found > 0) == (nearest > 0)
    return found == nearest or abs(found - nearest) <= 1e-12 * max(abs(nearest), 1e-300)


TAGS = st.lists(cases(), min_size=1, max_size=20)


@settings(deadline=None, max_examples=250)
@given(TAGS, st.data())
def test_matches_the_dumb_decoder(tags: list[Case], data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.integers(0, 3), min_size=len(tags), max_size=len(tags)))
    image, at, factor_at = laid_out(tags, gaps)
    seen = []
    for column in columns([case.coding for case in tags], at, factor_at):
        with np.errstate(all="ignore"):
            value, quality = column.decode(image)
        assert value.dtype == column.kind.dtype
        for row, found, code in zip(column.rows.tolist(), value.tolist(), quality.tolist(), strict=True):
            seen.append(row)
            wanted, wanted_code = decoded(tags[row])
            assert code == wanted_code
            if code:
                continue
            if isinstance(wanted, Fraction) or (isinstance(wanted, float) and tags[row].coding.scaled):
                assert close(found, wanted)
            else:
                assert exact(found) == exact(float(wanted) if column.kind is Kind.FLOAT else wanted)
    assert sorted(seen) == list(range(len(tags)))


@pytest.mark.parametrize(
    "case",
    [
        Case(Coding("float16"), (0x7C01,)),
        Case(Coding("float32"), (0x7F80, 0x0001)),
        Case(Coding("float32", scale="0.1"), (0x7F80, 0x0000)),
        Case(Coding("float64", scale="10"), (0x7FE0, 0, 0, 0)),
        Case(Coding("float64"), (0x7FE0, 0, 0, 0), 10),
    ],
    ids=["signalling half", "signalling single", "infinity", "overflow", "overflow by factor"],
)
def test_odd_bits_are_nothing_to_warn_of(case: Case) -> None:
    image, at, factor_at = laid_out([case], [0])
    (column,) = columns([case.coding], at, factor_at)
    column.decode(image)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["int16", "uint16", "int32", "uint32", "int8h", "uint8l"]),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["0.1", "0.01", "0.001", "1000", "-0.1", "0.5"]),
    st.sampled_from(["0", "-40", "0.5"]),
)
def test_a_decimal_scale_costs_one_rounding(name: str, bits: int, scale: str, offset: str) -> None:
    """723 x 0.1 is 72.3, the float that a reader would write, and not 72.30000000000001."""
    case = Case(Coding(name, scale=scale, offset=offset), (bits >> 16, bits & 0xFFFF)[-WORDS.get(name, 1) :])
    image, at, factor_at = laid_out([case], [0])
    (column,) = columns([case.coding], at, factor_at)
    wanted, _ = decoded(case)
    assert column.decode(image)[0].tolist() == [float(wanted)]


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(["int16", "uint16", "int32", "uint32", "int64", "uint64", "bcd16", "sign_magnitude16"]),
    st.integers(0, 2**64 - 1),
    st.lists(st.integers(0, 2**16 - 1), max_size=3),
    st.booleans(),
)
def test_sentinels_are_no_data(name: str, bits: int, others: list[int], meant: bool) -> None:
    width = 16 * WORDS.get(name, 1)
    pattern = bits % 2**width
    signed = pattern - 2**width if name.startswith("int") and pattern >= 2 ** (width - 1) else pattern
    invalid = tuple(others) + ((pattern,) if meant else ())
    registers = tuple(pattern >> shift & 0xFFFF for shift in range(width - 16, -16, -16))
    for written in {invalid, (*others, signed) if meant else invalid}:
        case = Case(Coding(name, invalid=tuple(written)), registers)
        image, at, factor_at = laid_out([case], [0])
        (column,) = columns([case.coding], at, factor_at)
        (quality,) = column.decode(image)[1].tolist()
        unusable = NO_DATA if pattern in invalid else decoded(case)[1]
        assert quality == unusable


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["uint8h", "uint8l", "uint16", "uint32", "uint64"]), st.data())
def test_a_field_is_the_bits_under_its_mask(name: str, data: st.DataObject) -> None:
    """Compared with a string of bits: what is above the mask becomes zero, and the zeros below it go."""
    width = 8 if "8" in name else 16 * WORDS.get(name, 1)
    mask = data.draw(st.integers(1, 2**width - 1))
    order = data.draw(st.sampled_from(orders(name)))
    registers = data.draw(st.tuples(*[REGISTER] * WORDS.get(name, 1)))
    whole = int.from_bytes(in_order(Coding(name, order), registers))
    whole = byte_value(Coding(name), registers[0]) if "8" in name else whole
    kept = "".join(bit if of == "1" else "0" for bit, of in zip(f"{whole:0{width}b}", f"{mask:0{width}b}", strict=True))
    below = len(f"{mask:b}") - len(f"{mask:b}".rstrip("0"))
    assert value_of(Coding(name, order, mask=mask), registers) == (int(kept[: width - below] or "0", 2), 0)


# --- there and back -----------------------------------------------------------------------


def value_of(coding: Coding, registers: tuple[int, ...], factor: int | None = None) -> tuple[Any, int]:
    image, at, factor_at = laid_out([Case(coding, registers, factor)], [0])
    (column,) = columns([coding], at, factor_at)
    value, quality = column.decode(image)
    return value.tolist()[0], quality.tolist()[0]


def values(coding: Coding) -> st.SearchStrategy[Any]:
    """Every value that a tag without scale can have."""
    if coding.type == "bit":
        return st.booleans()
    if coding.type == "string":
        text = st.text(st.characters(exclude_categories=["Cs"]), max_size=2 * coding.length)
        return text.filter(lambda text: len(text.encode()) <= 2 * coding.length).map(lambda text: text.rstrip("\0 "))
    if coding.type.startswith("float"):
        width: Any = int(coding.type[5:])
        return st.floats(width=width, allow_nan=False, allow_infinity=False)
    lowest, highest = map(int, coding.limits)
    return st.one_of(st.integers(lowest, highest), st.sampled_from([lowest, highest, 0, 1, highest // 2 + 1]))


EVERY: Final = [
    Coding(name, order, bit, 3 if name == "string" else 0)
    for name in TYPES
    for order in orders(name)
    for bit in ((None, 0, 7, 8, 15) if name == "bit" else (None,))
]
"""Every type in every order."""


def registers_of(coding: Coding, value: Any, factor: int | None = None) -> tuple[int, ...]:
    """What is written; a coil is a byte of the image, its upper one here."""
    words = encode(coding, value, factor)
    return tuple(word << 8 for word in words) if coding.type == "bit" and coding.bit is None else tuple(words)


@pytest.mark.parametrize("coding", EVERY, ids=lambda coding: f"{coding.type} {coding.order} {coding.bit}")
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_what_is_written_is_read(coding: Coding, data: st.DataObject) -> None:
    value = data.draw(values(coding))
    found, quality = value_of(coding, registers_of(coding, value))
    assert (exact(found), quality) == (exact(value), 0)


@pytest.mark.parametrize("coding", EVERY, ids=lambda coding: f"{coding.type} {coding.order} {coding.bit}")
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_what_is_read_is_written(coding: Coding, data: st.DataObject) -> None:
    """Except where two patterns are one value: minus zero of a sign bit, and what pads a text."""
    registers = data.draw(st.tuples(*[REGISTER] * coding.registers))
    value, quality = value_of(coding, registers)
    if quality or coding.type == "string" or registers == (0x8000,) or (isinstance(value, float) and math.isinf(value)):
        return
    if coding.type == "bit" and coding.bit is None:
        registers = (registers[0] & 0x0100,)
    own = tuple(word & ~kept for word, kept in zip(registers, keep(coding), strict=True))
    assert registers_of(coding, value) == own


@settings(deadline=None, max_examples=250)
@given(
    st.sampled_from(["int16", "uint16", "int32", "uint32", "int8h", "uint8l", "bcd16", "bcd32", "mod10_32"]),
    st.sampled_from(["1", "0.1", "0.01", "0.001", "1000", "-0.1", "0.5", "2.5e-05"]),
    st.sampled_from(["0", "-40", "273.15"]),
    st.one_of(st.none(), st.integers(-10, 10)),
    st.data(),
)
def test_a_scale_is_undone(name: str, scale: str, offset: str, factor: int | None, data: st.DataObject) -> None:
    coding = Coding(name, scale=scale, offset=offset)
    raw = data.draw(values(Coding(name)))
    registers = registers_of(Coding(name), raw)
    value, quality = value_of(coding, registers, factor)
    assert quality == 0
    assert registers_of(coding, value, factor) == registers


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["uint16", "uint32", "uint64"]), st.data())
def test_a_field_is_written_and_nothing_beside_it(name: str, data: st.DataObject) -> None:
    mask = data.draw(st.integers(1, 2 ** (16 * WORDS.get(name, 1)) - 1))
    coding = Coding(name, data.draw(st.sampled_from(orders(name))), mask=mask)
    before = data.draw(st.tuples(*[REGISTER] * coding.registers))
    value, _ = value_of(coding, data.draw(st.tuples(*[REGISTER] * coding.registers)))
    after = tuple(
        (word & kept) | new for word, kept, new in zip(before, keep(coding), encode(coding, value), strict=True)
    )
    assert value_of(coding, after) == (value, 0)
    unmasked = Coding(name, coding.order)
    assert value_of(unmasked, after)[0] & ~mask == value_of(unmasked, before)[0] & ~mask
