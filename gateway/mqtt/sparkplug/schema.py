"""Payloads of Sparkplug B read back: protobuf by the tables of the standard (section 6.4.1, Protocol Buffers). Pure.

What is read becomes dictionaries by the names of the standard; a field that is not there has no key, one that the
tables do not know is left out, as the standard wants of readers.
"""

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from gateway.mqtt.sparkplug import wire

Message = dict[str, Any]


class Datatype(IntEnum):
    """Datatypes of metrics and properties."""

    INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 = range(1, 9)
    FLOAT, DOUBLE, BOOLEAN, STRING, DATETIME, TEXT, UUID, DATASET = range(9, 17)
    BYTES, FILE, TEMPLATE, PROPERTY_SET, PROPERTY_SET_LIST = range(17, 22)
    INT8_ARRAY, INT16_ARRAY, INT32_ARRAY, INT64_ARRAY = range(22, 26)
    UINT8_ARRAY, UINT16_ARRAY, UINT32_ARRAY, UINT64_ARRAY = range(26, 30)
    FLOAT_ARRAY, DOUBLE_ARRAY, BOOLEAN_ARRAY, STRING_ARRAY, DATETIME_ARRAY = range(30, 35)


_VALUE: Final = {"int_value": "uint", "long_value": "uint", "float_value": "float", "double_value": "double"}
_SIMPLE: Final = [*_VALUE.items(), ("boolean_value", "bool"), ("string_value", "text")]
_TABLES: Final[Mapping[str, Mapping[int, tuple[str, str]]]] = {
    "Payload": {
        1: ("timestamp", "uint"), 2: ("metrics", "Metric*"), 3: ("seq", "uint"), 4: ("uuid", "text"),
        5: ("body", "bytes"),
    },
    "Metric": {
        1: ("name", "text"), 2: ("alias", "uint"), 3: ("timestamp", "uint"), 4: ("datatype", "uint"),
        5: ("is_historical", "bool"), 6: ("is_transient", "bool"), 7: ("is_null", "bool"), 8: ("metadata", "bytes"),
        9: ("properties", "PropertySet"), **dict(enumerate(_VALUE.items(), 10)), 14: ("boolean_value", "bool"),
        15: ("string_value", "text"), 16: ("bytes_value", "bytes"), 17: ("dataset_value", "DataSet"),
        18: ("template_value", "Template"), 19: ("extension_value", "bytes"),
    },
    "PropertySet": {1: ("keys", "text*"), 2: ("values", "PropertyValue*")},
    "PropertyValue": {
        1: ("type", "uint"), 2: ("is_null", "bool"), **dict(enumerate(_SIMPLE, 3)),
        9: ("propertyset_value", "PropertySet"), 10: ("propertysets_value", "PropertySetList"),
    },
    "PropertySetList": {1: ("propertyset", "PropertySet*")},
    "DataSet": {
        1: ("num_of_columns", "uint"), 2: ("columns", "text*"), 3: ("types", "uint*"), 4: ("rows", "Row*"),
    },
    "Row": {1: ("elements", "DataSetValue*")},
    "DataSetValue": {**dict(enumerate(_SIMPLE, 1)), 7: ("extension_value", "bytes")},
    "Template": {
        1: ("version", "text"), 2: ("metrics", "Metric*"), 3: ("parameters", "Parameter*"), 4: ("template_ref", "text"),
        5: ("is_definition", "bool"),
    },
    "Parameter": {1: ("name", "text"), 2: ("type", "uint"), **dict(enumerate(_SIMPLE, 3))},
}  # fmt: skip
"""Number of each field: its name, and what it is; `*` where it may come several times."""

_WIRE: Final = {"uint": wire.VARINT, "bool": wire.VARINT, "float": wire.FIXED32, "double": wire.FIXED64}
_DEPTH_MAX: Final = 20
_SIGNED_BITS: Final[Mapping[int, int]] = {
    Datatype.INT8: 32,
    Datatype.INT16: 32,
    Datatype.INT32: 32,
    Datatype.INT64: 64,
}


def read(payload: bytes) -> Message:
    """Return a payload as dictionaries; `metrics` is there always. Raises ValueError if it is no protobuf."""
    return {"metrics": []} | _read(payload, "Payload", 0)


def value_of(metric: Mapping[str, Any]) -> Any:
    """Return the value of a metric in a Python type; None where it has none or one that is no single value."""
    for name, value in metric.items():
        if name.endswith("_value"):
            return _signed(value, metric.get("datatype", 0)) if type(value) is int else value
    return None


def _signed(number: int, datatype: int) -> int:
    """Undo the two's complement of 32 bits, or of 64 for Int64."""
    bits = _SIGNED_BITS.get(datatype, 0)
    return number - (1 << bits) if bits and number >> (bits - 1) else number


def _read(body: bytes, message: str, depth: int) -> Message:
    if depth > _DEPTH_MAX:
        raise ValueError(f"messages are {depth} deep within each other")
    table, found = _TABLES[message], Message()
    for number, kind, raw in wire.fields(body):
        if number not in table:
            continue
        name, what = table[number]
        several, what = what.endswith("*"), what.rstrip("*")
        if several and what == "uint" and kind == wire.BYTES:
            raise ValueError(f"{message}.{name} is packed, which proto2 does not do here")
        if kind != _WIRE.get(what, wire.BYTES):
            raise ValueError(f"{message}.{name} has wire type {kind}")
        value = _value(raw, what, depth)
        if several:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found


def _value(raw: int | bytes, what: str, depth: int) -> Any:
    match raw:
        case int():
            return bool(raw) if what == "bool" else raw
        case _ if what in ("float", "double"):
            return struct.unpack("<f" if what == "float" else "<d", raw)[0]
        case _ if what == "text":
            return raw.decode()
        case _:
            return raw if what == "bytes" else _read(raw, what, depth + 1)
