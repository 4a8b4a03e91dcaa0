"""The journal as the gateway sees it: group commit, cursors, limits, and a disk that fails; in virtual time."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pytest

from gateway.contracts import Offload
from gateway.journal import Cursor, Journal, JournalFile
from gateway.journal.limits import Limits
from gateway.model import Batch, Catalog, Record, Tag
from tests.inline import inline
from tests.simulation.loop import LoopClock, simulate

P = ParamSpec("P")
T = TypeVar("T")

CATALOG = Catalog([Tag("a", "x"), Tag("b", "x")])
A, B = 0, 1
READING = Batch.of([A], 0, [1.0])
RECORD_BYTES = 64 + 24
"""What a record of one float is taken to need in memory; see Record.nbytes."""


class Disk(JournalFile):
    """A journal file on a disk that can be full, and that counts what is asked of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.save(CATALOG)
        self.full = False
        self.commits: list[int] = []
        self.syncs = 0

    def commit(self, records: Sequence[Record], cursors: Mapping[str, int]) -> int:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        self.commits.append(len(records))
        return super().commit(records, cursors)

    def sync(self) -> None:
        if self.full:
            raise OSError("No space left on device")
        self.syncs += 1
        super().sync()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def disk(path: Path) -> Iterator[Disk]:
    opened = Disk(path)
    yield opened
    opened.close()


@asynccontextmanager
async def living(disk: JournalFile, limits: Limits | None = None, offload: Offload = inline) -> AsyncIterator[Journal]:
    """A journal that runs as long as the scope lasts and is then closed, as the application does it."""
    journal = Journal(disk, offload, LoopClock(), limits)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        yield journal
        journal.close()
    await journal.finish()


async def rest(cursor: Cursor) -> list[Record]:
    """Read and confirm until the journal has ended."""
    found: list[Record] = []
    while records := await cursor.next():
        found += records
        cursor.confirm()
    return found


def append(journal: Journal, n: int, asset: int = A) -> None:
    for _ in range(n):
        journal.append(asset, [READING])


