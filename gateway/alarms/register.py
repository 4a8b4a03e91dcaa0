"""The register: how every alarm is, what records and people do to it, and what has to be told. Blocking, one thread.

Alarms of the configuration come from readings (watch.py), those of servers and of signals from their events. What a
delivery of the journal comes to is kept in one transaction; a record that comes again is known by its place. Our own
events come back with the journal too: then they are told, so after a crash those are told that have not come back, and
no other.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import orjson

from gateway.alarms import events
from gateway.alarms.alarm import Alarm, Answer, Settings, way_out
from gateway.alarms.events import About
from gateway.alarms.file import AlarmFile, Reached, Transition
from gateway.alarms.rule import Rule
from gateway.alarms.states import Condition, Deed, Refused, Shelving
from gateway.alarms.watch import Turn, Watch
from gateway.cloudevents import Events
from gateway.model import Batch, Catalog, Record
from gateway.model.method import Method
from gateway.model.quality import name as quality_name
from gateway.payload import timestamp

TAG: Final = "_events/alarms"
"""The tag of an asset by which it is told what happens to its alarms."""
FOREIGN_MAX: Final = 20_000
"""Alarms of others that are not normal; what is beyond that is counted."""
SYSTEM: Final = "gateway"


class Register:
    """All alarms. `methods` are what may be called at devices, by path."""

    def __init__(
        self,
        file: AlarmFile,
        catalog: Catalog,
        rules: Sequence[Rule],
        methods: Mapping[str, Method],
        settings: Settings,
        now_ns: Callable[[], int],
    ) -> None:
        self.settings = settings
        self.foreign_refused = 0
        self._file = file
        self._catalog = catalog
        self._rules = rules
        self._methods = methods
        self._place_of = {rule.id: place for place, rule in enumerate(rules)}
        self._events = Events(catalog)
        numbers = {
            path: catalog.number(path) for rule in rules for path in (rule.tag, rule.setpoint) if isinstance(path, str)
        }
        self._watch = Watch(rules, numbers, now_ns())
        self._now_ns = now_ns
        self._reached, self._last = file.reached(), file.last()
        self.restore()
        self._retire()

    # --- what records do ----------------------------------------------------------------------

    def write(self, records: Sequence[Record]) -> None:
        """Take records, and keep what follows. Raises sqlite3.Error; then `restore`."""
        for record in records:
            if record.place <= self._reached.place:
                continue
            for batch in record.batches:
                if not batch.historical:
                    self._hear(batch)
                    self._turn(self._watch.take(batch, record.received), record.received)
            self._reached = replace(self._reached, place=record.place)
        if records:
            self._pass_time(records[-1].received)
        self._commit()

    def wake(self, now_ns: int) -> None:
        """Take it that nothing came until now, and keep what follows. Raises sqlite3.Error; then `restore`."""
        self._pass_time(now_ns)
        self._commit()

    def restore(self) -> None:
        """Be as the file says. What delays wait for is forgotten."""
        self._alarms = {rule.id: Alarm(About.of(rule)) for rule in self._rules}
        self._reached = self._file.reached()
        if self._reached.journal != self.settings.journal:
            self._reached = Reached(self.settings.journal, 0, self._reached.told)
        self._told = self._reached.told
        self._last = self._file.last()
        self._changed: set[str] = set()
        self._gone: set[str] = set()
        self._noted: list[Transition] = []
        self._placed: dict[tuple[str, int], int] = {}
        for kept in self._file.kept():
            known = self._alarms.get(kept.id)
            self._alarms[kept.id] = Alarm.of(kept, None if known is None else known.about)
        self._foreign = sum(alarm.about.foreign for alarm in self._alarms.values())
        self._shelved = {id for id, alarm in self._alarms.items() if alarm.condition.until_ns}
        self._watch.begin(place for id, place in self._place_of.items() if self._alarms[id].holds)

    # --- what people do -----------------------------------------------------------------------

    def answer(self, ids: Sequence[str], answer: Answer) -> list[tuple[str, str]]:
        """Do it to these alarms, and keep that; return those that refuse, and why. Raises KeyError for an unknown one.

        Raises sqlite3.Error as well; then `restore`.
        """
        refused = []
        for alarm in [self._alarms[id] for id in ids]:
            try:
                self._answer(alarm, answer)
            except Refused as error:
                refused.append((alarm.about.id, str(error)))
        self._commit()
        return refused

    def elsewhere(self, id: str) -> tuple[str, str]:
        """Return the method by which its server acknowledges an alarm, '' if it has none, and the EventId for it."""
        alarm = self._alarms[id]
        method = f"{alarm.about.tag}/acknowledge"
        return (method, alarm.event) if alarm.about.foreign and method in self._methods else ("", alarm.event)

    # --- what is asked ------------------------------------------------------------------------

    def listed(self, wanted: Callable[[Alarm], bool]) -> list[tuple[Alarm, bool]]:
        """Return the alarms that are wanted, and of each whether its readings are known to say so."""
        return [(replace(alarm), self._certain(alarm)) for alarm in self._alarms.values() if wanted(alarm)]

    def one(self, id: str) -> tuple[Alarm, bool]:
        """Return an alarm and whether its readings are known to say so. Raises KeyError."""
        alarm = self._alarms[id]
        return replace(alarm), self._certain(alarm)

    @property
    def last(self) -> int:
        """The number of the last transition."""
        return self._last

    @property
    def told(self) -> int:
        """Up to which number the journal has our events."""
        return self._reached.told

    # --- how ----------------------------------------------------------------------------------

    def _turn(self, turns: Sequence[Turn], received_ns: int) -> None:
        received = timestamp(received_ns) if turns else ""
        for turn in turns:
            rule = self._rules[turn.rule]
            quality = quality_name(int(self._watch.quality[turn.rule]))
            textual = any(isinstance(value, str) for value in rule.values)
            value = None if textual or np.isnan(turn.value) else turn.value
            facts = {"Value": value, "Quality": quality, "ReceiveTime": received}
            self._do(self._alarms[rule.id], Deed.RAISE if turn.raised else Deed.CLEAR, turn.time_ns, facts)

    def _hear(self, batch: Batch) -> None:
        """Take the events among readings: ours, which are told then, and those of others."""
        for some in self._events.among([batch]):
            for number, time, event in zip(some.tag.tolist(), some.time.tolist(), some.value.tolist(), strict=True):
                tag = self._catalog[number]
                if tag.name == TAG:
                    self._came_back(str(event.get("EventId")))
                elif about := events.about(event, tag.asset, tag.path, self.settings.site, self.settings.priorities):
                    self._heard(about, event, time)

    def _came_back(self, event_id: str) -> None:
        own, _, number = event_id.partition("-")
        if own == self._file.id and number.isdecimal():
            self._reached = replace(self._reached, told=max(self._reached.told, int(number)))

    def _heard(self, about: About, event: Mapping[str, Any], time_ns: int) -> None:
        """Take what another says of its alarm; it is told already."""
        known = self._alarms.get(about.id)
        if known is not None and known.about.condition != about.condition:
            about = replace(about, id=f"{about.id}-{zlib.crc32(about.condition.encode()):08x}")
            known = self._alarms.get(about.id)
        active = events.is_active(event)
        if known is None and not (active or event.get("Retain")):
            return
        if known is None and self._foreign >= FOREIGN_MAX:
            self.foreign_refused += 1
            return
        alarm = self._alarms.setdefault(about.id, Alarm(about))
        self._foreign += known is None
        alarm.about, alarm.event = about, str(event.get("EventId") or alarm.event)
        self._changed.add(about.id)
        if active != alarm.condition.active:
            self._do(alarm, Deed.RAISE if active else Deed.CLEAR, time_ns, event, told=True)
        by_server = f"{about.tag}/acknowledge" in self._methods
        if by_server and not alarm.condition.acked and (event.get("AckedState") or not event.get("Retain")):
            self._do(alarm, Deed.ACKNOWLEDGE, time_ns, event, told=True)
        alarm.said = {**alarm.said, **event}

    def _answer(self, alarm: Alarm, answer: Answer) -> None:
        now_ns = self._now_ns()
        if answer.event and answer.event != alarm.event:
            raise Refused(f"its latest event is {alarm.event}, not {answer.event}: look at it again")
        for_ns = self.settings.shelve_max_ns if answer.for_ns is None else answer.for_ns
        if for_ns > self.settings.shelve_max_ns:
            raise Refused(f"alarms are shelved for {self.settings.shelve_max_ns / 1e9:g} s at most")
        facts = {"ClientUserId": answer.who or None, "Comment": answer.comment or None}
        shelving = Shelving.ONE_SHOT if answer.one_shot else Shelving.TIMED
        self._do(alarm, answer.deed, now_ns, facts, shelving=shelving, until_ns=now_ns + for_ns)

    def _pass_time(self, now_ns: int) -> None:
        self._turn(self._watch.wake(now_ns), now_ns)
        for id in [id for id in self._shelved if self._alarms[id].condition.until_ns <= now_ns]:
            alarm = self._alarms[id]
            self._do(alarm, Deed.UNSHELVE, alarm.condition.until_ns, {"ClientUserId": SYSTEM, "Comment": "time is up"})

    def _do(
        self, alarm: Alarm, deed: Deed, time_ns: int, facts: Mapping[str, Any], *, told: bool = False, **how: Any
    ) -> None:
        """Do something to an alarm, that is told already or will be. Raises Refused if that cannot be done."""
        about, before = alarm.about, alarm.condition
        alarm.condition = after = before.after(deed, latching=about.latching, **how)
        self._last += 1
        event_id = f"{self._file.id}-{self._last}"
        said = events.told(about, event_id, deed, before.state, after, {"Time": timestamp(time_ns), **facts})
        alarm.said, alarm.changed_ns = said, time_ns
        if deed is Deed.RAISE:
            alarm.raised_ns = time_ns
            alarm.event = alarm.event if about.foreign else event_id
        (self._shelved.add if after.until_ns else self._shelved.discard)(about.id)
        tag = "" if told else f"{about.asset}/{TAG}"
        place = time_ns + self._nth(tag, time_ns)
        text = orjson.dumps(said, default=str).decode()
        self._noted.append(
            Transition(self._last, about.id, time_ns, deed.value, after.hidden, about.priority, tag, place, text)
        )
        self._changed.add(about.id)

    def _nth(self, tag: str, time_ns: int) -> int:
        """How many events of a tag have this time: history has one reading of a tag at a time."""
        n = self._placed.get((tag, time_ns))
        n = (self._file.at(tag, time_ns) if tag else 0) if n is None else n
        self._placed[tag, time_ns] = n + 1
        return n

    def _commit(self) -> None:
        """Keep what is not kept; how far the journal is taken by itself is not worth a transaction."""
        if not self._changed and not self._gone and self._reached.told == self._told:
            return
        for id in self._changed:
            alarm = self._alarms[id]
            if alarm.about.foreign and alarm.condition == Condition():
                self._gone.add(id)
        rows = [self._alarms[id].kept for id in self._changed - self._gone]
        self._file.add(rows, self._gone, self._noted, self._reached)
        for id in self._gone:
            self._foreign -= self._alarms.pop(id).about.foreign
        self._changed, self._gone, self._noted, self._placed = set(), set(), [], {}
        self._told = self._reached.told

    def _retire(self) -> None:
        """End the alarms that are no more in the configuration."""
        for alarm in [one for one in self._alarms.values() if not one.about.foreign]:
            if alarm.about.id in self._place_of:
                continue
            facts = {"ClientUserId": SYSTEM, "Comment": "it is no more in the configuration"}
            while (deed := way_out(alarm.condition)) is not None:
                self._do(alarm, deed, self._now_ns(), facts)
            self._gone.add(alarm.about.id)
        self._commit()

    def _certain(self, alarm: Alarm) -> bool:
        place = self._place_of.get(alarm.about.id)
        return place is None or bool(self._watch.known[place])
