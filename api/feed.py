"""What the streams of values read: the journal, each at a place of its own; events are encoded once for all of them.

    journal ──after(place)──> records ──encoded by whoever needs them first──> events of a match

A stream holds no readings: a place is a number. So one that is slow costs nothing and nobody, until it is so far behind
that it is told how much it has missed and goes on at the end. Whoever comes back with the id of its last event reads
on from there, one after another, for older records are read from the disk by the thread that also writes them.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

import numpy as np
from numpy.typing import NDArray

from api.plant import Plant
from api.present import latest, rows
from gateway.model import Record

_KEPT: Final = 32
"""Events that a match keeps: streams that are not slow are a few events apart."""
_KEPT_BYTES_MAX: Final = 1 << 20
_BACK: Final = 200
"""Records that are looked at in one step back in the journal."""


class Match:
    """The tags that a glob over the path names, and the events that tell of them."""

    def __init__(self, plant: Plant, glob: str) -> None:
        self.streams = 0
        self._plant = plant
        self._glob = glob
        self._generation = -1
        self._events: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._bytes = 0

    def numbers(self) -> NDArray[np.uint32]:
        """Return the tags, also those that a change of the configuration brought."""
        catalog = self._plant.catalog
        if self._generation != catalog.generation:
            self._generation = catalog.generation
            self._numbers = np.array([n for n in catalog if fnmatchcase(catalog[n].path, self._glob)], np.uint32)
            self._wanted = np.zeros(int(self._numbers.max(initial=0)) + 1, np.bool_)
            self._wanted[self._numbers] = True
        return self._numbers

    def present(self) -> bytes:
        """Return the event of what is now, without an id."""
        return values(b",".join(latest(self._plant, self.numbers())))

    def event(self, records: Sequence[Record], place: int) -> bytes:
        """Return the event that tells of records, the last of them at this place; nothing if they have no rows.

        Streams that are not slow read the same records at the same time, so one of them encodes for all.
        """
        key = (records[0].position if records else place, place)
        if key not in self._events:
            rows = b",".join(row for record in records for row in self._encoded(record))
            self._events[key] = told = b"id: %d-%d\n" % (self._plant.boot, place) + values(rows) if rows else b""
            self._bytes += len(told)
            while len(self._events) > 1 and (len(self._events) > _KEPT or self._bytes > _KEPT_BYTES_MAX):
                self._bytes -= len(self._events.popitem(last=False)[1])
        return self._events[key]

    def count(self, record: Record) -> int:
        """Return how many rows a record has."""
        return sum(int(np.count_nonzero(self._of(batch.tag))) for batch in record.batches)

    def _encoded(self, record: Record) -> Iterator[bytes]:
        for batch in record.batches:
            mine = self._of(batch.tag)
            yield from rows(self._plant, batch if mine.all() else batch.where(mine))

    def _of(self, tag: NDArray[np.uint32]) -> NDArray[np.bool_]:
        self.numbers()
        inside = tag < len(self._wanted)
        return inside & self._wanted[np.where(inside, tag, 0)]


def values(rows: bytes) -> bytes:
    """Return an event with these rows, without an id."""
    return b"event: values\ndata: [%s]\n\n" % rows


@dataclass(frozen=True, slots=True)
class Missed:
    """What a stream has missed, and where it goes on."""

    place: int
    records: int
    readings: int


class Feed:
    """One per application. `streams` are open, `dropped` counts the readings that those that were slow have missed."""

    def __init__(self, plant: Plant) -> None:
        self.streams = 0
        self.dropped = 0
        self._plant = plant
        self._matches: dict[str, Match] = {}
        self._turn = asyncio.Lock()

    @contextmanager
    def match(self, glob: str) -> Iterator[Match]:
        """Have a match for as long as a stream needs it; those with the same glob share one."""
        match = self._matches.setdefault(glob, Match(self._plant, glob))
        match.streams += 1
        self.streams += 1
        try:
            yield match
        finally:
            self.streams -= 1
            match.streams -= 1
            if not match.streams:
                del self._matches[glob]

    async def skip(self, match: Match, place: int, end: int) -> "Missed":
        """Go on at least to this end; what is in between is missed."""
        first, readings = place, 0
        while place < end:
            page, reached = await self.after(place)
            if reached == place:
                break
            readings, place = readings + sum(map(match.count, page)), reached
        self.dropped += readings
        return Missed(place, place - first, readings)

    async def after(self, place: int) -> tuple[Sequence[Record], int]:
        """Return the next records after a place, and the place that they reach; wait until there are some."""
        if place >= self._plant.head - _BACK:
            return await self._plant.after(place)
        async with self._turn:
            return await self._plant.after(place)

    async def resumed(self, id: str) -> int | None:
        """Return the place of an event that somebody has had, None if it is not known which that was.

        After a crash the journal may give the number of an event again that was told and not yet on the disk, so what
        was told in an earlier life of the gateway ends with the last record of that life.
        """
        boot, _, number = id.partition("-")
        if not (boot.isascii() and boot.isdecimal() and number.isascii() and number.isdecimal()) or len(id) > 40:
            return None
        life, place = int(boot), int(number)
        if life > self._plant.boot or (life == self._plant.boot and place > self._plant.head):
            return None
        if life == self._plant.boot:
            return place
        return await self._end_of(life, min(place, self._plant.head))

    async def _end_of(self, life: int, place: int) -> int:
        """The last place up to this one whose record is not of a later life; 0 if there is none."""
        while place > 0:
            start = max(0, place - _BACK)
            records, _ = await self.after(start) if start < self._plant.head else ((), start)
            known = [record for record in records if record.position <= place]
            if not known:
                return place  # it is not there any more, so it had been committed
            if old := [record.position for record in known if record.boot <= life]:
                return place if old[-1] == known[-1].position else old[-1]
            place = start
        return 0