def positions(records: Sequence[Record]) -> list[int]:
    return [record.position for record in records]


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test of this file in a world of its own."""

    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        simulate(test(*args, **kwargs))

    run.__name__, run.__doc__, run.__wrapped__ = test.__name__, test.__doc__, test  # type: ignore[attr-defined]
    return run


# --- writing ------------------------------------------------------------------------------


@in_virtual_time
async def test_what_waits_is_committed_together(disk: Disk) -> None:
    async with living(disk) as journal:
        append(journal, 5)
        await asyncio.sleep(0.001)
        append(journal, 2)
        await asyncio.sleep(0.001)
        assert disk.commits == [5, 2]
        assert (journal.appended, journal.committed) == (7, 7)


@in_virtual_time
async def test_records_are_numbered_by_journal_asset_and_boot(disk: Disk) -> None:
    async with living(disk) as journal:
        written = [journal.append(asset, [READING]) for asset in (A, B, A, A, B)]
    assert [(r.position, r.asset, r.sequence, r.boot) for r in written] == [
        (1, A, 1, 1), (2, B, 1, 1), (3, A, 2, 1), (4, A, 3, 1), (5, B, 2, 1),
    ]  # fmt: skip


def test_numbers_go_on_after_a_restart(path: Path) -> None:
    async def life() -> list[tuple[int, int, int]]:
        disk = Disk(path)
        async with living(disk) as journal:
            written = [journal.append(asset, [READING]) for asset in (A, B, A)]
        disk.close()
        return [(r.position, r.sequence, r.boot) for r in written]

    assert simulate(life()) == [(1, 1, 1), (2, 1, 1), (3, 2, 1)]
    assert simulate(life()) == [(4, 3, 2), (5, 2, 2), (6, 4, 2)]


@in_virtual_time
async def test_what_came_of_an_asset_since_a_time_is_found(disk: Disk) -> None:
    async with living(disk) as journal:
        past, other = (journal.past("d", asset, np.zeros(0, np.uint32)) for asset in (A, B))
        assert await past.received(0) == []
        append(journal, 450)
        append(journal, 1, B)
        await asyncio.sleep(10.0)
        now_ns = LoopClock().now_ns()
        append(journal, 450)
        await asyncio.sleep(0.001)
        assert [record.sequence for record in await past.received(now_ns)] == list(range(451, 901))
        assert [record.sequence for record in await past.received(0)] == list(range(1, 901))
        assert [record.sequence for record in await other.received(0)] == [1]
        assert await past.received(now_ns + 1) == []


@in_virtual_time
async def test_an_fsync_follows_at_the_pace_that_was_asked_for(disk: Disk) -> None:
    async with living(disk, Limits(sync_s=0.25)):
        await asyncio.sleep(10.1)
        assert disk.syncs == 40


@in_virtual_time
async def test_an_fsync_of_every_commit_comes_before_anybody_is_told(disk: Disk) -> None:
    async with living(disk, Limits(sync_s=0)) as journal:
        cursor = journal.cursor("test")
        for n in range(1, 4):
            append(journal, 1)
            assert positions(await cursor.next()) == [n]
            assert disk.syncs == n
            cursor.confirm()


# --- cursors ------------------------------------------------------------------------------


@in_virtual_time
async def test_a_cursor_gives_the_same_records_until_they_are_confirmed(disk: Disk) -> None:
    async with living(disk) as journal:
        cursor = journal.cursor("test")
        append(journal, 2)
        assert positions(await cursor.next()) == [1, 2]
        append(journal, 1)
        await asyncio.sleep(0.001)
        assert positions(await cursor.next()) == [1, 2, 3]
        assert cursor.behind == 3
        cursor.confirm()
        assert (cursor.position, cursor.behind) == (3, 0)


@in_virtual_time
async def test_nobody_is_told_of_a_record_before_its_commit(disk: Disk) -> None:
    async with living(disk) as journal:
        cursor = journal.cursor("test")
        disk.full = True
        append(journal, 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await cursor.next()
        disk.full = False
        assert positions(await cursor.next()) == [1]


@in_virtual_time
async def test_every_cursor_has_its_own_place(disk: Disk) -> None:
    async with living(disk) as journal:
        fast, slow = journal.cursor("fast"), journal.cursor("slow")
        append(journal, 3)
        assert positions(await fast.next()) == [1, 2, 3]
        fast.confirm()
        append(journal, 1)
        assert positions(await fast.next()) == [4]
        assert positions(await slow.next()) == [1, 2, 3, 4]
        assert journal.cursor("slow") is slow


def test_a_place_survives_a_restart_and_a_new_cursor_begins_with_the_oldest(path: Path) -> None:
    async def first() -> None:
        disk = Disk(path)
        async with living(disk) as journal:
            append(journal, 3)
            cursor = journal.cursor("old")
            await cursor.next()
            cursor.confirm()
            append(journal, 1)
        disk.close()

    async def second() -> tuple[list[int], list[int]]:
        disk = Disk(path)
        async with living(disk) as journal:
            old, new = journal.cursor("old"), journal.cursor("new")
            found = positions(await old.next()), positions(await new.next())
        disk.close()
        return found

    simulate(first())
    assert simulate(second()) == ([4], [1, 2, 3, 4])


@in_virtual_time
async def test_a_slow_cursor_reads_from_the_disk_what_memory_has_forgotten(disk: Disk) -> None:
    limits = Limits(memory_bytes_max=40 * RECORD_BYTES)  # a quarter of it, ten records, is remembered
    async with living(disk, limits) as journal:
        cursor = journal.cursor("slow")
        for _ in range(200):
            append(journal, 7)
            await asyncio.sleep(0.001)
        found: list[Record] = []
        while len(found) < 1400:
            found += await cursor.next()
            cursor.confirm()
            append(journal, 1)
    assert positions(found)[:1400] == list(range(1, 1401))


def test_a_cursor_passes_over_what_is_damaged(path: Path) -> None:
    async def first() -> None:
        disk = Disk(path)
        async with living(disk) as journal:
            append(journal, 700)
        disk.close()

    async def second() -> list[int]:
        disk = Disk(path)
        async with living(disk) as journal:
            cursor = journal.cursor("test")
        found = positions(await rest(cursor))
        assert journal.lost["journal_damaged"] == 598
        disk.close()
        return found

    simulate(first())
    with sqlite3.connect(path) as db:
        db.execute("UPDATE record SET data = x'00' WHERE position = 1 OR position BETWEEN 4 AND 600")
    db.close()
    assert simulate(second()) == [2, 3, *range(601, 701)]


# --- the end ------------------------------------------------------------------------------


@in_virtual_time
async def test_cursors_end_when_all_is_read(disk: Disk) -> None:
    async with living(disk) as journal:
        cursor = journal.cursor("test")
        append(journal, 1200)
    assert positions(await rest(cursor)) == list(range(1, 1201))
    assert await cursor.next() == ()


@in_virtual_time
async def test_a_waiting_cursor_is_told_of_the_end(disk: Disk) -> None:
    async with asyncio.TaskGroup() as tasks, living(disk) as journal:
        reading = tasks.create_task(rest(journal.cursor("test")))
        await asyncio.sleep(1.0)
    assert reading.result() == []


@in_virtual_time
async def test_what_is_being_committed_at_the_end_is_still_handed_over(disk: Disk) -> None:
    async def slowly(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        await asyncio.sleep(0.1)
        return work(*args, **kwargs)

    async with asyncio.TaskGroup() as tasks, living(disk, offload=slowly) as journal:
        reading = tasks.create_task(rest(journal.cursor("test")))
        await asyncio.sleep(0.02)
        append(journal, 3)
        await asyncio.sleep(0.05)  # the commit has begun and is not through
    assert positions(reading.result()) == [1, 2, 3]


@in_virtual_time
async def test_the_places_of_cursors_are_stored_at_the_end(disk: Disk) -> None:
    async with living(disk) as journal:
        cursor = journal.cursor("test")
        append(journal, 3)
        await cursor.next()
        cursor.confirm()
    assert disk.positions() == {"test": 3}


# --- limits -------------------------------------------------------------------------------


@in_virtual_time
async def test_readings_that_the_disk_cannot_keep_up_with_are_dropped_and_counted(disk: Disk) -> None:
    journal = Journal(disk, inline, LoopClock(), Limits(memory_bytes_max=10 * RECORD_BYTES))
    append(journal, 25)
    assert journal.lost == Counter(journal_behind=15)
    journal.close()
    await journal.run()
    assert positions(await rest(journal.cursor("test"))) == list(range(16, 26))


@in_virtual_time
async def test_one_record_is_kept_however_large_it_is(disk: Disk) -> None:
    async with living(disk, Limits(memory_bytes_max=1)) as journal:
        append(journal, 1)
        await asyncio.sleep(0.001)
        assert (journal.lost.total(), disk.commits) == (0, [1])


@in_virtual_time
async def test_confirmed_records_are_kept_for_a_while_and_others_for_ever(disk: Disk) -> None:
    async with living(disk, Limits(retention_s=60.0)) as journal:
        cursor = journal.cursor("test")
        append(journal, 3)
        await cursor.next()
        cursor.confirm()
        await asyncio.sleep(50.0)
        append(journal, 2)
        assert disk.oldest() == 1
        await asyncio.sleep(20.0)
        assert disk.oldest() == 4
        await asyncio.sleep(1_000.0)
        assert disk.oldest() == 4
        cursor.confirm()  # confirms nothing new
        assert disk.oldest() == 4
    assert not journal.lost.total()


@pytest.mark.parametrize("burst", [2_000, 9_000])
@in_virtual_time
async def test_a_full_journal_forgets_the_oldest_and_counts_what_nobody_had_read(disk: Disk, burst: int) -> None:
    """A trim takes 5,000 records: smaller bursts are forgotten to the last, of larger ones some are left."""
    limits = Limits(size_bytes_max=disk.size_bytes() + 100_000, memory_bytes_max=4000 * RECORD_BYTES)
    async with living(disk, limits) as journal:
        idle = journal.cursor("idle")
        for _ in range(4):
            for _ in range(burst // 1_000):
                append(journal, 1_000)
                await asyncio.sleep(0.001)
            await asyncio.sleep(2.0)
    left = len(await rest(idle))
    assert journal.lost["journal_full"] + left == 4 * burst
    assert journal.lost["journal_full"] > burst


@in_virtual_time
async def test_forgetting_what_everybody_has_read_is_no_loss(disk: Disk) -> None:
    async with living(disk, Limits(size_bytes_max=disk.size_bytes() + 200_000, retention_s=1e6)) as journal:
        cursor = journal.cursor("test")
        for _ in range(10):
            append(journal, 1_000)
            while cursor.behind:
                await cursor.next()
                cursor.confirm()
            await asyncio.sleep(2.0)
        assert journal.size_bytes <= journal.limits.size_bytes_max
    assert not journal.lost.total()


@in_virtual_time
async def test_a_journal_that_blocks_loses_nothing_and_goes_on_when_there_is_room(disk: Disk) -> None:
    limits = Limits(size_bytes_max=disk.size_bytes() + 100_000, policy="block")
    async with living(disk, limits) as journal:
        cursor = journal.cursor("slow")
        await journal.room()
        for _ in range(60):
            if not journal.blocked:
                append(journal, 100)
            await asyncio.sleep(0.5)
        assert journal.blocked
        waiting = asyncio.get_running_loop().create_task(journal.room())
        also = asyncio.get_running_loop().create_task(journal.stored())
        await asyncio.sleep(60.0)
        assert not waiting.done()
        assert not also.done()
        while cursor.behind:
            await cursor.next()
            cursor.confirm()
        await waiting
        await also
        assert journal.blocks == 1
        await journal.room()
    assert not journal.lost.total()


@in_virtual_time
async def test_a_disk_that_fails_blocks_before_the_memory_is_full(disk: Disk) -> None:
    async with living(disk, Limits(memory_bytes_max=20 * RECORD_BYTES, policy="block")) as journal:
        disk.full = True
        append(journal, 9)
        await journal.room()
        append(journal, 2)
        assert journal.blocked
        disk.full = False
        await journal.room()
        assert journal.committed == 11
    assert not journal.lost.total()


@in_virtual_time
async def test_a_blocked_journal_lets_go_at_its_end(disk: Disk) -> None:
    async with living(disk, Limits(size_bytes_max=1, policy="block")) as journal:
        journal.cursor("idle")
        append(journal, 1)
        await asyncio.sleep(3.0)
        assert journal.blocked
        waiting = asyncio.get_running_loop().create_task(journal.room())
    await waiting


@in_virtual_time
async def test_a_full_journal_is_thinned_out_where_it_is_oldest(disk: Disk) -> None:
    limits = Limits(size_bytes_max=disk.size_bytes() + 200_000, policy="thin_out")
    async with living(disk, limits) as journal:
        idle = journal.cursor("idle")
        for _ in range(40):
            append(journal, 200)
            await asyncio.sleep(2.0)
        assert journal.size_bytes <= limits.size_bytes_max
    found = positions(await rest(idle))
    assert len(found) + journal.lost["journal_thinned"] == 8_000
    assert found[0] < 1_000  # drop_oldest would have nothing of the beginning
    early, late = (sum(low < p <= low + 2_000 for p in found) for low in (0, 6_000))
    assert 0 < early < late


@in_virtual_time
async def test_what_nobody_fetches_is_forgotten_after_its_age_and_counted(disk: Disk) -> None:
    async with living(disk, Limits(age_s=60.0)) as journal:
        idle = journal.cursor("idle")
        append(journal, 3)
        await asyncio.sleep(50.0)
        append(journal, 2)
        await asyncio.sleep(20.0)
    assert positions(await rest(idle)) == [4, 5]
    assert journal.lost == Counter(journal_old=3)


# --- books --------------------------------------------------------------------------------


class Books:
    """A Witness that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def appended(self, record: Record) -> None:
        self.told.append(("appended", record.position))

    def committed(self, records: Sequence[Record]) -> None:
        self.told.append(("committed", *positions(records)))

    def delivered(self, cursor: str, records: Sequence[Record]) -> None:
        self.told.append((cursor, *positions(records)))

    def lost(self, reason: str, record: Record, cursors: Sequence[str]) -> None:
        self.told.append((reason, record.position, *cursors))


