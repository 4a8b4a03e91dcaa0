"""Readings as metrics of Sparkplug B: births one by one, data by columns. Pure; knows tags only as numbers.

A metric of a DATA message is a row of bytes whose beginning depends on the tag alone and is kept per tag:

    12 size | 10 alias | 18 time | 20 datatype | 28 01 if historical | key of the value || value || null, properties

A batch takes the rows of its tags, writes times, values and sizes into them as columns, and leaves out what a row does
not have: a value that is bad. Where no row lacks anything that is a plain copy, for integers are padded to one length.
So the cost is some numpy calls per batch, whatever its length; only texts and waveforms are looked at one by one.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Kind, Quality, Tag
from gateway.model.quality import BAD, bad, good
from gateway.mqtt.sparkplug import wire
from gateway.mqtt.sparkplug.schema import Datatype
from gateway.payload import encoded

DATATYPE: Final = {
    Kind.FLOAT: Datatype.DOUBLE,
    Kind.INTEGER: Datatype.INT64,
    Kind.UNSIGNED: Datatype.UINT64,
    Kind.BOOLEAN: Datatype.BOOLEAN,
}
"""The datatype of a kind of value; an object is a String or, if it is a waveform, a DoubleArray."""

TAGS_MAX: Final = (1 << 21) - (1 << 14)
_FIRST_ALIAS: Final = 1 << 14
"""Aliases begin here, so that each takes three bytes and the rows of a message have one length."""
_ALIAS_BYTES: Final = 3
_TIME_BYTES: Final = 6
_TIME_MS_MAX: Final = (1 << 42) - 1  # in the year 2109
_MS: Final = 1_000_000
_TIME: Final = slice(2 + 1 + _ALIAS_BYTES + 1, 2 + 1 + _ALIAS_BYTES + 1 + _TIME_BYTES)
"""Where the time is in a row."""
_NOTHING = np.empty((0, 0), np.uint8)

Index = slice | NDArray[np.uint32]
"""Tags as an index into what has a row per tag."""
_VALUE_FIELD: Final[Mapping[int, int]] = {
    Datatype.INT64: 11,
    Datatype.UINT64: 11,
    Datatype.DOUBLE: 13,
    Datatype.BOOLEAN: 14,
    Datatype.STRING: 15,
    Datatype.DOUBLE_ARRAY: 16,
}
_METRIC: Final = 2
_NAME, _ALIAS, _TIMESTAMP, _TYPE, _HISTORICAL, _NULL, _PROPERTIES = 1, 2, 3, 4, 5, 7, 9
_QUALITY_BAD, _QUALITY_GOOD, _QUALITY_STALE = 0, 192, 500  # 6.4.16: the only values that the property may have
_STALE: Final = (Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE, Quality.UNCERTAIN_LAST_USABLE_VALUE)


def alias(tag: int) -> int:
    """Return the alias of a tag: its number in the catalog, so it is the same after every restart."""
    return tag + _FIRST_ALIAS


def millisecond(time_ns: int) -> int:
    """Return a time as it is told: milliseconds since 1970 UTC, and none before that or after 2109."""
    return min(max(time_ns // _MS, 0), _TIME_MS_MAX)


def datatype_of(value: Any) -> Datatype:
    """Return the datatype of one object."""
    return Datatype.DOUBLE_ARRAY if isinstance(value, np.ndarray) else Datatype.STRING


# --- data ---------------------------------------------------------------------------------


class Rows:
    """Encodes readings for DATA messages; what depends on a tag alone is made once, and again when there are more."""

    def __init__(self, *, datatype_in_data: bool) -> None:
        self._datatype_in_data = datatype_in_data
        self._heads: dict[tuple[int, bool], NDArray[np.uint8]] = {}
        self._tags = 0

    def grow(self, tags: int) -> None:
        """Expect so many tags."""
        self._tags, self._heads = tags, {}

    def encode(self, datatype: int, batch: Batch, rows: Index, *, historical: bool) -> bytes:
        """Return a batch whose tags are all of this datatype as metrics; `rows` is its `Batch.rows`."""
        heads = self._head(datatype, historical)[rows]
        if batch.kind is Kind.OBJECT:
            return _objects(heads, datatype, batch)
        values = _values(batch)
        n, head = heads.shape
        width = head + values.shape[1]
        good = not batch.quality.any()
        tails, tail_used = _tails(batch.quality) if not good else (_NOTHING, _NOTHING)
        told = np.empty((n, width + tails.shape[-1]), np.uint8)
        told[:, :head] = heads
        told[:, 1] = width - 2
        told[:, _TIME] = _times(batch.time)
        told[:, head:width] = values
        if good:
            return told.tobytes()
        keep, gone = np.ones(told.shape, np.bool_), bad(batch.quality)
        keep[gone, head - 1 : width] = False  # the key of the value too
        told[gone, 1] = head - 3
        told[:, width:] = tails
        _keep_first(keep[:, width:], tail_used)
        told[:, 1] += tail_used
        return told[keep].tobytes()

    def _head(self, datatype: int, historical: bool) -> NDArray[np.uint8]:
        """The beginning of the rows of all tags, shape (tags, bytes)."""
        heads = self._heads.get((datatype, historical))
        if heads is None:
            assert self._tags <= TAGS_MAX
            aliases = np.arange(self._tags, dtype=np.uint64) + np.uint64(_FIRST_ALIAS)
            tail = _VALUE_KEY.get(datatype, b"")
            if historical:
                tail = wire.uint(_HISTORICAL, 1) + tail
            if self._datatype_in_data:
                tail = wire.uint(_TYPE, datatype) + tail
            heads = np.empty((self._tags, _TIME.stop + len(tail)), np.uint8)
            heads[:, 0] = _METRIC << 3 | wire.BYTES
            heads[:, 2] = _ALIAS << 3 | wire.VARINT
            heads[:, 3 : 3 + _ALIAS_BYTES] = wire.wide_varints(aliases, _ALIAS_BYTES)
            heads[:, _TIME.start - 1] = _TIMESTAMP << 3 | wire.VARINT
            heads[:, _TIME.stop :] = np.frombuffer(tail, np.uint8)
            self._heads[datatype, historical] = heads
        return heads


_VALUE_KEY: Final[Mapping[int, bytes]] = {
    Datatype.INT64: wire.varint(11 << 3 | wire.VARINT),
    Datatype.UINT64: wire.varint(11 << 3 | wire.VARINT),
    Datatype.DOUBLE: wire.varint(13 << 3 | wire.FIXED64),
    Datatype.BOOLEAN: wire.varint(14 << 3 | wire.VARINT),
}


def _keep_first(keep: NDArray[np.bool_], used: NDArray[np.uint8]) -> None:
    """Mark the first bytes of each row, as many as are used; by columns, which is ten times as fast as all at once."""
    for k in range(keep.shape[1]):
        keep[:, k] = used > k


def _times(time_ns: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The times as varints, shape (n, 6), or (6,) if all are the same, as those of a scan are."""
    first = int(time_ns[0])
    if (time_ns == first).all():
        return np.frombuffer(wire.wide_varint(millisecond(first), _TIME_BYTES), np.uint8)
    return wire.wide_varints(np.clip(time_ns // _MS, 0, _TIME_MS_MAX).view(np.uint64), _TIME_BYTES)


def _values(batch: Batch) -> NDArray[np.uint8]:
    """The values, shape (n, w); integers are padded to the longest of them, because cutting rows costs more CPU."""
    match batch.kind:
        case Kind.FLOAT:
            return np.ascontiguousarray(batch.value).astype("<f8", copy=False).view(np.uint8).reshape(-1, 8)
        case Kind.BOOLEAN:
            return batch.value.view(np.uint8).reshape(-1, 1)
        case _:
            numbers = batch.value.view(np.uint64)
            return wire.wide_varints(numbers, max(1, -(-int(numbers.max(initial=0)).bit_length() // 7)))


def _tails(quality: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What follows the values, shape (n, w), and how many bytes of each row count, shape (n,)."""
    codes, which = np.unique(quality, return_inverse=True)
    tails = [_tail(code) for code in codes.tolist()]
    width = max(map(len, tails))
    table = np.frombuffer(b"".join(tail.ljust(width, b"\0") for tail in tails), np.uint8).reshape(-1, width)
    return table[which], np.array([len(tail) for tail in tails], np.uint8)[which]


@lru_cache(maxsize=1024)
def _tail(code: int) -> bytes:
    """What a metric of this quality says beside its value: nothing if it is good."""
    null = wire.uint(_NULL, 1) if code >= BAD else b""
    return null + _property_set(_quality_properties(code))


def _objects(heads: NDArray[np.uint8], datatype: int, batch: Batch) -> bytes:
    """Texts and waveforms, which have any length."""
    heads = heads.copy()
    heads[:, _TIME] = _times(batch.time)
    rows, width, parts = heads.tobytes(), heads.shape[1], []
    for i, (value, code) in enumerate(zip(batch.value, batch.quality.tolist(), strict=True)):
        fixed = rows[i * width + 2 : (i + 1) * width]  # what follows the size
        told = b"" if code >= BAD else value_field(datatype, value)
        parts.append(wire.data(_METRIC, fixed + told + _tail(code)))
    return b"".join(parts)


# --- births -------------------------------------------------------------------------------


def named(name: str, datatype: int, time_ms: int, value: Any) -> bytes:
    """Return a metric without an alias, as those of the node itself are."""
    head = wire.data(_NAME, name.encode()) + wire.uint(_TIMESTAMP, time_ms) + wire.uint(_TYPE, datatype)
    return wire.data(_METRIC, head + value_field(datatype, value))


def birth(name: str, number: int, tag: Tag, datatype: int, time_ms: int, value: Any, quality: int) -> bytes:
    """Return the metric of a tag in a birth: by name and alias, with what is known of it and its value now."""
    body = wire.data(_NAME, name.encode()) + wire.uint(_ALIAS, alias(number))
    body += wire.uint(_TIMESTAMP, time_ms) + wire.uint(_TYPE, datatype)
    body += wire.uint(_NULL, 1) if quality >= BAD else value_field(datatype, value)
    return wire.data(_METRIC, body + _property_set(_quality_properties(quality) | _facts(tag)))


def value_field(datatype: int, value: Any) -> bytes:
    """Return one value as the field that its datatype has."""
    field = _VALUE_FIELD[datatype]
    match datatype:
        case Datatype.DOUBLE:
            return wire.double(field, value)
        case Datatype.INT64 | Datatype.UINT64 | Datatype.BOOLEAN:
            return wire.uint(field, value)
        case Datatype.DOUBLE_ARRAY:
            return wire.data(field, value.astype("<f8", copy=False).tobytes())
        case _:
            return wire.data(field, text(value))


def text(value: Any) -> bytes:
    """Return what a String says of a value: a text as it is, anything else as JSON, as on the other topics."""
    return value.encode("utf-8", "replace") if isinstance(value, str) else encoded(value)


def _quality_properties(code: int) -> dict[str, bytes]:
    """The property of the standard, and the OPC UA StatusCode that says more; nothing for a plain good."""
    if code == Quality.GOOD:
        return {}
    status = {"StatusCode": wire.uint(1, Datatype.INT64) + wire.uint(4, code)}
    codes = np.array([code], np.uint32)
    if good(codes)[0]:
        return status
    stale = code & 0xFFFF_0000 in _STALE
    told = _QUALITY_BAD if bad(codes)[0] else _QUALITY_STALE if stale else _QUALITY_GOOD
    return {"Quality": wire.uint(1, Datatype.INT32) + wire.uint(3, told)} | status


def _facts(tag: Tag) -> dict[str, bytes]:
    """What is known of a tag, by the names that Ignition and others give to it."""
    facts: dict[str, bytes] = {}
    for key, text_ in (("engUnit", tag.unit), ("documentation", tag.description)):
        if text_:
            facts[key] = wire.uint(1, Datatype.STRING) + wire.data(8, text_.encode("utf-8", "replace"))
    for key, bound in (("engLow", tag.low), ("engHigh", tag.high)):
        if bound is not None:
            facts[key] = wire.uint(1, Datatype.DOUBLE) + wire.double(6, bound)
    return facts


def _property_set(properties: Mapping[str, bytes]) -> bytes:
    """The field `properties` of a metric, or nothing."""
    keys = b"".join(wire.data(1, key.encode()) for key in properties)
    values = b"".join(wire.data(2, value) for value in properties.values())
    return wire.data(_PROPERTIES, keys + values) if properties else b""
