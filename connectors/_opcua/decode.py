"""What a server answers, from its bytes to batches: Publish, Republish, Read and HistoryRead.

OPC 10000-4, 5.14.5, 5.14.6, 5.11.2 and 5.11.3.

A body is what follows the type id of a message, so it begins with the ResponseHeader. Pure; knows no connection.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from connectors._opcua.extent import Cursor, DecodeError
from connectors._opcua.layout import Records
from connectors._opcua.records import batches
from connectors._opcua.values import variant
from connectors._opcua.variants import PLAIN, Types
from gateway.model import Batch
from gateway.model.batch import join_kinds

__all__ = [
    "DecodeError",
    "Event",
    "Kept",
    "Published",
    "history_response",
    "publish_response",
    "read_response",
    "republish_response",
]

_DATA_CHANGE: Final = (0, ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)
_EVENTS: Final = (0, ua.ObjectIds.EventNotificationList_Encoding_DefaultBinary)
_HISTORY_DATA: Final = (0, ua.ObjectIds.HistoryData_Encoding_DefaultBinary)
_STATUS_CHANGE: Final = (0, ua.ObjectIds.StatusChangeNotification_Encoding_DefaultBinary)
_UINT32: Final = 4
_DATA_VALUE_MIN: Final = 1
_CHANGE_MIN: Final = 4 + _DATA_VALUE_MIN
_DIAGNOSTICS_MIN: Final = 4
"""An array of DiagnosticInfos follows all values, at least its length."""
_EXTENSION_OBJECT_MIN: Final = 3
_HISTORY_MIN: Final = 4 + 4 + _EXTENSION_OBJECT_MIN
_EVENT_MIN: Final = 8
_STRING_MIN: Final = 4
_VARIANT_MIN: Final = 1
_TIME: Final = 8
_HEADER_BYTES: Final = 12
_NOTHING_TO_SAY: Final = frozenset(bytes(5) + strings + bytes(3) for strings in (b"\xff\xff\xff\xff", bytes(4)))
"""The rest of nearly every ResponseHeader: good, no diagnostics, no strings, nothing more."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event: the client handle of its item, and its fields in the order of the select clauses, as JSON has them.

    A field that is null is None; so is one that cannot be decoded, and then the event is not `sound`. A StatusCode is
    left as such, for a bad one may stand where a field is not there.
    """

    handle: int
    fields: Sequence[Any]
    sound: bool


@dataclass(frozen=True, slots=True)
class Published:
    """A publish response, or a republished notification, which has only what is in the message.

    `available` are the sequence numbers that Republish can still give; `more` says that there is more to publish at
    once. `batches` are the data changes, one batch per kind in order of arrival, the client handle as the tag;
    `changes` is how many, and 0 of them and nothing else is a keep-alive. `status` is that of a
    StatusChangeNotification. `results` are StatusCodes, one per acknowledgement.
    """

    subscription: int
    available: Sequence[int]
    more: bool
    sequence: int
    batches: Sequence[Batch]
    changes: int
    status: int | None
    events: Sequence[Event]
    results: Sequence[int]


def publish_response(body: bytes, now_ns: int, types: Types = PLAIN) -> Published:
    """Decode a PublishResponse. Raises DecodeError, and ua.UaStatusCodeError if the server says no."""
    cursor = _answer(body)
    subscription = cursor.number("I")
    available = _numbers(cursor)
    more = cursor.number("B") != 0
    message = _message(cursor, now_ns, types)
    return replace(message, subscription=subscription, available=available, more=more, results=_numbers(cursor))


def republish_response(body: bytes, now_ns: int, types: Types = PLAIN) -> Published:
    """Decode a RepublishResponse. Raises DecodeError, and ua.UaStatusCodeError if the server says no."""
    return _message(_answer(body), now_ns, types)


def read_response(body: bytes, tags: NDArray[np.uint32], now_ns: int, types: Types = PLAIN) -> list[Batch]:
    """Decode a ReadResponse: one value per tag, in order, as one batch per kind.

    Raises DecodeError, also for another number of values, and ua.UaStatusCodeError if the server says no.
    """
    cursor = _answer(body)
    count = cursor.count(_DATA_VALUE_MIN)
    if count != len(tags):
        raise DecodeError(f"{len(tags)} values were asked for, {count} are there")
    return batches(Records(body, cursor.at, cursor.end - _DIAGNOSTICS_MIN, count, tags, types), now_ns)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a server has kept of a node, or a part of it: `point` is where it goes on, empty at its end."""

    status: int
    point: bytes
    batches: Sequence[Batch]