@in_virtual_time
async def test_a_witness_is_told_of_every_record(disk: Disk) -> None:
    books = Books()
    journal = Journal(disk, inline, LoopClock(), Limits(age_s=60.0, memory_bytes_max=2 * RECORD_BYTES), books)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        quick = journal.cursor("quick")
        journal.cursor("idle")
        append(journal, 3)
        await asyncio.sleep(1.0)
        await quick.next()
        quick.confirm()
        await asyncio.sleep(70.0)
        journal.close()
    appended = [("appended", 1), ("appended", 2), ("appended", 3), ("journal_behind", 1)]
    old = [("journal_old", 2, "idle"), ("journal_old", 3, "idle")]
    assert books.told == [*appended, ("committed", 2, 3), ("quick", 2, 3), *old]


# --- a disk that fails --------------------------------------------------------------------


@in_virtual_time
async def test_a_disk_that_comes_back_has_cost_nothing(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    async with living(disk) as journal:
        cursor = journal.cursor("test")
        append(journal, 2)
        await asyncio.sleep(0.1)
        disk.full = True
        for _ in range(30):
            append(journal, 1)
            await asyncio.sleep(1.0)
        assert journal.failure
        disk.full = False
        await asyncio.sleep(3.0)
        append(journal, 1)
        await asyncio.sleep(0.1)
        assert journal.failure == ""
    found = await rest(cursor)
    assert [(r.position, r.sequence) for r in found] == [(n, n) for n in range(1, 34)]
    assert not journal.lost.total()
    assert caplog.text.count("journal cannot be written") == 1
    assert caplog.text.count("journal can be written again") == 1


@in_virtual_time
async def test_a_disk_that_never_comes_back_costs_what_is_counted(disk: Disk) -> None:
    async with asyncio.TaskGroup() as tasks:
        journal = Journal(disk, inline, LoopClock())
        tasks.create_task(journal.run())
        cursor = journal.cursor("test")
        append(journal, 2)
        await asyncio.sleep(0.1)
        disk.full = True
        append(journal, 5)
        await asyncio.sleep(10.0)
        journal.close()
    assert positions(await rest(cursor)) == [1, 2]
    assert journal.lost == Counter(journal_failed=5)


@in_virtual_time
async def test_a_disk_that_fails_at_the_end_is_told_of_and_no_crash(disk: Disk) -> None:
    async with living(disk) as journal:
        disk.full = True
    assert journal.failure


@in_virtual_time
async def test_cursors_may_move_while_the_disk_fails(disk: Disk) -> None:
    async with living(disk) as journal:
        cursor = journal.cursor("test")
        append(journal, 3)
        await cursor.next()
        disk.full = True
        cursor.confirm()
        await asyncio.sleep(10.0)
        assert disk.positions() in ({}, {"test": 0})
        disk.full = False
        await asyncio.sleep(10.0)
        assert disk.positions() == {"test": 3}
