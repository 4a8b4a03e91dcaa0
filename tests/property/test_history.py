"""History against a plain list: append, compact, forget and reopen in any order, and ask after each.

Times are few and in any order, so that readings come late, come again, and come between those that are stored.
On SQLite; tests/conformance/test_history_databases.py does the same on PostgreSQL.
"""

import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.historian.backup import findings
from gateway.historian.chunk import Readings
from gateway.historian.history import History, Progress
from gateway.historian.repair import differing, repair
from gateway.historian.rollup import MINUTE_NS
from gateway.historian.schema import engine
from gateway.model import Batch, Kind, Tag
from tests.property import test_held
from tests.property.strategies import column, exact

KINDS = {
    "float": Kind.FLOAT,
    "integer": Kind.INTEGER,
    "unsigned": Kind.UNSIGNED,
    "text": Kind.OBJECT,
    "state": Kind.BOOLEAN,
}
TAGS = {name: Tag("plant/machine", name, unit="bar") for name in [*KINDS, "changing"]}
"""A tag of each kind, and one whose kind changes."""

SECONDS = st.one_of(
    st.integers(-90, 200), st.integers(-2, 4).map(lambda hour: 3600 * hour), st.integers(86_390, 86_410)
)
QUALITIES = st.sampled_from([0, 0, 0, 0x408F_0000, 0x808A_0000])
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.FLOAT: st.sampled_from([math.nan, math.inf, -0.0, 0.1, 72.5, -3.25, 1e6]),
    Kind.INTEGER: st.integers(-1000, 1000),
    Kind.UNSIGNED: st.integers(0, 1000),
    Kind.OBJECT: st.sampled_from(["", "Grüße", None]),
    Kind.BOOLEAN: st.booleans(),
}


@dataclass(frozen=True)
class Reading:
    """One reading of the list."""

    tag: str
    kind: Kind
    time: int
    value: Any
    quality: int

    @property
    def key(self) -> tuple[str, Kind, int]:
        """What history has once: of those that come again, the last one."""
        return self.tag, self.kind, self.time


@st.composite
def emissions(draw: st.DrawFn) -> list[Reading]:
    """Readings that arrive together, of several tags and kinds, in any order of time."""
    found = []
    for _ in range(draw(st.integers(1, 8))):
        name = draw(st.sampled_from([*TAGS]))
        kind = KINDS.get(name) or draw(st.sampled_from([Kind.FLOAT, Kind.BOOLEAN]))
        time = draw(SECONDS) * 1_000_000_000 + draw(st.sampled_from([0, 0, 1]))
        found.append(Reading(name, kind, time, draw(VALUES[kind]), draw(QUALITIES)))
    return found


def told(kind: Kind, time: Iterable[int], value: Iterable[Any], quality: Iterable[int]) -> list[Any]:
    return [(kind, t, exact(v), q) for t, v, q in zip(time, value, quality, strict=True)]