def history_response(body: bytes, tags: Sequence[int], now_ns: int, types: Types = PLAIN) -> list[Kept]:
    """Decode a HistoryReadResponse to raw values: one result per tag, in order.

    Raises DecodeError, also for another number of results, and ua.UaStatusCodeError if the server says no.
    """
    cursor = _answer(body)
    cursor.end -= _DIAGNOSTICS_MIN
    count = cursor.count(_HISTORY_MIN)
    if count != len(tags):
        raise DecodeError(f"the history of {len(tags)} nodes was asked for, that of {count} is there")
    return [_kept(cursor, tag, now_ns, types) for tag in tags]


def _kept(cursor: Cursor, tag: int, now_ns: int, types: Types) -> Kept:
    status = cursor.number("I")
    begin = cursor.at
    cursor.string()
    point = cursor.data[begin + _STRING_MIN : cursor.at]
    type_id, at = cursor.extension_object()
    data = Cursor(cursor.data, at, cursor.at)
    if type_id != _HISTORY_DATA:
        return Kept(status, point, ())
    count = data.count(_DATA_VALUE_MIN)
    records = Records(data.data, data.at, data.end, count, np.full(count, tag, np.uint32), types)
    return Kept(status, point, batches(records, now_ns))


def _answer(body: bytes) -> Cursor:
    """Return what follows the ResponseHeader (OPC 10000-4, 7.33)."""
    cursor = Cursor(body, 0, len(body))
    cursor.skip(_TIME + _UINT32)
    if body[cursor.at : cursor.at + _HEADER_BYTES] in _NOTHING_TO_SAY:
        cursor.skip(_HEADER_BYTES)
        return cursor
    ua.StatusCode(ua.UInt32(cursor.number("I"))).check()
    cursor.diagnostic_info()
    cursor.array(cursor.string, _STRING_MIN)
    cursor.extension_object()
    return cursor


def _numbers(cursor: Cursor) -> list[int]:
    return cursor.array(lambda: cursor.number("I"), _UINT32)


def _message(cursor: Cursor, now_ns: int, types: Types) -> Published:
    """A NotificationMessage (OPC 10000-4, 7.26); kinds of notification that we do not know are passed over."""
    sequence = cursor.number("I")
    cursor.skip(_TIME)
    changes, status = 0, None
    found: list[Batch] = []
    events: list[Event] = []
    for _ in range(cursor.count(_EXTENSION_OBJECT_MIN)):
        type_id, at = cursor.extension_object()
        notification = Cursor(cursor.data, at, cursor.at)
        if type_id == _DATA_CHANGE:
            records = _changes(notification, types)
            changes += records.count
            found += batches(records, now_ns)
        elif type_id == _STATUS_CHANGE:
            status = notification.number("I")
        elif type_id == _EVENTS:
            events += _events(notification, types)
    return Published(0, (), False, sequence, join_kinds(found), changes, status, events, ())


def _changes(notification: Cursor, types: Types) -> Records:
    count = notification.count(_CHANGE_MIN)
    return Records(notification.data, notification.at, notification.end - _DIAGNOSTICS_MIN, count, types=types)


def _events(notification: Cursor, types: Types) -> list[Event]:
    """An EventNotificationList (OPC 10000-4, 7.25.3)."""

    def event() -> Event:
        handle = notification.number("I")
        fields = notification.array(lambda: _field(notification, types), _VARIANT_MIN)
        return Event(handle, [value for value, _ in fields], all(sound for _, sound in fields))

    return notification.array(event, _EVENT_MIN)


def _field(notification: Cursor, types: Types) -> tuple[Any, bool]:
    """Return a field as it is in an Event, and whether it could be decoded."""
    begin = notification.at
    notification.variant()
    if notification.data[begin] == ua.VariantType.StatusCode:
        return ua.StatusCode(ua.UInt32(int.from_bytes(notification.data[begin + 1 : notification.at], "little"))), True
    _, value, damage = variant(notification.data, begin, notification.at, types)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return (None if value != value else value), not damage  # NaN is also what null is decoded as
