"""Batch messages as batches: what depends on the names of its columns alone is found out once. Pure."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from connectors._bus import values
from connectors._bus.path import JsonPath
from gateway.model import Batch, Kind, Quality
from gateway.payload import Message

_US: Final = 1_000
_US_MAX: Final = (1 << 63) // 1_000 - 1


class Columns:
    """The columns of messages that have these names; `wanted` are number and `type` of our tags, by name."""

    def __init__(self, names: Sequence[str], wanted: Mapping[str, tuple[int, str]]) -> None:
        rows = [row for row, name in enumerate(names) if name in wanted]
        self.names = {names[row] for row in rows}
        self._rows = None if len(rows) == len(names) else rows
        self._tag = np.array([wanted[names[row]][0] for row in rows], np.uint32)
        kinds = [wanted[names[row]][1] for row in rows]
        self._converted = [(i, kind) for i, kind in enumerate(kinds) if kind != "auto"]

    def batches(self, message: Message, *, late: bool) -> tuple[Batch, ...]:
        """Return the readings of our tags. Raises ValueError if a value is not what its tag wants, or a time none."""
        time, told, status = map(self._ours, (message.time_us, message.values, message.status))
        for i, kind in self._converted:
            told[i] = values.converted(told[i], kind)
        if not told:
            return ()
        if not {float, bool, str} >= set(map(type, told)):
            told = [values.carried(value) for value in told]
        try:
            quality = _column(status, np.uint32)
        except OverflowError as error:
            raise ValueError("a status is no StatusCode") from error
        return values.columns(self._tag, _column(time, np.int64) * _US, told, quality, late=message.historical or late)

    def _ours(self, column: list[Any]) -> list[Any]:
        return column if self._rows is None else [column[row] for row in self._rows]


def newest_us(message: Message) -> int:
    """Return the time of the newest reading of a message, 0 if it has none. Raises ValueError if one has no time."""
    if any(not -_US_MAX <= edge(message.time_us, default=0) <= _US_MAX for edge in (min, max)):
        raise ValueError("a time is none in microseconds since 1970, before 2262")
    return max(message.time_us, default=0)


def _column(numbers: list[int], dtype: Any) -> NDArray[Any]:
    """Numbers as a column; as a rule they are all the same."""
    if numbers.count(numbers[0]) == len(numbers):
        return np.full(len(numbers), numbers[0], dtype)
    return np.array(numbers, dtype)


def retained(
    said: Mapping[str, bytes], wanted: Mapping[str, tuple[int, str]], *, fresh: bool
) -> tuple[set[str], tuple[Batch, ...]]:
    """Return of which tags their retained topics (docs/payloads.md) say something, and what; uncertain if not fresh."""
    readings: dict[str, tuple[int, int, Any, int]] = {}
    for name, payload in said.items():
        number, kind = wanted[name]
        with suppress(ValueError):
            fields = values.document(payload)
            value, time, status = (path.find(fields, *default) for path, *default in _TAG_TOPIC)
            value = values.carried(values.converted(value, kind) if kind != "auto" else value)
            if type(status) is int and 0 <= status < 1 << 32:
                readings[name] = (
                    number,
                    values.time_ns(time, "iso"),
                    value,
                    status or (0 if fresh else Quality.UNCERTAIN_LAST_USABLE_VALUE),
                )
    if not readings:
        return set(), ()
    return set(readings), values.rows(readings.values(), late=False)


_TAG_TOPIC: Final = ((JsonPath(("value",)),), (JsonPath(("timestamp",)),), (JsonPath(("status",)), 0))


def essence(batches: Sequence[Batch]) -> int:
    """Return a number that only the same readings have, in this process: whether a message has been stored already."""
    return hash(
        tuple(
            (b.tag.tobytes(), b.time.tobytes(), b.quality.tobytes(), b.kind is Kind.OBJECT or b.value.tobytes())
            for b in batches
        )
    )
