"""What history is measured beside: a row per reading, in SQLite, and in DuckDB where it is installed."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.historian.rollup import HOUR_NS

HAS_DUCKDB: Final = find_spec("duckdb") is not None
_TABLE: Final = "CREATE TABLE reading (tag INTEGER, time BIGINT, value DOUBLE, quality INTEGER"
_RAW: Final = "SELECT time, value FROM reading WHERE tag = ? AND time >= ? AND time < ? ORDER BY time"


class Peer(Protocol):
    """A table of readings; `insert` takes what `prepare` made of columns, and commits."""

    def prepare(self, tag: NDArray[Any], time_ns: NDArray[Any], value: NDArray[Any]) -> Any: ...

    def insert(self, prepared: Any) -> None: ...

    def readings(self, tag: int, start_ns: int, end_ns: int) -> Any:
        """Return times and values as numpy columns."""
        ...

    def hourly_means(self, tag: int, start_ns: int, end_ns: int) -> Any: ...


class SqliteRows:
    """A table by tag and time."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
        db.execute(f"{_TABLE}, PRIMARY KEY (tag, time)) WITHOUT ROWID")

    def prepare(self, tag: NDArray[Any], time_ns: NDArray[Any], value: NDArray[Any]) -> Any:
        return list(zip(tag.tolist(), time_ns.tolist(), value.tolist(), [0] * len(tag), strict=True))

    def insert(self, prepared: Any) -> None:
        self._db.executemany("INSERT INTO reading VALUES (?, ?, ?, ?)", prepared)
        self._db.commit()

    def readings(self, tag: int, start_ns: int, end_ns: int) -> Any:
        return np.array(self._db.execute(_RAW, (tag, start_ns, end_ns)).fetchall())

    def hourly_means(self, tag: int, start_ns: int, end_ns: int) -> Any:
        means = f"SELECT time / {HOUR_NS}, avg(value) FROM ({_RAW}) GROUP BY 1"
        return self._db.execute(means, (tag, start_ns, end_ns)).fetchall()


class DuckdbRows:
    """A table without an index, which DuckDB does not need for this: it knows the least and largest of each piece."""

    def __init__(self, db: Any) -> None:
        self._db = db
        db.execute("SET threads = 1")  # what is compared is work, and history works in one thread
        db.execute(f"{_TABLE})")

    def prepare(self, tag: NDArray[Any], time_ns: NDArray[Any], value: NDArray[Any]) -> Any:
        return {"tag": tag, "time": time_ns, "value": value, "quality": np.zeros(len(tag), np.int32)}

    def insert(self, prepared: Any) -> None:
        self._db.register("new", prepared)
        self._db.execute("INSERT INTO reading SELECT tag, time, value, quality FROM new")
        self._db.unregister("new")

    def readings(self, tag: int, start_ns: int, end_ns: int) -> Any:
        return self._db.execute(_RAW, (tag, start_ns, end_ns)).fetchnumpy()

    def hourly_means(self, tag: int, start_ns: int, end_ns: int) -> Any:
        means = f"SELECT time // {HOUR_NS}, avg(value) FROM ({_RAW}) GROUP BY 1"
        return self._db.execute(means, (tag, start_ns, end_ns)).fetchall()


@contextmanager
def sqlite_rows(path: Path) -> Iterator[Peer]:
    with closing(sqlite3.connect(path)) as db:
        yield SqliteRows(db)


@contextmanager
def duckdb_rows(path: Path) -> Iterator[Peer]:
    with closing(import_module("duckdb").connect(str(path))) as db:
        yield DuckdbRows(db)


Opened = Callable[[Path], AbstractContextManager[Peer]]
PEERS: Final[dict[str, Opened]] = {"sqlite3": sqlite_rows, **({"DuckDB": duckdb_rows} if HAS_DUCKDB else {})}
