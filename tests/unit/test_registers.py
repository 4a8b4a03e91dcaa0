"""Register values by hand, in both directions: the examples of the manuals, and what is not available."""

import math
import struct
from typing import Any

import numpy as np
import pytest

from connectors._modbus.address import Address
from connectors._modbus.coding import TYPES, Coding, Order, kind, orders, positions
from connectors._modbus.counters import Counters
from connectors._modbus.encoding import encode, keep
from connectors._modbus.options import TagOptions
from connectors._modbus.registers import columns
from connectors.modbus import address
from gateway.model import Kind


def read(coding: Coding, *registers: int, factor: int | None = None) -> tuple[Any, int]:
    """Decode one tag; return its value and quality."""
    image = struct.pack(f">{len(registers)}H", *registers) + struct.pack(">h", factor or 0)
    (column,) = columns([coding], [0], [None if factor is None else 2 * len(registers)])
    value, quality = column.decode(np.frombuffer(image, np.uint8))
    return value.tolist()[0], quality.tolist()[0]


VALUES: list[tuple[Coding, list[int], Any]] = [
    (Coding("uint16"), [723], 723),
    (Coding("int16"), [0xFFFE], -2),
    (Coding("uint32"), [0x1234, 0x5678], 0x12345678),
    (Coding("uint32", "CDAB"), [0x5678, 0x1234], 0x12345678),
    (Coding("uint32", "BADC"), [0x3412, 0x7856], 0x12345678),
    (Coding("uint32", "DCBA"), [0x7856, 0x3412], 0x12345678),
    (Coding("uint64", "CDAB"), [4, 3, 2, 1], 0x0001_0002_0003_0004),
    (Coding("uint64", "CDABGHEF"), [0x5566, 0x7788, 0x1122, 0x3344], 0x7788_5566_3344_1122),
    (Coding("uint64", "EFGHABCD"), [3, 4, 1, 2], 0x0001_0002_0003_0004),
    (Coding("uint64", "DCBAHGFE"), [0x4433, 0x2211, 0x8877, 0x6655], 0x1122_3344_5566_7788),
    (Coding("uint64", "FEHGBADC"), [0x6655, 0x8877, 0x2211, 0x4433], 0x1122_3344_5566_7788),
    (Coding("int64"), [0x0020, 0, 0, 1], 2**53 + 1),
    (Coding("int64"), [0x8000, 0, 0, 0], -(2**63)),
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
    (Coding("uint16", scale="0.1"), [723], 72.3),
    (Coding("int16", scale="0.1", offset="-40"), [0], -40.0),
    (Coding("uint16", mask=0x0F00), [0x0700], 7),
    (Coding("uint32", "CDAB", mask=0x00FF_FF00), [0x3400, 0x0012], 0x1234),
    (Coding("uint64", mask=0xFFFF << 48), [0xBEEF, 0, 0, 0], 0xBEEF),
    (Coding("uint16", mask=0x8001), [0x8001], 0x8001),
    (Coding("uint16", mask=0x00F0, scale="0.5", offset="1"), [0x0030], 2.5),
]


@pytest.mark.parametrize(("coding", "registers", "value"), VALUES)
def test_values_of_the_manuals(coding: Coding, registers: list[int], value: Any) -> None:
    assert read(coding, *registers) == (value, 0)


def test_bytes_that_are_no_text_are_marked() -> None:
    assert read(Coding("string", length=1), 0x41FF) == ("A\ufffd", 0)


def test_bits_beside_a_field_are_not_looked_at() -> None:
    assert read(Coding("uint16", mask=0x0F00), 0xF7FF) == (7, 0)
    assert read(Coding("uint16", mask=0x0F00, invalid=(15,)), 0x1F11)[1] == 0x80B1_0000


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


@pytest.mark.parametrize(
    ("name", "order"), [(name, order) for name in ("uint16", "float32", "int64") for order in orders(name)]
)
def test_an_order_uses_every_byte_once(name: str, order: Order) -> None:
    width = 2 * TYPES[name].registers
    assert sorted(positions(Coding(name, order), 10)) == list(range(10, 10 + width))


