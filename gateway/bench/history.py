"""History on SQLite: what storing costs, beside rows in a table, and how long questions take.

Ten devices of 1,000 tags, floats that are decimals with noise, read every 10 ms: that is history at full speed, a
million readings per second. Beside it the same readings as rows of a table by tag and time, inserted with the sqlite3
module: the peer. Then some tags of one reading per second for thirty days, asked for one day and for hourly means.
"""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.bench.measured import Measured
from gateway.historian.history import History, Progress
from gateway.historian.rollup import HOUR_NS
from gateway.historian.schema import engine
from gateway.model import Batch, Tag

_START_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01
_SECOND_NS: Final = 1_000_000_000
_DAY_NS: Final = 24 * HOUR_NS
_DEVICES: Final = 10
_VALUES: Final = 1000
_SCANS: Final = 1000
_SCANS_OF_ROWS: Final = 50
_DAYS: Final = 30
_SLOW_TAGS: Final = 2
_ASKED: Final = 5


@dataclass(frozen=True, slots=True)
class Stored:
    """What it cost to store readings, and how many bytes each takes in the end."""

    measured: Measured
    bytes_per_reading: float | None


@dataclass(frozen=True, slots=True)
class Asked:
    """The median time of a question [ms], to history and to rows."""

    name: str
    history_ms: float
    rows_ms: float


@dataclass(frozen=True, slots=True)
class Results:
    """The rows, which are the peer, are last in `stored`."""

    stored: list[Stored]
    asked: list[Asked]


def measure() -> Results:
    """Measure all of it; takes some minutes."""
    with tempfile.TemporaryDirectory() as folder:
        with _history(Path(folder) / "fast.db") as (history, path):
            append, compact = _store(history, _fast_scans(_SCANS), "append, a transaction per 100,000")
        per_reading = _size(path) / append.values
        stored = [Stored(append, None), Stored(compact, per_reading)]
        total = Measured("history, both", append.values, append.wall_s + compact.wall_s, append.cpu_s + compact.cpu_s)
        stored.append(Stored(total, per_reading))
        stored.append(_store_rows(Path(folder) / "rows.db", _fast_scans(_SCANS_OF_ROWS)))
        with _history(Path(folder) / "slow.db") as (history, _):
            return Results(stored, _ask(history, Path(folder) / "slow-rows.db"))


@contextmanager
def _history(path: Path) -> Iterator[tuple[History, Path]]:
    history = History(engine(f"sqlite:///{path}"))
    try:
        yield history, path
    finally:
        history.close()


def _fast_scans(scans: int) -> Iterator[list[Batch]]:
    """Ten scans of all devices at a time; every device has its own values and its own jitter."""
    chance = np.random.default_rng(1)
    value = np.full(_DEVICES * _VALUES, 50.0)
    tags = np.arange(1, _DEVICES * _VALUES + 1, dtype=np.uint32)
    good = np.zeros(_VALUES, np.uint32)
    for first in range(0, scans, 10):
        batches = []
        for scan in range(first, first + 10):
            value += chance.normal(0, 0.05, len(value))
            rounded = np.round(value, 2)
            for start in range(0, len(tags), _VALUES):
                time_ns = _START_NS + scan * _SECOND_NS // 100 + int(chance.integers(0, 1_000_000))
                mine = slice(start, start + _VALUES)
                batches.append(Batch(tags[mine], np.full(_VALUES, time_ns), rounded[mine], good))
        yield batches


def _store(history: History, scans: Iterator[list[Batch]], name: str) -> tuple[Measured, Measured]:
    history.series([Tag(f"bench/d{i // _VALUES}", f"v{i % _VALUES}") for i in range(_DEVICES * _VALUES)])
    readings = 0
    wall_s = cpu_s = 0.0
    for batches in scans:  # made outside of what is measured
        readings += sum(map(len, batches))
        wall, cpu = _timed(partial(history.append, batches, Progress("bench", "j", readings), readings))
        wall_s, cpu_s = wall_s + wall, cpu_s + cpu
    append = Measured(name, readings, wall_s, cpu_s)
    wall_s, cpu_s = _timed(partial(_compact, history))
    return append, Measured("compact into chunks and roll-ups", readings, wall_s, cpu_s)


