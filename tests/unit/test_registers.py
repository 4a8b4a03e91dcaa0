"""Register decoding by hand: the examples of the manuals, and what is not available."""

import math
import struct
from typing import Any, get_args

import numpy as np
import pytest

from connectors._registers import TYPES, Coding, Order, columns, kind, positions
from gateway.model import Kind


def read(coding: Coding, *registers: int, factor: int | None = None) -> tuple[Any, int]:
    """Decode one tag; return its value and quality."""
    image = struct.pack(f">{len(registers)}H", *registers) + struct.pack(">h", factor or 0)
    (column,) = columns([coding], [0], [None if factor is None else 2 * len(registers)])
    value, quality = column.decode(np.frombuffer(image, np.uint8))
    return value.tolist()[0], quality.tolist()[0]


@pytest.mark.parametrize(
    ("coding", "registers", "value"),
    [
        (Coding("uint16"), [723], 723),
        (Coding("int16"), [0xFFFE], -2),
        (Coding("uint32"), [0x1234, 0x5678], 0x12345678),
        (Coding("uint32", "CDAB"), [0x5678, 0x1234], 0x12345678),
        (Coding("uint32", "BADC"), [0x3412, 0x7856], 0x12345678),
        (Coding("uint32", "DCBA"), [0x7856, 0x3412], 0x12345678),
        (Coding("uint64", "CDAB"), [4, 3, 2, 1], 0x0001_0002_0003_0004),
        (Coding("uint64"), [0xFFFF] * 4, 2**64 - 1),
        (Coding("uint16", "DCBA"), [0x0100], 1),
        (Coding("float16"), [0x3E00], 1.5),
        (Coding("float32"), [0x4148, 0x0000], 12.5),
        (Coding("float64"), [0x4009, 0x21FB, 0x5444, 0x2D18], math.pi),
        (Coding("int8h"), [0xFE01], -2),
        (Coding("int8l"), [0xFE01], 1),
        (Coding("uint8h"), [0xFE01], 254),
        (Coding("bcd16"), [0x1234], 1234),
        (Coding("bcd32"), [0x1234, 0x5678], 12_345_678),
        (Coding("mod10_32"), [12, 3456], 123_456),
        (Coding("mod10_64"), [0, 1, 2, 3], 100_020_003),
        (Coding("sign_magnitude16"), [0x8005], -5),
        (Coding("bit", bit=0), [1], True),
        (Coding("bit", bit=9), [0x0200], True),
        (Coding("bit", bit=9), [0xFDFF], False),
        (Coding("string", length=3), [0x5047, 0x3100, 0x0000], "PG1"),
        (Coding("string", "BADC", length=2), [0x4750, 0x2031], "PG1"),
        (Coding("string", length=2), [0xC3BC, 0x2020], "ü"),
        (Coding("string", length=1), [0x41FF], "A\ufffd"),
        (Coding("uint16", scale="0.1"), [723], 72.3),
        (Coding("int16", scale="0.1", offset="-40"), [0], -40.0),
    ],
)
def test_values_of_the_manuals(coding: Coding, registers: list[int], value: Any) -> None:
    assert read(coding, *registers) == (value, 0)


@pytest.mark.parametrize(("factor", "value"), [(0, 723.0), (-1, 72.3), (-2, 7.23), (2, 72_300.0), (10, 7.23e12)])
def test_a_scale_factor_register_is_a_power_of_ten(factor: int, value: float) -> None:
    assert read(Coding("uint16"), 723, factor=factor) == (value, 0)


@pytest.mark.parametrize("factor", [-0x8000, 0x7FFF])
def test_a_scale_factor_that_is_none_leaves_no_value(factor: int) -> None:
    """SunSpec: a scale factor is -10..10, and 0x8000 where it is not implemented; it is not a factor of 10^-32768."""
    value, quality = read(Coding("uint16"), 723, factor=factor)
    assert quality >= 0x8000_0000
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("coding", "registers"),
    [
        (Coding("bcd16"), [0x12A4]),
        (Coding("bcd32"), [0x1234, 0x567F]),
        (Coding("mod10_32"), [1, 10_000]),
    ],
)
def test_digits_that_are_none_are_a_decoding_error(coding: Coding, registers: list[int]) -> None:
    assert read(coding, *registers)[1] == 0x8007_0000


NOT_AVAILABLE = [
    (Coding("uint16", invalid=(0xFFFF,)), [0xFFFF], 0),
    (Coding("int16", invalid=(0x8000,)), [0x8000], 0),
    (Coding("int16", invalid=(-32768,)), [0x8000], 0),
    (Coding("uint32", "CDAB", invalid=(0xFFFF_FFFE,)), [0xFFFE, 0xFFFF], 0),
    (Coding("uint16", scale="0.1", invalid=(0xFFFF,)), [0xFFFF], math.nan),
    (Coding("bcd16"), [0x12A4], 0),
    (Coding("float32", invalid=(-9999,)), [0xC61C, 0x3C00], math.nan),
    (Coding("float32"), [0x7FC0, 0x0000], math.nan),
]


@pytest.mark.parametrize(("coding", "registers", "empty"), NOT_AVAILABLE)
def test_what_is_not_available_is_bad(coding: Coding, registers: list[int], empty: float) -> None:
    assert read(coding, *registers)[1] in (0x80B1_0000, 0x8007_0000)


@pytest.mark.parametrize(("coding", "registers", "empty"), NOT_AVAILABLE)
def test_what_is_not_available_has_no_value(coding: Coding, registers: list[int], empty: float) -> None:
    """Batch: a reading without a value has NaN, 0, False or None, whichever the kind has."""
    assert str(read(coding, *registers)[0]) == str(empty)


@pytest.mark.parametrize(("name", "invalid"), [("uint16", -1), ("uint16", 65_536), ("int16", 65_536), ("int16", 2**70)])
def test_a_sentinel_that_the_type_cannot_have_is_refused(name: str, invalid: int) -> None:
    with pytest.raises(ValueError, match=str(invalid)):
        columns([Coding(name, invalid=(invalid,))], [0], [None])


@pytest.mark.parametrize("name", sorted(TYPES))
def test_the_kind_of_value_of_each_type(name: str) -> None:
    expected = {"bit": Kind.BOOLEAN, "string": Kind.OBJECT, "uint64": Kind.UNSIGNED}
    default = Kind.FLOAT if name.startswith("float") else Kind.INTEGER
    assert kind(Coding(name)) is expected.get(name, default)
    if name not in ("bit", "string"):
        assert kind(Coding(name, scale="0.1")) is Kind.FLOAT
        assert kind(Coding(name, offset="1")) is Kind.FLOAT
        assert kind(Coding(name, scale="1.0", offset="0.0")) is expected.get(name, default)
        assert kind(Coding(name), factor=True) is Kind.FLOAT


@pytest.mark.parametrize("order", get_args(Order))
@pytest.mark.parametrize("name", ["uint16", "float32", "int64"])
def test_an_order_uses_every_byte_once(name: str, order: Order) -> None:
    width = 2 * TYPES[name].registers
    assert sorted(positions(Coding(name, order), 10)) == list(range(10, 10 + width))
