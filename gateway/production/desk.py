"""The desk of production: orders, reasons and questions, one at a time and each durable before it is answered.

Everything here blocks and runs in the thread of the file, so nothing happens between a look and a write. `Desk` is what
the API is given: its methods hand over to that thread.
"""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, TypeVar

from gateway.contracts import Clock, Offload
from gateway.model.unit import ratio
from gateway.production import jobs
from gateway.production.elements import Elements, elements, total
from gateway.production.file import ProductionFile
from gateway.production.jobs import Refused
from gateway.production.keeper import Keeper
from gateway.production.news import News, of_order, of_stop, written
from gateway.production.shifts import DAY_NS
from gateway.production.stops import Stops
from gateway.production.unit import Unit

T = TypeVar("T")
_DISPATCH_S: Final = 1.0
_SYSTEM: Final = "gateway"
_TOLD_NS: Final = 1_000
"""Times are told in microseconds: a stop that began within one is meant by it."""


class Desk:
    """Orders, downtime and KPIs of the units of a keeper."""

    def __init__(self, keeper: Keeper, file: ProductionFile, offload: Offload, clock: Clock) -> None:
        self.units: Mapping[str, Unit] = keeper.units
        self.orders_taken = 0
        self._keeper = keeper
        self._stops = Stops(keeper, file)
        self._news = News(keeper, file, self._stops, clock.now_ns())
        self._file = file
        self._offload = offload
        self._clock = clock

    async def ask(self, question: Callable[..., T], *of: Any) -> T:
        """Ask one of the methods below in its thread. Raises ConnectionError if the disk fails."""
        try:
            return await self._offload(question, *of)
        except sqlite3.Error as error:
            raise ConnectionError(f"production cannot be written: {error}") from error

    async def run(self, up: Callable[[], None]) -> None:
        """Give units their next orders, until cancelled. Raises ConnectionError if the disk fails."""
        while True:
            await self.ask(self.dispatch)
            up()
            await asyncio.sleep(_DISPATCH_S)

    # --- questions --------------------------------------------------------------------------

    def of(self, scope: str) -> list[Unit]:
        """Return the unit of this name, or the units at or below this path. Raises KeyError."""
        if scope in self.units:
            return [self.units[scope]]
        found = [unit for unit in self.units.values() if f"{unit.asset}/".startswith(f"{scope}/")]
        if not found:
            raise KeyError(scope)
        return found

    def elements(self, scope: str, start_ns: int, end_ns: int) -> tuple[dict[str, Any], int]:
        """Return the elements of a unit or a line in a range, and until when they are known.

        Energy is in `energy_unit`. Raises ValueError if that of two units cannot be added.
        """
        energy = self.energy_unit(scope)
        parts = [self._elements(unit, start_ns, end_ns, energy) for unit in self.of(scope)]
        return total(parts), min(end_ns, self._keeper.known_ns)

    def shift(self, scope: str, time_ns: int, name: str = "") -> tuple[int, int, str] | None:
        """Return begin, end and name of the shift at a time, or of the last one before it that has this name."""
        week = 8 * 86_400 * 10**9
        turns = self.of(scope)[0].calendar.turns(time_ns - week, time_ns + 1)
        known = [turn for turn in turns if name in ("", turn.name) and turn.start_ns <= time_ns]
        return (known[-1].start_ns, known[-1].end_ns, known[-1].name) if known else None

    def present(self, unit: Unit) -> tuple[int, int, str]:
        """Return begin, end and name of the present or last shift of a unit; without shifts of the day (UTC)."""
        now_ns = self._clock.now_ns()
        day = now_ns // DAY_NS * DAY_NS
        return self.shift(unit.name, now_ns) or (day, day + DAY_NS, "")

    def working(self) -> list[dict[str, Any]]:
        """Return what there is of each unit now: where it is, its state, its shift or day, and its order."""
        return [self._working(unit) for unit in self.units.values()]

    def stops(self, scope: str, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return the stops that began in a range, by time: what, from when to when, and why."""
        found = [stop for unit in self.of(scope) for stop in self._stops.of(unit, start_ns, end_ns)]
        return sorted(found, key=lambda stop: (stop["begin"], stop["unit"]))

    def order(self, id: str) -> dict[str, Any] | None:
        return self._file.job(id)

    def orders(self) -> list[dict[str, Any]]:
        return self._file.jobs()

    def made(self, job: Mapping[str, Any]) -> Elements:
        """Return the elements of an order: those of its unit from its begin to its end; all 0 without unit or begin."""
        if job["begin"] is None or job["unit"] not in self.units:
            return total(())
        return self.elements(job["unit"], job["begin"], job["end"] or self._clock.now_ns())[0]

    def job_on(self, unit: str) -> dict[str, Any] | None:
        """Return the order that is on a unit, or else was last."""
        begun = [job for job in self._file.jobs(unit) if job["begin"] is not None]
        return max(begun, key=lambda job: (job["end"] is None, job["begin"]), default=None)

    def energy_unit(self, scope: str) -> str:
        """Return what the energy of a unit or a line is counted in (UCUM)."""
        return next(filter(None, map(self._keeper.energy_unit, self.of(scope))), "")

    def times(self, job: Mapping[str, Any]) -> dict[str, str | None]:
        """Return when an order began and ended, as people write it."""
        return {name: written(job[edge]) for name, edge in (("StartTime", "begin"), ("EndTime", "end"))}

    def turns(self, unit: Unit, start_ns: int, end_ns: int) -> list[tuple[str, int, int]]:
        """Return name, begin and end of the shifts of a unit that begin in a range; its days (UTC) if it has none."""
        if not unit.calendar.shifts:
            first = start_ns + -start_ns % DAY_NS
            return [("", day, day + DAY_NS) for day in range(first, end_ns, DAY_NS)]
        turns = unit.calendar.turns(start_ns, end_ns)
        return [(turn.name, turn.start_ns, turn.end_ns) for turn in turns if turn.start_ns >= start_ns]

    def described(self, id: str) -> dict[str, Any]:
        """Return JobOrder and JobResponse of an order, in what JSON can carry. Raises KeyError."""
        job = self._known(id)
        return {"JobOrder": job["document"], "JobResponse": self.response(job)}

    def response(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JobResponse of an order, as it is now."""
        known, energy = None, ""
        if job["begin"] is not None and job["unit"] in self.units:
            known = min(job["end"] or self._clock.now_ns(), self._keeper.known_ns)
            energy = self.energy_unit(job["unit"])
        return jobs.response(job, self.made(job), energy, self.times(job), written(known))

    def news(self) -> list[tuple[str, int, dict[str, Any]]]:
        """Return the events that are to be told: path of the tag, time and facts."""
        self._news.look()
        return self._file.events()

    # --- what changes something ---------------------------------------------------------------

    def once(
        self, who: str, route: str, key: str, asked: Any, do: Callable[[], dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Do something once per key and return what came of it, then as now; None if the key asked something else."""
        fingerprint = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        known = self._file.answered(who, route, key)
        if known is not None:
            found: dict[str, Any] = json.loads(known[1])
            return found if known[0] == fingerprint else None
        with self._file.together():
            answer = do()
            self._file.keep_answer(who, route, key, fingerprint, self._clock.now_ns(), json.dumps(answer))
        return answer

    def take(self, job: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Take an order. Raises Refused if it exists, overlaps another, or is late; KeyError for an unknown unit."""
        if job["unit"] not in self.units:
            raise KeyError(job["unit"])
        now_ns = self._clock.now_ns()
        if self._file.job(job["id"]) is not None:
            raise Refused("exists", f"order {job['id']} is known already: give another ID, or command it")
        jobs.fits(job, self._file.jobs(job["unit"]), now_ns)
        taken = {"begin": None, "end": None, "consumed": [], **job, "changed": now_ns}
        self._store(taken, who, "Store")
        self.orders_taken += 1
        return self._dispatched(taken)

    def command(self, id: str, command: str, who: str) -> dict[str, Any]:
        """Command an order. Raises KeyError if it is not known, Refused if it cannot do that now."""
        job = self._known(id)
        self._store(jobs.moved(job, command, self._clock.now_ns()), who, command)
        return self._dispatched(job)

    def consume(self, id: str, material: Sequence[Mapping[str, Any]], who: str) -> dict[str, Any]:
        """Note which lots an order has taken. Raises KeyError if it is not known, Refused once it is closed."""
        job = self._known(id)
        if job["state"] in (jobs.CANCELLED, jobs.CLOSED):
            raise Refused("state", f"order {id} is {job['state']}: nothing can be booked on it any more")
        self._store({**job, "consumed": [*job["consumed"], *material]}, who, "Materials")
        return self._known(id)

    def explain(self, unit: str, begin_ns: int, code: str, text: str, who: str) -> dict[str, Any]:
        """Say why a unit stood. Raises KeyError if it did not stop then."""
        stop = next((s for s in self._stops.of(self.units[unit], begin_ns, begin_ns + _TOLD_NS)), None)
        if stop is None:
            raise KeyError(f"{unit} did not stop then")
        now_ns = self._clock.now_ns()
        facts = {"code": code, "text": text, "who": who, "said": now_ns}
        told = {**stop, "reason": code, "text": text, "said_by": who}
        with self._file.together():
            self._file.put_reason(unit, stop["begin"], facts)
            self._file.put_event(self.units[unit].stops_path, now_ns, of_stop(told, "Explained", now_ns, who))
        return told | {"before": stop["reason"]}

    def dispatch(self) -> None:
        """Give each free unit the order that is due; where a tag names the order, follow that."""
        now_ns = self._clock.now_ns()
        for unit in self.units.values():
            known = self._file.jobs(unit.name)
            if "order" in unit.roles:
                self._follow(unit, known, now_ns)
            elif (job := jobs.next_to_run(known, now_ns)) is not None:
                self._store(jobs.moved(job, "Run", now_ns), _SYSTEM, "Run")

    # --- how ----------------------------------------------------------------------------------

    def _working(self, unit: Unit) -> dict[str, Any]:
        start, end, name = self.present(unit)
        job = self.job_on(unit.name)
        return {
            "name": unit.name,
            "asset": unit.asset,
            "state": self._stops.now(unit),
            "shift": {"name": name, "start": written(start), "end": written(end)},
            "order": None if job is None else {"planned": job["quantity"], "response": self.response(job)},
        }

    def _elements(self, unit: Unit, start_ns: int, end_ns: int, energy: str) -> dict[str, Fraction]:
        found = elements(self._keeper.facts(unit, start_ns, end_ns), start_ns, end_ns)
        own = self._keeper.energy_unit(unit)
        if "energy" in unit.roles and own != energy:
            try:
                found["energy"] *= ratio(own, energy)
            except ValueError as error:
                text = f"energy of {unit.name} in {own or 'no unit'} is not to be added to some in {energy}: {error}"
                raise ValueError(text) from error
        return found

    def _follow(self, unit: Unit, known: Sequence[Mapping[str, Any]], now_ns: int) -> None:
        """Where the machine says which order it works on, that is when an order begins and ends."""
        said = self._keeper.said(unit, "order", now_ns, now_ns + 1).usable()
        if len(said.time) == 0:
            return
        named, since = str(said.value[-1]), int(said.time[-1])
        for job in known:
            if job["state"] in jobs.ON_UNIT and job["id"] != named and since > job["begin"]:
                self._store(jobs.moved(job, "Stop", since), _SYSTEM, "Stop")
        for job in known:
            if job["state"] == jobs.ALLOWED and job["id"] == named:
                self._store(jobs.moved(job, "Run", since), _SYSTEM, "Run")

    def _dispatched(self, job: Mapping[str, Any]) -> dict[str, Any]:
        self.dispatch()
        return self._known(job["id"])

    def _known(self, id: str) -> dict[str, Any]:
        job = self._file.job(id)
        if job is None:
            raise KeyError(id)
        return job

    def _store(self, job: Mapping[str, Any], who: str, command: str) -> None:
        """Store an order and, where it is another one by that, the event that tells of it."""
        with self._file.together():
            self._file.put_job(job)
            if command != "Materials" and job["unit"] in self.units:
                path = self.units[job["unit"]].orders_path
                self._file.put_event(path, job["changed"], of_order(job, command, who))
