"""One DataValue from its bytes (OPC 10000-6, 5.2.2.17), whatever it holds.

Numbers come by a precompiled struct. What is neither number, text, time nor status is left to asyncua, for the
variant alone and only when extent.py has found where it ends: asyncua takes lengths from the wire as they are, and
reads backwards for a negative one.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua.ua_binary import variant_from_binary

from connectors._opcua.extent import HAS_VALUE, TAIL, Cursor, DecodeError, tail_size
from connectors._opcua.variants import KIND, PLAIN, Row, Types, json_value, kind_value
from gateway.model import Kind, Quality

MASKS: Final = range(0x40)
"""All that a DataValue can have: value, status, source time, server time, and picoseconds of both."""
NUMBER: Final = {1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 8: "q", 9: "Q", 10: "f", 11: "d"}
"""Formats of the built-in types that are numbers, as of the struct module; little-endian."""
STRING: Final = 12
BYTES_MAX: Final = 1 << 20
"""How long an encoded value may be. As JSON it is some six times as long, and brokers take 8 MiB. Our choice."""

FAILURES: Final = (
    ua.UaError, struct.error, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What asyncua raises for bytes that it can make nothing of."""

_INT32: Final = struct.Struct("<i")
_INT64: Final = struct.Struct("<q")
_UINT32: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class _Form:
    """A DataValue, or its tail, of a certain mask and type: its struct, and the positions of fields in what it unpacks.

    NaN and 0 are appended to what is unpacked: positions -2 and -1, for fields that are not there.
    """

    struct: struct.Struct
    kind: Kind
    value: int
    quality: int
    source: int
    server: int


class Bounded(Buffer):
    """A buffer for asyncua that never goes back."""

    def read(self, size: int) -> bytes:
        if size < 0:
            raise NotEnoughData(f"{size} bytes cannot be read")
        return bytes(super().read(size))

    def copy(self, size: int = -1) -> "Bounded":
        return Bounded(self._data, self._cur_pos, min(size, self._size) if size >= 0 else self._size)


def data_value(data: bytes, at: int, end: int, tag: int, types: Types = PLAIN) -> tuple[Row, int]:
    """Return the row and the end of the DataValue that begins at `at`; two bytes can be read there.

    Raises DecodeError if it does not end before `end`.
    """
    mask = data[at]
    form = _FORMS.get(mask | data[at + 1] << 8 if mask & HAS_VALUE else mask)
    if form is None:
        return _other(data, at, end, tag, types)
    following = at + form.struct.size
    if following > end:
        raise DecodeError(f"the value at byte {at} goes beyond the end")
    found = (*form.struct.unpack_from(data, at), math.nan, 0)
    row = form.kind, tag, found[form.source], found[form.server], found[form.value], found[form.quality]
    return row, following


def _other(data: bytes, at: int, end: int, tag: int, types: Types) -> tuple[Row, int]:
    tail_bytes = tail_size(data[at])
    tail = variant_end(data, at + 1, end)
    if tail + tail_bytes > end:
        raise DecodeError(f"the value at byte {at} goes beyond the end")
    form = _TAILS[data[at]]
    found = (*form.struct.unpack_from(data, tail), math.nan, 0)
    kind, value, damage = variant(data, at + 1, tail, types)
    row = kind, tag, found[form.source], found[form.server], value, damage or found[form.quality]
    return row, tail + tail_bytes


def variant_end(data: bytes, at: int, end: int) -> int:
    """Return where the variant at `at` ends. Raises DecodeError if that is not before `end`."""
    if data[at] == STRING and at + 5 <= end:  # the most frequent by far
        length = _INT32.unpack_from(data, at + 1)[0]
        if 0 <= length <= end - at - 5:
            return at + 5 + int(length)
    cursor = Cursor(data, at, end)
    cursor.variant()
    return cursor.at


def variant(data: bytes, at: int, end: int, types: Types = PLAIN) -> tuple[Kind, Any, int]:
    """Return kind and value of the variant that is exactly these bytes, and 0, or its quality if that is all there is.

    That is so if the bytes make no sense, or if there are more of them than a value may have.
    """
    if end - at > BYTES_MAX:
        return Kind.OBJECT, None, Quality.BAD_ENCODING_LIMITS_EXCEEDED
    match data[at]:
        case ua.VariantType.String if data[at + 1 : at + 5] != b"\xff\xff\xff\xff":
            return Kind.OBJECT, data[at + 5 : end].decode("utf-8", errors="surrogateescape"), 0
        case ua.VariantType.DateTime:
            return Kind.OBJECT, json_value(ua.win_epoch_to_datetime(*_INT64.unpack_from(data, at + 1))), 0
        case ua.VariantType.StatusCode:
            return Kind.OBJECT, json_value(ua.StatusCode(*_UINT32.unpack_from(data, at + 1))), 0
    cursor, buffer = Cursor(data, at, end), Bounded(data[at:end])
    cursor.variant()
    try:
        found = variant_from_binary(buffer) if cursor.sound else None
        if found is not None and not buffer:  # what is left over was not understood, such as a structure in XML
            return *kind_value(found, types), 0
    except FAILURES:  # said by the quality
        pass
    return Kind.OBJECT, None, Quality.BAD_DECODING_ERROR


def _form(mask: int, value: str, kind: Kind) -> _Form:
    """Lay out what this format of a value, or of none, and the rest of a DataValue of this mask unpack to."""
    fields = [("value", value)] if value.strip("x") else []
    rest = [(name, fmt if name else "2x") for bit, name, fmt in TAIL if mask & bit]
    at = {name: i for i, name in enumerate(name for name, _ in [*fields, *rest] if name)}
    return _Form(
        struct.Struct("<" + value + "".join(fmt for _, fmt in rest)),
        kind,
        at.get("value", -2),
        at.get("quality", -1),
        at.get("source", -1),
        at.get("server", -1),
    )


def _forms() -> dict[int, _Form]:
    """By mask and, in the second byte, type: nothing at all, null, and numbers."""
    forms = {mask: _form(mask, "x", Kind.FLOAT) for mask in MASKS if not mask & HAS_VALUE}
    for mask in MASKS:
        if mask & HAS_VALUE:
            forms[mask] = _form(mask, "xx", Kind.FLOAT)
            forms |= {mask | number << 8: _form(mask, f"xx{fmt}", KIND[number]) for number, fmt in NUMBER.items()}
    return forms


_FORMS: Final = _forms()
_TAILS: Final = [_form(mask, "", Kind.OBJECT) for mask in MASKS]
