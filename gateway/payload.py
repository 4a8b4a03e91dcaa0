"""Readings as JSON, the same on the bus and in the API; and a batch message back to readings. Pure.

JSON is strict: a value that JSON cannot carry is null and its status says why, integers beyond 2^53 are strings,
floats are the shortest text that reads back as the same number. Times are UTC. See docs/payloads.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.model import Batch, Catalog, Kind, Quality, Record, Tag
from gateway.model.quality import bad, name, severity

VERSION: Final = 1
_EXACT: Final = 2**53 - 1
_NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY


def batch_message(record: Record, catalog: Catalog, gateway: str) -> bytes:
    """Return a record as a `_batch` message: columns of time [us since 1970 UTC], tag, value, status if not good."""
    batches = record.batches
    status = [_status(batch) for batch in batches]
    parts = [
        b'{"v":%d,"gateway":"%s","boot":%d,"seq":%d,"time":'
        % (VERSION, gateway.encode("ascii"), record.boot, record.sequence),
        _times(batches),
        b',"historical":true' if record.historical else b"",
        b',"tags":',
        _joined(_names(catalog, batch.tag) for batch in batches),
        b',"values":',
        _joined(values(batch) for batch in batches),
    ]
    if any(codes.any() for codes in status):
        parts += [b',"status":', _joined(_array(codes) for codes in status)]
    parts.append(b"}")
    return b"".join(parts)


def tag_messages(batch: Batch, tags: Sequence[Tag]) -> Iterator[tuple[Tag, bytes]]:
    """Yield each row as the message of its tag's own topic; a tag that was never read has time 0 and tells none.

    `tags` runs parallel to the rows.
    """
    never = (batch.time == 0).tolist()
    columns = zip(tags, _texts(batch), timestamps(batch.time), _status(batch).tolist(), never, strict=True)
    for tag, value, time, code, unread in columns:
        when = b"null" if unread else b'"%s"' % time.encode("ascii")
        parts = [b'{"value":', value, b',"timestamp":', when]
        parts.append(b',"quality":"%s"' % severity(code).encode("ascii"))
        if code:
            parts.append(b',"status":%d,"reason":%s' % (code, orjson.dumps(name(code))))
        if tag.unit:
            parts += [b',"unit":', orjson.dumps(tag.unit)]
        parts.append(b"}")
        yield tag, b"".join(parts)


def meta_message(tags: Sequence[Tag]) -> bytes:
    """Return what the tags of an asset are: unit, range, labels, where they come from."""
    return orjson.dumps(
        {"v": VERSION, "tags": {tag.name: describe(tag) for tag in tags}}, option=orjson.OPT_NON_STR_KEYS
    )


def describe(tag: Tag) -> dict[str, Any]:
    """Return the description of a tag; what is not known is left out."""
    facts = {
        "unit": tag.unit,
        "description": tag.description,
        "datatype": tag.datatype,
        "range": None if tag.low is None else [tag.low, tag.high],
        "deadband": tag.deadband,
        "labels": tag.labels,
        "writable": tag.writable,
        "limits": tag.limits,
        "device": tag.device,
        "source": tag.address,
    }
    return {key: value for key, value in facts.items() if value}


def written_message(
    *, id: str, tag: str, status: str, code: int, detail: str, value: Any, read_back: Any, time_ns: int
) -> bytes:
    """Return what became of a write, also if JSON cannot carry what was asked for or what the device has."""
    facts = {"id": id, "tag": tag, "status": status, "code": name(code), "detail": detail}
    return encoded(facts | {"value": value, "read_back": read_back, "time": timestamp(time_ns)})


def values(batch: Batch) -> bytes:
    """Return the values as a JSON array; rows that are bad, NaN or infinite are null."""
    unusable = bad(batch.quality)
    if batch.kind is Kind.FLOAT:  # NaN and infinity are null to orjson
        return _array(np.where(unusable, np.nan, batch.value) if unusable.any() else batch.value)
    if batch.kind is not Kind.OBJECT and not unusable.any() and not _beyond(batch):
        return _array(batch.value)
    columns = zip(batch.value.tolist(), unusable.tolist(), strict=True)
    return b"[" + b",".join(b"null" if gone else encoded(value) for value, gone in columns) + b"]"


def timestamp(time_ns: int) -> str:
    """Return one time, in nanoseconds since 1970, as `timestamps` does."""
    return timestamps(np.array([time_ns]))[0]


def timestamps(time: NDArray[np.int64]) -> list[str]:
    """Return RFC 3339 in UTC with microseconds, for nanoseconds since 1970, shape (n,)."""
    text = np.datetime_as_string((time // 1000).view("M8[us]"), timezone="UTC")
    listed: list[str] = text.tolist()
    return listed


# --- and back -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """A `_batch` message: its identity, its columns as they were written, and whether they are historical."""

    gateway: str
    boot: int
    sequence: int
    time_us: list[int]
    tags: list[str]
    values: list[Any]
    status: list[int]
    historical: bool


def parse(payload: bytes) -> Message:
    """Read a `_batch` message. Raises ValueError if it is none, or its columns do not have one length."""
    try:
        fields = orjson.loads(payload)
        tags, values_, n = fields["tags"], fields["values"], len(fields["tags"])
        time = fields["time"] if isinstance(fields["time"], list) else [fields["time"]] * n
        status = fields.get("status", [0] * n)
        gateway, boot, sequence = fields["gateway"], fields["boot"], fields["seq"]
        historical = fields.get("historical", False)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a batch message: {error!r}") from error
    columns = (tags, values_, time, status)
    if not all(isinstance(column, list) and len(column) == n for column in columns):
        raise ValueError("not a batch message: its columns differ in length or are none")
    numbers = (boot, sequence, *time, *status)
    if set(map(type, numbers)) != {int} or set(map(type, (gateway, *tags))) != {str}:
        raise ValueError("not a batch message: a number or a name is none")
    if type(historical) is not bool:
        raise ValueError("not a batch message: historical is true or false")
    return Message(gateway, boot, sequence, time, tags, values_, status, historical)


# --- inside -------------------------------------------------------------------------------


def _status(batch: Batch) -> NDArray[np.uint32]:
    """The quality as it is told: a good number that JSON cannot carry is out of range."""
    if batch.kind is not Kind.FLOAT or (finite := np.isfinite(batch.value)).all():
        return batch.quality
    return np.where(finite | bad(batch.quality), batch.quality, np.uint32(Quality.BAD_OUT_OF_RANGE))


def _texts(batch: Batch) -> list[bytes]:
    """Each value as JSON."""
    if batch.kind is Kind.OBJECT:
        rows = zip(batch.value, bad(batch.quality), strict=True)
        return [b"null" if gone else encoded(value) for value, gone in rows]
    return values(batch)[1:-1].split(b",") if len(batch) else []


def _times(batches: Sequence[Batch]) -> bytes:
    first = int(batches[0].time[0])
    if all((batch.time == first).all() for batch in batches):
        return b"%d" % (first // 1000)
    return _joined(_array(batch.time // 1000) for batch in batches)


def _joined(arrays: Iterator[bytes]) -> bytes:
    """Several JSON arrays as one."""
    return b"[" + b",".join(array[1:-1] for array in arrays) + b"]"


def _names(catalog: Catalog, tag: NDArray[np.uint32]) -> bytes:
    return _names_of(catalog, len(catalog), tag.tobytes())


@lru_cache(maxsize=4096)
def _names_of(catalog: Catalog, size: int, tag: bytes) -> bytes:
    """The names of these tags as a JSON array. The same tags come with every poll, so this is asked once."""
    return orjson.dumps([catalog[number].name for number in np.frombuffer(tag, np.uint32).tolist()])


def _beyond(batch: Batch) -> bool:
    """Whether an integer is larger than a JSON reader can be trusted with."""
    return batch.kind in (Kind.INTEGER, Kind.UNSIGNED) and bool(
        (batch.value > _EXACT).any() or (batch.kind is Kind.INTEGER and (batch.value < -_EXACT).any())
    )


def _array(column: NDArray[Any]) -> bytes:
    return orjson.dumps(np.ascontiguousarray(column), option=_NUMPY)


def encoded(value: Any) -> bytes:
    """Return one value as JSON, whatever it is: nothing that a device says can stop the message it is in."""
    if isinstance(value, np.ndarray):
        return _array(value)
    return orjson.dumps(_carried(value))


def _carried(value: Any) -> Any:
    """What JSON, and its readers, can be trusted with: large integers as text, texts as Unicode."""
    match value:
        case bool() | float() | None:
            return value
        case int():
            return value if abs(value) <= _EXACT else str(value)
        case str():
            return value.encode("utf-8", "replace").decode("utf-8")
        case list() | tuple():
            return [_carried(item) for item in value]
        case dict():
            return {_carried(str(key)): _carried(item) for key, item in value.items()}
        case _:
            return _carried(repr(value))
