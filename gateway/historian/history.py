"""History in a database: append, compact, query, retention. Blocking; one writer thread, any number of readers.

It knows paths and batches, and neither journal nor bus.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.historian import chunk as coding
from gateway.historian import schema
from gateway.historian.chunk import Readings
from gateway.historian.rollup import MINUTE_NS, Rollup, merge, rollup
from gateway.model import Batch, Kind, Tag
from gateway.model.batch import join_kinds
from gateway.model.encoding import decode, encode

COMPACT_READINGS: Final = 2_000_000
"""Readings that one compaction takes."""
_SLICE_READINGS: Final = 250_000
"""Readings of it that are in memory at a time, some 20 MB: the tail is read once for each slice of the series."""
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


class History:
    """A database of readings by path. Raises sqlalchemy.exc.DBAPIError for what the database does not do."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._series: dict[str, int] = {}
        self._prepared = False

    def prepare(self) -> None:
        """Make the tables that are missing and learn which series there are; once, whoever needs it first."""
        if not self._prepared:
            schema.metadata.create_all(self._engine)
            with self._engine.begin() as db:
                self._series = dict(_known_series(db))
            self._prepared = True

    def close(self) -> None:
        self._engine.dispose()

    # --- writing --------------------------------------------------------------------------

    def series(self, tags: Sequence[Tag]) -> NDArray[np.uint32]:
        """Return the series of these tags, shape (len(tags),); those that are new are made."""
        self.prepare()
        new = {tag.path: tag for tag in tags if tag.path not in self._series}
        if new:
            with self._engine.begin() as db:
                statement = _insert(db, schema.series).on_conflict_do_nothing()
                for part in _slices(list(new.values()), _SERIES_ROWS):
                    rows = [{"path": tag.path, "unit": tag.unit, "description": tag.description} for tag in part]
                    db.execute(statement, rows)
                self._series |= dict(_known_series(db))
        return np.array([self._series[tag.path] for tag in tags], dtype=np.uint32)

    def stored(self, gateway: str, journal: str) -> int:
        """Return the position up to which this journal is stored."""
        self.prepare()
        table = schema.progress
        with self._engine.connect() as db:
            position = db.scalar(select(table.c.position).where(table.c.gateway == gateway, table.c.journal == journal))
        return int(position or 0)

    def append(self, batches: Iterable[Batch], progress: Progress, now_ns: int) -> None:
        """Store batches whose `tag` is the series, and how far that is, in one transaction."""
        joined = join_kinds(batches)
        with self._engine.begin() as db:
            if joined:
                db.execute(insert(schema.tail), [_tail_row(batch, now_ns) for batch in joined])
            table = schema.progress
            row = {"gateway": progress.gateway, "journal": progress.journal, "position": progress.position}
            statement = _insert(db, table).values(row)
            db.execute(
                statement.on_conflict_do_update(
                    index_elements=[table.c.gateway, table.c.journal],
                    set_={"position": statement.excluded.position},
                )
            )

    def compact(self) -> int:
        """Sort the oldest part of the tail into chunks and roll-ups; return how many readings that were.

        All of it is one transaction: a reading is in the tail or in a chunk, never in both or neither.
        """
        table = schema.tail
        with self._engine.begin() as db:
            last, n = _until(db.execute(select(table.c.id, table.c.n).order_by(table.c.id)), COMPACT_READINGS)
            slices = max(1, round(n / _SLICE_READINGS))
            width = (db.scalar(select(func.max(schema.series.c.id))) or 0) // slices + 1
            for k in range(slices):
                rows = db.scalars(
                    select(table.c.data).where(table.c.id <= last).order_by(table.c.id),
                    execution_options={"yield_per": 100},
                )
                parts = (batch for data in rows for batch in _tail_batches(data))
                for batch in join_kinds(batch.where(batch.tag // width == k) for batch in parts):
                    _store(db, batch.take(np.lexsort((batch.time, batch.tag))))
            db.execute(delete(table).where(table.c.id <= last))
        return n

    def tail(self) -> tuple[int, int]:
        """Return how many readings wait for compaction, and when the oldest of them came [ns]."""
        self.prepare()
        table = schema.tail
        with self._engine.connect() as db:
            n, oldest = db.execute(select(func.coalesce(func.sum(table.c.n), 0), func.min(table.c.received))).one()
        return int(n), int(oldest or 0)

    def forget(self, before_ns: int) -> int:
        """Delete what is older than a time, whole chunks and minutes; return how many chunks that were."""
        old = select(schema.chunk.c.id).where(schema.chunk.c.last_time < before_ns)
        with self._engine.begin() as db:
            db.execute(delete(schema.chunk_data).where(schema.chunk_data.c.chunk.in_(old)))
            gone = db.execute(delete(schema.chunk).where(schema.chunk.c.last_time < before_ns)).rowcount
            db.execute(delete(schema.rollup_1m).where(schema.rollup_1m.c.bucket < before_ns - MINUTE_NS))
        return gone

    # --- asking ---------------------------------------------------------------------------

    def readings(self, path: str, start_ns: int, end_ns: int) -> list[Readings]:
        """Return the readings in [start, end) of a path by time, one Readings for each kind of value that it had."""
        self.prepare()
        series = self._series.get(path, _NO_SERIES)
        by_kind: dict[Kind, list[Readings]] = {}
        with self._engine.connect() as db:
            for data in db.scalars(_chunks(series, start_ns, end_ns)):
                kind, part = coding.decode(data)
                by_kind.setdefault(kind, []).append(part)
            for batch in _tail_of(db, series, start_ns, end_ns):
                by_kind.setdefault(batch.kind, []).append(Readings(batch.time, batch.value, batch.quality))
        return [found for parts in by_kind.values() if len(found := _sorted(parts, start_ns, end_ns))]

    def aggregate(self, path: str, start_ns: int, end_ns: int, bucket_ns: int) -> Rollup:
        """Return one row per bucket within [start, end), from the roll-ups; `bucket_ns` is a number of minutes.

        Buckets are whole: start is rounded down, end up.
        """
        self.prepare()
        series = self._series.get(path, _NO_SERIES)
        start_ns -= start_ns % bucket_ns
        end_ns += -end_ns % bucket_ns
        table = schema.rollup_1m
        with self._engine.connect() as db:
            rows = db.execute(
                select(table)
                .where(table.c.series == series, table.c.bucket >= start_ns, table.c.bucket < end_ns)
                .order_by(table.c.bucket)
            ).all()
            recent = [rollup(batch, bucket_ns) for batch in _tail_of(db, series, start_ns, end_ns)]
        return reduce(
            lambda one, other: merge(one, other, bucket_ns), recent, merge(_rollup(rows), _rollup(()), bucket_ns)
        )


def _slices(tags: Sequence[Tag], size: int) -> Iterator[Sequence[Tag]]:
    return (tags[start : start + size] for start in range(0, len(tags), size))


def _known_series(db: Connection) -> list[tuple[str, int]]:
    return [(row.path, row.id) for row in db.execute(select(schema.series.c.path, schema.series.c.id))]


def _tail_row(batch: Batch, now_ns: int) -> dict[str, Any]:
    return {
        "received": now_ns,
        "first_time": int(batch.time.min()),
        "last_time": int(batch.time.max()),
        "n": len(batch),
        "data": zstandard.ZstdCompressor(level=1).compress(encode((batch,))),
    }


def _tail_batches(data: bytes) -> tuple[Batch, ...]:
    return decode(zstandard.ZstdDecompressor().decompress(data))


def _tail_of(db: Connection, series: int, start_ns: int, end_ns: int) -> Iterator[Batch]:
    """The readings of one series that are still in the tail, as they came."""
    table = schema.tail
    within = select(table.c.data).where(table.c.last_time >= start_ns, table.c.first_time < end_ns)
    for data in db.scalars(within.order_by(table.c.id)):
        for batch in _tail_batches(data):
            mine = batch.where((batch.tag == series) & (batch.time >= start_ns) & (batch.time < end_ns))
            if len(mine):
                yield mine


def _chunks(series: int, start_ns: int, end_ns: int) -> Any:
    table = schema.chunk
    return (
        select(schema.chunk_data.c.data)
        .join(table, table.c.id == schema.chunk_data.c.chunk)
        .where(table.c.series == series, table.c.first_time < end_ns, table.c.last_time >= start_ns)
        .order_by(table.c.id)
    )


def _sorted(parts: Sequence[Readings], start_ns: int, end_ns: int) -> Readings:
    """All parts as one, cut to [start, end), by time; of equal times what came first stays first."""
    time = np.concatenate([part.time for part in parts])
    order = np.argsort(time, kind="stable")
    order = order[(time[order] >= start_ns) & (time[order] < end_ns)]
    return Readings(
        time[order],
        np.concatenate([part.value for part in parts])[order],
        np.concatenate([part.quality for part in parts])[order],
    )


def _store(db: Connection, batch: Batch) -> None:
    """Store readings, ordered by series and time, as chunks and roll-ups."""
    if len(batch):
        _store_chunks(db, batch)
        _store_rollup(db, rollup(batch))


def _store_chunks(db: Connection, batch: Batch) -> None:
    """Store each series of the batch as one chunk."""
    starts = np.flatnonzero(np.r_[True, batch.tag[1:] != batch.tag[:-1]])
    stops = np.append(starts[1:], len(batch))
    heads = [
        {
            "series": int(batch.tag[a]),
            "first_time": int(batch.time[a]),
            "last_time": int(batch.time[b - 1]),
            "n": int(b - a),
        }
        for a, b in zip(starts, stops, strict=True)
    ]
    ids = db.scalars(insert(schema.chunk).returning(schema.chunk.c.id, sort_by_parameter_order=True), heads).all()
    db.execute(
        insert(schema.chunk_data),
        [
            {
                "chunk": id_,
                "data": coding.encode(Readings(batch.time[a:b], batch.value[a:b], batch.quality[a:b]), batch.kind),
            }
            for id_, a, b in zip(ids, starts, stops, strict=True)
        ],
    )


def _store_rollup(db: Connection, rows: Rollup) -> None:
    """Add rows to the roll-ups; a row that is there already is merged with, for readings may come late."""
    table = schema.rollup_1m
    touched = set(zip(rows.series.tolist(), rows.bucket.tolist(), strict=True))
    between = select(table).where(
        table.c.series.between(int(rows.series.min()), int(rows.series.max())),
        table.c.bucket.between(int(rows.bucket.min()), int(rows.bucket.max())),
    )
    known = [row for row in db.execute(between) if (row.series, row.bucket) in touched]
    if known:
        this = delete(table).where(table.c.series == bindparam("a"), table.c.bucket == bindparam("b"))
        db.execute(this, [{"a": row.series, "b": row.bucket} for row in known])
    db.execute(insert(table), merge(_rollup(known), rows).rows())


def _rollup(rows: Sequence[Any]) -> Rollup:
    """Rows of the table as columns."""
    dtypes = ["f8" if column.type is schema.DOUBLE else "i8" for column in schema.rollup_1m.c]
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(dtypes)
    arrays: list[NDArray[Any]] = [np.array(column, dtype) for column, dtype in zip(columns, dtypes, strict=True)]
    return Rollup(*arrays)


def _until(rows: Iterable[Any], readings: int) -> tuple[int, int]:
    """The id of the row with which the readings, summed up from the first row, reach a number; and their sum."""
    last = total = 0
    for id_, n in rows:
        last = id_
        total += n
        if total >= readings:
            break
    return last, total


def _insert(db: Connection, table: Any) -> Any:
    """An INSERT that knows ON CONFLICT, in the words of the database."""
    return postgresql.insert(table) if db.dialect.name == "postgresql" else sqlite.insert(table)
