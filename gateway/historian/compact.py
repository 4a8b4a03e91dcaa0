"""From the tail to chunks and roll-ups, one shard at a time, within a transaction of whoever calls.

Readings are stored once by series, kind and time: of those that come again the one that came last is kept. Chunks of a
series and kind do not overlap, so readings that are no newer than what is stored are late: they are merged into the
chunk that they belong to, and the roll-ups of their hours are made anew from all readings of these hours.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.historian import chunk as coding
from gateway.historian import schema
from gateway.historian.chunk import Readings
from gateway.historian.rollup import HOUR_NS, MINUTE_NS, Rollup, joined, merge, rollup_sorted
from gateway.model import Batch, Kind
from gateway.model.batch import join_kinds

SHARD_SERIES: Final = 256
CHUNK_READINGS: Final = 8192
"""Readings in a chunk at the most: a query decodes whole ones."""
DAY_NS: Final = 24 * HOUR_NS
_GROUP_READINGS: Final = 50_000
"""Readings that are encoded at a time: columns that stay in the cache take half the time."""
_NEVER: Final = -(2**63)
_FOREVER: Final = 2**63 - 1


def store(db: Connection, shard: int, batches: Sequence[Batch]) -> int:
    """Store the readings of a shard, in the order in which they came, as chunks and roll-ups.

    Returns how many readings were replaced by one of the same time with another value.
    """
    found = [once(batch) for batch in join_kinds(_plain(batch) for batch in batches)]
    parts, replaced = [batch for batch, _ in found], sum(n for _, n in found)
    newest = {batch.kind: _newest(db, shard, batch.kind) for batch in parts}
    groups = min(SHARD_SERIES, 1 + sum(map(len, parts)) // _GROUP_READINGS)
    rows, again = [], set[tuple[int, int]]()
    for series in np.array_split(np.arange(SHARD_SERIES) + shard * SHARD_SERIES, groups):
        group = [_between(batch, int(series[0]), int(series[-1])) for batch in parts]
        for batch in group:
            hours, n = _store(db, batch, newest[batch.kind])
            again |= hours
            replaced += n
        rows.append(rollup_sorted(numbers(group)))
    _add_rollups(db, joined(rows))
    for number, hour in sorted(again):
        _rollup_again(db, number, hour * HOUR_NS)
    return replaced


def _store(db: Connection, batch: Batch, newest: NDArray[np.int64]) -> tuple[set[tuple[int, int]], int]:
    """Store readings, by series and time, as chunks.

    Returns the series and hours of those that were late, and how many of the stored ones they replaced.
    """
    old = batch.time <= newest[batch.tag % SHARD_SERIES]
    _insert_chunks(db, batch.where(~old))
    if not old.any():
        return set(), 0
    late = batch.where(old)
    replaced = sum(_merge_late(db, _between(late, series, series)) for series in np.unique(late.tag).tolist())
    return set(zip(late.tag.tolist(), (late.time // HOUR_NS).tolist(), strict=True)), replaced


def once(batch: Batch) -> tuple[Batch, int]:
    """Return the readings of a shard by series and time, of those with the same series and time the last one.

    Beside them, how many were left out for one that has another value.
    """
    found = batch.take(np.argsort((batch.tag % SHARD_SERIES).astype(np.uint8), kind="stable"))
    same = found.tag[1:] == found.tag[:-1]
    if (same & (found.time[1:] < found.time[:-1])).any():
        found = found.take(np.lexsort((found.time, found.tag)))
    again = same & (found.time[1:] == found.time[:-1])
    left_out = np.flatnonzero(again)
    replaced = int(np.count_nonzero(~_alike(found.value[left_out], found.value[left_out + 1])))
    return found.where(np.append(~again, True)[: len(found)]), replaced


def _alike(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are the same; one that is no number is the same as itself."""
    if a.dtype.kind == "O":
        return np.array([np.array_equal(x, y) for x, y in zip(a, b, strict=True)], np.bool_)
    alike: NDArray[np.bool_] = (a == b) | ((a != a) & (b != b))
    return alike


def chunks_of(db: Connection, series: int, start_ns: int, end_ns: int) -> Iterator[tuple[Kind, Readings]]:
    """Return the chunks of a series that may have readings in [start, end), whole, by the time of their first."""
    return _decoded(db, _with_times(within(series, tuple(Kind), start_ns, end_ns)).order_by(schema.chunk.c.first_time))


def chunks_before(db: Connection, series: int, kind: Kind, time_ns: int) -> Iterator[tuple[Kind, Readings]]:
    """Return the chunks of a series and kind that begin at or before a time, whole, the last one first."""
    chunk = schema.chunk.c
    mine = (chunk.series == series) & (chunk.kind == int(kind)) & (chunk.first_time <= time_ns)
    return _decoded(db, _with_times(mine).order_by(chunk.first_time.desc()))


