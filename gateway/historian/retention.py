"""What history gives up, in a transaction of whoever calls: what is too old, and the oldest if there is no room."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import BindParameter, ColumnElement, Connection, Table, bindparam, delete, func, select

from gateway.historian import schema
from gateway.historian.chunks import DAY_NS
from gateway.historian.rollup import HOUR_NS, MINUTE_NS
from gateway.model import Kind

_STEPS: Final = ((schema.rollup_1m, DAY_NS, MINUTE_NS), (schema.rollup_1h, 30 * DAY_NS, HOUR_NS))


What = Literal["readings", "rows", "scans"]
"""Readings, rows of roll-ups, or scans of kept answers."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What is gone of one tag, by its path, or scans of one device: how many, and of which time, [begin, end)."""

    what: What
    of: str
    count: int
    begin_ns: int
    end_ns: int


def forget(db: Connection, kept: Iterable[tuple[int, int]]) -> int:
    """Delete whole chunks and buckets of each series that are older than its time; return how many chunks that were."""
    chunk, times = schema.chunk, schema.times
    series = [{"of": id_, "before": before_ns} for id_, before_ns in kept]
    if not series:
        return 0
    gone = 0
    before: BindParameter[int] = bindparam("before")
    own = chunk.c.series == bindparam("of")
    for kind in Kind:
        these = (own, chunk.c.kind == int(kind), chunk.c.first_time < before, chunk.c.last_time < before)
        gone += db.execute(delete(chunk).where(*these), series).rowcount
    oldest_ns = min(row["before"] for row in series)  # series of several retentions may share times
    db.execute(delete(times).where(times.c.last_time < oldest_ns))
    for table, width_ns in ((schema.rollup_1m, MINUTE_NS), (schema.rollup_1h, HOUR_NS)):
        old = (table.c.series == bindparam("of"), table.c.bucket < before - width_ns)
        db.execute(delete(table).where(*old), series)
    return gone


def used(db: Connection) -> int:
    """Return the bytes that SQLite needs for all there is; pages that it has free, and will use next, do not count."""
    pages, free, size = (int(_pragma(db, word)) for word in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def drop_oldest(db: Connection) -> list[Dropped]:
    """Delete a piece of the oldest that there is and return what that was; nothing if only the tail is left.

    A day of answers while there are any, then an hour of readings of those in chunks, then a day of minutes, then a
    month of hours.
    """
    if dropped := _drop_words(db):
        return dropped
    times, chunk = schema.times.c, schema.chunk.c
    oldest_ns = db.scalar(select(func.min(times.last_time)))
    if oldest_ns is not None:
        before_ns = oldest_ns - oldest_ns % HOUR_NS + HOUR_NS
        these = (
            chunk.series.in_(select(schema.series.c.id)),  # series, kind, first_time: that is what the index knows
            chunk.kind.in_([int(kind) for kind in Kind]),
            chunk.first_time < before_ns,
            chunk.last_time < before_ns,
        )
        sums = (func.sum(chunk.n), func.min(chunk.first_time), func.max(chunk.last_time) + 1)
        dropped = _by_path(db, "readings", schema.chunk, sums, *these)
        db.execute(delete(schema.chunk).where(*these))
        db.execute(delete(schema.times).where(times.last_time < before_ns))
        return dropped
    for table, width_ns, bucket_ns in _STEPS:
        bucket = table.c.bucket
        first_ns = db.scalar(select(func.min(bucket)))
        if first_ns is not None:
            old = bucket < first_ns + width_ns
            dropped = _by_path(db, "rows", table, (func.count(), func.min(bucket), func.max(bucket) + bucket_ns), old)
            db.execute(delete(table).where(old))
            return dropped
    return []


def _drop_words(db: Connection) -> list[Dropped]:
    words = schema.words.c
    oldest_ns = db.scalar(select(func.min(words.last_time)))
    if oldest_ns is None:
        return []
    these = words.last_time < oldest_ns + DAY_NS
    sums = select(words.device, func.sum(words.n), func.min(words.first_time), func.max(words.last_time) + 1)
    dropped = [Dropped("scans", *row) for row in db.execute(sums.where(these).group_by(words.device))]
    db.execute(delete(schema.words).where(these))
    return dropped


def _by_path(
    db: Connection, what: What, table: Table, sums: Sequence[Any], *these: ColumnElement[bool]
) -> list[Dropped]:
    """What some rows of a table are, by the path of their series: `sums` are how many, begin and end."""
    path = schema.series.c.path
    rows = select(path, *sums).join(table, table.c.series == schema.series.c.id).where(*these).group_by(path)
    return [Dropped(what, *row) for row in db.execute(rows)]


def _pragma(db: Connection, word: str) -> Any:
    return db.exec_driver_sql(f"PRAGMA {word}").scalar()
