"""Writing one node: ask what it takes, write its value and nothing else, and read what the server has now.

Write: OPC 10000-4, 5.11.4. Only the value is sent, for many servers refuse a status or timestamps beside it.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any, Final, TypeGuard

from asyncua import Client, ua

from connectors._opcua.variants import json_value
from gateway.contracts import DeviceError
from gateway.model import Quality
from gateway.model.quality import BAD

_CURRENT_WRITE: Final = 1 << 1
"""Bit of AccessLevel and UserAccessLevel (OPC 10000-3, 8.57)."""
_CODE: Final = 0xFFFF_0000

_INTEGERS: Final = {
    ua.VariantType.SByte: (-(2**7), 2**7 - 1),
    ua.VariantType.Byte: (0, 2**8 - 1),
    ua.VariantType.Int16: (-(2**15), 2**15 - 1),
    ua.VariantType.UInt16: (0, 2**16 - 1),
    ua.VariantType.Int32: (-(2**31), 2**31 - 1),
    ua.VariantType.UInt32: (0, 2**32 - 1),
    ua.VariantType.Int64: (-(2**63), 2**63 - 1),
    ua.VariantType.UInt64: (0, 2**64 - 1),
}
_FLOATS: Final = {ua.VariantType.Float: (2 - 2**-23) * 2.0**127, ua.VariantType.Double: sys.float_info.max}
CONCRETE: Final = {ua.NodeId(ua.Int32(type_.value)): type_ for type_ in ua.VariantType if 0 < type_.value < 22}
"""Data types that are built-in types (OPC 10000-6, 5.1.2); from 22 on they stand for several, such as Number."""

LOST: Final = {
    0x8005_0000,  # BadCommunicationError
    0x800A_0000,  # BadTimeout
    0x8022_0000,  # BadSecureChannelIdInvalid
    0x8025_0000,  # BadSessionIdInvalid
    0x8026_0000,  # BadSessionClosed
    0x8085_0000,  # BadRequestTimeout
    0x8086_0000,  # BadSecureChannelClosed
    0x80AE_0000,  # BadConnectionClosed
}
"""Codes of a whole request after which nobody knows what became of it."""

_WHY: Final = {
    Quality.BAD_NODE_ID_UNKNOWN: "it has no such node",
    Quality.BAD_NODE_ID_INVALID: "it has no such node",
    Quality.BAD_NOT_WRITABLE: "nobody may write the node",
    Quality.BAD_OUT_OF_RANGE: "the value is beyond what it allows",
    Quality.BAD_TYPE_MISMATCH: "the node takes another type than it says",
    Quality.BAD_USER_ACCESS_DENIED: "this user may not write the node",
}


async def write(client: Client, node: ua.NodeId | None, value: float | str | bool) -> Any:
    """Write the value of a node and return what the server has then, which is another one if it was clamped.

    Raises ValueError naming type and range if the value does not fit the node, DeviceError if the server refuses it,
    OSError or TimeoutError if it cannot be asked; after those nobody knows whether it was written.
    """
    if node is None:
        raise ConnectionError("not connected")
    try:
        data = ua.DataValue(fitted(value, await _type(client, node)), StatusCode=None)
        asked = ua.WriteValue(NodeId=node, AttributeId=ua.AttributeIds.Value, Value=data)
        (status,) = await client.uaclient.write(ua.WriteParameters(NodesToWrite=[asked]))
        _check(status)
        (now,) = await _read(client, node, [ua.AttributeIds.Value])
    except ua.UaStatusCodeError as error:
        if error.code & _CODE in LOST:
            raise ConnectionError(f"the server broke off: {error}") from error
        raise _refused(error.code) from error
    except ua.UaError as error:
        raise ConnectionError(f"the answer of the server makes no sense: {error}") from error
    _check(now.StatusCode)
    return json_value(_content(now))


def fitted(value: float | str | bool, type_: ua.VariantType) -> ua.Variant:
    """Return a value as a variant of this type. Raises ValueError naming the type and what it takes."""
    sent: Any = value
    if type_ in _INTEGERS:
        low, high = _INTEGERS[type_]
        takes = f"whole numbers from {low} to {high}"
        fits = _is_number(value) and value == int(value) and low <= int(value) <= high
        sent = int(value) if fits else value
    elif type_ in _FLOATS:
        takes = f"numbers up to {_FLOATS[type_]:.3g}"
        fits = _is_number(value) and abs(value) <= _FLOATS[type_]
        sent = float(value) if fits else value
    elif type_ is ua.VariantType.Boolean:
        takes, fits = "true or false", isinstance(value, bool)
    elif type_ is ua.VariantType.String:
        takes, fits = "text", isinstance(value, str)
    else:
        raise ValueError(f"a value of type {type_.name} cannot be sent, only numbers, text, true and false")
    if not fits:
        raise ValueError(f"{value!r} does not fit {type_.name}, which takes {takes}")
    return ua.Variant(sent, type_)


def _is_number(value: float | str | bool) -> TypeGuard[float]:
    return not isinstance(value, (bool, str)) and (isinstance(value, int) or math.isfinite(value))


async def _type(client: Client, node: ua.NodeId) -> ua.VariantType:
    """Return the built-in type that a node takes. DeviceError if it may not be written, ValueError if an array."""
    attributes = ("AccessLevel", "UserAccessLevel", "ValueRank", "DataType", "Value")
    *facts, present = await _read(client, node, [ua.AttributeIds[attribute] for attribute in attributes])
    for fact in facts:
        _check(fact.StatusCode)
    access, user_access, rank, data_type = map(_content, facts)
    if not (access or 0) & _CURRENT_WRITE:
        raise _refused(Quality.BAD_NOT_WRITABLE)
    if not (user_access or 0) & _CURRENT_WRITE:
        raise _refused(Quality.BAD_USER_ACCESS_DENIED)
    if (rank or 0) > 0 or isinstance(_content(present), list):
        raise ValueError("the node is an array; only single values can be written")
    return _built_in(data_type, present.Value)


def _built_in(data_type: Any, present: ua.Variant | None) -> ua.VariantType:
    """The data type itself, or the type of the present value for one that is derived or stands for several."""
    if isinstance(data_type, ua.NodeId) and data_type in CONCRETE:
        return CONCRETE[data_type]
    if present is None or present.Value is None:
        shown = data_type.to_string() if isinstance(data_type, ua.NodeId) else "none"
        what = f"the node has no value now and a data type that stands for several, {shown}"
        raise DeviceError(f"{what}: nobody knows how to write it", Quality.BAD_TYPE_MISMATCH)
    return present.VariantType


async def _read(client: Client, node: ua.NodeId, attributes: Sequence[ua.AttributeIds]) -> list[ua.DataValue]:
    asked = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for attribute in attributes]
    return await client.uaclient.read(ua.ReadParameters(NodesToRead=asked))


def _content(data: ua.DataValue) -> Any:
    return None if data.Value is None else data.Value.Value


def _check(status: ua.StatusCode | None) -> None:
    """Raise DeviceError for a bad status; one that is good or uncertain tells that it was done."""
    if status is not None and status.value >= BAD:
        raise _refused(status.value)


def _refused(code: int) -> DeviceError:
    """What a code says, in words; the quality is the nearest that there is."""
    plain = code & _CODE
    quality = Quality(plain) if plain in set(Quality) else Quality.BAD_DEVICE_FAILURE
    said = ua.StatusCode(ua.UInt32(plain)).name
    return DeviceError(f"{said}: {_WHY[quality]}" if quality in _WHY else said, quality)