def _with_times(which: ColumnElement[bool]) -> Select[Any]:
    table = schema.chunk
    both = select(table.c.data, schema.times.c.data).join(schema.times, schema.times.c.id == table.c.times)
    return both.where(which)


def _decoded(db: Connection, rows: Select[Any]) -> Iterator[tuple[Kind, Readings]]:
    """Decode chunks one by one: whoever asks may not want all."""
    with db.execute(rows, execution_options={"yield_per": 32}) as found:
        for data, times in found:
            yield coding.decode(data, coding.decode_times(times))


def within(series: int, kinds: Sequence[Kind], start_ns: int, end_ns: int) -> ColumnElement[bool]:
    """Which chunks may have readings in [start, end); as no chunk is longer than a day, the index finds them."""
    chunk = schema.chunk.c
    return and_(
        chunk.series == series,
        chunk.kind.in_([int(kind) for kind in kinds]),
        chunk.first_time.between(max(start_ns - DAY_NS, _NEVER), min(end_ns - 1, _FOREVER)),
        chunk.last_time >= max(start_ns, _NEVER),
    )


def batch_of(series: int, readings: Readings) -> Batch:
    """Return readings as a batch whose `tag` is their series."""
    return Batch(np.full(len(readings), series, np.uint32), readings.time, readings.value, readings.quality)


def numbers(parts: Sequence[Batch]) -> Batch:
    """Return the readings of all kinds, ordered by series and time, as floats, again in that order; NaN for text."""
    floats = []
    for batch in parts:
        value = np.full(len(batch), np.nan) if batch.kind is Kind.OBJECT else batch.value.astype(np.float64)
        floats.append(Batch(batch.tag, batch.time, value, batch.quality))
    if len(floats) == 1:
        return floats[0]
    every = Batch.join(floats)
    return every.take(np.lexsort((every.time, every.tag)))


def _plain(batch: Batch) -> Batch:
    """The batch without the mark that it is historical: what is late shows by its times."""
    return Batch(batch.tag, batch.time, batch.value, batch.quality)


def _between(batch: Batch, first: int, last: int) -> Batch:
    """The readings of series first to last of a batch that is ordered by series."""
    rows = slice(*np.searchsorted(batch.tag, (first, last + 1)))
    return Batch(batch.tag[rows], batch.time[rows], batch.value[rows], batch.quality[rows])


# --- chunks -------------------------------------------------------------------------------


def _newest(db: Connection, shard: int, kind: Kind) -> NDArray[np.int64]:
    """The newest time that is in the chunks of each series of a shard, shape (256,); the smallest where there is none.

    Chunks do not overlap: the one that begins last also ends last.
    """
    series, chunk = schema.series, schema.chunk
    newest = (
        select(chunk.c.last_time)
        .where(chunk.c.series == series.c.id, chunk.c.kind == int(kind))
        .order_by(chunk.c.first_time.desc())
        .limit(1)
        .scalar_subquery()
    )
    first = shard * SHARD_SERIES
    times = np.full(SHARD_SERIES, _NEVER)
    for id_, time in db.execute(
        select(series.c.id, newest).where(series.c.id.between(first, first + SHARD_SERIES - 1))
    ):
        times[id_ - first] = _NEVER if time is None else time
    return times


def _insert_chunks(db: Connection, batch: Batch) -> None:
    """Insert readings, ordered by series and time, as chunks."""
    if not len(batch):
        return
    row = np.arange(len(batch))
    new = np.flatnonzero(np.append(True, batch.tag[1:] != batch.tag[:-1]))
    within = row - np.repeat(new, np.diff(new, append=len(batch)))
    day = batch.time // DAY_NS
    starts = np.flatnonzero((within % CHUNK_READINGS == 0) | (np.diff(day, prepend=day[0]) != 0))
    stops = np.append(starts[1:], len(batch))
    columns: dict[str, Any] = {
        "series": batch.tag[starts],
        "kind": np.full(len(starts), int(batch.kind)),
        "first_time": batch.time[starts],
        "last_time": batch.time[stops - 1],
        "n": stops - starts,
        "times": _insert_times(db, batch.time, starts),
    }
    listed = {name: column.tolist() for name, column in columns.items()}
    data = coding.encode(batch.kind, batch.value, batch.quality, starts)
    _execute_many(db, insert(schema.chunk), listed | {"data": data})


