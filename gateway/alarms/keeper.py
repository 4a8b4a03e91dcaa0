"""The register at work: records of the journal into it, events out of it, and questions and answers of people.

A Sink, and beside it `tell`, which lives as long as devices do: what is found after that is told after the next start.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import numpy as np
import orjson

from gateway.alarms.alarm import Alarm, Answer
from gateway.alarms.file import AlarmFile
from gateway.alarms.performance import DAY_NS, performance
from gateway.alarms.register import Register
from gateway.contracts import Clock, Emit, Offload
from gateway.model import Batch, Catalog, Quality, Record
from gateway.model.batch import objects

T = TypeVar("T")
_WAKE_S: Final = 0.5
"""How late a delay may be found to be over where nothing comes."""
_FORGET_EVERY: Final = 120
_AT_ONCE: Final = 2_000
"""Events told in one go."""


class AlarmKeeper:
    """Keeps the register of a gateway. `end` is where the journal ended when it was opened."""

    def __init__(
        self, register: Register, file: AlarmFile, offload: Offload, catalog: Catalog, clock: Clock, end: int
    ) -> None:
        self._register = register
        self._file = file
        self._offload = offload
        self._catalog = catalog
        self._clock = clock
        self._end = end
        self._position = 0
        self._sent = -1
        self._news = asyncio.Event()

    def counts(self) -> Mapping[str, int]:
        """Return what was counted, by name."""
        register = self._register
        return {
            "transitions": register.last,
            "transitions_told": register.told,
            "alarms_refused": register.foreign_refused,
        }

    async def write(self, records: Sequence[Record]) -> None:
        """Take what the records say. Raises ConnectionError if the disk does not take it; then the same come again."""
        await self._kept(self._register.write, records)
        self._position = records[-1].position if records else self._position
        self._news.set()

    async def tell(self, emit: Emit, behind: Callable[[], int], up: Callable[[], None]) -> None:
        """Emit what happened to alarms, and wake those whose delay is over, until cancelled. Raises ConnectionError.

        Nothing is told before all is read that the journal had at the start: that says what was told then.
        """
        turn = 0
        while True:
            if behind() == 0:
                await self._kept(self._register.wake, self._clock.now_ns())
            if turn % _FORGET_EVERY == 0:
                before_ns = self._clock.now_ns() - self._register.settings.retention_ns
                await self._kept(self._file.forget, before_ns, self._register.told)
            if behind() == 0 or self._position >= self._end:
                await self._emit(emit)
            up()
            turn += 1
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_WAKE_S):
                    await self._news.wait()

    async def _emit(self, emit: Emit) -> None:
        self._sent = max(self._sent, self._register.told)
        while untold := await self._kept(self._file.untold, self._sent, _AT_ONCE):
            numbers, tags, times, events = zip(*untold, strict=True)
            values = objects(orjson.loads(event) for event in events)
            emit(
                Batch(
                    self._catalog.numbers(tags), np.array(times), values, np.full(len(times), Quality.GOOD, np.uint32)
                )
            )
            self._sent = numbers[-1]

    # --- people -------------------------------------------------------------------------------

    async def answer(self, ids: Sequence[str], answer: Answer) -> list[tuple[str, str]]:
        """Do something to alarms; return those that refuse, and why. Raises KeyError, ConnectionError."""
        refused = await self._kept(self._register.answer, ids, answer)
        self._news.set()
        return refused

    async def elsewhere(self, id: str) -> tuple[str, str]:
        """Return the method by which its server acknowledges an alarm, '' if it has none, and the EventId for it."""
        return await self._kept(self._register.elsewhere, id)

    async def listed(self, wanted: Callable[[Alarm], bool]) -> list[tuple[Alarm, bool]]:
        """Return the alarms that are wanted, and of each whether its readings are known to say so."""
        return await self._kept(self._register.listed, wanted)

    async def one(self, id: str) -> tuple[Alarm, bool]:
        """Return an alarm, and whether its readings are known to say so. Raises KeyError."""
        return await self._kept(self._register.one, id)

    async def happened(self, id: str, before: int, most: int) -> list[tuple[int, Mapping[str, Any]]]:
        """Return number and event of what happened to an alarm before a number, the newest first."""
        rows = await self._kept(self._file.happened, id, before, most)
        return [(number, orjson.loads(event)) for number, event in rows]

    async def performance(self, start_ns: int, end_ns: int) -> dict[str, Any]:
        """Return the metrics of a range that is not empty."""
        return await self._kept(self._performance, start_ns, end_ns)

    # --- in the thread of the file --------------------------------------------------------------

    async def _kept(self, work: Callable[..., T], *of: Any) -> T:
        try:
            return await self._offload(work, *of)
        except sqlite3.Error as error:
            await self._offload(self._register.restore)
            raise ConnectionError(f"alarms cannot be written: {error}") from error

    def _performance(self, start_ns: int, end_ns: int) -> dict[str, Any]:
        rows = self._file.raised(start_ns, end_ns)
        times = np.array([time for time, _, _ in rows], np.int64)
        standing = self._file.standing(end_ns - DAY_NS, end_ns)
        names, priorities = [name for _, name, _ in rows], [priority for _, _, priority in rows]
        return performance(times, names, priorities, standing, start_ns, end_ns)
