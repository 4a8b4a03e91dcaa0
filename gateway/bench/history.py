"""History on SQLite: what storing costs, beside rows in a table, and how long questions take.

Ten devices of 1,000 tags, floats that are decimals with noise, read every 10 ms: that is history at full speed, a
million readings per second. One of them, 10,000 readings in a transaction, is also stored as rows, in SQLite and in
DuckDB. Then some tags of one reading per second for thirty days are asked for one day and for hourly means, and what
an append takes is measured beside questions that never end.
"""

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from api import arrow
from gateway.bench.history_peers import PEERS, Opened, Peer
from gateway.bench.measured import Measured
from gateway.historian.chunks import DAY_NS
from gateway.historian.history import History, Progress
from gateway.historian.rollup import HOUR_NS
from gateway.historian.schema import engine
from gateway.model import Batch, Tag

_START_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01
_SECOND_NS: Final = 1_000_000_000

_DEVICES: Final = 10
_VALUES: Final = 1000
_SCANS: Final = 1000
_APPENDS: Final = 300
_DAYS: Final = 30
_SLOW_TAGS: Final = 2
_ASKED: Final = 5
_ASKED_FOR: Final = "bench/slow/v1"
_A_DAY: Final = (_START_NS + 9 * DAY_NS, _START_NS + 10 * DAY_NS)
_A_MONTH: Final = (_START_NS, _START_NS + _DAYS * DAY_NS)


@dataclass(frozen=True, slots=True)
class Stored:
    """What it cost to store readings, and how many bytes each takes in the end."""

    measured: Measured
    bytes_per_reading: float | None


@dataclass(frozen=True, slots=True)
class Asked:
    """The median time of a question [ms], to history and to each peer by its name."""

    name: str
    history_ms: float
    peers_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Beside:
    """The 99th percentile of what an append takes [ms], alone and while another thread asks without end."""

    alone_ms: float
    asked_ms: float


@dataclass(frozen=True, slots=True)
class Results:
    """`stored` is history at full speed; `compared` history, and its peers by name, on the same readings.

    `arrow` is readings of history as a stream of Arrow; None where pyarrow is not installed.
    """

    stored: list[Stored]
    compared: Mapping[str, Stored]
    asked: list[Asked]
    beside: Beside
    arrow: Measured | None


