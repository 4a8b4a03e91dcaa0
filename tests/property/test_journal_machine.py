"""The journal file against a plain list: whatever is appended, confirmed, trimmed, closed or killed, in any order."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.journal import JournalFile
from gateway.model import Batch, Catalog, Record, Tag
from tests.property.strategies import batches, rows

ASSETS = 3
FAR = 1 << 62

Row = tuple[int, int, int, int, int, list[list[tuple[Any, ...]]]]


def plain(record: Record) -> Row:
    contents = [rows(batch) for batch in record.batches]
    return record.position, record.asset, record.boot, record.sequence, record.received, contents


class JournalMachine(RuleBasedStateMachine):
    """`records` is what the file should hold, `given` the newest position that was ever given."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.lives = 0
        self.path = self.home()
        self.file = JournalFile(self.path)
        self.file.save(Catalog(Tag(f"asset{n}", "x") for n in range(ASSETS)))
        self.identity = self.file.id
        self.boot = 1
        self.records: list[Row] = []
        self.given = 0
        self.received = 0
        self.sequence = dict.fromkeys(range(ASSETS), 0)
        self.cursors: dict[str, int] = {}

    def home(self) -> Path:
        self.lives += 1
        return Path(self.folder.name) / str(self.lives) / "journal.db"

    def teardown(self) -> None:
        self.file.close()
        self.folder.cleanup()

    @rule(
        emissions=st.lists(
            st.tuples(st.integers(0, ASSETS - 1), st.lists(batches(max_size=3), min_size=1, max_size=2)), max_size=4
        ),
        confirmed=st.dictionaries(st.sampled_from(["bus", "historian"]), st.integers(0, 50), max_size=2),
    )
    def commit(self, emissions: list[tuple[int, list[Batch]]], confirmed: dict[str, int]) -> None:
        group = []
        for asset, parts in emissions:
            self.given += 1
            self.received += 1
            self.sequence[asset] += 1
            group.append(Record(self.given, asset, self.boot, self.sequence[asset], self.received, tuple(parts)))
        self.file.commit(group, confirmed)
        self.records += map(plain, group)
        self.cursors |= confirmed

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def trim(self, data: st.DataObject) -> None:
        """Up to one record and before another: exactly at both bounds."""
        upto = data.draw(st.sampled_from([record[0] for record in self.records]))
        received_before = data.draw(st.sampled_from([record[4] for record in self.records])) + data.draw(
            st.integers(0, 1)
        )
        kept = [r for r in self.records if not (r[0] <= upto and r[4] < received_before)]
        assert self.file.trim(upto, received_before) == len(self.records) - len(kept)
        self.records = kept

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """By size or by age, whoever wants it; what somebody wanted comes back."""
        wanted_after = data.draw(st.sampled_from([record[0] for record in self.records])) - 1
        if data.draw(st.booleans()):
            received_before = data.draw(st.sampled_from([record[4] for record in self.records]))
            dropped = self.file.drop_old(received_before, wanted_after)
            gone = [r for r in self.records if r[4] < received_before]
        else:
            dropped = self.file.drop_oldest(1, wanted_after)
            gone = self.records[:1]
        assert list(map(plain, dropped)) == [r for r in gone if r[0] > wanted_after]
        self.records = self.records[len(gone) :]

    @precondition(lambda self: self.records)
    @rule()
    def forget_everything(self) -> None:
        """There are never as many records here as one call forgets."""
        assert list(map(plain, self.file.drop_oldest(1 << 30, 0))) == self.records
        self.records = []

    @rule()
    def sync(self) -> None:
        self.file.sync()

    @rule()
    def close_and_open(self) -> None:
        self.file.close()
        self.open()

    @rule()
    def be_killed_and_open(self) -> None:
        """What a killed process leaves behind is the files as they are at that moment."""
        before, self.path = self.path, self.home()
        shutil.copytree(before.parent, self.path.parent)
        self.file.close()
        self.open()

    def open(self) -> None:
        self.file = JournalFile(self.path)
        self.boot += 1
        assert (self.file.boot, self.file.id, self.file.last) == (self.boot, self.identity, self.given)

    @rule(after=st.integers(0, 40), length=st.integers(0, 40), records_max=st.integers(1, 5))
    def read_a_part(self, after: int, length: int, records_max: int) -> None:
        wanted = [r for r in self.records if after < r[0] <= after + length]
        read, reached = self.file.read(after, after + length, records_max)
        assert list(map(plain, read)) == wanted[:records_max]
        assert reached == (wanted[records_max - 1][0] if len(wanted) >= records_max else after + length)

    @invariant()
    def holds_what_the_list_holds(self) -> None:
        read, _ = self.file.read(0, FAR, 1_000)
        assert list(map(plain, read)) == self.records
        assert self.file.positions() == self.cursors
        assert self.file.sequences() == self.sequence
        assert self.file.oldest() == (self.records[0][0] if self.records else self.given + 1)
        assert self.file.damaged == set()


JournalMachine.TestCase.settings = settings(deadline=None, max_examples=40, stateful_step_count=20)
TestJournalFile = JournalMachine.TestCase