class HistoryMachine(RuleBasedStateMachine):
    """What history should have, by what it has once."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = self.empty()
        self.engine = engine(self.url)
        self.history = History(self.engine)
        self.has: dict[tuple[str, Kind, int], Reading] = {}
        self.waiting = 0
        self.position = 0
        self.forgotten = -(2**60)

    def empty(self) -> str:
        """Return the URL of a database that has nothing."""
        return f"sqlite:///{Path(self.folder.name) / 'history.db'}"

    def teardown(self) -> None:
        self.history.close()
        self.folder.cleanup()

    @rule(emitted=emissions())
    def append(self, emitted: list[Reading]) -> None:
        self.position += 1
        numbers = dict(zip(TAGS, self.history.series(list(TAGS.values())).tolist(), strict=True))
        batches = []
        for kind in Kind:
            rows = [reading for reading in emitted if reading.kind is kind]
            if rows:
                value = (
                    np.array([r.value for r in rows]) if kind is Kind.FLOAT else column(kind, [r.value for r in rows])
                )
                batches.append(
                    Batch.of([numbers[r.tag] for r in rows], [r.time for r in rows], value, [r.quality for r in rows])
                )
        self.history.append(batches, Progress("gw1", "journal", self.position), self.position)
        self.has |= {reading.key: reading for reading in emitted}
        self.waiting += len(emitted)

    @rule(start=SECONDS, scans=st.integers(16, 20), both=st.booleans())
    def poll(self, start: int, scans: int, both: bool) -> None:
        """Read two tags together, again and again; in the end one of them alone, at the time of the last scan."""
        series = dict(zip(TAGS, self.history.series(list(TAGS.values())).tolist(), strict=True))
        names = ["float", "changing"]
        batches = []
        for scan in range(scans + 1 + both):
            of, time = (names, (start + scan) * 10**9) if scan < scans else (names[1:], (start + scans - 1) * 10**9)
            batches.append(Batch.of([series[name] for name in of], time, [0.25 * scan] * len(of)))
            self.has |= {r.key: r for r in (Reading(name, Kind.FLOAT, time, 0.25 * scan, 0) for name in of)}
        self.position += 1
        self.history.append(batches, Progress("gw1", "journal", self.position), self.position)
        self.waiting += sum(map(len, batches))

    @rule()
    def compact(self) -> None:
        assert sum(waiting.readings for waiting in self.history.tail()) == self.waiting
        assert sum(self.history.compact(waiting.shard) for waiting in self.history.tail()) == self.waiting
        assert self.history.tail() == []
        self.waiting = 0

    @rule(now=SECONDS)
    def join(self, now: int) -> None:
        for day in range(-1, 3):
            start_ns = day * 24 * 3600 * 10**9
            for less in self.history.joins(0, start_ns, start_ns + 24 * 3600 * 10**9, now * 10**9 + 25 * 3600 * 10**9):
                assert less > 0
        assert list(findings(self.engine)) == []

    @rule(emitted=emissions(), name=st.sampled_from(["float", "text", "changing"]))
    def repair(self, emitted: list[Reading], name: str) -> None:
        """Readings of one kind in the place of those of the same times, whatever kind these had."""
        mine = sorted({r.time: r for r in emitted if r.tag == name}.values(), key=lambda r: r.time)
        mine = [r for r in mine if r.kind is mine[0].kind]
        if not mine:
            return
        self.history.series(list(TAGS.values()))
        values = [r.value for r in mine]
        value = np.array(values) if mine[0].kind is Kind.FLOAT else column(mine[0].kind, values)
        time, quality = np.array([r.time for r in mine]), np.array([r.quality for r in mine], np.uint32)
        wrong, told_ = differing(self.history, f"plant/machine/{name}", Readings(time, value, quality))
        assert len(wrong) == told_.readings
        if len(wrong):
            repair(self.history, TAGS[name], wrong)
            self.waiting = 0
        self.has = {key: r for key, r in self.has.items() if r.tag != name or r.time not in wrong.time.tolist()}
        self.has |= {r.key: r for r in mine if r.time in wrong.time.tolist()}
        assert list(findings(self.engine)) == []

    @rule(second=SECONDS)
    def forget(self, second: int) -> None:
        """Whole chunks go: what is older may stay, what is not has to."""
        before = second * 1_000_000_000
        self.forgotten = max(self.forgotten, before)
        self.history.forget(before)
        for key, reading in list(self.has.items()):
            if reading.time < before and not self.history.readings(
                f"plant/machine/{reading.tag}", reading.time, reading.time + 1
            ):
                del self.has[key]

    @rule()
    def reopen(self) -> None:
        self.history.close()
        self.history = History(self.engine)

    @precondition(lambda self: self.has)
    @rule(data=st.data(), name=st.sampled_from([*TAGS]))
    def ask_for_a_range(self, data: st.DataObject, name: str) -> None:
        """From reading to reading, so that bounds are met exactly: the first is within, the last is not."""
        times = sorted(reading.time for reading in self.has.values())
        start, end = sorted((data.draw(st.sampled_from(times)), data.draw(st.sampled_from(times))))
        self.check(name, start, end)
        self.check(name, start, start + 1)

    @precondition(lambda self: self.has)
    @rule(data=st.data(), name=st.sampled_from([*KINDS]), usable=st.booleans())
    def ask_for_a_moment(self, data: st.DataObject, name: str, usable: bool) -> None:
        moment = data.draw(st.sampled_from(sorted(r.time for r in self.has.values()))) + data.draw(st.integers(-1, 1))
        mine = [r for r in self.has.values() if r.tag == name and r.time <= moment]
        before = [r for r in mine if not usable or r.quality < 0x4000_0000]
        found = self.history.at(f"plant/machine/{name}", moment, usable=usable)
        if not before:
            assert found is None
            return
        assert found is not None
        last = max(before, key=lambda r: r.time)
        assert told(*columns(found)) == told(last.kind, [last.time], [last.value], [last.quality])

    @precondition(lambda self: self.has)
    @rule(data=st.data(), name=st.sampled_from([*TAGS]), most=st.integers(0, 4))
    def ask_for_the_first_ones(self, data: st.DataObject, name: str, most: int) -> None:
        start = data.draw(st.sampled_from(sorted(r.time for r in self.has.values())))
        times = sorted(r.time for r in self.has.values() if r.tag == name and r.time >= start)
        parts = self.history.readings(f"plant/machine/{name}", start, 2**62, most)
        found = sorted(t for part in parts for t in part.time.tolist())
        assert found == times[: len(found)]
        assert len(found) >= min(most, len(times))

    @rule(
        name=st.sampled_from([*KINDS]), start=SECONDS, length=st.integers(1, 300), minutes=st.sampled_from([1, 5, 60])
    )
    def ask_for_buckets(self, name: str, start: int, length: int, minutes: int) -> None:
        width = minutes * MINUTE_NS
        start_ns = max(start * 1_000_000_000, self.forgotten + width)
        end_ns = start_ns + length * 1_000_000_000
        rows = self.history.aggregate(f"plant/machine/{name}", start_ns, end_ns, width).rows()
        wanted = self.buckets(name, start_ns // width * width, -(-end_ns // width) * width, width)
        assert [row["bucket"] for row in rows] == [*wanted]
        for row in rows:
            numbers = ("count", "good", "minimum", "maximum", "first", "first_time", "last", "last_time")
            total, squares, rest = wanted[row["bucket"]]
            assert tuple(row[number] for number in numbers) == rest
            assert row["total"] == pytest.approx(total)
            assert row["squares"] == pytest.approx(squares)

    @rule(name=st.sampled_from([*TAGS]))
    def ask_by_sql(self, name: str) -> None:
        """Means weighted by time; two kinds of value at one time have no order, so there is no right answer then."""
        mine = sorted((r for r in self.has.values() if r.tag == name), key=lambda r: r.time)
        if len({r.time for r in mine}) == len(mine):
            for waiting in self.history.tail():
                self.waiting -= self.history.compact(waiting.shard)
            readings = [(r.time, float(r.value) if counts(r) else None) for r in mine]
            test_held.check(self.history, f"plant/machine/{name}", readings)

    @invariant()
    def has_what_the_list_has(self) -> None:
        for name in TAGS:
            self.check(name, -(2**62), 2**62)
            newest = max((reading.time for reading in self.has.values() if reading.tag == name), default=0)
            self.check(name, newest, newest + 1)
        assert self.history.stored("gw1", "journal") == self.position

    def check(self, name: str, start_ns: int, end_ns: int) -> None:
        found = self.history.readings(f"plant/machine/{name}", start_ns, end_ns)
        rows = [row for part in found for row in told(*columns(part))]
        wanted = [r for r in self.has.values() if r.tag == name and start_ns <= r.time < end_ns]
        for kind in Kind:
            sorted_ = sorted((r for r in wanted if r.kind is kind), key=lambda r: r.time)
            of_kind = told(kind, *zip(*((r.time, r.value, r.quality) for r in sorted_), strict=True)) if sorted_ else []
            assert [row for row in rows if row[0] is kind] == of_kind
        assert len(rows) == len(wanted)

    def buckets(self, name: str, start_ns: int, end_ns: int, width: int) -> dict[int, tuple[Any, ...]]:
        """What one would compute from the list, by bucket: total, squares, and the rest."""
        found: dict[int, list[Reading]] = {}
        for reading in sorted(self.has.values(), key=lambda r: r.time):
            if reading.tag == name and start_ns <= reading.time < end_ns:
                found.setdefault(reading.time // width * width, []).append(reading)
        return {bucket: summary(readings) for bucket, readings in found.items()}


def columns(part: Any) -> tuple[Kind, list[int], list[Any], list[int]]:
    batch = Batch(np.zeros(len(part), np.uint32), part.time, part.value, part.quality)
    return batch.kind, part.time.tolist(), part.value.tolist(), part.quality.tolist()


def counts(reading: Reading) -> bool:
    """Whether it is a good number."""
    return reading.kind is not Kind.OBJECT and reading.quality < 0x4000_0000 and math.isfinite(reading.value)


def summary(readings: Sequence[Reading]) -> tuple[float, float, tuple[Any, ...]]:
    numbers = [(r.time, float(r.value)) for r in readings if counts(r)]
    if not numbers:
        return 0.0, 0.0, (len(readings), 0, None, None, None, 0, None, 0)
    values = [value for _, value in numbers]
    (early, _), (late, last) = numbers[0], numbers[-1]
    first = [value for time, value in numbers if time == early][-1]
    squares = sum((value - sum(values) / len(values)) ** 2 for value in values)
    return sum(values), squares, (len(readings), len(values), min(values), max(values), first, early, last, late)


HistoryMachine.TestCase.settings = settings(deadline=None, max_examples=18, stateful_step_count=15)
TestHistory = HistoryMachine.TestCase