def _compact(history: History) -> None:
    for waiting in history.tail():
        while history.compact(waiting.shard):
            pass


def _store_rows(path: Path, scans: Iterator[list[Batch]]) -> Stored:
    readings, wall_s, cpu_s = 0, 0.0, 0.0
    with closing(_rows_table(path)) as db:
        for batches in scans:
            rows = [row for batch in batches for row in _as_rows(batch.tag, batch.time, batch.value)]
            wall, cpu = _timed(partial(_insert, db, rows))
            readings, wall_s, cpu_s = readings + len(rows), wall_s + wall, cpu_s + cpu
    return Stored(Measured("sqlite3, a row per reading", readings, wall_s, cpu_s), _size(path) / readings)


def _rows_table(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    db.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
        "CREATE TABLE reading (tag INTEGER, time INTEGER, value REAL, quality INTEGER, PRIMARY KEY (tag, time))"
        " WITHOUT ROWID"
    )
    return db


def _as_rows(tag: NDArray[Any], time_ns: NDArray[Any], value: NDArray[Any]) -> list[tuple[Any, ...]]:
    return list(zip(tag.tolist(), time_ns.tolist(), value.tolist(), [0] * len(tag), strict=True))


def _insert(db: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    db.executemany("INSERT INTO reading VALUES (?, ?, ?, ?)", rows)
    db.commit()


def _ask(history: History, path: Path) -> list[Asked]:
    """Fill both with a reading per second, an hour at a time, and ask both the same."""
    chance = np.random.default_rng(2)
    tags = history.series([Tag("bench/slow", f"v{i}") for i in range(_SLOW_TAGS)])
    with closing(_rows_table(path)) as db:
        for hour in range(24 * _DAYS):
            time_ns = _START_NS + hour * HOUR_NS + np.repeat(np.arange(3600) * _SECOND_NS, _SLOW_TAGS)
            tag = np.tile(tags, 3600)
            value = np.round(50 + np.cumsum(chance.normal(0, 0.05, len(tag))), 2)
            for part in np.array_split(np.arange(len(tag)), 6):  # compacted every ten minutes, as the gateway does
                history.append([Batch.of(tag[part], time_ns[part], value[part])], Progress("bench", "j", hour), hour)
                _compact(history)
            _insert(db, _as_rows(tag, time_ns, value))
        day, month = (_START_NS + 9 * _DAY_NS, _START_NS + 10 * _DAY_NS), (_START_NS, _START_NS + _DAYS * _DAY_NS)
        asked = int(tags[1])
        raw = "SELECT time, value FROM reading WHERE tag = ? AND time >= ? AND time < ? ORDER BY time"
        means = f"SELECT time / {HOUR_NS}, avg(value) FROM ({raw}) GROUP BY 1"
        return [
            Asked(
                "one day of a reading per second",
                _median_ms(lambda: history.readings("bench/slow/v1", *day)),
                _median_ms(lambda: np.array(db.execute(raw, (asked, *day)).fetchall())),
            ),
            Asked(
                "means per hour of thirty days",
                _median_ms(lambda: history.aggregate("bench/slow/v1", *month, HOUR_NS)),
                _median_ms(lambda: db.execute(means, (asked, *month)).fetchall()),
            ),
        ]


def _median_ms(work: Callable[[], Any]) -> float:
    work()
    return 1e3 * float(np.median([_timed(work)[0] for _ in range(_ASKED)]))


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the clock, and of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _size(path: Path) -> int:
    """Bytes of a database once everything is in it, free pages not counted."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        words = ("page_count", "freelist_count", "page_size")
        pages, free, size = (db.execute(f"PRAGMA {word}").fetchone()[0] for word in words)
    return int((pages - free) * size)
