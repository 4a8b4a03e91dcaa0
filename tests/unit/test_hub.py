"""The hub: what is emitted reaches the latest table, the journal, split by asset, and the mailboxes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from gateway.hub import Hub
from gateway.journal import Journal, JournalFile
from gateway.latest import Latest
from gateway.mailbox import Mailbox
from gateway.model import Batch, Catalog, Record, Tag
from tests.inline import inline
from tests.simulation.loop import LoopClock, simulate

CATALOG = Catalog([Tag("a", "x"), Tag("a", "y"), Tag("b", "x"), Tag("c", "x"), Tag("b", "y")])

Told = list[tuple[str, list[list[int]]]]
"""Asset, and the tags of each batch, of every record in order."""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[JournalFile]:
    journal = JournalFile(tmp_path / "journal.db")
    journal.save(CATALOG)
    yield journal
    journal.close()


async def told(file: JournalFile, *emissions: list[Batch], mailbox: Mailbox | None = None) -> Told:
    """Emit into a new hub; return what a reader of its journal is told."""
    journal = Journal(file, inline, LoopClock())
    hub = Hub(CATALOG, Latest(len(CATALOG)), journal)
    if mailbox is not None:
        hub.join(mailbox)
    for batches in emissions:
        hub(*batches)
    journal.close()
    await journal.run()
    records: list[Record] = [*await journal.cursor("test").next()]
    return [(CATALOG.assets[record.asset], [batch.tag.tolist() for batch in record.batches]) for record in records]


def test_an_emission_of_one_asset_is_one_record(file: JournalFile) -> None:
    emission = [Batch.of([0, 1], 0, [1.5, 2.5]), Batch.of([1], 0, [True])]
    assert simulate(told(file, emission)) == [("a", [[0, 1], [1]])]


def test_an_emission_of_several_assets_is_one_record_for_each(file: JournalFile) -> None:
    emission = [Batch.of([3, 0, 2, 1, 4, 0], 0, [3.0, 0.0, 2.0, 1.0, 4.0, 0.5]), Batch.of([4, 3], 0, [True, False])]
    assert simulate(told(file, emission)) == [("a", [[0, 1, 0]]), ("b", [[2, 4], [4]]), ("c", [[3], [3]])]


def test_batches_of_one_asset_each_are_not_mixed_up(file: JournalFile) -> None:
    assert simulate(told(file, [Batch.of([2], 0, [1.0]), Batch.of([0], 0, [True])])) == [("a", [[0]]), ("b", [[2]])]


def test_what_is_empty_makes_no_record(file: JournalFile) -> None:
    nothing = Batch.of([], [], [])
    assert simulate(told(file, [], [nothing], [nothing, Batch.of([0], 0, [1.0])])) == [("a", [[0]])]


def test_the_latest_table_takes_batches_in_order(file: JournalFile) -> None:
    async def world() -> list[float]:
        latest = Latest(len(CATALOG))
        hub = Hub(CATALOG, latest, Journal(file, inline, LoopClock()))
        hub(Batch.of([0], 5, [1.0]), Batch.of([0], 5, [2.0]))
        values: list[float] = latest.read(np.array([0], np.uint32))[0].value.tolist()
        return values

    assert simulate(world()) == [2.0]


def test_mailboxes_get_whole_batches_until_they_leave(file: JournalFile) -> None:
    async def world() -> tuple[list[Batch], int]:
        hub = Hub(CATALOG, Latest(len(CATALOG)), Journal(file, inline, LoopClock()))
        staying, leaving = Mailbox(), Mailbox(1)
        hub.join(staying)
        hub.join(leaving)
        hub(first)
        hub.leave(leaving)
        hub(second)
        return await staying.take(), leaving.dropped

    first, second = Batch.of([0, 2], 0, [1.0, 2.0]), Batch.of([1], 0, [True])
    batches, dropped = simulate(world())
    assert batches == [first, second]  # a batch is equal to itself only
    assert dropped == 0


def test_who_leaves_while_it_is_told_keeps_nothing_from_the_others(file: JournalFile) -> None:
    class Leaving:
        def __init__(self, hub: Hub) -> None:
            self._hub = hub

        def put(self, batches: Sequence[Batch]) -> None:
            self._hub.leave(self)

    async def world() -> list[Batch]:
        hub = Hub(CATALOG, Latest(len(CATALOG)), Journal(file, inline, LoopClock()))
        hub.join(Leaving(hub))
        staying = Mailbox()
        hub.join(staying)
        hub(first)
        return await staying.take()

    first = Batch.of([0], 0, [1.0])
    assert simulate(world()) == [first]
