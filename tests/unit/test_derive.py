"""Signals get the readings that they ask for, in order of arrival, and what they derive is emitted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.derive import Derived, Deriving
from gateway.journal import Journal, JournalFile
from gateway.model import Batch, Catalog, Kind, Tag
from gateway.recall import Built
from tests.inline import inline
from tests.simulation.loop import LoopClock, simulate


class Doubled:
    """A Signal: twice the value of its inputs, on another tag; remembers what it was given."""

    def __init__(self, inputs: Sequence[int], output: int) -> None:
        self.inputs = np.array(inputs, np.uint32)
        self.given: list[tuple[Kind, list[int]]] = []
        self._output = output

    def update(self, batch: Batch) -> Sequence[Batch]:
        self.given.append((batch.kind, batch.tag.tolist()))
        if batch.kind is not Kind.FLOAT:
            return ()
        return [Batch.of([self._output] * len(batch), batch.time, 2.0 * batch.value)]


def built(*signals: Doubled) -> dict[str, Built]:
    return {f"s{n}": Built(signal, "", np.empty(0, np.uint32)) for n, signal in enumerate(signals)}


@asynccontextmanager
async def deriving(folder: Path, derived: Derived, emitted: list[Any]) -> AsyncIterator[Journal]:
    """Signals that read a journal; what they emit goes into it as well."""
    file = JournalFile(folder / "journal.db")
    file.save(Catalog([Tag("a", f"t{n}") for n in range(12)]))
    journal = Journal(file, inline, LoopClock())

    def emit(*batches: Batch) -> None:
        emitted.append([pair for b in batches for pair in zip(b.tag.tolist(), b.value.tolist(), strict=True)])
        journal.append(0, batches)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        task = tasks.create_task(Deriving(derived, journal, emit, inline).run(lambda: None))
        await asyncio.sleep(1.0)
        yield journal
        await asyncio.sleep(1.0)
        task.cancel()
        journal.close()
    await journal.finish()
    file.close()


async def derived(folder: Path, signals: Sequence[Doubled], puts: Sequence[Sequence[Batch]]) -> list[Any]:
    """Append batches one after another; return what was emitted, as (tag, value) of each emission."""
    emitted: list[Any] = []
    async with deriving(folder, Derived(built(*signals), 12), emitted) as journal:
        for put in puts:
            journal.append(0, put)
            await asyncio.sleep(1.0)
    return emitted


def test_only_the_inputs_are_given_and_the_answers_emitted(tmp_path: Path) -> None:
    signal = Doubled([1, 3], 9)
    emitted = simulate(derived(tmp_path, [signal], [[Batch.of([0, 1, 2, 3, 1], 0, [0.0, 1.0, 2.0, 3.0, 1.5])]]))
    assert signal.given == [(Kind.FLOAT, [1, 3, 1])]
    assert emitted == [[(9, 2.0), (9, 6.0), (9, 3.0)]]


def test_a_signal_that_nothing_concerns_is_left_alone(tmp_path: Path) -> None:
    concerned, idle = Doubled([1], 8), Doubled([5], 9)
    emitted = simulate(derived(tmp_path, [concerned, idle], [[Batch.of([1], 0, [1.0])], [Batch.of([0], 0, [1.0])]]))
    assert (len(concerned.given), idle.given) == (1, [])
    assert emitted == [[(8, 2.0)]]


def test_what_came_meanwhile_is_given_at_once_in_the_order_in_which_it_came(tmp_path: Path) -> None:
    signal, reader = Doubled([1, 2, 3], 9), Doubled([1, 4], 8)
    came = [Batch.of([1], 0, [1.0]), Batch.of([2], 1, [True]), Batch.of([4], 1, ["text"]), Batch.of([3, 1], 2, [2, 3])]
    simulate(derived(tmp_path, [signal, reader], [came]))
    assert signal.given == [(Kind.FLOAT, [1, 2, 3, 1])]
    assert reader.given == [(Kind.FLOAT, [1]), (Kind.OBJECT, [4]), (Kind.FLOAT, [1])]


def test_what_comes_from_the_history_of_a_device_is_too_late_for_a_signal(tmp_path: Path) -> None:
    signal = Doubled([1], 9)
    late = replace(Batch.of([1], 0, [1.0]), historical=True)
    simulate(derived(tmp_path, [signal], [[Batch.of([1], 5, [5.0])], [late]]))
    assert signal.given == [(Kind.FLOAT, [1])]


def test_a_signal_may_feed_another(tmp_path: Path) -> None:
    first, second = Doubled([1], 2), Doubled([2], 3)
    emitted = simulate(derived(tmp_path, [first, second], [[Batch.of([1], 0, [1.0])]]))
    assert emitted == [[(2, 2.0)], [(3, 4.0)]]


def test_what_was_in_the_journal_before_there_were_signals_is_past(tmp_path: Path) -> None:
    simulate(derived(tmp_path, [], [[Batch.of([1], 0, [1.0])]]))
    signal = Doubled([1], 9)
    simulate(derived(tmp_path, [signal], [[Batch.of([1], 1, [2.0])]]))
    assert len(signal.given) == 1


async def replaced(folder: Path, before: Sequence[Doubled], after: Sequence[Doubled]) -> None:
    now = Derived(built(*before), 10)
    async with deriving(folder, now, []) as journal:
        journal.append(0, [Batch.of([1], 0, [1.0])])
        await asyncio.sleep(1.0)
        now.signals, now.tags = built(*after), 12
        journal.append(0, [Batch.of([1, 11], 1, [2.0, 3.0])])


def test_other_signals_take_over_with_the_next_reading_and_those_that_stay_miss_none(tmp_path: Path) -> None:
    stays, goes, comes = Doubled([1], 9), Doubled([1], 8), Doubled([11], 10)
    simulate(replaced(tmp_path, [stays, goes], [stays, comes]))
    assert (len(stays.given), len(goes.given), comes.given) == (2, 1, [(Kind.FLOAT, [11])])


class Saying:
    """A Signal that says of each reading what `said` has for it, on another tag."""

    def __init__(self, said: dict[float, Any], output: int) -> None:
        self.inputs = np.array([1], np.uint32)
        self._said = said
        self._output = output

    def update(self, batch: Batch) -> Sequence[Batch]:
        return [Batch.of([self._output], t, [self._said[v]]) for t, v in zip(batch.time, batch.value, strict=True)]


async def counted(folder: Path, signals: dict[str, Built], values: Sequence[float]) -> int:
    journal = Journal(JournalFile(folder / "journal.db"), inline, LoopClock())
    deriving = Deriving(Derived(signals, 12), journal, lambda *batches: None, inline)
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(journal.run())
        running = tasks.create_task(deriving.run(lambda: None))
        for time, value in enumerate(values):
            await asyncio.sleep(1.0)
            journal.append(0, [Batch.of([1], time, [value])])
        await asyncio.sleep(1.0)
        running.cancel()
        writing.cancel()
    return deriving.counts()["trials_raised"]


def test_what_signals_on_trial_would_have_raised_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    alarm: Any = Saying({0.0: False, 1.0: True, 2.0: True}, 8)
    advice: Any = Saying({0.0: {"ActiveState": False}, 1.0: {"ActiveState": True}, 2.0: {"Message": "changed"}}, 9)
    none = np.empty(0, np.uint32)
    signals = {
        "alarm": Built(alarm, "", none, frozenset({8})),
        "advice": Built(advice, "", none, frozenset({9})),
        "live": Built(alarm, "", none),
    }
    with caplog.at_level("INFO"):
        assert simulate(counted(tmp_path, signals, [0.0, 1.0, 2.0, 0.0, 1.0])) == 2 + 3, "an alarm that stays is one"
    said = [record.getMessage() for record in caplog.records if "on trial" in record.getMessage()]
    assert said.count("signal alarm, which is on trial, would have raised an alarm") == 2
    assert len(said) == 5
