"""From a cursor to a sink: written first, confirmed then, in order, to the end."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.drain import drain, drain_in_doubt
from gateway.journal import Cursor, Journal, JournalFile
from gateway.model import Batch, Record
from tests.inline import inline
from tests.simulation.loop import LoopClock, simulate


class Sink:
    """Remembers what it took and what had been confirmed by then; fails where it is told to."""

    def __init__(self, cursor: Cursor, failing: Sequence[int] = ()) -> None:
        self.taken: list[tuple[float, list[int], int]] = []
        self._cursor = cursor
        self._failing = failing
        self._writes = 0

    async def write(self, records: Sequence[Record]) -> None:
        self._writes += 1
        if self._writes in self._failing:
            raise ConnectionError("away")
        now = asyncio.get_running_loop().time()
        self.taken.append((now, [record.position for record in records], self._cursor.position))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[JournalFile]:
    journal = JournalFile(tmp_path / "journal.db")
    yield journal
    journal.close()


async def filled(file: JournalFile, n: int) -> Journal:
    journal = Journal(file, inline, LoopClock())
    for _ in range(n):
        journal.append(0, [Batch.of([0], 0, [1.0])])
    journal.close()
    await journal.run()
    return journal


def test_a_write_is_confirmed_after_it_worked(file: JournalFile) -> None:
    async def world() -> tuple[list[tuple[float, list[int], int]], int, int]:
        journal = await filled(file, 3)
        cursor = journal.cursor("test")
        sink = Sink(cursor)
        ups: list[float] = []
        await drain(cursor, sink, lambda: ups.append(0.0))
        return sink.taken, cursor.position, len(ups)

    assert simulate(world()) == ([(0.0, [1, 2, 3], 0)], 3, 1)


def test_what_failed_comes_again(file: JournalFile) -> None:
    async def world() -> tuple[list[tuple[float, list[int], int]], int]:
        journal = await filled(file, 2)
        cursor = journal.cursor("test")
        sink = Sink(cursor, failing=[1])
        with pytest.raises(ConnectionError, match="away"):
            await drain(cursor, sink, pytest.fail)
        unconfirmed = cursor.position
        await drain(cursor, sink, lambda: None)
        return sink.taken, unconfirmed

    assert simulate(world()) == ([(0.0, [1, 2], 0)], 0)


def test_more_is_gathered_between_writes_but_not_when_there_is_plenty(file: JournalFile) -> None:
    async def world() -> list[tuple[float, int]]:
        journal = await filled(file, 1100)
        cursor = journal.cursor("test")
        sink = Sink(cursor)
        await drain(cursor, sink, lambda: None, gather_s=0.25)
        return [(time, len(positions)) for time, positions, _ in sink.taken]

    assert simulate(world()) == [(0.0, 200)] * 5 + [(0.0, 100)]


def test_gathering_makes_few_writes_of_many_small_records(file: JournalFile) -> None:
    async def world() -> list[int]:
        journal = Journal(file, inline, LoopClock())
        cursor = journal.cursor("test")
        sink = Sink(cursor)

        async def plant() -> None:
            for _ in range(100):
                journal.append(0, [Batch.of([0], 0, [1.0])])
                await asyncio.sleep(0.01)
            journal.close()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(journal.run())
            tasks.create_task(drain(cursor, sink, lambda: None, gather_s=0.25))
            tasks.create_task(plant())
        assert [p for _, positions, _ in sink.taken for p in positions] == list(range(1, 101))
        return [len(positions) for _, positions, _ in sink.taken]

    writes = simulate(world())
    assert len(writes) <= 6


def test_what_was_written_not_long_ago_comes_again_when_the_sink_fails(file: JournalFile) -> None:
    async def world() -> tuple[list[list[int]], list[int]]:
        journal = Journal(file, inline, LoopClock())
        cursor = journal.cursor("test")
        sink = Sink(cursor, failing=[7])
        positions = []

        async def plant() -> None:
            for _ in range(8):
                journal.append(0, [Batch.of([0], 0, [1.0])])
                await asyncio.sleep(10.0)
            journal.close()

        async def sinks() -> None:
            with pytest.raises(ConnectionError, match="away"):
                await drain_in_doubt(journal, cursor, sink, lambda: None, 15.0)
            positions.append(cursor.position)
            await drain_in_doubt(journal, cursor, sink, lambda: None, 15.0)
            positions.append(cursor.position)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(journal.run())
            tasks.create_task(sinks())
            tasks.create_task(plant())
        return [written for _, written, _ in sink.taken], positions

    # the cursor reads 1 to 3 at 20 s, when 1 is due, and confirms them at 40 s, when 3 is; at 60 s the write fails
    assert simulate(world()) == ([[1], [2], [3], [4], [5], [6], [4, 5, 6, 7], [8]], [3, 3])
