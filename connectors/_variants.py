"""OPC UA data values to columns: kind by the built-in type, quality as it came, source time or the next best.

Values of a message are sorted into one column per kind (OPC 10000-6, 5.1.2). This is per value in Python, because
asyncua has already made an object of each.
"""

import base64
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
from asyncua import ua

from gateway.model import Batch, Kind
from gateway.model.batch import objects

_KIND: Final = {
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
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_YEAR: Final = 1601
"""The year of "no time" (OPC 10000-6, 5.2.2.5)."""
_LATEST_NS: Final = (1 << 63) - 1


def batches(changes: Iterable[tuple[int, ua.DataValue]], now_ns: int) -> list[Batch]:
    """Return the changes, pairs of tag number and value, as one batch per kind, in order of arrival."""
    rows: dict[Kind, list[tuple[int, int, Any, int]]] = {}
    for tag, data in changes:
        kind, value = _value(data.Value)
        rows.setdefault(kind, []).append((tag, _time_ns(data, now_ns), value, _code(data.StatusCode)))
    return [_batch(kind, *zip(*group, strict=True)) for kind, group in rows.items()]


def _batch(kind: Kind, tag: Sequence[int], time: Sequence[int], value: Sequence[Any], quality: Sequence[int]) -> Batch:
    return Batch(
        np.array(tag, np.uint32),
        np.array(time, np.int64),
        objects(value) if kind is Kind.OBJECT else np.array(value, kind.dtype),
        np.array(quality, np.uint32),
    )


def _value(variant: ua.Variant | None) -> tuple[Kind, Any]:
    if variant is None or variant.Value is None:
        return Kind.FLOAT, np.nan
    kind = _KIND.get(variant.VariantType)
    if isinstance(variant.Value, list):
        if kind is None or kind is Kind.BOOLEAN:
            return Kind.OBJECT, [_json(item) for item in variant.Value]
        return Kind.OBJECT, np.array(variant.Value, np.float64)
    if kind is None:
        return Kind.OBJECT, _json(variant.Value)
    return kind, variant.Value


def _json(value: Any) -> Any:
    """What JSON can carry of a value that is no number: text as it is, times as RFC 3339, the rest as shown."""
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
            return [_json(item) for item in value]
        case _ if hasattr(value, "__dataclass_fields__"):
            return {name: _json(getattr(value, name)) for name in value.__dataclass_fields__}
        case _:
            return str(value)


def _time_ns(data: ua.DataValue, now_ns: int) -> int:
    """Source time, else server time, else when it arrived (OPC 10000-4, 7.11.3)."""
    for time in (data.SourceTimestamp, data.ServerTimestamp):
        if time is not None and time.year > _NO_YEAR:
            since = _aware(time) - _EPOCH
            seconds = since.days * 86_400 + since.seconds
            return max(-_LATEST_NS, min(_LATEST_NS, seconds * 1_000_000_000 + since.microseconds * 1_000))
    return now_ns


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _code(status: ua.StatusCode | None) -> int:
    return 0 if status is None else int(status.value)
