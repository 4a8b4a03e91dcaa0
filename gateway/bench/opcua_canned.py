"""What the OPC UA server of the bench says: values that were encoded once, with the time put in when they are sent.

Encoded by asyncua, so that it is not our own reading of OPC 10000-6 that our decoder is measured with. Namespace 2 has
Doubles only, namespace 3 eight types in turn; every numeric node id in them is a variable. Knows no connection.
"""

import functools
import struct
import time
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, Final

import numpy as np
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

NAMESPACES: Final = (
    "http://opcfoundation.org/UA/",
    "urn:itot-gateway:bench",
    "urn:itot-gateway:bench:doubles",
    "urn:itot-gateway:bench:mixed",
)
DOUBLES: Final = 2
MIXED: Final = 3
SCANS: Final = 4
"""So many different values has a variable, one after the other."""

_SERVER: Final[Mapping[int, ua.Variant]] = {
    ua.ObjectIds.Server_ServerArray: ua.Variant([NAMESPACES[1]], ua.VariantType.String),
    ua.ObjectIds.Server_NamespaceArray: ua.Variant(list(NAMESPACES), ua.VariantType.String),
    ua.ObjectIds.Server_ServerStatus_State: ua.Variant(0, ua.VariantType.Int32),
}
_LIMITS: Final = range(11705, 11715)
"""OperationLimits (OPC 10000-5, 6.3.11): 0, no limit is stated."""
_TYPES: Final = (
    ua.VariantType.Double,
    ua.VariantType.Float,
    ua.VariantType.Int32,
    ua.VariantType.UInt16,
    ua.VariantType.Boolean,
    ua.VariantType.String,
    ua.VariantType.UInt32,
    ua.VariantType.Int16,
)
_1601_TO_1970: Final = 116_444_736_000_000_000
"""100 ns (OPC 10000-6, 5.2.2.5)."""
_TIME: Final = ua.DateTime(1987, 6, 5, 4, 3, 2, 101010, UTC)
"""Stands wherever the time of sending will: eight bytes that no value of the bench has."""
_TICKS: Final = ua.datetime_to_win_epoch(_TIME)
_ENCODED: Final = struct.Struct("<BBHBi")
_NOTIFICATION: Final = struct.Struct("<Iq")
_KEPT: Final = 16
"""Notifications that a subscription keeps for Republish, until they are acknowledged."""


class Image:
    """A part of a message with a time in many places."""

    def __init__(self, encoded: bytes) -> None:
        self._bytes = bytearray(encoded)
        self._times = np.ndarray((max(0, len(encoded) - 7),), "<i8", self._bytes, strides=(1,))
        self._where = np.flatnonzero(self._times == _TICKS)

    def at(self, ticks: int) -> bytes:
        """Return the bytes with this time, in 100 ns since 1601."""
        self._times[self._where] = ticks
        return bytes(self._bytes)


def now() -> int:
    """Return the time as OPC UA writes it."""
    return time.time_ns() // 100 + _1601_TO_1970


def exists(node: ua.NodeId) -> bool:
    """Whether there is such a variable."""
    if node.NamespaceIndex:
        return node.NamespaceIndex in (DOUBLES, MIXED) and isinstance(node.Identifier, int)
    return node.Identifier in _SERVER or node.Identifier in _LIMITS


@functools.lru_cache(maxsize=100_000)
def value(node: ua.NodeId, scan: int) -> bytes:
    """Return the encoded DataValue of an existing variable: value, source time and server time, as good as it gets."""
    return struct_to_binary(
        ua.DataValue(_variant(node, scan), StatusCode=None, SourceTimestamp=_TIME, ServerTimestamp=_TIME)
    )


def refused(status: int) -> bytes:
    """Return the encoded DataValue of what cannot be read, and why."""
    return struct_to_binary(ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(status))))


class Subscription:
    """Every notification has a change of every item. `interval_s` is its pace, 0 as fast as it is asked for."""

    def __init__(self, number: int, interval_s: float) -> None:
        self.number = number
        self.interval_s = interval_s
        self.due_s = 0.0
        self.kept: dict[int, bytes] = {}
        self._sequence = 0
        self._items: list[tuple[int, ua.NodeId]] = []
        self._images: list[Image] = []

    @property
    def empty(self) -> bool:
        return not self._items

    def add(self, handle: int, node: ua.NodeId) -> int:
        """Monitor a variable for a client that calls it `handle`; return the number of the item."""
        self._items.append((handle, node))
        self._images.clear()
        return len(self._items)

    def sent(self, now_s: float) -> None:
        """Be due again one interval after the last time, or after now if that has passed."""
        following_s = self.due_s + self.interval_s
        self.due_s = following_s if following_s > now_s else now_s + self.interval_s

    def notify(self, ticks: int) -> bytes:
        """Return the next NotificationMessage (OPC 10000-4, 7.26), and keep it."""
        if not self._images:
            self._images = [Image(_changes(self._items, scan)) for scan in range(SCANS)]
        self._sequence = self._sequence % 0xFFFF_FFFF + 1
        message = _NOTIFICATION.pack(self._sequence, ticks) + self._images[self._sequence % SCANS].at(ticks)
        self.kept[self._sequence] = message
        if len(self.kept) > _KEPT:
            del self.kept[next(iter(self.kept))]
        return message


def _changes(items: Sequence[tuple[int, ua.NodeId]], scan: int) -> bytes:
    """Notification data of a message: one DataChangeNotification (OPC 10000-4, 7.25.2)."""
    parts = [struct.pack("<I", handle) + value(node, scan) for handle, node in items]
    body = struct.pack("<i", len(parts)) + b"".join(parts) + struct.pack("<i", -1)
    kind = ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary
    return struct.pack("<i", 1) + _ENCODED.pack(1, 0, kind, 1, len(body)) + body


def _variant(node: ua.NodeId, scan: int) -> ua.Variant:
    number = int(node.Identifier)
    if node.NamespaceIndex == 0:
        return _SERVER.get(number, ua.Variant(0, ua.VariantType.UInt32))
    shown: Any = 20 + (7 * number + 13 * scan) % 60
    kind = _TYPES[number % len(_TYPES)] if node.NamespaceIndex == MIXED else ua.VariantType.Double
    match kind:
        case ua.VariantType.Double | ua.VariantType.Float:
            shown += 0.25
        case ua.VariantType.Boolean:
            shown = shown % 2 == 1
        case ua.VariantType.String:
            shown = f"step {shown}"
    return ua.Variant(shown, kind)