# --- the way back -------------------------------------------------------------------------


@pytest.mark.parametrize(("coding", "registers", "value"), [case for case in VALUES if case[0].type != "string"])
def test_values_of_the_manuals_are_written_as_they_are_read(coding: Coding, registers: list[int], value: Any) -> None:
    """Beside a bit, a byte or a field there are zeros."""
    assert encode(coding, value) == [word & ~kept for word, kept in zip(registers, keep(coding), strict=True)]


@pytest.mark.parametrize(
    ("coding", "value", "registers"),
    [
        (Coding("string", length=3), "PG1", [0x5047, 0x3100, 0x0000]),
        (Coding("string", "BADC", length=2), "PG1", [0x4750, 0x0031]),
        (Coding("string", length=2), "ü", [0xC3BC, 0x0000]),
        (Coding("string", length=1), "AB", [0x4142]),
        (Coding("string", length=2), "", [0x0000, 0x0000]),
    ],
)
def test_a_text_is_padded_with_zeros(coding: Coding, value: str, registers: list[int]) -> None:
    assert encode(coding, value) == registers


@pytest.mark.parametrize(
    ("coding", "value", "registers"),
    [
        (Coding("uint16"), 72.5, [72]),
        (Coding("uint16"), 72.51, [73]),
        (Coding("uint16"), 65_535.4, [65_535]),
        (Coding("uint16", scale="0.1"), 72.34, [723]),
        (Coding("int16", scale="0.1", offset="-40"), -40.04, [0]),
        (Coding("int64", scale="10"), 90_071_992_547_409_930, [0x0020, 0, 0, 1]),
        (Coding("float32"), -0.0, [0x8000, 0]),
        (Coding("float32"), 0.1, [0x3DCC, 0xCCCD]),
        (Coding("float16"), 65_519.9, [0x7BFF]),
        (Coding("bit", bit=3), 1, [8]),
        (Coding("bit"), True, [1]),
        (Coding("bit"), 0.0, [0]),
    ],
)
def test_what_lies_between_two_steps_is_rounded_to_the_nearer(
    coding: Coding, value: float, registers: list[int]
) -> None:
    assert encode(coding, value) == registers


@pytest.mark.parametrize(
    ("factor", "value", "registers"), [(0, 723.0, [723]), (-1, 72.3, [723]), (2, 72_300, [723]), (10, 7.23e12, [723])]
)
def test_a_scale_factor_register_is_divided_out(factor: int, value: float, registers: list[int]) -> None:
    assert encode(Coding("uint16"), value, factor) == registers