def measure() -> Results:
    """Measure all of it; takes some minutes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stored = _store(folder / "fast.db", _DEVICES, "a transaction per 100,000")
        compared = {"history": _store(folder / "one.db", 1, "a transaction per 10,000")[-1]}
        for peer, opened in PEERS.items():
            compared[peer] = _store_rows(peer, opened, folder / f"{peer}.rows")
        with _history(folder / "slow.db") as (history, _):
            asked = _ask(history, folder)
            stream = _arrow(history)  # before there is a tail of hundreds of rows, each of which a question opens
            return Results(stored, compared, asked, _ask_beside(history), stream)


@contextmanager
def _history(path: Path) -> Iterator[tuple[History, Path]]:
    history = History(engine(f"sqlite:///{path}"))
    try:
        yield history, path
    finally:
        history.close()


def _scans(devices: int) -> Iterator[list[Batch]]:
    """Ten scans of all devices at a time; every device has its own values and its own jitter."""
    chance = np.random.default_rng(1)
    value = np.full(devices * _VALUES, 50.0)
    tags = np.arange(1, devices * _VALUES + 1, dtype=np.uint32)
    good = np.zeros(_VALUES, np.uint32)
    for first in range(0, _SCANS, 10):
        batches = []
        for scan in range(first, first + 10):
            value += chance.normal(0, 0.05, len(value))
            rounded = np.round(value, 2)
            for start in range(0, len(tags), _VALUES):
                time_ns = _START_NS + scan * _SECOND_NS // 100 + int(chance.integers(0, 1_000_000))
                mine = slice(start, start + _VALUES)
                batches.append(Batch(tags[mine], np.full(_VALUES, time_ns), rounded[mine], good))
        yield batches


def _store(path: Path, devices: int, name: str) -> list[Stored]:
    """Append and compact, and both together."""
    with _history(path) as (history, _):
        history.series([Tag(f"bench/d{i // _VALUES}", f"v{i % _VALUES}") for i in range(devices * _VALUES)])
        readings = 0
        wall_s = cpu_s = 0.0
        for batches in _scans(devices):  # made outside of what is measured
            readings += sum(map(len, batches))
            wall, cpu = _timed(partial(history.append, batches, Progress("bench", "j", readings), readings))
            wall_s, cpu_s = wall_s + wall, cpu_s + cpu
        append = Measured(f"append, {name}", readings, wall_s, cpu_s)
        wall_s, cpu_s = _timed(partial(_compact, history))
    compact = Measured("compact into chunks and roll-ups", readings, wall_s, cpu_s)
    both = Measured("history, both", readings, append.wall_s + compact.wall_s, append.cpu_s + compact.cpu_s)
    size = _size(path) / readings
    return [Stored(append, None), Stored(compact, size), Stored(both, size)]


def _compact(history: History) -> None:
    for waiting in history.tail():
        while history.compact(waiting.shard):
            pass


def _store_rows(name: str, opened: Opened, path: Path) -> Stored:
    readings, wall_s, cpu_s = 0, 0.0, 0.0
    with opened(path) as peer:
        for batches in _scans(1):
            rows = peer.prepare(*(np.concatenate([getattr(b, of) for b in batches]) for of in ("tag", "time", "value")))
            wall, cpu = _timed(partial(peer.insert, rows))
            readings, wall_s, cpu_s = readings + sum(map(len, batches)), wall_s + wall, cpu_s + cpu
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    return Stored(Measured(f"{name}, a row per reading", readings, wall_s, cpu_s), size / readings)


def _ask(history: History, folder: Path) -> list[Asked]:
    """Fill all of them with a reading per second, an hour at a time, and ask all of them the same."""
    chance = np.random.default_rng(2)
    tags = history.series([Tag("bench/slow", f"v{i}") for i in range(_SLOW_TAGS)])
    with ExitStack() as open_:
        peers: dict[str, Peer] = {
            name: open_.enter_context(opened(folder / f"{name}.slow")) for name, opened in PEERS.items()
        }
        for hour in range(24 * _DAYS):
            time_ns = _START_NS + hour * HOUR_NS + np.repeat(np.arange(3600) * _SECOND_NS, _SLOW_TAGS)
            tag = np.tile(tags, 3600)
            value = np.round(50 + np.cumsum(chance.normal(0, 0.05, len(tag))), 2)
            for part in np.array_split(np.arange(len(tag)), 6):  # compacted every ten minutes, as the gateway does
                history.append([Batch.of(tag[part], time_ns[part], value[part])], Progress("bench", "j", hour), hour)
                _compact(history)
            for peer in peers.values():
                peer.insert(peer.prepare(tag, time_ns, value))
        for day in range(_DAYS + 1):  # as the chores do, when the days are over
            for _ in history.joins(0, _START_NS + day * DAY_NS, _START_NS + (day + 1) * DAY_NS, 2**62):
                pass
        one = int(tags[1])
        return [
            Asked(
                "one day of a reading per second",
                _median_ms(lambda: history.readings(_ASKED_FOR, *_A_DAY)),
                {name: _median_ms(partial(peer.readings, one, *_A_DAY)) for name, peer in peers.items()},
            ),
            Asked(
                "means per hour of thirty days",
                _median_ms(lambda: history.aggregate(_ASKED_FOR, *_A_MONTH, HOUR_NS)),
                {name: _median_ms(partial(peer.hourly_means, one, *_A_MONTH)) for name, peer in peers.items()},
            ),
        ]


def _ask_beside(history: History) -> Beside:
    """Append 1,000 readings again and again, alone, and then beside a thread that asks for days without end."""
    tags = history.series([Tag("bench/beside", f"v{i}") for i in range(_VALUES)])
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            history.readings(_ASKED_FOR, *_A_DAY)
            history.summary(_ASKED_FOR, *_A_DAY, 60 * _SECOND_NS)

    def p99_ms() -> float:
        took = []
        for i in range(_APPENDS):
            batch = Batch.of(tags, _START_NS + i * _SECOND_NS, np.round(np.sin(np.arange(_VALUES)) * i, 2))
            took.append(_timed(partial(history.append, [batch], Progress("bench", "j", i), i))[0])
        return 1e3 * float(np.quantile(took, 0.99))

    alone_ms = p99_ms()
    with ThreadPoolExecutor(1) as others:
        asking = others.submit(ask)
        try:
            asked_ms = p99_ms()
        finally:
            over.set()
        asking.result()
    return Beside(alone_ms, asked_ms)


def _arrow(history: History) -> Measured | None:
    """Ask for a million readings and write them as the API does."""
    if find_spec("pyarrow") is None:
        return None
    days = (_START_NS, _START_NS + 11 * DAY_NS)

    def answer() -> None:
        (found,) = history.readings(_ASKED_FOR, *days)
        columns = {"timestamp": found.time, "value": found.value, "status": found.quality}
        arrow.binary("arrow", columns, {}, None)

    best_s = min(_timed(answer) for _ in range(_ASKED))
    return Measured("as a stream of Arrow", 11 * 24 * 3600, *best_s)


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
