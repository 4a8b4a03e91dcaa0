"""Values that clients send: given back as they were told they change nothing; anything else is a write.

What a client was told it may send back, without leave: a value lately told, or a reading that is in history. Another
value goes through the one door for writes, which lets through what the configuration allows this client, and only as
the present value of a tag. An asset's value is set by its tags. History is what devices said; nobody rewrites it.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from api import past
from api.i3x.answers import done, failed, unknown
from api.i3x.history import MICROSECOND_NS, whole_series
from api.i3x.requests import Told, Update, moment_ns
from api.i3x.space import Leaf, Place, Space
from api.i3x.values import BAD, WORDS, Vqts, latest
from api.plant import Plant, Written
from gateway.model.quality import name

_ANSWERS_MAX: Final = 256
_BYTES_MAX: Final = 32 << 20
"""How many answers, and bytes of values in them, are remembered as told."""
_ROW_BYTES: Final = 100
"""What a value takes beside its text."""
_STATUS: Final = {
    "BadUserAccessDenied": 403,
    "BadNotWritable": 403,
    "BadNodeIdUnknown": 404,
    "BadNotConnected": 503,
    "BadTooManyOperations": 503,
}
"""Status codes by the reason of a refusal; all others are the fault of the value, 400."""

Row = tuple[Any, int, int]
"""A value, as JSON is parsed, the place of its quality in WORDS, and its time [ns]."""


class Memory:
    """What clients were told lately, answer by answer."""

    def __init__(self) -> None:
        self._answers: deque[tuple[NDArray[np.uint32], Vqts]] = deque()
        self._bytes = 0

    def add(self, numbers: NDArray[np.uint32], rows: Vqts) -> None:
        """Remember an answer; `numbers` are in order and run parallel to the rows."""
        self._answers.append((numbers, rows))
        self._bytes += _nbytes(rows)
        while len(self._answers) > _ANSWERS_MAX or self._bytes > _BYTES_MAX:
            self._bytes -= _nbytes(self._answers.popleft()[1])

    def of(self, number: int) -> Iterator[Row]:
        """Yield what was told of a tag, the last first."""
        for numbers, rows in reversed(self._answers):
            at = int(np.searchsorted(numbers, number))
            if at < len(numbers) and numbers[at] == number:
                yield _row(rows, at)


class Updates:
    """Takes values and records for the objects of a plant."""

    def __init__(self, plant: Plant, memory: Memory) -> None:
        self._plant = plant
        self._memory = memory

    async def value(self, space: Space, update: Update, who: str) -> bytes:
        """Set a value, and return the item of the answer."""
        element, told = space.find(update.elementId), update.value
        if element is None:
            return unknown(update.elementId)
        try:
            _check(told)
            time_ns = None if told.timestamp is None else moment_ns(told.timestamp)
        except ValueError as error:
            return failed(element.id, 400, str(error))
        if isinstance(element, Place):
            return await self._whole(element, told.value, time_ns)
        if element.tag.writable and told.value is not None and told.quality in (None, "Good"):
            return await self._written(element, told.value, time_ns, who)
        if await self._known(element, told.value, time_ns):
            return done(element.id)
        if element.tag.writable:
            return failed(element.id, 400, "what is written is a value, and Good")
        return failed(element.id, 403, f"{element.id} may not be written: its configuration has no write: true")

    async def record(self, space: Space, update: Update) -> bytes:
        """Put a reading into history, where it must be already, and return the item of the answer."""
        element, told = space.find(update.elementId), update.value
        if element is None:
            return unknown(update.elementId)
        try:
            _check(told)
            if told.timestamp is None:
                raise ValueError("timestamp: a record of history has one")
            time_ns = moment_ns(told.timestamp)
        except ValueError as error:
            return failed(element.id, 400, str(error))
        if isinstance(element, Place):
            return await self._whole(element, told.value, time_ns)
        if await self._known(element, told.value, time_ns, WORDS.index(told.quality or WORDS[0])):
            return done(element.id)
        return failed(element.id, 403, f"{element.id} had no such value then, and history is not rewritten")

    # --- given back -----------------------------------------------------------------------

    async def _whole(self, place: Place, value: Any, time_ns: int | None) -> bytes:
        """The value of an asset, of which each part must be one that its tag has had."""
        leaves = {leaf.tag.name: leaf for leaf in place.tags}
        parts: Any = dict.fromkeys(leaves) if value is None else value
        if not isinstance(parts, dict) or (value is not None and not parts):
            return failed(place.id, 400, "the value of an asset is an object of the values of its tags")
        if strange := next((name for name in parts if name not in leaves), None):
            return failed(place.id, 400, f"{place.id} has no {strange[:200]}")
        for part, found in parts.items():
            if not await self._known(leaves[part], found, time_ns):
                return failed(
                    place.id, 403, f"{part} had no such value: what may be written is set by its own elementId"
                )
            await asyncio.sleep(0)  # a part may take a millisecond, and there may be thousands
        return done(place.id)

    async def _known(self, leaf: Leaf, value: Any, time_ns: int | None, word: int | None = None) -> bool:
        """Whether a tag has had a value, lately or at a time; with a quality only if it was that, at that time."""
        if any(_same(value, had) for had, *when in self._told(leaf) if word is None or _is(word, time_ns, *when)):
            return True
        if time_ns is None or not self._plant.keeps_history:
            return False
        start_ns = time_ns - time_ns % MICROSECOND_NS
        found = await self._plant.ask(past.readings, leaf.id, start_ns, start_ns + MICROSECOND_NS)
        rows = whole_series(found.about)
        then = (_row(rows, k) for k in range(len(rows)))
        return any(_same(value, had) for had, quality, _ in then if word in (None, quality))

    def _told(self, leaf: Leaf) -> Iterator[Row]:
        yield _row(latest(self._plant, leaf.numbers), 0)
        yield from self._memory.of(leaf.number)

    # --- written --------------------------------------------------------------------------

    async def _written(self, leaf: Leaf, value: Any, time_ns: int | None, who: str) -> bytes:
        id = f"i3x-{secrets.token_hex(16)}"
        written = await self._plant.write(id=id, tag=leaf.id, value=value, who=who, expires_ns=None)
        if written.status == "done":
            return done(leaf.id)
        if name(written.code) == "BadUserAccessDenied" and await self._known(leaf, value, time_ns):
            return done(leaf.id)  # who may not write may still give back what was told
        return failed(leaf.id, _status(written), written.detail)


def _status(written: Written) -> int:
    if written.status == "refused":
        return _STATUS.get(name(written.code), 400)
    return 504 if written.status == "unknown" else 502


def _check(told: Told) -> None:
    """Raise ValueError for what is no value, quality and timestamp of the standard."""
    quality = told.quality or WORDS[0]
    if quality not in WORDS:
        raise ValueError(f"quality: {quality[:100]!r} must be one of {', '.join(WORDS)}")
    if (told.value is None) != (WORDS.index(quality) >= BAD) and "quality" in told.model_fields_set:
        raise ValueError("a value is null if its quality is Bad or GoodNoData, and only then")


def _same(value: Any, had: Any) -> bool:
    """Whether two values as JSON has them are one; 1 is 1.0 and not true, and 2^53 + 1 may have been a float."""
    if isinstance(value, bool) or isinstance(had, bool):
        return value is had
    if isinstance(value, list) and isinstance(had, list):
        return len(value) == len(had) and all(map(_same, value, had))
    if isinstance(value, dict) and isinstance(had, dict):
        return value.keys() == had.keys() and all(_same(part, had[key]) for key, part in value.items())
    if isinstance(had, int) and abs(had) > 2**53 and isinstance(value, int) and value.bit_length() <= 65:
        return float(value) == float(had)
    return bool(value == had)


def _is(word: int, time_ns: int | None, had_word: int, had_ns: int) -> bool:
    """Whether a quality and a time are the same, the time to the microsecond, which is what is told."""
    return word == had_word and time_ns is not None and time_ns // MICROSECOND_NS == had_ns // MICROSECOND_NS


def _row(rows: Vqts, k: int) -> Row:
    return orjson.loads(rows.value[k]), int(rows.word[k]), int(rows.time[k])


def _nbytes(rows: Vqts) -> int:
    return _ROW_BYTES * len(rows) + sum(map(len, rows.value))
