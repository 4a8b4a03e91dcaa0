"""Register decoding against a dumb decoder: one value at a time, with struct, strings of digits and fractions."""

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._registers import TYPES, Coding, Order, columns
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
    order: Order = draw(st.sampled_from(get_args(Order)))
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
