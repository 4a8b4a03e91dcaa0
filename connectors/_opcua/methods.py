"""Calling methods: ask the server what they take, call once, and return all that it says (OPC 10000-4, 5.12.2)."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from asyncua import Client, ua
from asyncua.ua.uaprotocol_auto import Argument  # what is decoded; ua.Argument is derived from it

from connectors._opcua.calls import Calls, calls, path, target
from connectors._opcua.node import parse
from connectors._opcua.options import MethodKeys
from connectors._opcua.resolve import resolve
from connectors._opcua.variants import Types, json_value
from connectors._opcua.writing import CONCRETE, LOST, fitted
from gateway.contracts import DeviceError
from gateway.model import Quality
from gateway.model.method import Called
from gateway.model.quality import BAD

Scalar = float | str | bool

_HAS_SUBTYPE: Final = ua.NodeId(ua.Int32(ua.ObjectIds.HasSubtype))
_ENUMERATION: Final = ua.NodeId(ua.Int32(ua.ObjectIds.Enumeration))
_DEPTH_MAX: Final = 20
"""Types above a type; a server that has more goes round in circles."""
_INPUTS: Final = [ua.QualifiedName("InputArguments", 0)]
_OUTPUTS: Final = [ua.QualifiedName("OutputArguments", 0)]
_NOT_EXECUTABLE: Final = 0x8111_0000
_OF_CONDITIONS: Final = {
    "acknowledge": ua.NodeId(ua.Int32(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge)),
    "confirm": ua.NodeId(ua.Int32(ua.ObjectIds.AcknowledgeableConditionType_Confirm)),
}
"""Called of the condition by the method of its type, for instances need not show methods (OPC 10000-9, 5.7.3)."""
_CODE: Final = 0xFFFF_0000


class Methods:
    """What may be called at one server: the methods of its configuration, by name, and acknowledging its alarms.

    `condition` returns the ConditionId of an alarm by the tag that tells it and the id of its latest event, or raises
    ValueError.
    """

    def __init__(self, keys: Mapping[str, MethodKeys], condition: Callable[[str, str], str]) -> None:
        self._keys = keys
        self._condition = condition

    async def call(self, client: Client, types: Types, name: str, arguments: Mapping[str, Scalar]) -> Called:
        """Call once, with arguments by the names that the server has for them.

        Raises ValueError naming the argument if the method takes others, DeviceError if there is no such method,
        OSError or TimeoutError if the server cannot be asked; after those nobody knows whether it was carried out.
        """
        try:
            if name in self._keys:
                return await _call(client, types, self._keys[name], arguments)
            tag, _, verb = name.rpartition("/")
            condition = self._condition(tag, str(arguments["EventId"]))
            return await _acknowledge(client, types, verb, condition, arguments)
        except ua.UaStatusCodeError as error:
            if error.code & _CODE in LOST:
                raise ConnectionError(f"the server broke off: {error}") from error
            return Called(error.code, _name(error.code))
        except ua.UaError as error:
            raise ConnectionError(f"the answer of the server makes no sense: {error}") from error


async def _call(client: Client, types: Types, keys: MethodKeys, arguments: Mapping[str, Scalar]) -> Called:
    """Ask what the method takes, and call it if these arguments fit."""
    place, method = await resolve(client, [keys.object, keys.method])
    if place is None or method is None:
        lacking = keys.object if place is None else keys.method
        raise DeviceError(f"BadNodeIdUnknown: it has no node {lacking}", Quality.BAD_NODE_ID_UNKNOWN)
    ask = await calls(client)
    inputs, outputs = await _signature(ask, method, await client.get_namespace_array())
    _check_names(inputs, arguments)
    handed = {str(one.Name): await _variant(ask, one, arguments[str(one.Name)]) for one in inputs}
    if not await _executable(client, method):
        return Called(_NOT_EXECUTABLE, _name(_NOT_EXECUTABLE))
    return await _called(client, types, place, method, handed, outputs)


async def _acknowledge(
    client: Client, types: Types, verb: str, condition: str, arguments: Mapping[str, Scalar]
) -> Called:
    """Acknowledge or confirm the state that an event has told (OPC 10000-9, 5.7.3 and 5.7.4)."""
    (place,) = await resolve(client, [parse(condition)])
    if place is None:
        raise DeviceError(f"BadNodeIdUnknown: it has no condition {condition} any more", Quality.BAD_NODE_ID_UNKNOWN)
    handed = {
        "EventId": ua.Variant(base64.b64decode(str(arguments["EventId"])), ua.VariantType.ByteString),
        "Comment": ua.Variant(ua.LocalizedText(str(arguments["Comment"])), ua.VariantType.LocalizedText),
    }
    return await _called(client, types, place, _OF_CONDITIONS[verb], handed)


async def _called(
    client: Client,
    types: Types,
    place: ua.NodeId,
    method: ua.NodeId,
    arguments: Mapping[str, ua.Variant],
    outputs: Sequence[str] = (),
) -> Called:
    """Call a method of an object with these arguments, in this order. Raises UaError, OSError or TimeoutError."""
    request = ua.CallMethodRequest(ObjectId=place, MethodId=method, InputArguments=list(arguments.values()))
    (result,) = await client.uaclient.call([request])
    code = int(result.StatusCode.value)
    if code & _CODE in LOST:  # of who is asked by the server
        raise ConnectionError(f"the server says {_name(code)}")
    told = zip(arguments, result.InputArgumentResults or (), strict=False)
    values = result.OutputArguments or () if code < BAD else ()
    names = [*outputs, *(f"output {i + 1}" for i in range(len(outputs), len(values)))]
    return Called(
        code,
        _name(code),
        {name: _name(int(status.value)) for name, status in told},
        {name: json_value(value, types) for name, value in zip(names, values, strict=False)},
    )


def _names(declared: Sequence[Argument]) -> list[str]:
    return [str(one.Name) for one in declared]


async def _signature(
    ask: Calls, method: ua.NodeId, namespaces: Sequence[str]
) -> tuple[Sequence[Argument], Sequence[str]]:
    """The arguments that a method takes, and the names of those that it returns; it may have neither."""
    found = await ask.translate([path(method, _INPUTS), path(method, _OUTPUTS)])
    ends = [target(result, namespaces) for result in found]
    known = [end for end in ends if end is not None]
    said = dict(zip(known, await ask.read(known), strict=True)) if known else {}
    inputs, outputs = [_arguments(said[end]) if end is not None else [] for end in ends]
    return inputs, _names(outputs)


def _arguments(data: ua.DataValue) -> list[Argument]:
    value = data.Value.Value if data.Value is not None else None
    found = value if isinstance(value, list) else []
    if (data.StatusCode is not None and data.StatusCode.value >= BAD) or not all(
        isinstance(a, Argument) for a in found
    ):
        raise DeviceError("it does not say which arguments the method has", Quality.BAD_TYPE_MISMATCH)
    return found


def _check_names(inputs: Sequence[Argument], given: Mapping[str, Scalar]) -> None:
    if sorted(_names(inputs)) != sorted(given):
        takes = ", ".join(_names(inputs)) or "no arguments"
        raise ValueError(f"the method of the server takes {takes}, and not {', '.join(given) or 'none'}: set arguments")


async def _variant(ask: Calls, declared: Argument, value: Scalar) -> ua.Variant:
    """A value as the type that an argument has. Raises ValueError naming the argument if it does not fit."""
    try:
        if declared.ValueRank >= 0:
            raise ValueError("it is an array; only single values can be handed over")
        return fitted(value, await _built_in(ask, declared.DataType))
    except ValueError as error:
        raise ValueError(f"{declared.Name}: {error}") from error


async def _built_in(ask: Calls, data_type: ua.NodeId) -> ua.VariantType:
    """The built-in type that a type is derived from. Raises ValueError for one that stands for several."""
    type_ = data_type
    for _ in range(_DEPTH_MAX):
        if type_ in CONCRETE:
            return CONCRETE[type_]
        if type_ == _ENUMERATION:
            return ua.VariantType.Int32
        (above,) = await ask.above([type_], _HAS_SUBTYPE)
        if not above:
            break
        type_ = ua.NodeId(above[0].NodeId.Identifier, above[0].NodeId.NamespaceIndex)
    raise ValueError(f"its type {data_type.to_string()} stands for several, so nobody knows how to hand it over")


async def _executable(client: Client, method: ua.NodeId) -> bool:
    """Whether the method may be called, by this user as well. A server that does not say is taken at its call."""
    attributes = (ua.AttributeIds.Executable, ua.AttributeIds.UserExecutable)
    asked = [ua.ReadValueId(NodeId=method, AttributeId=attribute) for attribute in attributes]
    said: list[Any] = [
        data.Value.Value for data in await client.uaclient.read(ua.ReadParameters(NodesToRead=asked)) if data.Value
    ]
    return False not in said


def _name(code: int) -> str:
    return ua.StatusCode(ua.UInt32(code & _CODE)).name
