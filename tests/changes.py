"""Data changes as asyncua decodes them to batches, value by value: what the decoder of bytes must agree with."""

from collections.abc import Iterable
from datetime import datetime

from asyncua import ua

from connectors._opcua.variants import Row, columns, kind_value
from gateway.model import Batch


def batches(changes: Iterable[tuple[int, ua.DataValue]], now_ns: int) -> list[Batch]:
    """Return the changes, pairs of tag number and value, as one batch per kind, in order of arrival."""
    return columns([_row(tag, data) for tag, data in changes], now_ns)


def _row(tag: int, data: ua.DataValue) -> Row:
    kind, value = kind_value(data.Value)
    return kind, tag, _ticks(data.SourceTimestamp), _ticks(data.ServerTimestamp), value, _code(data.StatusCode)


def _ticks(time: datetime | None) -> int:
    return 0 if time is None else int(ua.datetime_to_win_epoch(time))


def _code(status: ua.StatusCode | None) -> int:
    return 0 if status is None else int(status.value)
