"""Payloads as values, and values as columns. Pure.

A value is float, int, np.uint64, bool, str, a waveform, what else JSON can carry, or None: there is none.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.model import Batch, Kind
from gateway.model.batch import objects
from gateway.model.quality import BAD

_KIND: Final[Mapping[type, Kind]] = {
    float: Kind.FLOAT,
    int: Kind.INTEGER,
    np.uint64: Kind.UNSIGNED,
    bool: Kind.BOOLEAN,
}
_INT64: Final = range(-(1 << 63), 1 << 63)
_UINT64_MAX: Final = (1 << 64) - 1
_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_SHOWN: Final = 40


@lru_cache(maxsize=1)  # several tags of one message
def document(payload: bytes) -> Any:
    """Return a payload as JSON. Raises ValueError if it is none."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{shown(payload)} is no JSON") from error


def plain(payload: bytes) -> Any:
    """Return a payload as JSON if it is that, else as text. Raises ValueError if it is neither."""
    try:
        return orjson.loads(payload) if payload.strip() else None
    except orjson.JSONDecodeError:
        return text(payload)


def text(payload: bytes) -> str:
    """Return a payload as text. Raises ValueError if it is not in UTF-8."""
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{shown(payload)} is no text in UTF-8") from error


def same(a: Any, b: Any) -> bool:
    """Whether two values are one."""
    return type(a) is type(b) and (bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b))


def converted(value: Any, kind: str) -> Any:
    """Return a value as the `type` of a tag wants it; None stays None. Raises ValueError if it cannot be that."""
    return None if value is None else _CONVERT[kind](value)


def time_ns(time: Any, unit: str) -> int:
    """Return nanoseconds since 1970 UTC; a text without a zone is UTC. Raises ValueError if it is no time."""
    if unit == "iso" and not isinstance(time, str):
        raise ValueError(f"time {shown(time)} is a number: say its time_unit")
    try:
        ns = _of_text(time) if unit == "iso" else _of_number(time, _NS[unit])
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{shown(time)} is no time in {unit}") from error
    if ns not in _INT64:
        raise ValueError(f"{shown(time)} is no time in {unit} before 2262")
    return ns


def columns(
    tag: NDArray[np.uint32], time: NDArray[np.int64], values: Sequence[Any], quality: NDArray[np.uint32], *, late: bool
) -> tuple[Batch, ...]:
    """Return readings as batches, one for each kind of value. A bad reading without a value is a float."""
    types = set(map(type, values))
    if len(types) == 1 and (kind := _KIND.get(next(iter(types)))) is not None:
        return (Batch(tag, time, np.array(values, kind.dtype), quality, historical=late),)
    gone = quality >= BAD
    kinds = np.array(
        [Kind.FLOAT if v is None and g else _KIND.get(type(v), Kind.OBJECT) for v, g in zip(values, gone, strict=True)]
    )
    return tuple(
        Batch(
            tag[rows],
            time[rows],
            _column([values[i] for i in rows.tolist()], Kind(one)),
            quality[rows],
            historical=late,
        )
        for one in np.unique(kinds)
        for rows in [np.flatnonzero(kinds == one)]
    )


def rows(readings: Iterable[tuple[int, int, Any, int]], *, late: bool) -> tuple[Batch, ...]:
    """Return readings, one at least, as batches: number of the tag, time, value and quality of each."""
    tag, time, values, quality = zip(*readings, strict=True)
    return columns(np.array(tag, np.uint32), np.array(time, np.int64), values, np.array(quality, np.uint32), late=late)


def carried(value: Any) -> Any:
    """Return what a batch can hold of a value of JSON: a list of floats is a waveform, large integers have a type."""
    if type(value) is int and value not in _INT64:
        return np.uint64(value) if 0 <= value <= _UINT64_MAX else str(value)
    if type(value) is list and value and set(map(type, value)) == {float}:
        return np.array(value)
    return value


def shown(value: Any) -> str:
    """A value for people, not longer than they want to read."""
    text = value[: 4 * _SHOWN].decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


# --- inside -------------------------------------------------------------------------------

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _of_text(text: str) -> int:
    at = datetime.fromisoformat(text)
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def _of_number(time: Any, factor: int) -> int:
    """An integer exactly, anything else to the microsecond, which a double has in this century."""
    return time * factor if type(time) is int else round(float(time) * (factor / 1_000)) * 1_000


def _column(values: list[Any], kind: Kind) -> NDArray[Any]:
    if kind is Kind.FLOAT:
        values = [math.nan if value is None else value for value in values]
    return objects(values) if kind is Kind.OBJECT else np.array(values, kind.dtype)


def _auto(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        raise ValueError(f"{shown(orjson.dumps(value))} is no single value: say value: $.name, or type: json")
    if isinstance(value, str):
        return math.nan if value.strip().casefold() in _NOT_FINITE else value
    return value if isinstance(value, bool) else float(value)


_NOT_FINITE: Final = ("nan", "inf", "+inf", "-inf", "infinity", "-infinity")


def _number(value: Any) -> float:
    try:
        return float("no" if isinstance(value, (bool, dict, list)) else value)
    except ValueError as error:
        raise ValueError(f"{shown(value)} is no number") from error


def _integer(value: Any) -> Any:
    """An integer, exactly; as text too, as integers beyond 2^53 come in JSON."""
    if type(value) is int or (type(value) is float and value.is_integer()) or _is_digits(value):
        number = int(value)
        if number in _INT64 or 0 <= number <= _UINT64_MAX:
            return carried(number)
    raise ValueError(f"{shown(value)} is no integer of 64 bits")


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,20}\s*", value) is not None


def _boolean(value: Any) -> bool:
    text = str(value).strip().casefold()
    if text not in _BOOLEAN:
        raise ValueError(f"{shown(value)} is neither true nor false, 1 nor 0, on nor off")
    return _BOOLEAN[text]


_BOOLEAN: Final = {"true": True, "false": False, "1": True, "0": False, "on": True, "off": False}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


_CONVERT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "auto": _auto,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "text": _text,
    "json": carried,
}