def _insert_times(db: Connection, time: NDArray[np.int64], starts: NDArray[np.intp]) -> NDArray[np.int64]:
    """Insert the times of each run, those that are alike once; return which row each run got."""
    stops = np.append(starts[1:], len(time))
    length = stops - starts
    key = np.stack((length, time[starts], time[stops - 1], np.add.reduceat(time, starts)), axis=1)
    _, first, of = np.unique(key, axis=0, return_index=True, return_inverse=True)
    model = first[of.reshape(-1)]  # the run whose times each run should have
    shift = np.repeat(starts[model] - starts, length)
    alike = np.logical_and.reduceat(time == time[np.arange(len(time)) + shift], starts)
    model = np.where(alike, model, np.arange(len(starts)))
    own, of = np.unique(model, return_inverse=True)
    rows = [
        {"last_time": int(time[stops[k] - 1]), "data": coding.encode_times(time[starts[k] : stops[k]])} for k in own
    ]
    ids = db.scalars(insert(schema.times).returning(schema.times.c.id, sort_by_parameter_order=True), rows).all()
    return np.array(ids, np.int64)[of]


def _merge_late(db: Connection, late: Batch) -> int:
    """Merge readings of one series into the chunks that begin before them; those before all of them get their own.

    Returns how many of the chunks they replaced.
    """
    table = schema.chunk
    series, kind = int(late.tag[0]), late.kind
    heads = db.execute(
        select(table.c.id, table.c.first_time)
        .where(within(series, (kind,), int(late.time[0]), int(late.time[-1]) + 1))
        .order_by(table.c.first_time)
    ).all()
    at = np.searchsorted(np.array([first for _, first in heads], np.int64), late.time, "right") - 1
    replaced = 0
    merged = [late.where(at < 0)] if (at < 0).any() else []
    for k in np.unique(at[at >= 0]).tolist():
        _, old = next(_decoded(db, _with_times(table.c.id == heads[k].id)))
        whole, n = once(Batch.join([batch_of(series, old), late.where(at == k)]))
        merged.append(whole)
        replaced += n
        db.execute(delete(table).where(table.c.id == heads[k].id))
    for run in merged:  # each on its own: other chunks may lie between them
        _insert_chunks(db, run)
    return replaced


# --- roll-ups -----------------------------------------------------------------------------


def _add_rollups(db: Connection, rows: Rollup) -> None:
    """Add rows per minute to the roll-ups; a row that is there already is merged with."""
    for table, width_ns in ((schema.rollup_1m, MINUTE_NS), (schema.rollup_1h, HOUR_NS)):
        if len(rows):
            wide = rows if width_ns == MINUTE_NS else merge(rows, rollup_of(()), width_ns)
            known = db.execute(
                select(table).where(
                    table.c.series.between(int(wide.series[0]), int(wide.series[-1])),
                    table.c.bucket.between(int(wide.bucket.min()), int(wide.bucket.max())),
                )
            )
            touched = set(zip(wide.series.tolist(), wide.bucket.tolist(), strict=True))
            mine = [row for row in known if (row.series, row.bucket) in touched]
            _put(db, table, merge(rollup_of(mine), wide, width_ns) if mine else wide)


def _rollup_again(db: Connection, series: int, hour_ns: int) -> None:
    """Make the roll-ups of an hour of a series anew from its chunks."""
    batches = [batch_of(series, readings) for _, readings in chunks_of(db, series, hour_ns, hour_ns + HOUR_NS)]
    parts = [batch.where((batch.time >= hour_ns) & (batch.time < hour_ns + HOUR_NS)) for batch in batches]
    rows = rollup_sorted(numbers(parts))
    _put(db, schema.rollup_1m, rows)
    _put(db, schema.rollup_1h, merge(rows, rollup_of(()), HOUR_NS))


def rollup_of(rows: Sequence[Any]) -> Rollup:
    """Return rows of a table of roll-ups as columns."""
    dtypes = ["f8" if column.type is schema.DOUBLE else "i8" for column in schema.rollup_1m.c]
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(dtypes)
    arrays: list[NDArray[Any]] = [np.array(column, dtype) for column, dtype in zip(columns, dtypes, strict=True)]
    return Rollup(*arrays)


def _put(db: Connection, table: Table, rows: Rollup) -> None:
    """Insert rows, or put them in the place of those of the same series and bucket."""
    statement = upsert(db, table)
    changes = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    _execute_many(
        db, statement.on_conflict_do_update(index_elements=["series", "bucket"], set_=changes), rows.columns()
    )


def _execute_many(db: Connection, statement: Any, columns: Mapping[str, Sequence[Any]]) -> None:
    """Insert columns as rows. Without what SQLAlchemy does to each row, which costs more than the database does."""
    compiled = statement.compile(dialect=db.dialect, column_keys=list(columns))
    names = compiled.positiontup or list(columns)
    rows: list[Any] = list(zip(*(columns[name] for name in names), strict=True))
    if not compiled.positional:
        rows = [dict(zip(names, row, strict=True)) for row in rows]
    if rows:
        db.exec_driver_sql(str(compiled), rows)


def upsert(db: Connection, table: Table) -> Any:
    """Return an INSERT that knows ON CONFLICT, in the words of the database."""
    return postgresql.insert(table) if db.dialect.name == "postgresql" else sqlite.insert(table)
