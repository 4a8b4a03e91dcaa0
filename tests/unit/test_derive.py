"""Signals get the readings that they ask for, in order of arrival, and what they derive is emitted."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gateway.derive import Derived, derive
from gateway.mailbox import Mailbox
from gateway.model import Batch, Kind
from tests.inline import inline
from tests.simulation.loop import simulate


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


async def derived(signals: Sequence[Doubled], puts: Sequence[Sequence[Batch]], feed: bool = False) -> list[Any]:
    """Put batches into a mailbox one after another; return what was emitted, as (tag, value) of each emission."""
    mailbox = Mailbox()
    emitted: list[Any] = []

    def emit(*batches: Batch) -> None:
        emitted.append([pair for b in batches for pair in zip(b.tag.tolist(), b.value.tolist(), strict=True)])
        if feed:
            mailbox.put(batches)

    async with asyncio.TaskGroup() as tasks:
        deriving = tasks.create_task(derive(Derived(signals, 10), mailbox, emit, inline))
        for put in puts:
            mailbox.put(put)
            await asyncio.sleep(1.0)
        deriving.cancel()
    return emitted


def test_only_the_inputs_are_given_and_the_answers_emitted() -> None:
    signal = Doubled([1, 3], 9)
    emitted = simulate(derived([signal], [[Batch.of([0, 1, 2, 3, 1], 0, [0.0, 1.0, 2.0, 3.0, 1.5])]]))
    assert signal.given == [(Kind.FLOAT, [1, 3, 1])]
    assert emitted == [[(9, 2.0), (9, 6.0), (9, 3.0)]]


def test_a_signal_that_nothing_concerns_is_left_alone() -> None:
    concerned, idle = Doubled([1], 8), Doubled([5], 9)
    emitted = simulate(derived([concerned, idle], [[Batch.of([1], 0, [1.0])], [Batch.of([0], 0, [1.0])]]))
    assert (len(concerned.given), idle.given) == (1, [])
    assert emitted == [[(8, 2.0)]]


def test_what_came_meanwhile_is_given_at_once_by_kind() -> None:
    signal = Doubled([1], 9)
    simulate(derived([signal], [[Batch.of([1], 0, [1.0]), Batch.of([1], 1, [True]), Batch.of([1], 2, [2.0])]]))
    assert signal.given == [(Kind.FLOAT, [1, 1]), (Kind.BOOLEAN, [1])]


def test_what_comes_from_the_history_of_a_device_is_too_late_for_a_signal() -> None:
    signal = Doubled([1], 9)
    late = replace(Batch.of([1], 0, [1.0]), historical=True)
    simulate(derived([signal], [[Batch.of([1], 5, [5.0])], [late]]))
    assert signal.given == [(Kind.FLOAT, [1])]


def test_a_signal_may_feed_another() -> None:
    first, second = Doubled([1], 2), Doubled([2], 3)
    emitted = simulate(derived([first, second], [[Batch.of([1], 0, [1.0])]], feed=True))
    assert emitted == [[(2, 2.0)], [(3, 4.0)]]


async def replaced(before: Sequence[Doubled], after: Sequence[Doubled]) -> None:
    mailbox, derived = Mailbox(), Derived(before, 10)
    async with asyncio.TaskGroup() as tasks:
        deriving = tasks.create_task(derive(derived, mailbox, lambda *batches: None, inline))
        mailbox.put([Batch.of([1], 0, [1.0])])
        await asyncio.sleep(1.0)
        derived.signals, derived.tags = after, 12
        mailbox.put([Batch.of([1, 11], 1, [2.0, 3.0])])
        await asyncio.sleep(1.0)
        deriving.cancel()


def test_other_signals_take_over_with_the_next_reading_and_those_that_stay_miss_none() -> None:
    stays, goes, comes = Doubled([1], 9), Doubled([1], 8), Doubled([11], 10)
    simulate(replaced([stays, goes], [stays, comes]))
    assert (len(stays.given), len(goes.given), comes.given) == (2, 1, [(Kind.FLOAT, [11])])
