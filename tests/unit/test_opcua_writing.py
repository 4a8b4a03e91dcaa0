"""What of a value can be sent as an OPC UA type, by the rule that a wire decides."""

import math
import struct
from typing import Any

import pytest
from asyncua import ua
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._opcua.writing import fitted

WIRE = {
    "SByte": "b",
    "Byte": "B",
    "Int16": "h",
    "UInt16": "H",
    "Int32": "i",
    "UInt32": "I",
    "Int64": "q",
    "UInt64": "Q",
}


@settings(deadline=None)
@given(st.sampled_from(sorted(WIRE)), st.integers(-(2**65), 2**65) | st.integers(-300, 300))
def test_an_integer_fits_where_the_wire_can_carry_it(name: str, value: int) -> None:
    try:
        struct.pack(f"<{WIRE[name]}", value)
    except struct.error:
        with pytest.raises(ValueError, match=f"{value} does not fit {name}, which takes whole numbers from"):
            fitted(value, ua.VariantType[name])
    else:
        assert fitted(value, ua.VariantType[name]) == ua.Variant(value, ua.VariantType[name])


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [("Int16", 7.0, 7), ("Double", 7, 7.0), ("Float", 0.1, 0.1), ("Boolean", False, False), ("String", "", "")],
)
def test_what_fits_has_the_type_of_the_node(name: str, value: Any, sent: Any) -> None:
    variant = fitted(value, ua.VariantType[name])
    assert (type(variant.Value), variant.Value, variant.VariantType.name) == (type(sent), sent, name)


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("Int16", 0.5, "Int16, which takes whole numbers from -32768 to 32767"),
        ("Int16", True, "whole numbers"),
        ("Int16", "1", "whole numbers"),
        ("UInt64", 2.0**64, "whole numbers from 0 to 18446744073709551615"),
        ("Int32", math.nan, "whole numbers"),
        ("Float", 3.5e38, "Float, which takes numbers up to 3.4e"),
        ("Double", math.inf, "Double, which takes numbers"),
        ("Double", 10**400, "Double, which takes numbers"),
        ("Double", "1", "numbers"),
        ("Boolean", 1, "Boolean, which takes true or false"),
        ("String", 5, "String, which takes text"),
    ],
)
def test_what_does_not_fit_is_told_with_the_type_and_what_it_takes(name: str, value: Any, takes: str) -> None:
    with pytest.raises(ValueError, match=takes):
        fitted(value, ua.VariantType[name])


@pytest.mark.parametrize("name", ["DateTime", "ByteString", "LocalizedText", "ExtensionObject"])
def test_a_type_that_cannot_be_written_is_told(name: str) -> None:
    with pytest.raises(ValueError, match=f"a value of type {name} cannot be sent, only numbers, text, true and false"):
        fitted("x", ua.VariantType[name])
