"""How far a device was told: never ahead of the readings that are on disk, and with what came after it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Offload
from gateway.journal import Journal, JournalFile
from gateway.model import Batch, Catalog, Tag
from tests.inline import inline
from tests.simulation.loop import LoopClock, simulate

CATALOG = Catalog([Tag("a", "x"), Tag("b", "x"), Tag("a", "y")])
A, B = 0, 1
NUMBERS = np.array([0, 2], np.uint32)
NEVER = np.iinfo(np.int64).min


def opened(path: Path) -> JournalFile:
    file = JournalFile(path)
    file.save(CATALOG)
    return file


def journal_of(file: JournalFile, offload: Offload = inline) -> Journal:
    return Journal(file, offload, LoopClock())


async def lived(journal: Journal, times: Sequence[int], kept_after: int) -> None:
    """Append readings of both assets, keep how far that is after so many, and end well."""
    past = journal.past("d", A, NUMBERS)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        for n, time in enumerate(times, 1):
            journal.append(A, [Batch.of([0], time, [1.0])])
            journal.append(B, [Batch.of([1], time, [1.0])])
            if n == kept_after:
                past.keep(np.array([time, NEVER]))
        journal.close()
    await journal.finish()


async def known(journal: Journal, numbers: NDArray[np.uint32]) -> tuple[list[int], list[int]]:
    """Up to when the tags were told, and the times of what came since."""
    past = journal.past("d", A, numbers)
    since = [time async for batch in past.since() for time in batch.time.tolist()]
    return past.told.tolist(), since


def recalled(path: Path, numbers: NDArray[np.uint32] = NUMBERS) -> tuple[list[int], list[int]]:
    """What is known of the tags at the next start."""
    file = opened(path)
    found = simulate(known(journal_of(file), numbers))
    file.close()
    return found


def test_the_next_start_knows_it_and_what_came_since(tmp_path: Path) -> None:
    file = opened(tmp_path / "journal.db")
    simulate(lived(journal_of(file), [10, 20, 30, 40], kept_after=2))
    file.close()
    assert recalled(tmp_path / "journal.db") == ([20, NEVER], [30, 40])


def test_nothing_is_kept_of_what_is_not_on_disk(tmp_path: Path) -> None:
    """The process dies with a record on its way: what it told of must not outlive it."""
    file = opened(tmp_path / "journal.db")
    journal = journal_of(file)

    async def die() -> None:
        past = journal.past("d", A, NUMBERS)
        journal.append(A, [Batch.of([0], 10, [1.0])])
        past.keep(np.array([10, NEVER]))
        await journal.finish()

    simulate(die())
    file.close()
    assert recalled(tmp_path / "journal.db") == ([NEVER, NEVER], [])


def test_what_is_damaged_is_not_believed(tmp_path: Path) -> None:
    file = opened(tmp_path / "journal.db")
    simulate(lived(journal_of(file), [10, 20], kept_after=1))
    with file._db:
        file._db.execute("UPDATE told SET position = position + 1")
    file.close()
    assert recalled(tmp_path / "journal.db") == ([NEVER, NEVER], [10, 20])


def test_a_tag_that_is_new_has_no_past(tmp_path: Path) -> None:
    file = opened(tmp_path / "journal.db")
    simulate(lived(journal_of(file), [10], kept_after=1))
    file.close()
    assert recalled(tmp_path / "journal.db", np.array([7, 0], np.uint32))[0] == [NEVER, 10]


def test_a_device_that_is_started_beside_others_knows_what_came_in_this_run(tmp_path: Path) -> None:
    file = opened(tmp_path / "journal.db")
    journal = journal_of(file)

    async def changed() -> tuple[list[int], list[int]]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(journal.run())
            planned = journal.past("d", A, NUMBERS)
            journal.append(A, [Batch.of([0], 10, [1.0])])
            found = [time async for batch in planned.since() for time in batch.time.tolist()]
            journal.close()
        await journal.finish()
        return planned.told.tolist(), found

    assert simulate(changed()) == ([NEVER, NEVER], [10])
    file.close()
