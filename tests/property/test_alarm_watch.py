"""Limits as columns against the obvious loop over readings, however they are cut into batches; and delays, by time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.alarms.rule import Kind, Rule
from gateway.alarms.watch import Turn, Watch
from gateway.model import Batch, Quality
from gateway.model.batch import objects

S = 10**9
STALE = Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE
PATHS = ("a/b/level", "a/b/set", "a/b/mode")
NUMBERS = {path: number for number, path in enumerate(PATHS)}


def a_rule(name: str, kind: Kind = Kind.LIMIT, tag: str = PATHS[0], **keys: Any) -> Rule:
    return Rule(f"level/{name}", name, tag, "a/b", kind, "low", 250, **keys)


RULES = [
    a_rule("high", limit=5.0, deadband=1.0),
    a_rule("high_high", limit=7.0, on_delay_ns=3, off_delay_ns=2),
    a_rule("low", limit=2.0, high=False, deadband=0.5, off_delay_ns=4),
    a_rule("far", Kind.DEVIATION, limit=2.0, setpoint=PATHS[1], on_delay_ns=1),
    a_rule("near", Kind.DEVIATION, limit=-3.0, high=False, setpoint=4.0),
    a_rule("rises", Kind.RATE, limit=1.0, per_ns=1),
    a_rule("falls", Kind.RATE, limit=-2.0, high=False, per_ns=2, deadband=1.0),
    a_rule("odd", Kind.DISCRETE, values=(1.0, 3.0, 9.0), on_delay_ns=2),
    a_rule("off", Kind.OFF_NORMAL, tag=PATHS[2], values=("auto", "hand")),
    a_rule("number", Kind.DISCRETE, tag=PATHS[2], values=(3.0,)),
    a_rule("lost", Kind.COMMS, off_delay_ns=2),
]


@dataclass
class Slowly:
    """One alarm, one reading after the other."""

    rule: Rule
    holds: bool = False
    active: bool = False
    known: bool = False
    since: int = 0
    value: float | None = None
    time: int | None = None
    setpoint: float | None = None

    def quantity(self, path: str, time: int, value: float | str, quality: int) -> float | bool | None:
        """What is compared with the limit; None if nothing can be said, and a bool is whether it holds."""
        rule = self.rule
        poor = quality >> 30 == 2 or quality == STALE
        if rule.kind is Kind.COMMS:
            return poor
        number = value if isinstance(value, float) and value - value == 0 else None
        usable = not poor and (number is not None or isinstance(value, str))
        if rule.kind is Kind.DEVIATION:
            if path == rule.setpoint:
                self.setpoint = number if usable else None
            else:
                self.value = number if usable else None
            setpoint = rule.setpoint if isinstance(rule.setpoint, float) else self.setpoint
            return None if self.value is None or setpoint is None else self.value - setpoint
        if rule.values:
            fits = isinstance(value, type(rule.values[0])) and usable
            among = any(value == one for one in rule.values)
            return None if not fits else among == (rule.kind is Kind.DISCRETE)
        if not usable or number is None or rule.kind is Kind.LIMIT:
            return number if usable else None
        before, then = self.value, self.time
        self.value, self.time = number, time
        if before is None or then is None or time <= then:
            return float("nan")
        return (number - before) * rule.per_ns / (time - then)

    def take(self, path: str, time: int, value: Any, quality: int) -> list[tuple[bool, int]]:
        if path not in (self.rule.tag, self.rule.setpoint):
            return []
        turns = self.due(time)
        x = self.quantity(path, time, value, quality)
        if x is None:
            self.known = False
            return turns
        holds = self.holds
        if isinstance(x, bool):
            holds = x
        elif self.rule.high:
            holds = x >= self.rule.limit or (holds and not x < self.rule.limit - self.rule.deadband)
        else:
            holds = x <= self.rule.limit or (holds and not x > self.rule.limit + self.rule.deadband)
        if holds != self.holds or not self.known:
            self.since, self.holds, self.known = time, holds, True
        return turns + self.due(time)

    def due(self, time: int) -> list[tuple[bool, int]]:
        due = self.since + (self.rule.on_delay_ns if self.holds else self.rule.off_delay_ns)
        if not self.known or self.holds == self.active or time < due:
            return []
        self.active = self.holds
        return [(self.active, due)]


READINGS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 3),
        st.one_of(st.integers(0, 9).map(float), st.sampled_from(["auto", "off", float("nan")])),
        st.sampled_from([0, 0, 0, 0, 0, Quality.BAD_TIMEOUT, STALE, Quality.UNCERTAIN_SUB_NORMAL]),
    ),
    max_size=40,
)


@given(READINGS, st.lists(st.integers(1, 40), max_size=6))
@settings(deadline=None, max_examples=300)
def test_columns_say_what_a_plain_loop_says(readings: list[tuple[int, int, Any, int]], cuts: list[int]) -> None:
    watch, slow = Watch(RULES, NUMBERS, 0), [Slowly(rule) for rule in RULES]
    rows, now = [], 0
    for tag, step, value, quality in readings:
        now += step
        rows.append((tag, now, value, quality))
    found: list[list[tuple[bool, int]]] = [[] for _ in RULES]
    wanted: list[list[tuple[bool, int]]] = [[] for _ in RULES]
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(rows)], strict=True):
        if part := rows[begin:end]:
            received = part[-1][1]
            for turn in watch.take(batch(part), received):
                found[turn.rule].append((turn.raised, turn.time_ns))
            for each, turns in zip(slow, wanted, strict=True):
                for tag, time, value, quality in part:
                    at = received if each.rule.kind is Kind.COMMS else time
                    turns += each.take(PATHS[tag], at, value, quality)
    assert found == wanted


def batch(rows: Sequence[tuple[int, int, Any, int]]) -> Batch:
    tags, times, values, qualities = zip(*rows, strict=True)
    column = np.array(values, float) if all(isinstance(value, float) for value in values) else objects(values)
    return Batch(np.array(tags, np.uint32), np.array(times, np.int64), column, np.array(qualities, np.uint32))


def say(watch: Watch, second: float, value: float, quality: int = 0) -> list[Turn]:
    return watch.take(Batch.of([0], round(second * S), value, quality), round(second * S))


def told(turns: Sequence[Turn]) -> list[tuple[bool, float]]:
    return [(turn.raised, turn.time_ns / S) for turn in turns]


def test_a_delay_passes_without_readings() -> None:
    watch = Watch([a_rule("high", limit=5.0, on_delay_ns=5 * S, off_delay_ns=2 * S)], NUMBERS, 0)
    assert say(watch, 10, 6.0) == []
    assert watch.wake(14 * S) == []
    assert told(watch.wake(15 * S)) == [(True, 15.0)]
    assert watch.wake(99 * S) == []
    assert say(watch, 100, 4.0) == []
    assert told(watch.wake(103 * S)) == [(False, 102.0)]


def test_a_source_whose_clock_is_wrong_waits_as_long_as_others() -> None:
    watch = Watch([a_rule("high", limit=5.0, on_delay_ns=5 * S)], NUMBERS, 0)
    assert watch.take(Batch.of([0], 1_000 * S, 6.0), 10 * S) == []
    assert watch.wake(14 * S) == []
    assert told(watch.wake(15 * S)) == [(True, 1_005.0)]


@pytest.mark.parametrize("poor", [Quality.BAD_NOT_CONNECTED, STALE])
def test_what_is_not_known_neither_raises_nor_clears_and_the_delay_begins_anew(poor: Quality) -> None:
    watch = Watch([a_rule("high", limit=5.0, on_delay_ns=5 * S)], NUMBERS, 0)
    say(watch, 10, 6.0)
    assert say(watch, 12, 6.0, poor) == []
    assert watch.wake(99 * S) == []
    assert not watch.known[0]
    assert say(watch, 100, 6.0) == []
    assert told(watch.wake(105 * S)) == [(True, 105.0)]
    assert say(watch, 110, 0.0, poor) == []
    assert watch.active[0], "it is kept"
    assert told(say(watch, 111, 0.0)) == [(False, 111.0)]


def test_silence_is_an_alarm_and_a_word_ends_it() -> None:
    watch = Watch([a_rule("lost", Kind.COMMS, silent_ns=60 * S)], NUMBERS, 5 * S)
    assert watch.wake(64 * S) == []
    assert told(watch.wake(65 * S)) == [(True, 65.0)], "nothing ever came"
    assert watch.wake(200 * S) == []
    assert told(say(watch, 201, 1.0)) == [(False, 201.0)]
    assert told(watch.wake(261 * S)) == [(True, 261.0)]


def test_after_a_restart_nothing_is_raised_twice() -> None:
    watch = Watch([a_rule("high", limit=5.0)], NUMBERS, 0)
    watch.begin([0])
    assert say(watch, 1, 8.0) == []
    assert told(say(watch, 2, 1.0)) == [(False, 2.0)]


def test_whole_numbers_and_truth_are_numbers() -> None:
    watch = Watch([a_rule("on", Kind.DISCRETE, values=(1.0,))], NUMBERS, 0)
    assert told(watch.take(Batch.of([0], S, True), S)) == [(True, 1.0)]
    assert told(watch.take(Batch.of([0], 2 * S, 0), 2 * S)) == [(False, 2.0)]
    assert told(watch.take(Batch.of([0], 3 * S, np.array([1], np.uint64)), 3 * S)) == [(True, 3.0)]
