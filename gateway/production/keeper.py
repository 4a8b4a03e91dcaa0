"""From the journal's cursor into production, exactly once, and from there the facts of a unit in any range.

A Sink. How far the journal is taken is written with the edges; records that come again are known and passed over.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Clock, Offload
from gateway.model import Catalog, Kind, Record
from gateway.production.elements import Facts
from gateway.production.file import ProductionFile, Reached
from gateway.production.intake import Edge, Intake
from gateway.production.thin import MINUTE_NS, needless, repeated
from gateway.production.track import Track
from gateway.production.unit import COUNTERS, EVENTS, Unit

_CHORES_S: Final = 5.0
_THIN_EVERY: Final = 12
_FRESH_NS: Final = 3_600 * 10**9
"""What is younger than an hour is kept reading by reading, for late ones may come between."""
_ANSWERS_NS: Final = 48 * 3_600 * 10**9
"""How long an Idempotency-Key is good; the draft standard asks for a day at least."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the journal comes from, and how long what follows from it is kept."""

    journal: str
    retention_ns: int


class Keeper:
    """Keeps what the role tags of `units` said. `known_ns` is until when, [ns]."""

    def __init__(
        self,
        file: ProductionFile,
        offload: Offload,
        catalog: Catalog,
        clock: Clock,
        units: Sequence[Unit],
        settings: Settings,
    ) -> None:
        self.units = {unit.name: unit for unit in units}
        self.readings = 0
        self._file = file
        self._offload = offload
        self._catalog = catalog
        self._clock = clock
        self._settings = settings
        paths = sorted({path for unit in units for path in unit.roles.values()})
        self._series = {path: number for path, number in file.series(paths).items() if path in set(paths)}
        self._intake, self._reached = self._restored()
        self._series_of: NDArray[np.int64] = np.empty(0, np.int64)
        self._is_event: NDArray[np.bool_] = np.empty(0, np.bool_)

    @property
    def known_ns(self) -> int:
        return self._reached.until_ns

    def counts(self) -> Mapping[str, int]:
        """Return what was counted, by name."""
        return {"readings_kept": self.readings}

    async def write(self, records: Sequence[Record]) -> None:
        """Keep what the records say. Raises ConnectionError if the disk does not take it."""
        try:
            await self._offload(self._write, records)
        except sqlite3.Error as error:
            self._intake, self._reached = await self._offload(self._restored)
            raise ConnectionError(f"production cannot be written: {error}") from error

    async def chores(self, up: Callable[[], None], behind: Callable[[], int]) -> None:
        """Say that nothing came for a while, thin and forget, until cancelled. Raises ConnectionError."""
        turn = 0
        while True:
            try:
                if behind() == 0:
                    await self._offload(self._nothing_came, self._clock.now_ns())
                if turn % _THIN_EVERY == 0:
                    await self._offload(self._thin, self._clock.now_ns())
            except sqlite3.Error as error:
                raise ConnectionError(f"production cannot be written: {error}") from error
            up()
            turn += 1
            await asyncio.sleep(_CHORES_S)

    def facts(self, unit: Unit, start_ns: int, end_ns: int) -> Facts:
        """Return what is known of a unit in a range and its margins. Blocking, in the thread of the file."""
        first, last = start_ns - unit.margin_ns, end_ns + unit.margin_ns
        rows = {role: self._file.edges(self._series[path], first, last) for role, path in unit.roles.items()}
        orders = [(job["begin"], job["end"] or last) for job in self._file.jobs(unit.name, first, last)]
        return unit.facts(rows, orders, self.known_ns)

    def energy_unit(self, unit: Unit) -> str:
        """Return the unit of the energy counter (UCUM), as the configuration or the device has it."""
        path = unit.roles.get("energy")
        return self._catalog[self._catalog.number(path)].unit if path else ""

    def labels(self, unit: Unit, role: str) -> Mapping[int, str]:
        """Return what the numbers of a role's tag are called."""
        path = unit.roles.get(role)
        return self._catalog[self._catalog.number(path)].labels if path else {}

    def said(self, unit: Unit, role: str, start_ns: int, end_ns: int) -> Track:
        """Return what the tag of a role said. Blocking, in the thread of the file."""
        path = unit.roles.get(role)
        return Track.of(self._file.edges(self._series[path], start_ns, end_ns) if path else ())

    # --- in the thread of the file ----------------------------------------------------------

    def _restored(self) -> tuple[Intake, Reached]:
        """What the file has: the same as before a write that failed."""
        intake = Intake()
        for number in self._series.values():
            newest = self._file.newest(number)
            intake.begin(number, *(newest[:1] if newest else ()), known=newest is None or newest[1] is not None)
        return intake, self._file.reached()

    def _write(self, records: Sequence[Record]) -> None:
        if len(self._series_of) < len(self._catalog):
            self._series_of = np.array([self._series.get(tag.path, -1) for tag in self._catalog.tags], np.int64)
            self._is_event = np.array([tag.name.startswith(f"{EVENTS}/") for tag in self._catalog.tags], np.bool_)
        reached = self._reached
        if reached.journal != self._settings.journal:
            reached = replace(reached, journal=self._settings.journal, place=0, boot=0)
        edges: list[Edge] = []
        told: list[str] = []
        for record in records:
            if record.place <= reached.place:
                continue
            if record.boot != reached.boot:
                edges += self._intake.pause(reached.until_ns)
            for batch in record.batches:
                edges += self._intake.take(batch, self._series_of, record.received)
                if batch.kind is Kind.OBJECT:
                    events = batch.value[self._is_event[batch.tag]]
                    told += [event["EventId"] for event in events if event is not None]
            until = max(reached.until_ns, record.received + 1)
            reached = replace(reached, place=record.place, boot=record.boot, until_ns=until)
        self._file.add(edges, reached, told)
        self.readings += len(edges)
        self._reached = reached

    def _nothing_came(self, now_ns: int) -> None:
        if self._reached.place and now_ns > self._reached.until_ns:
            reached = replace(self._reached, until_ns=now_ns)
            self._file.add((), reached)
            self._reached = reached

    def _thin(self, now_ns: int) -> None:
        """Thin what has become old, and forget what is too old."""
        start, end = self._reached.thinned_ns, (now_ns - _FRESH_NS) // MINUTE_NS * MINUTE_NS
        cuts: list[int] = []
        for unit in self.units.values():
            cuts += [
                job[edge] for job in self._file.jobs(unit.name, start, end) for edge in ("begin", "end") if job[edge]
            ]
            for role in unit.roles.keys() - set(COUNTERS):
                track = self.said(unit, role, start, end)
                self._drop(unit.roles[role], track, repeated(track))
                cuts += [*track.time.tolist(), *(track.time + unit.startup_ns).tolist()]
        for unit in self.units.values():
            for role in unit.roles.keys() & set(COUNTERS):
                track = self.said(unit, role, start, end)
                self._drop(unit.roles[role], track, needless(track, np.array(cuts, np.int64)))
        self._file.forget(now_ns - self._settings.retention_ns, now_ns - _ANSWERS_NS)
        self._reached = replace(self._reached, thinned_ns=max(start, end))
        self._file.add((), self._reached)

    def _drop(self, path: str, track: Track, rows: NDArray[np.bool_]) -> None:
        self._file.drop(self._series[path], track.time[rows].tolist())
