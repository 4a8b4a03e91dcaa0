"""History: series, progress and transactions, case by case."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from gateway.contracts import Words
from gateway.historian import words
from gateway.historian.history import History, OtherVersion, Progress
from gateway.historian.retention import Dropped
from gateway.historian.rollup import MINUTE_NS
from gateway.historian.schema import engine
from gateway.historian.sink import Historian
from gateway.model import Batch, Catalog, Record, Tag
from tests.inline import inline
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

X, Y = Tag("plant/a", "x", unit="bar"), Tag("plant/a", "y")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    opened = engine(f"sqlite:///{tmp_path / 'history.db'}")
    yield opened
    opened.dispose()


def test_whoever_comes_first_makes_the_tables_and_the_others_wait(tmp_path: Path) -> None:
    """A query that came while the gateway started had the tables made twice, and history was away for a while."""
    with ThreadPoolExecutor(8) as threads:
        for k in range(20):
            history = History(engine(f"sqlite:///{tmp_path / f'{k}.db'}"))
            assert list(threads.map(lambda _, one=history: one.readings("a", 0, 1), range(8))) == [[]] * 8
            history.close()


def values(history: History, path: str = "plant/a/x") -> list[object]:
    return [value for part in history.readings(path, -(2**62), 2**62) for value in part.value.tolist()]


def compact(history: History) -> None:
    for part in history.tail():
        history.compact(part.shard)


def waiting(history: History) -> int:
    return sum(part.readings for part in history.tail())


def test_a_series_keeps_its_number(database: Engine) -> None:
    history = History(database)
    one, other = history.series([X, Y]).tolist()
    assert one != other
    assert history.series([Y, X, Y]).tolist() == [other, one, other]
    assert History(database).series([X]).tolist() == [one]


def test_readings_that_another_of_their_time_replaced_are_counted(database: Engine) -> None:
    history = History(database)
    x, y = history.series([X, Y]).tolist()
    nan = float("nan")
    store(history, Batch.of([x, y, x, x], [5, 5, 6, 7], [1.0, 1.0, 2.0, nan]), Batch.of([y, y], [1, 2], ["a", "b"]))
    compact(history)
    assert history.replaced == 0
    store(history, Batch.of([x, x, x, x], [5, 6, 7, 8], [1.5, 2.0, nan, 3.0]), Batch.of([y, y], [1, 2], ["a", "c"]))
    compact(history)
    assert history.replaced == 2  # the first one, and the text
    store(history, Batch.of([x, x, x], [9, 9, 9], [1.0, 2.0, 1.0]))
    compact(history)
    assert history.replaced == 4
    assert values(history) == [1.5, 2.0, pytest.approx(nan, nan_ok=True), 3.0, 1.0]
    assert values(history, "plant/a/y") == ["a", "c", 1.0]


def test_a_path_without_history_has_no_readings(database: Engine) -> None:
    history = History(database)
    assert history.readings("plant/a/none", -(2**62), 2**62) == []
    assert len(history.aggregate("plant/a/none", 0, MINUTE_NS, MINUTE_NS)) == 0


@pytest.mark.parametrize("compacted", [False, True])
def test_a_range_has_its_start_and_not_its_end(database: Engine, compacted: bool) -> None:
    history = History(database)
    (series,) = history.series([X])
    history.append([Batch.of([series] * 3, [10, 20, 30], [1.0, 2.0, 3.0])], Progress("gw1", "j", 1), 0)
    if compacted:
        compact(history)

    def between(start: int, end: int) -> list[float]:
        return [value for part in history.readings("plant/a/x", start, end) for value in part.value.tolist()]

    assert between(10, 30) == [1.0, 2.0]
    assert between(30, 31) == [3.0]
    assert between(0, 10) == []
    assert between(0, 11) == [1.0]
    assert between(31, 99) == []


def test_an_empty_tail_can_be_compacted(database: Engine) -> None:
    history = History(database)
    assert history.tail() == []
    assert history.compact(0) == 0


def test_progress_is_kept_by_gateway_and_journal(database: Engine) -> None:
    history = History(database)
    assert history.stored("gw1", "j1") == 0
    history.append([], Progress("gw1", "j1", 5), 0)
    history.append([], Progress("gw1", "j1", 7), 0)
    history.append([], Progress("gw2", "j2", 3), 0)
    assert [history.stored(*key) for key in (("gw1", "j1"), ("gw2", "j2"), ("gw1", "j2"))] == [7, 3, 0]


def test_what_fails_halfway_has_not_happened(database: Engine) -> None:
    """Readings and progress are one transaction; so are chunks, roll-ups and what is taken from the tail."""
    history = History(database)
    history.series([X])
    history.append([Batch.of([1], 0, [1.0])], Progress("gw1", "j1", 1), 0)
    forbid(database, "progress", "UPDATE")
    with pytest.raises(DBAPIError):
        history.append([Batch.of([1], 1, [2.0])], Progress("gw1", "j1", 2), 0)
    forbid(database, "tail", "DELETE")
    with pytest.raises(DBAPIError):
        compact(history)
    assert (values(history), history.stored("gw1", "j1"), waiting(history)) == ([1.0], 1, 1)


def forbid(database: Engine, table: str, what: str) -> None:
    """Let the database refuse something, as if the disk were full at that moment."""
    with database.begin() as db:
        db.execute(text(f"CREATE TRIGGER no_{table} BEFORE {what} ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END"))


def store(history: History, *batches: Batch) -> None:
    history.series([X, Y])
    history.append(batches, Progress("gw1", "j1", 1), 0)


def count(database: Engine, table: str) -> int:
    with database.connect() as db:
        return int(db.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


def test_tags_that_are_read_together_share_their_times(database: Engine) -> None:
    history = History(database)
    store(history, Batch.of([1, 2] * 3, [5, 5, 6, 6, 8, 8], np.arange(6.0)))
    compact(history)
    assert (count(database, "chunk"), count(database, "times")) == (2, 1)
    assert values(history) == [0.0, 2.0, 4.0]


def test_times_with_the_same_ends_and_sum_are_not_taken_for_the_same(database: Engine) -> None:
    history = History(database)
    times = {1: [0, 3, 5, 9], 2: [0, 2, 6, 9]}
    store(history, *(Batch.of([series] * 4, time, np.arange(4.0)) for series, time in times.items()))
    compact(history)
    found = [part.time.tolist() for path in ("plant/a/x", "plant/a/y") for part in history.readings(path, 0, 99)]
    assert found == [*times.values()]


def test_a_late_reading_goes_into_the_chunk_where_it_belongs(database: Engine) -> None:
    """Once by time, the roll-ups of its minute and hour corrected, and no chunk more than before."""
    history = History(database)
    for start in (0, 60, 120):
        store(history, Batch.of([1] * 6, (np.arange(6) * 10 + start) * 1_000_000_000, np.arange(6.0) + start))
        compact(history)
    for _ in range(2):
        store(history, Batch.of([1, 1], [65_000_000_000, 70_000_000_000], [1000.0, 2000.0]))
        compact(history)
    assert count(database, "chunk") == 3
    assert values(history)[6:10] == [60.0, 1000.0, 2000.0, 62.0]
    for width, at in ((MINUTE_NS, 1), (60 * MINUTE_NS, 0)):
        row = history.aggregate("plant/a/x", 0, 180_000_000_000, width).rows()[at]
        assert (row["count"], row["maximum"]) == ((7, 2000.0) if at else (19, 2000.0))


def test_a_chunk_ends_with_the_day_and_is_not_too_long(database: Engine) -> None:
    history = History(database)
    time = np.arange(-10, 9000) * 1_000_000_000
    store(history, Batch.of([1] * len(time), time, time.astype(float)))
    compact(history)
    assert count(database, "chunk") == 3
    assert values(history) == time.tolist()
    assert [len(part) for part in history.readings("plant/a/x", -5_000_000_000, 8_500_000_000_000)] == [8505]


def test_some_tags_are_kept_for_longer_and_some_not_as_long(database: Engine) -> None:
    """x and y were read together, so they share times: these stay as long as one of them needs them."""
    history = History(database)
    store(history, Batch.of([1, 2] * 2, [5, 5, 6, 6], np.arange(4.0)))
    compact(history)
    assert history.forget(100, [("*/y", 6), ("*/x*", 1), ("*", 50)]) == 0
    assert history.forget(100, [("*/y", 6)]) == 1
    assert (values(history), values(history, "plant/a/y")) == ([], [1.0, 3.0])
    assert history.forget(100, [("*/none", 0)]) == 1
    assert (count(database, "times"), count(database, "rollup_1m")) == (0, 2)


def test_tables_of_another_version_are_not_touched(database: Engine) -> None:
    store(History(database), Batch.of([1], 0, [1.0]))
    with database.begin() as db:
        db.execute(text("UPDATE version SET number = 9"))
    with pytest.raises(OtherVersion, match="tables have version 9, this program has 2: give it another database"):
        History(database).readings("plant/a/x", 0, 1)


def test_without_room_the_oldest_readings_go_first_then_minutes_then_hours(database: Engine) -> None:
    """Two days of an hour each; the tail is what remains in the end."""
    history = History(database)
    day = 86_400_000_000_000
    for start in (0, day):
        store(history, Batch.of([1] * 60, start + np.arange(60) * MINUTE_NS, np.arange(60.0)))
        compact(history)
    store(history, Batch.of([1], 2 * day, [99.0]))
    answers = Words("{}", np.array([[0], [day]]), np.zeros((2, 1), np.uint32), np.zeros((2, 4), np.uint8))
    words.keep(database, {"press": [answers]})
    before = history.used()
    left = []
    assert history.drop_oldest() == [Dropped("scans", "press", 2, 0, day + 1)]
    while dropped := history.drop_oldest():
        counts = [count(database, table) for table in ("chunk", "times", "rollup_1m", "rollup_1h")]
        left.append((*dropped, *counts))
    hour = 60 * MINUTE_NS
    assert left == [
        (Dropped("readings", "plant/a/x", 60, 0, hour - MINUTE_NS + 1), 1, 1, 120, 2),
        (Dropped("readings", "plant/a/x", 60, day, day + hour - MINUTE_NS + 1), 0, 0, 120, 2),
        (Dropped("rows", "plant/a/x", 60, 0, hour), 0, 0, 60, 2),
        (Dropped("rows", "plant/a/x", 60, day, day + hour), 0, 0, 0, 2),
        (Dropped("rows", "plant/a/x", 2, 0, day + hour), 0, 0, 0, 0),
    ]
    assert values(history) == [99.0]
    assert history.used() <= before


# --- from the journal ---------------------------------------------------------------------


def record(position: int, value: float, boot: int = 1) -> Record:
    return Record(position, 0, boot, position, 0, (Batch.of([0], position, [value]),))


def historian(database: Engine, catalog: Catalog) -> Historian:
    return Historian(History(database), inline, catalog, LoopClock(), gateway="gw1", journal="j1", retention_s=3600.0)


def test_records_that_come_again_are_stored_once(database: Engine) -> None:
    async def world() -> list[int]:
        sink = historian(database, Catalog([X]))
        counts = []
        for group in ([record(1, 0.1), record(2, 0.2)], [record(2, 0.2), record(3, 0.3)], [record(1, 0.1)]):
            await sink.write(group)
            counts.append(sink.readings)
        again = historian(database, Catalog([X]))  # after a restart
        await again.write([record(2, 0.2), record(3, 0.3), record(4, 0.4, boot=2)])
        return [*counts, again.readings]

    assert simulate(world()) == [2, 3, 3, 1]
    assert values(History(database)) == [0.1, 0.2, 0.3, 0.4]


def test_positions_that_a_power_cut_took_from_the_journal_are_other_records_when_they_are_given_again(
    database: Engine,
) -> None:
    async def world() -> None:
        await historian(database, Catalog([X])).write([record(n, n / 10) for n in (1, 2, 3)])
        after = historian(database, Catalog([X]))  # the journal has only records 1 and 2, and goes on with 3
        again = Record(3, 0, 2, 3, 0, (Batch.of([0], 30, [0.9]),))
        await after.write([record(2, 0.2), again, record(40, 1.0, boot=2)])

    simulate(world())
    assert values(History(database)) == [0.1, 0.2, 0.3, 0.9, 1.0]


def test_progress_from_before_boots_counted_is_understood(database: Engine) -> None:
    history = History(database)
    history.prepare()
    history.append([], Progress("gw1", "j1", 2), 0)
    simulate(historian(database, Catalog([X])).write([record(n, n / 10) for n in (1, 2, 3)]))
    assert values(History(database)) == [0.3]


def test_a_tag_that_is_new_gets_its_series_when_it_comes(database: Engine) -> None:
    async def world() -> None:
        catalog = Catalog([X])
        sink = historian(database, catalog)
        await sink.write([record(1, 0.1)])
        catalog.add(Y)
        await sink.write([Record(2, 0, 1, 2, 0, (Batch.of([1, 0], 5, [7.0, 8.0]),))])

    simulate(world())
    assert (values(History(database)), values(History(database), "plant/a/y")) == ([0.1, 8.0], [7.0])


def test_a_database_that_refuses_is_away_and_gets_the_same_records_later(database: Engine) -> None:
    async def world() -> None:
        sink = historian(database, Catalog([X]))
        await sink.write([record(1, 0.1)])
        forbid(database, "progress", "UPDATE")
        with pytest.raises(ConnectionError, match=r"history cannot be written: .*full"):
            await sink.write([record(2, 0.2)])
        with database.begin() as db:
            db.execute(text("DROP TRIGGER no_progress"))
        await sink.write([record(2, 0.2), record(3, 0.3)])

    simulate(world())
    assert values(History(database)) == [0.1, 0.2, 0.3]


def test_chores_compact_what_has_waited_and_forget_what_is_too_old(database: Engine) -> None:
    """The tail is compacted after ten minutes, and kept for the hour that is its retention; in virtual time."""

    async def world() -> list[tuple[int, int]]:
        history = History(database)
        sink = historian(database, Catalog([X]))
        await sink.write([Record(1, 0, 1, 1, 0, (Batch.of([0], LoopClock().now_ns(), [0.1]),))])
        seen = []
        async with asyncio.TaskGroup() as tasks:
            chores = tasks.create_task(sink.chores(lambda: None))
            for minute in (9, 2, 40, 30):
                await asyncio.sleep(60.0 * minute)
                seen.append((waiting(history), len(values(history))))
            chores.cancel()
        return seen

    assert simulate(world()) == [(1, 1), (0, 1), (0, 1), (0, 0)]


def test_chores_forget_some_tags_sooner(database: Engine) -> None:
    async def world() -> tuple[int, int]:
        history = History(database)
        now_ns = LoopClock().now_ns()
        store(history, Batch.of([1, 2], now_ns - 10 * MINUTE_NS, [0.1, 0.2]))
        compact(history)
        catalog, sooner = Catalog([X]), {"*/x": 60.0}
        sink = Historian(
            history, inline, catalog, LoopClock(), gateway="g", journal="j", retention_s=3600.0, retentions_s=sooner
        )
        async with asyncio.TaskGroup() as tasks:
            chores = tasks.create_task(sink.chores(lambda: None))
            await asyncio.sleep(1.0)
            chores.cancel()
        return len(values(history)), len(values(history, "plant/a/y"))

    assert simulate(world()) == (0, 1)


def test_chores_keep_history_within_its_size_and_say_so_once(
    database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    chance = np.random.default_rng(1)
    history = History(database)
    for hour in range(24):
        time = EPOCH_NS - (24 - hour) * 60 * MINUTE_NS + np.arange(5000) * 600_000_000
        store(history, Batch.of([1] * 5000, time, chance.normal(0, 1, 5000)))
        compact(history)
    size_max = history.used() // 2
    told: list[Any] = []

    async def world() -> Historian:
        sink = Historian(
            history,
            inline,
            Catalog([replace(X, device="press")]),
            LoopClock(),
            gateway="g",
            journal="j",
            retention_s=1e6,
            size_max=size_max,
            gave_up=lambda *what: told.append(what),
        )
        async with asyncio.TaskGroup() as tasks:
            chores = tasks.create_task(sink.chores(lambda: None))
            await asyncio.sleep(20.0)
            chores.cancel()
        return sink

    sink = simulate(world())
    dropped = sink.dropped["history_readings_dropped"]
    assert (dropped + len(values(history)), dropped % 5000, sink.dropped["history_rows_dropped"]) == (120_000, 0, 0)
    assert size_max * 0.9 < history.used() <= size_max
    assert {what[:3] for what in told} == {("historian", "press", "history full: readings")}
    assert sum(count for *_, count, _ in told) == dropped
    begins, ends = zip(*(time for *_, time in told), strict=True)
    assert begins[0] == EPOCH_NS - 24 * 60 * MINUTE_NS
    assert max(ends) <= min(part.time[0] for part in history.readings("plant/a/x", 0, 2**62))
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "history is larger than historian.size: the oldest is being dropped, readings before roll-ups"
    ]
    assert count(database, "rollup_1h") == 24


def test_chores_of_a_database_that_refuses_are_a_lost_connection(database: Engine) -> None:
    async def world() -> None:
        sink = historian(database, Catalog([X]))
        await sink.write([record(1, 0.1)])
        forbid(database, "tail", "DELETE")
        await sink.chores(lambda: None)

    with pytest.raises(ConnectionError, match=r"history cannot be compacted: .*full"):
        simulate(world())


def test_readings_of_the_wildest_times_can_be_stored(database: Engine) -> None:
    history = History(database)
    history.series([X])
    extremes = [-(2**63), -1, 0, 2**63 - 1]
    history.append([Batch.of([1] * 4, extremes, np.arange(4.0))], Progress("gw1", "j1", 1), 0)
    for _ in range(2):
        (found,) = history.readings("plant/a/x", -(2**63), 2**63 - 1)
        assert found.time.tolist() == extremes[:3]
        compact(history)


def test_views_say_what_the_roll_ups_come_to(database: Engine) -> None:
    history = History(database)
    one, other = history.series([X, Y]).tolist()
    times = [61_000_000_000, 62_000_000_000, 3_600_000_000_000]
    history.append([Batch.of([one] * 3, times, [1.0, 3.0, 7.0], [0, 0, 0x8000_0000])], Progress("gw1", "j", 1), 0)
    history.append([Batch.of([other], [0], [5.0])], Progress("gw1", "j", 2), 0)
    compact(history)
    names = (
        "time, time_ns, count, good, good_share, minimum, maximum, mean, deviation, first, first_time, last, last_time"
    )
    with database.connect() as db:
        rows = db.execute(text(f"SELECT {names} FROM history_1m WHERE path = 'plant/a/x' ORDER BY time_ns")).all()
        hours = db.execute(text("SELECT path, unit, count FROM history_1h ORDER BY path, time_ns")).all()
        with pytest.raises(DBAPIError):
            db.execute(text("DELETE FROM history_1m"))
    minute, nothing = map(tuple, rows)
    numbers = (
        2,
        2,
        1.0,
        1.0,
        3.0,
        2.0,
        pytest.approx(2**0.5),
        1.0,
        "1970-01-01T00:01:01Z",
        3.0,
        "1970-01-01T00:01:02Z",
    )
    assert minute == ("1970-01-01T00:01:00Z", 60_000_000_000, *numbers)
    assert nothing == ("1970-01-01T01:00:00Z", 3_600_000_000_000, 1, 0, 0.0, *[None] * 8)
    assert [tuple(row) for row in hours] == [("plant/a/x", "bar", 2), ("plant/a/x", "bar", 1), ("plant/a/y", "", 1)]
