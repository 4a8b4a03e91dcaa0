"""From the tail to chunks and roll-ups, one shard at a time, within a transaction of whoever calls.

Readings are stored once by series, kind and time: of those that come again the one that came last is kept. Chunks of a
series and kind do not overlap, so readings that are no newer than what is stored are late: they are merged into the
chunk that they belong to, and the roll-ups of their hours are made anew from all readings of these hours.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, select

from gateway.historian import schema
from gateway.historian.chunks import Chunks, chunks_of, merge_late, newest_times
from gateway.historian.grid import Grid, merged
from gateway.historian.held import begin, end
from gateway.historian.order import SHARD_SERIES, batch_of, between, numbers, once
from gateway.historian.rollup import HOUR_NS, MINUTE_NS, Rollup, joined, merge, rollup_sorted
from gateway.historian.rows import insert_rows
from gateway.model import Batch, Kind

_GROUP_READINGS: Final = 50_000
"""Readings that are worked on at a time: columns that stay in the cache take half the time."""


def store(db: Connection, shard: int, grids: Iterable[Grid]) -> int:
    """Store the readings of a shard, in the order in which they came, as chunks and roll-ups.

    Returns how many readings were replaced by one of the same time with another value.
    """
    by_kind: dict[Kind, list[Grid]] = {}
    for grid in grids:
        by_kind.setdefault(grid.kind, []).append(grid)
    whole = {kind: merged(same) for kind, same in by_kind.items()}
    newest = {kind: newest_times(db, shard, kind) for kind in whole}
    groups = min(SHARD_SERIES, 1 + sum(len(grid) for same in whole.values() for grid in same) // _GROUP_READINGS)
    chunks, rows, late, replaced = Chunks(), list[Rollup](), list[Batch](), 0
    for series in np.array_split(np.arange(SHARD_SERIES) + shard * SHARD_SERIES, groups):
        parts = []
        for kind, same in whole.items():
            found, n = once(Batch.join([grid.between(int(series[0]), int(series[-1])).batch() for grid in same]))
            old = _late(found, newest[kind])
            chunks.add(found.where(~old))
            late.append(found.where(old))
            parts.append(found)
            replaced += n
        rows.append(rollup_sorted(numbers(parts)))
    chunks.insert(db)
    again = set[tuple[int, int]]()
    for batch in late:
        for number in np.unique(batch.tag).tolist():
            mine = between(batch, number, number)
            replaced += merge_late(db, mine)
            again |= {(number, hour) for hour in np.unique(mine.time // HOUR_NS).tolist()}
    again |= _add_rollups(db, joined(rows), again)
    for number, hour in sorted(again):
        rollup_again(db, number, hour * HOUR_NS)
    return replaced


def _late(batch: Batch, newest: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which readings, ordered by series and time, are no newer than the newest of their series, shape (256,)."""
    starts = np.flatnonzero(np.append(True, batch.tag[1:] != batch.tag[:-1])[: len(batch)])
    if (batch.time[starts] > newest[batch.tag[starts] % SHARD_SERIES]).all():
        return np.zeros(len(batch), np.bool_)
    return np.asarray(batch.time <= newest[batch.tag % SHARD_SERIES])


# --- roll-ups -----------------------------------------------------------------------------


def _add_rollups(db: Connection, rows: Rollup, but: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Add rows per minute to the roll-ups, but those of some series and hours; one that is there is merged with.

    Returns the series and hours that are not added either, for they begin before what is there ends: another kind of
    value has come later, and how long each value held cannot be told from rows.
    """
    rows = _without(rows, but)
    wide = merge(rows, rollup_of(()), HOUR_NS)
    known = _known(db, schema.rollup_1h, wide)
    over = _overlapping(known, wide)
    for table, mine, width_ns in (
        (schema.rollup_1m, _without(rows, over), MINUTE_NS),
        (schema.rollup_1h, _without(wide, over), HOUR_NS),
    ):
        there = known if width_ns == HOUR_NS else _known(db, table, mine)
        _put(db, table, merge(_without(there, over), mine, width_ns) if len(there) else mine)
    return over


def _without(rows: Rollup, hours: Collection[tuple[int, int]]) -> Rollup:
    """The rows but those of some series and hours."""
    if not hours:
        return rows
    own = zip(rows.series.tolist(), (rows.bucket // HOUR_NS).tolist(), strict=True)
    return rows.where(np.array([one not in hours for one in own], np.bool_))


def _known(db: Connection, table: Table, rows: Rollup) -> Rollup:
    """What is stored of the series and buckets of these rows."""
    if not len(rows):
        return rollup_of(())
    found = db.execute(
        select(table).where(
            table.c.series.between(int(rows.series[0]), int(rows.series[-1])),
            table.c.bucket.between(int(rows.bucket.min()), int(rows.bucket.max())),
        )
    )
    touched = set(zip(rows.series.tolist(), rows.bucket.tolist(), strict=True))
    return rollup_of([row for row in found if (row.series, row.bucket) in touched])


def _overlapping(known: Rollup, rows: Rollup) -> set[tuple[int, int]]:
    """The series and hours of rows per hour that do not begin behind the end of what is known of them."""
    begins = zip(rows.series.tolist(), rows.bucket.tolist(), begin(rows).tolist(), strict=True)
    first = {(series, bucket): time for series, bucket, time in begins}
    ends = zip(known.series.tolist(), known.bucket.tolist(), end(known).tolist(), strict=True)
    return {(series, bucket // HOUR_NS) for series, bucket, time in ends if first[series, bucket] <= time}


def rollup_again(db: Connection, series: int, hour_ns: int) -> None:
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
    insert_rows(db, table, rows.columns(), ("series", "bucket"))
