"""Batch messages as batches: what depends on the names of its columns alone is found out once. Pure."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np

from connectors._bus import values
from connectors._bus.path import JsonPath
from gateway.model import Batch, Kind
from gateway.payload import Message

_US: Final = 1_000


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
            when, quality = np.array(time, np.int64) * _US, np.array(status, np.uint32)
        except OverflowError as error:
            raise ValueError("a time or a status is none") from error
        return values.columns(self._tag, when, told, quality, late=message.historical or late)

    def _ours(self, column: list[Any]) -> list[Any]:
        return column if self._rows is None else [column[row] for row in self._rows]


def retained(said: Mapping[str, bytes], wanted: Mapping[str, tuple[int, str]]) -> tuple[set[str], tuple[Batch, ...]]:
    """Return what the retained topics of these tags say (docs/payloads.md), and of which they say something."""
    readings: dict[str, tuple[int, int, Any, int]] = {}
    for name, payload in said.items():
        number, kind = wanted[name]
        with suppress(ValueError):
            fields = values.document(payload)
            value, time, status = (path.find(fields, *default) for path, *default in _TAG_TOPIC)
            value = values.carried(values.converted(value, kind) if kind != "auto" else value)
            if type(status) is int and 0 <= status < 1 << 32:
                readings[name] = number, values.time_ns(time, "iso"), value, status
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
