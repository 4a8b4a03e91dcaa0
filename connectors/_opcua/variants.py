"""What OPC UA values are in columns: kind by the built-in type, quality as it came, source time or the next best.

Values of a message are sorted into one column per kind (OPC 10000-6, 5.1.2). The rules for values one by one are here;
records.py has them for whole columns where it can.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

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

Row = tuple[Kind, int, int, int, Any, int]
"""Kind, tag, ticks of the source time and of the server time, value, quality; ticks as on the wire, 0 for no time."""

_EPOCH: Final = 116_444_736_000_000_000
"""1970 in ticks: 100 ns since 1601 (OPC 10000-6, 5.2.2.5)."""
_TIME_MIN: Final = 365 * 24 * 3600 * 10_000_000
"""1602 in ticks. All of the year 1601 is "no time" here, which the standard says of its beginning only."""
_NS: Final = 100
_LATEST_NS: Final = (1 << 63) - 1


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
    ticks = np.where(source < _TIME_MIN, server, source)
    since = ticks - _EPOCH
    time = since * _NS
    far = np.abs(since) > _LATEST_NS // _NS
    if far.any():
        time[far] = np.sign(since[far]) * _LATEST_NS
    none = ticks < _TIME_MIN
    if none.any():
        time[none] = now_ns
    return time


def kind_value(variant: ua.Variant | None) -> tuple[Kind, Any]:
    """Return the kind of a value, and the value in what the column of this kind holds."""
    if variant is None or variant.Value is None:
        return Kind.FLOAT, np.nan
    kind = KIND.get(variant.VariantType)
    if isinstance(variant.Value, list):
        if kind is None or kind is Kind.BOOLEAN:
            return Kind.OBJECT, [json_value(item) for item in variant.Value]
        return Kind.OBJECT, np.array(variant.Value, np.float64)
    if kind is None:
        return Kind.OBJECT, json_value(variant.Value)
    return kind, variant.Value


def json_value(value: Any) -> Any:
    """Return what JSON can carry of a value that is no number: text as it is, times as RFC 3339, the rest as shown."""
    match value:
        case str() | bool() | int() | float() | None:
            return value
        case ua.LocalizedText():
            return value.Text or ""
        case datetime():
            return _aware(value).isoformat().replace("+00:00", "Z")
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case UUID():
            return str(value)
        case ua.NodeId():
            return value.to_string()
        case list():
            return [json_value(item) for item in value]
        case _ if hasattr(value, "__dataclass_fields__"):
            return {name: json_value(getattr(value, name)) for name in value.__dataclass_fields__}
        case _:
            return str(value)


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
