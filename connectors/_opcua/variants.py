"""What OPC UA values are in columns: kind by the built-in type, quality as it came, source time or the next best.

Values of a message are sorted into one column per kind (OPC 10000-6, 5.1.2). The rules for values one by one are here;
records.py has them for whole columns where it can.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from connectors._opcua.node import encoded_uri, identifier_text
from gateway.model import Batch, Kind
from gateway.model.batch import objects

KIND: Final[Mapping[int, Kind]] = {
    ua.VariantType.Boolean: Kind.BOOLEAN,
    ua.VariantType.SByte: Kind.INTEGER,
    ua.VariantType.Byte: Kind.INTEGER,
    ua.VariantType.Int16: Kind.INTEGER,
    ua.VariantType.UInt16: Kind.INTEGER,
    ua.VariantType.Int32: Kind.INTEGER,
    ua.VariantType.UInt32: Kind.INTEGER,
    ua.VariantType.Int64: Kind.INTEGER,
    ua.VariantType.UInt64: Kind.UNSIGNED,
    ua.VariantType.Float: Kind.FLOAT,
    ua.VariantType.Double: Kind.FLOAT,
}
"""Kind by built-in type; values of every other type are objects."""

_WAVEFORM: Final = KIND.keys() - {ua.VariantType.Boolean, ua.VariantType.Int64, ua.VariantType.UInt64}
"""Types whose arrays are float64, because each of their values is."""

Row = tuple[Kind, int, int, int, Any, int]
"""Kind, tag, ticks of the source time and of the server time, value, quality; ticks as on the wire, 0 for no time."""


class Types(Protocol):
    """What values refer to and only their server can say: namespaces by index, and what its structures are."""

    @property
    def namespaces(self) -> Sequence[str]: ...

    def structure(self, found: ua.ExtensionObject) -> Any:
        """Return what JSON can carry of a structure that is not of the standard."""
        ...


class Plain:
    """Types of a server that says nothing of them."""

    namespaces: Sequence[str] = ()

    def structure(self, found: ua.ExtensionObject) -> Any:
        return raw_structure(found, self.namespaces)


PLAIN: Final = Plain()

_EPOCH: Final = 116_444_736_000_000_000
"""1970 in ticks: 100 ns since 1601 (OPC 10000-6, 5.2.2.5)."""
_TIME_MIN: Final = 365 * 24 * 3600 * 10_000_000
"""1602 in ticks. All of the year 1601 is "no time" here, which the standard says of its beginning only."""
_NS: Final = 100
_LATEST_NS: Final = (1 << 63) - 1
_FAR: Final = _LATEST_NS // _NS
"""As far from 1970, in ticks, as nanoseconds reach."""


def columns(rows: Sequence[Row], now_ns: int) -> list[Batch]:
    """Return the rows as one batch per kind, in order of arrival."""
    if not rows:
        return []
    kinds, tags, sources, servers, values, qualities = zip(*rows, strict=True)
    tag = np.array(tags, np.uint32)
    time = times_ns(np.array(sources, np.int64), np.array(servers, np.int64), now_ns)
    quality = np.array(qualities, np.uint32)
    found = []
    for kind in dict.fromkeys(kinds):
        at = [i for i, other in enumerate(kinds) if other is kind]
        found.append(Batch(tag[at], time[at], _column(kind, [values[i] for i in at]), quality[at]))
    return found


def _column(kind: Kind, values: Sequence[Any]) -> NDArray[Any]:
    return objects(values) if kind is Kind.OBJECT else np.array(values, kind.dtype)


def times_ns(source: NDArray[np.int64], server: NDArray[np.int64], now_ns: int) -> NDArray[np.int64]:
    """Return nanoseconds since 1970: source time, else server time, else when it arrived (OPC 10000-4, 7.11.3).

    Shape (n,) in ticks in, (n,) out; what nanoseconds cannot hold, before 1677 or after 2262, is their first or last.
    """
    if len(source) and source.min() >= _EPOCH - _FAR and source.max() <= _EPOCH + _FAR:  # so it nearly always is
        return (source - _EPOCH) * _NS
    ticks = np.where(source < _TIME_MIN, server, source)
    since = ticks - _EPOCH
    time = since * _NS
    far = np.abs(since) > _FAR
    time[far] = np.sign(since[far]) * _LATEST_NS
    time[ticks < _TIME_MIN] = now_ns
    return time


def ticks(time_ns: int) -> int:
    """Return nanoseconds since 1970 as OPC UA writes them."""
    return time_ns // _NS + _EPOCH


def kind_value(variant: ua.Variant | None, types: Types = PLAIN) -> tuple[Kind, Any]:
    """Return the kind of a value, and the value in what the column of this kind holds.

    A list of numbers is a waveform, float64 of shape (n,), if each of its numbers is exact as such. Integers of 64 bits
    are not, and a matrix is a list of lists.
    """
    if variant is None or variant.Value is None:
        return Kind.FLOAT, np.nan
    kind = KIND.get(variant.VariantType)
    if not isinstance(variant.Value, list):
        return (Kind.OBJECT, json_value(variant.Value, types)) if kind is None else (kind, variant.Value)
    if variant.VariantType in _WAVEFORM and not any(isinstance(row, list) for row in variant.Value):
        return Kind.OBJECT, np.array(variant.Value, np.float64)
    return Kind.OBJECT, json_value(variant.Value, types)


def json_value(value: Any, types: Types = PLAIN) -> Any:
    """Return what JSON can carry of a value: text as it is, times as RFC 3339, names by URI, structures as objects."""
    match value:
        case str() | bool() | float() | None:
            return value
        case int():
            return int(value)  # of an enumeration
        case ua.LocalizedText():
            return value.Text or ""
        case datetime():
            return _aware(value).isoformat().replace("+00:00", "Z")
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case UUID():
            return str(value)
        case ua.NodeId():
            return None if value.is_null() else node_text(value, types.namespaces)
        case ua.QualifiedName():
            return _of_namespace(types.namespaces, value.NamespaceIndex) + (value.Name or "")
        case ua.StatusCode():
            return int(value.value)
        case list():
            return [json_value(item, types) for item in value]
        case ua.Variant():
            return json_value(value.Value, types)
        case ua.ExtensionObject():
            return types.structure(value)
        case _ if hasattr(value, "__dataclass_fields__"):
            fields = {name: getattr(value, name) for name in value.__dataclass_fields__ if name != "Encoding"}
            return {name: json_value(field, types) for name, field in fields.items() if field is not None}
        case _:
            return str(value)


def node_text(node: ua.NodeId, namespaces: Sequence[str]) -> str:
    """Return a node id as the configuration has it, by the URI of its namespace if that is known."""
    uri = getattr(node, "NamespaceUri", None)
    lead = f"nsu={encoded_uri(uri)};" if uri else _of_namespace(namespaces, node.NamespaceIndex)
    server = getattr(node, "ServerIndex", 0)
    return (f"svr={server};" if server else "") + lead + identifier_text(node.Identifier)


def raw_structure(found: ua.ExtensionObject, namespaces: Sequence[str]) -> Any:
    """Return a structure that nobody can read: its type and its bytes (OPC 10000-6, 5.4.2.16); None for none."""
    if found.Body is None:
        return None
    return {"UaTypeId": node_text(found.TypeId, namespaces), "UaBody": json_value(found.Body)}


def _of_namespace(namespaces: Sequence[str], index: int) -> str:
    if not index:
        return ""
    return f"nsu={encoded_uri(namespaces[index])};" if index < len(namespaces) else f"ns={index};"


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
