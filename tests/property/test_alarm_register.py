"""Whatever dies when: no transition is lost, none is told twice, and no alarm is raised that is raised already."""

from collections.abc import Coroutine
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.alarms.alarm import Answer
from gateway.alarms.states import Deed
from tests.alarms import RULES, TAGS, Room


class Register(RuleBasedStateMachine):
    """Readings and people, deliveries once and again, telling, and crashes between any two of these."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.room = Room(Path(self._folder.name))
        self.taken = 0

    @rule(tag=st.sampled_from(TAGS), value=st.sampled_from([0.0, 5.5, 12.0]), seconds=st.integers(0, 6))
    def reads(self, tag: str, value: float, seconds: int) -> None:
        self.room.clock.ns += seconds * 10**9
        self.room.read(tag, value)

    @rule(back=st.integers(0, 5))
    def delivers(self, back: int) -> None:
        """The journal hands over what came, and perhaps some of what it had handed over before."""
        records = self.room.records[max(self.taken - back, 0) :]
        if records:
            self.room.register.write(records)
            self.taken = len(self.room.records)

    @rule()
    def tells(self) -> None:
        """Only once all was read that the journal had at the start, as the keeper has it."""
        if self.taken == len(self.room.records):
            drive(self.room.keeper._emit(self.room.emit))

    @rule(id=st.sampled_from([one.id for one in RULES]), deed=st.sampled_from(list(Deed)[2:]))
    def answers(self, id: str, deed: Deed) -> None:
        self.room.register.answer([id], Answer(deed, "ann"))

    @rule(back=st.integers(0, 8))
    def crashes(self, back: int) -> None:
        """The cursor may be a little behind what was taken."""
        self.room.open()
        self.taken = max(self.taken - back, 0)

    @invariant()
    def told_once_and_in_order(self) -> None:
        numbers = [int(event["EventId"].partition("-")[2]) for event in self.room.events]
        assert numbers == list(range(1, len(numbers) + 1))

    @invariant()
    def never_raised_while_raised(self) -> None:
        for one in RULES:
            happened = self.room.file.happened(one.id, 1 << 60, 10_000)
            turns = [text for _, text in reversed(happened) if '"raise"' in text or '"Deed":"clear"' in text]
            raised = ['"Deed":"raise"' in text for text in turns]
            assert all(now != before for before, now in pairwise(raised))

    def teardown(self) -> None:
        self.delivers(0)
        self.tells()
        assert len(self.room.events) == self.room.file.last(), "all is told in the end"
        told = [
            int(time)
            for record in self.room.records
            for batch in record.batches
            for time in batch.time
            if batch.kind.name == "OBJECT"
        ]
        assert len(set(told)) == len(told), "history has one reading of a tag at a time"
        self.room.file.close()
        self._folder.cleanup()


def drive(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


TestRegister = Register.TestCase
TestRegister.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
