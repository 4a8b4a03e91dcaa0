"""Small chunks that become few, and what a late reading costs those who ask."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from gateway.historian import joining
from gateway.historian.backup import findings
from gateway.historian.history import History, Progress
from gateway.historian.joining import Turns
from gateway.historian.rollup import HOUR_NS, MINUTE_NS
from gateway.historian.schema import engine
from gateway.historian.sink import Historian
from gateway.model import Batch, Catalog, Tag
from tests.inline import inline
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

DAY_NS = 24 * HOUR_NS
TAGS = [Tag("plant/a", "x"), Tag("plant/a", "y")]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    opened = engine(f"sqlite:///{tmp_path / 'history.db'}")
    yield opened
    opened.dispose()


def store(history: History, time: np.ndarray, tags: int = 2) -> None:
    """One chunk of each tag, all read at the same times."""
    series = history.series(TAGS)[:tags]
    scans = [Batch.of(series, int(at), [float(at // 10**9)] * tags) for at in time]
    history.append(scans, Progress("g", "j", 1), 0)
    history.compact(0)


def minutes(n: int, start_ns: int = 0) -> list[np.ndarray]:
    """The times of n chunks of ten minutes, a reading per minute."""
    return [start_ns + (10 * chunk + np.arange(10)) * MINUTE_NS for chunk in range(n)]


def count(database: Engine, table: str) -> int:
    with database.connect() as db:
        return int(db.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


def values(history: History, path: str = "plant/a/x") -> list[float]:
    return [value for part in history.readings(path, -(2**62), 2**62) for value in part.value.tolist()]


def test_the_chunks_of_a_day_that_is_over_become_one_and_share_their_times(database: Engine) -> None:
    history = History(database)
    for time in minutes(12):
        store(history, time)
    before = values(history)
    assert sum(history.joins(0, 0, DAY_NS, DAY_NS + 2 * HOUR_NS)) == 22
    assert (count(database, "chunk"), count(database, "times")) == (2, 1)
    assert values(history) == before == [60.0 * i for i in range(120)]
    assert sum(history.joins(0, 0, DAY_NS, DAY_NS + 2 * HOUR_NS)) == 0
    assert list(findings(database)) == []


def test_a_day_that_is_not_over_has_many_joined_and_few_left(database: Engine) -> None:
    history = History(database)
    for time in minutes(15):
        store(history, time)
    assert sum(history.joins(0, 0, DAY_NS, DAY_NS)) == 0
    store(history, minutes(16)[15])
    assert sum(history.joins(0, 0, DAY_NS, DAY_NS)) == 30
    assert count(database, "chunk") == 2


def test_what_fills_a_chunk_is_joined_on_the_day_and_no_chunk_is_too_long(database: Engine) -> None:
    history = History(database)
    for part in np.array_split(np.arange(12_000) * 10**9, 6):
        store(history, part, tags=1)
    assert sum(history.joins(0, 0, DAY_NS, DAY_NS)) == 3
    with database.connect() as db:
        assert [n for (n,) in db.execute(text("SELECT n FROM chunk ORDER BY first_time"))] == [8000, 2000, 2000]


def test_days_and_kinds_are_not_joined_with_each_other(database: Engine) -> None:
    history = History(database)
    for time in (np.array([DAY_NS - 2]), np.array([DAY_NS - 1]), np.array([DAY_NS]), np.array([DAY_NS + 1])):
        store(history, time, tags=1)
    history.append([Batch.of([1], DAY_NS - 1, [True])], Progress("g", "j", 2), 0)
    history.compact(0)
    assert sum(history.joins(0, 0, 2 * DAY_NS, 9 * DAY_NS)) == 2
    assert count(database, "chunk") == 3


def test_what_another_has_changed_meanwhile_is_left_alone(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk of y is gone when its turn comes: nothing of y is touched, and the next time the rest of it is joined."""
    monkeypatch.setattr(joining, "_TRANSACTION_READINGS", 1)
    history = History(database)
    for time in minutes(12):
        store(history, time)
    steps = history.joins(0, 0, DAY_NS, 2 * DAY_NS)
    assert next(steps) == 11
    with database.begin() as db:
        db.execute(text("DELETE FROM chunk WHERE series = 2 AND first_time = 0"))
    assert (list(steps), count(database, "chunk")) == ([], 12)
    assert values(history, "plant/a/y") == [60.0 * i for i in range(10, 120)]
    assert (sum(history.joins(0, 0, DAY_NS, 2 * DAY_NS)), count(database, "chunk")) == (10, 2)
    assert values(history) == [60.0 * i for i in range(120)]
    assert list(findings(database)) == []


def test_the_last_days_have_their_turn_every_two_hours_and_all_others_once() -> None:
    turns, now = Turns(), 5 * DAY_NS + 3
    first = list(iter(lambda: turns.turn(now, 2, 3 * DAY_NS + 7), None))
    assert [(shard, start // DAY_NS) for shard, start, _ in first] == [(0, 5), (1, 5), (0, 4), (1, 4), (0, 3), (1, 3)]
    assert turns.turn(now + 2 * HOUR_NS - 1, 2, 0) is None
    again = list(iter(lambda: turns.turn(now + 2 * HOUR_NS, 1, 0), None))
    assert [start // DAY_NS for _, start, _ in again] == [5, 4]


def test_chores_join_what_is_small(database: Engine) -> None:
    history = History(database)
    for time in minutes(12, EPOCH_NS - 2 * DAY_NS):
        store(history, time)

    async def a_minute() -> None:
        historian = Historian(history, inline, Catalog(TAGS), LoopClock(), gateway="gw1", journal="j1", retention_s=9e6)
        async with asyncio.TaskGroup() as tasks:
            chores = tasks.create_task(historian.chores(lambda: None))
            await asyncio.sleep(60)
            chores.cancel()
        assert historian.counts()["chunks_joined"] == 22

    simulate(a_minute())
    assert count(database, "chunk") == 2


def test_a_late_reading_has_only_its_own_bucket_read_from_chunks(database: Engine) -> None:
    """Everything behind it is damaged: whoever reads that fails."""
    history = History(database)
    for time in minutes(30):
        store(history, time, tags=1)
    late = Batch.of([1], 30 * MINUTE_NS + 1, [-5.0])
    history.append([late, Batch.of([1], 300 * MINUTE_NS, [7.0])], Progress("g", "j", 2), 0)
    with database.begin() as db:
        db.execute(text("UPDATE chunk SET data = x'00' WHERE first_time > 31 * 60000000000"))
    rows = history.aggregate("plant/a/x", 0, DAY_NS, MINUTE_NS).rows()
    assert len(rows) == 301
    assert (rows[30]["count"], rows[30]["minimum"], rows[300]["maximum"]) == (2, -5.0, 7.0)