@pytest.mark.parametrize(
    ("coding", "value", "words"),
    [
        (Coding("uint16"), 65_535.5, "65535.5 is out of range: uint16 holds 0 to 65535"),
        (Coding("uint16"), -1, "uint16 holds 0 to 65535"),
        (Coding("int8l"), 128, "int8l holds -128 to 127"),
        (Coding("uint16", scale="0.1"), 6554, r"uint16 with scale 0.1 and offset 0 holds 0 to 6553.5"),
        (Coding("int16", scale="-1"), 32_769, "holds -32767 to 32768"),
        (Coding("uint64"), 2**64, "uint64 holds 0 to 18446744073709551615"),
        (Coding("int64"), 10**400, "int64 holds -9223372036854775808 to 9223372036854775807"),
        (Coding("bcd16"), 10_000, "bcd16 holds 0 to 9999"),
        (Coding("bcd32"), -1, "bcd32 holds 0 to 99999999"),
        (Coding("mod10_64"), 10**16, "mod10_64 holds 0 to 9999999999999999"),
        (Coding("sign_magnitude16"), -32_768, "sign_magnitude16 holds -32767 to 32767"),
        (Coding("float16"), 65_520.0, "float16 holds -65504 to 65504"),
        (Coding("float32"), 1e39, r"float32 holds -3.40282346639e\+38 to 3.40282346639e\+38"),
        (Coding("float64"), 10**400, "is out of range: float64 holds"),
        (Coding("uint16"), math.nan, "nan is not a number that uint16 can be set to: uint16 holds 0 to 65535"),
        (Coding("float32"), math.inf, "inf is not a number that float32 can be set to"),
        (Coding("uint16", mask=0x0F00), 16, "16 is out of range: uint16 with mask 0xf00 holds 0 to 15"),
        (Coding("uint16", mask=0x0500), 2, "2 has bits that the mask 0x500 has not"),
        (Coding("uint16", invalid=(0xFFFF,)), 65_535, "the raw value that means: not available"),
        (Coding("int16", invalid=(0x8000,)), -32_768, "the raw value that means: not available"),
        (Coding("float32", invalid=(-9999,)), -9999.0, "the raw value that means: not available"),
        (Coding("uint16"), "7", "'7' is not a number, as type uint16 needs"),
        (Coding("uint16"), True, "True is not a number, as type uint16 needs"),
        (Coding("bit", bit=0), 2, "2 is not true or false"),
        (Coding("bit", bit=0), "true", "'true' is not true or false"),
        (Coding("string", length=1), 7, "7 is not a text"),
        (Coding("string", length=1), "abc", "'abc' has 3 bytes, 1 registers hold 2"),
        (Coding("string", length=1), "€", "'€' has 3 bytes"),
        (Coding("string", length=2), "\ud800", "cannot be written as UTF-8"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_range(coding: Coding, value: float | str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encode(coding, value)


def test_a_factor_that_is_none_is_no_factor_to_write_with() -> None:
    with pytest.raises(ValueError, match="has -32768, which is no factor"):
        encode(Coding("uint16"), 1, -0x8000)


@pytest.mark.parametrize(
    ("coding", "others"),
    [
        (Coding("uint16"), [0]),
        (Coding("float64"), [0, 0, 0, 0]),
        (Coding("string", length=2), [0, 0]),
        (Coding("bit", bit=0), [0xFFFE]),
        (Coding("bit", bit=9), [0xFDFF]),
        (Coding("bit"), [0]),
        (Coding("int8h"), [0x00FF]),
        (Coding("uint8l"), [0xFF00]),
        (Coding("uint16", mask=0x0F00), [0xF0FF]),
        (Coding("uint16", "BADC", mask=0x0F00), [0xFFF0]),
        (Coding("uint32", "CDAB", mask=0x00FF_FF00), [0x00FF, 0xFF00]),
        (Coding("uint64", mask=1 << 63), [0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF]),
    ],
)
def test_what_is_beside_a_value_in_its_registers_is_kept(coding: Coding, others: list[int]) -> None:
    assert keep(coding) == others


# --- counters, and rows of which nothing came ---------------------------------------------


def test_a_counter_goes_on_over_the_end_of_its_range_before_it_is_scaled() -> None:
    codings = [Coding("uint16", scale="0.1", rollover=True), Coding("bcd16", rollover=True), Coding("uint16")]
    counters = Counters(["a", "b", ""], [coding.count_range for coding in codings], {})
    planned = columns(codings, [0, 2, 4], [None, None, None], counters)

    def values(*registers: int) -> dict[int, float]:
        image = np.frombuffer(struct.pack(">3H", *registers), np.uint8)
        return {
            row: value
            for column in planned
            for row, value in zip(column.rows.tolist(), column.decode(image)[0].tolist(), strict=True)
        }

    assert values(65_530, 0x9990, 65_530) == {0: 6553.0, 1: 9990, 2: 65_530}
    assert values(5, 0x0010, 5) == {0: 6554.1, 1: 10_010, 2: 5}


def test_a_field_counts_to_the_end_of_its_mask() -> None:
    assert Coding("uint16", mask=0x0F00, rollover=True).count_range == 16
    assert Coding("uint32", rollover=True).count_range == 2**32
    assert Coding("bcd16", rollover=True).count_range == 10_000
    assert Coding("uint32").count_range == 0


@pytest.mark.parametrize(
    ("coding", "nothing"),
    [
        (Coding("uint16"), 0),
        (Coding("float32"), math.nan),
        (Coding("bit", bit=0), False),
        (Coding("string", length=2), None),
    ],
)
def test_a_row_of_which_nothing_came_has_that_quality_and_no_value(coding: Coding, nothing: object) -> None:
    (column,) = columns([coding, coding], [0, 4], [None, None])
    image = np.frombuffer(struct.pack(">4H", 0x4141, 0x4141, 0x4141, 0x4141), np.uint8)
    value, quality = column.decode(image, np.array([0, 0x800A_0000], np.uint32))
    assert quality.tolist() == [0, 0x800A_0000]
    assert str(value.tolist()[1]) == str(nothing)
    assert str(value.tolist()[0]) != str(nothing)


def test_why_nothing_came_stands_whatever_the_zeros_in_its_place_mean() -> None:
    (column,) = columns([Coding("uint16", invalid=(0,))], [0], [None])
    image = np.zeros(2, np.uint8)
    assert column.decode(image)[1].tolist() == [0x80B1_0000]
    assert column.decode(image, np.array([0x800A_0000], np.uint32))[1].tolist() == [0x800A_0000]


def test_counters_do_not_see_a_row_of_which_nothing_came() -> None:
    counters = Counters(["a"], [65_536], {})
    (column,) = columns([Coding("uint16", rollover=True)], [0], [None], counters)
    high, low, none = (np.frombuffer(struct.pack(">H", word), np.uint8) for word in (65_000, 3, 0))
    good, bad = np.zeros(1, np.uint32), np.full(1, 0x800A_0000, np.uint32)
    assert column.decode(high, good)[0].tolist() == [65_000]
    assert column.decode(none, bad)[0].tolist() == [0]
    assert column.decode(low, good)[0].tolist() == [65_539]


# --- what a configuration may say ---------------------------------------------------------


def test_a_tag_says_how_it_is_coded() -> None:
    options = TagOptions.model_validate({"register": "HR3", "type": "uint64", "order": "CDABGHEF", "mask": 0xFF00})
    assert (options.at, options.mask, options.order) == (Address("holding", 2), 0xFF00, "CDABGHEF")
    assert TagOptions.model_validate({"register": 30001, "type": "bcd32", "rollover": True}).rollover


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ({"register": "holding:40"}, "holding:40 uint16"),
        ({"register": 40041, "type": "uint32", "order": "CDAB"}, "40041 = holding:40 uint32 CDAB"),
        ({"register": "%MW7.3"}, "%MW7.3 = holding:7.3 bit"),
        ({"register": "HR1", "order": "BADC", "mask": 0xF0}, "HR1 = holding:0 uint16 BADC mask 0xf0"),
    ],
)
def test_people_are_shown_what_they_wrote_and_what_is_read(keys: dict[str, Any], shown: str) -> None:
    assert address(TagOptions.model_validate(keys)) == shown


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"type": "uint32", "order": "CDABGHEF"}, "order CDABGHEF is for 64 bits, not for uint32"),
        ({"type": "int16", "mask": 0x0F00}, "mask needs an unsigned type, such as uint16, not int16"),
        ({"type": "float32", "mask": 1}, "mask needs an unsigned type"),
        ({"type": "uint16", "mask": 0x1_0000}, "mask 0x10000 has more bits than uint16"),
        ({"type": "uint8h", "mask": 0x0100}, "mask 0x100 has more bits than uint8h"),
        ({"type": "int32", "rollover": True}, "rollover needs a type that counts from 0, not int32: .*uint32, bcd16"),
        ({"type": "uint64", "rollover": True}, "rollover needs a type"),
        ({"type": "sign_magnitude16", "rollover": True}, "rollover needs a type"),
        ({"type": "string", "length": 2, "rollover": True}, "rollover needs a type"),
        ({"scale": 0}, "scale 0 makes all values the same"),
        ({"scale": 1e-320}, "scale 1e-320 is too small or too large"),
        ({"offset": 1e-320}, "offset 1e-320 is too small or too large"),
        ({"scale_register": "coil:0"}, "scale_register coil:0 is a single bit"),
        ({"scale_register": "holding:7.1"}, "scale_register holding:7.1 is a single bit"),
    ],
)
def test_what_cannot_be_coded_so_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TagOptions.model_validate({"register": "holding:0"} | keys)
