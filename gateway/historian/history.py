"""History in a database: append, compact, query, retention. Blocking; one writer thread, any number of readers.

It knows paths and batches, and neither journal nor bus.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from gateway.historian import joining, retention, schema
from gateway.historian.ask import as_one, check_count, last_at, readings_of, stretches
from gateway.historian.chunk import Readings
from gateway.historian.compact import rollup_of, store
from gateway.historian.grid import decode
from gateway.historian.heed import heeding
from gateway.historian.order import batch_of, numbers
from gateway.historian.retention import Dropped
from gateway.historian.rollup import HOUR_NS, MINUTE_NS, Rollup, merge, rollup_sorted
from gateway.historian.rows import insert_rows, upsert
from gateway.historian.summary import PICTURES, Summary, summarise
from gateway.historian.tail import tail_of, tail_rows, until
from gateway.historian.views import make_views
from gateway.model import Batch, Tag

COMPACT_READINGS: Final = 250_000
"""Readings of a shard that are worth a compaction, some thousand of each series; it takes twice as many at the most."""
_SERIES_ROWS: Final = 5_000
"""Series that one statement makes, so that those of a large plant are not all in memory as rows."""
_NO_SERIES: Final = 0
"""No series has this id: a path that has no history."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a gateway's journal is stored."""

    gateway: str
    journal: str
    position: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many readings of a shard wait for compaction, and when the oldest of them came [ns]."""

    shard: int
    readings: int
    oldest_ns: int


class OtherVersion(SQLAlchemyError):
    """The tables of the database are those of another version of this program."""


class History:
    """A database of readings by path. `replaced` counts readings that gave way to one of their time with another value.

    `made` says that its tables are there. Raises sqlalchemy.exc.SQLAlchemyError for what the database does not do,
    OtherVersion among them.
    """

    def __init__(self, engine: Engine, *, made: bool = False) -> None:
        self.engine = engine
        self._series: dict[str, int] = {}
        self._prepared = made
        self._preparing = Lock()
        self.replaced = 0

    def prepare(self) -> None:
        """Make the tables and views that are missing and learn which series there are; once, whoever needs it first."""
        with self._preparing:  # who asks is in another thread than who writes
            if self._prepared:
                return
            schema.metadata.create_all(self.engine)
            with self.engine.begin() as db:
                _check_version(db)
                schema.add_columns(db)
                make_views(db)
                self._series = dict(_known_series(db))
            self._prepared = True

    def close(self) -> None:
        self.engine.dispose()

    # --- writing --------------------------------------------------------------------------

    def series(self, tags: Sequence[Tag]) -> NDArray[np.uint32]:
        """Return the series of these tags, shape (len(tags),); those that are new are made."""
        self.prepare()
        new = {tag.path: tag for tag in tags if tag.path not in self._series}
        if new:
            with self.engine.begin() as db:
                statement = upsert(db.dialect, schema.series).on_conflict_do_nothing()
                for part in _slices(list(new.values()), _SERIES_ROWS):
                    rows = [{"path": tag.path, "unit": tag.unit, "description": tag.description} for tag in part]
                    db.execute(statement, rows)
                self._series |= dict(_known_series(db))
        return np.array([self._series[tag.path] for tag in tags], dtype=np.uint32)

    def stored(self, gateway: str, journal: str) -> int:
        """Return the position up to which this journal is stored."""
        self.prepare()
        table = schema.progress
        with self.engine.connect() as db:
            position = db.scalar(select(table.c.position).where(table.c.gateway == gateway, table.c.journal == journal))
        return int(position or 0)

    def append(self, batches: Iterable[Batch], progress: Progress, now_ns: int) -> None:
        """Store batches whose `tag` is the series, and how far that is, in one transaction."""
        rows = list(tail_rows(batches, now_ns))
        place: dict[str, list[Any]] = {
            "gateway": [progress.gateway],
            "journal": [progress.journal],
            "position": [progress.position],
        }
        with self.engine.begin() as db:
            if rows:
                insert_rows(db, schema.tail, {name: [row[name] for row in rows] for name in rows[0]})
            insert_rows(db, schema.progress, place, key=("gateway", "journal"))

    def compact(self, shard: int) -> int:
        """Sort the oldest part of a shard's tail into chunks and roll-ups; return how many readings that were.

        All of it is one transaction: a reading is in the tail or in a chunk, never in both or neither.
        """
        table = schema.tail
        replaced = 0
        with schema.writing(self.engine) as db:
            waiting = select(table.c.id, table.c.n).where(table.c.shard == shard).order_by(table.c.id)
            last, n = until(db.execute(waiting.with_for_update()), 2 * COMPACT_READINGS)
            if n:
                these = (table.c.shard == shard) & (table.c.id <= last)
                rows = db.scalars(select(table.c.data).where(these).order_by(table.c.id))
                replaced = store(db, shard, [grid for data in rows for grid in decode(data)])
                db.execute(delete(table).where(these))
        self.replaced += replaced
        return n

    def joins(self, shard: int, start_ns: int, end_ns: int, now_ns: int) -> Iterator[int]:
        """Join small chunks of [start, end), whole days; each step is short and gives how many there are less."""
        return joining.joins(self.engine, shard, start_ns, end_ns, now_ns)

    def oldest(self) -> int | None:
        """Return about the time of the oldest reading in chunks; None without any."""
        self.prepare()
        with self.engine.connect() as db:
            return joining.oldest(db)

    def tail(self) -> list[Waiting]:
        """Return what waits for compaction, by shard."""
        self.prepare()
        table = schema.tail
        sums = select(table.c.shard, func.sum(table.c.n), func.min(table.c.received)).group_by(table.c.shard)
        with self.engine.connect() as db:
            return [Waiting(shard, int(n), oldest) for shard, n, oldest in db.execute(sums.order_by(table.c.shard))]

    def forget(self, before_ns: int, others: Sequence[tuple[str, int]] = ()) -> int:
        """Delete what is older than a time, whole chunks and buckets; return how many chunks that were.

        For paths that match a pattern of `others`, the first one that does, its time counts instead.
        """
        self.prepare()
        with schema.writing(self.engine) as db:
            return retention.forget(db, [(id_, _before(path, before_ns, others)) for path, id_ in _known_series(db)])

    def used(self) -> int:
        """Return the bytes of disk that history needs. SQLite only."""
        self.prepare()
        with self.engine.connect() as db:
            return retention.used(db)

    def drop_oldest(self) -> list[Dropped]:
        """Give up a piece of the oldest, readings before roll-ups; nothing if only the tail is left."""
        with schema.writing(self.engine) as db:
            return retention.drop_oldest(db)

    # --- asking ---------------------------------------------------------------------------

    def asked(self, has_left: Callable[[], bool]) -> "History":
        """Return the same history for one question, which ends with heed.Left when who asked has left."""
        one = copy(self)
        one.engine = heeding(self.engine, has_left)
        return one

    def readings(self, path: str, start_ns: int, end_ns: int, most: int | None = None) -> list[Readings]:
        """Return the readings in [start, end) of a path by time, one Readings for each kind of value that it had.

        Of readings with the same time and kind there is one, that which came last. With `most`, the range may end
        earlier, but not before it has so many.
        """
        self.prepare()
        with self.engine.connect() as db:
            return list(readings_of(db, self._number(db, path), start_ns, end_ns, most).values())

    def at(self, path: str, time_ns: int, *, usable: bool = False) -> Readings | None:
        """Return the last reading at or before a time, as Readings of one; with `usable` the last good one."""
        self.prepare()
        with self.engine.connect() as db:
            return last_at(db, self._number(db, path), time_ns, usable)

    def summary(self, path: str, start_ns: int, end_ns: int, bucket_ns: int) -> Summary | None:
        """Return what the readings of [start, end) come to per bucket, from the readings themselves; None without any.

        Takes readings of several kinds as numbers. Raises ValueError if they are more than ask.READINGS_MAX.
        """
        parts = self._from_before(path, start_ns, end_ns)
        return summarise(as_one(parts), start_ns, end_ns, bucket_ns) if parts else None

    def held(self, path: str, times_ns: NDArray[np.int64]) -> Readings | None:
        """Return the last reading at or before each of these times, which are in order; None without any.

        Where there is none its time is that of the first one, later than the time asked for. Takes readings of several
        kinds as numbers. Raises ValueError if they are more than ask.READINGS_MAX.
        """
        parts = self._from_before(path, int(times_ns[0]), int(times_ns[-1]) + 1)
        if not parts:
            return None
        every = as_one(parts)
        at = np.maximum(np.searchsorted(every.time, times_ns, "right") - 1, 0)
        return Readings(every.time[at], every.value[at], every.quality[at])

    def picture(self, path: str, start_ns: int, end_ns: int, method: str, points: int) -> Readings | None:
        """Return as many good numbers of [start, end) as a picture needs, as floats; None without any.

        `method` is lttb or minmax.
        """
        self.prepare()
        with self.engine.connect() as db:
            series = self._number(db, path)
            check_count(db, series, start_ns, end_ns)
            parts = list(readings_of(db, series, start_ns, end_ns).values())
        every = numbers([batch_of(0, part) for part in parts]) if parts else Batch.of([], [], np.empty(0))
        usable = every.where(every.good & np.isfinite(every.value))
        if not len(usable):
            return None
        shown = usable.take(PICTURES[method](usable.time, usable.value, points))
        return Readings(shown.time, shown.value, shown.quality)

    def aggregate(self, path: str, start_ns: int, end_ns: int, bucket_ns: int) -> Rollup:
        """Return one row per bucket within [start, end), from the roll-ups; `bucket_ns` is a number of minutes.

        Buckets are whole: start is rounded down, end up. What the tail has is not in the roll-ups, and may take the
        place of what is: where it has something, the rows are made from readings.
        """
        self.prepare()
        start_ns -= start_ns % bucket_ns
        end_ns += -end_ns % bucket_ns
        table, unit_ns = (schema.rollup_1m, MINUTE_NS) if bucket_ns % HOUR_NS else (schema.rollup_1h, HOUR_NS)
        with self.engine.connect() as db:
            series = self._number(db, path)
            tail = list(tail_of(db, series, start_ns, end_ns))
            within = (table.c.series == series, table.c.bucket >= start_ns, table.c.bucket < end_ns)
            rows = rollup_of(db.execute(select(table).where(*within).order_by(table.c.bucket)).all())
            if tail:
                touched = np.unique(np.concatenate([batch.time for batch in tail]) // unit_ns) * unit_ns
                found = [
                    batch_of(series, part)
                    for first, last in stretches(touched, unit_ns)
                    for part in readings_of(db, series, first, last + unit_ns, tail=tail).values()
                ]
                fresh = rollup_sorted(numbers(found), unit_ns)
                rows = merge(rows.where(~np.isin(rows.bucket, touched)), fresh, unit_ns)
        return merge(rows, rollup_of(()), bucket_ns)

    def _number(self, db: Connection, path: str) -> int:
        """The series of a path; one that is new here may have been made by another process."""
        if path not in self._series:
            found = db.execute(select(schema.series.c.path, schema.series.c.id).where(schema.series.c.path == path))
            self._series |= {row.path: row.id for row in found}
        return self._series.get(path, _NO_SERIES)

    def _from_before(self, path: str, start_ns: int, end_ns: int) -> list[Readings]:
        """The readings in [start, end) and the last one before."""
        self.prepare()
        with self.engine.connect() as db:
            series = self._number(db, path)
            check_count(db, series, start_ns, end_ns)
            before = last_at(db, series, start_ns - 1, usable=False)
            found = list(readings_of(db, series, start_ns, end_ns).values())
        return [part for part in (before, *found) if part is not None]


def _before(path: str, before_ns: int, others: Sequence[tuple[str, int]]) -> int:
    return next((other_ns for pattern, other_ns in others if fnmatchcase(path, pattern)), before_ns)


def _slices(tags: Sequence[Tag], size: int) -> Iterator[Sequence[Tag]]:
    return (tags[start : start + size] for start in range(0, len(tags), size))


def _check_version(db: Connection) -> None:
    version = db.scalar(select(func.max(schema.version.c.number)))
    if version is None and db.scalar(select(func.count()).select_from(schema.series)) == 0:
        db.execute(upsert(db.dialect, schema.version).values(number=schema.VERSION).on_conflict_do_nothing())
    elif version != schema.VERSION:
        raise OtherVersion(
            f"its tables have version {version or 1}, this program has {schema.VERSION}: give it another database,"
            " or move history.db and the files beside it away"
        )


def _known_series(db: Connection) -> list[tuple[str, int]]:
    return [(row.path, row.id) for row in db.execute(select(schema.series.c.path, schema.series.c.id))]
