"""Chunks in the database: read, written, and merged with what comes late. Within a transaction of whoever calls.

Chunks of a series and kind do not overlap and never reach over the end of a day (UTC).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, and_, delete, insert, select

from gateway.historian import chunk as coding
from gateway.historian import schema
from gateway.historian.chunk import Readings
from gateway.historian.heed import heed
from gateway.historian.order import SHARD_SERIES, batch_of, once
from gateway.historian.rollup import HOUR_NS
from gateway.historian.rows import insert_rows
from gateway.model import Batch, Kind

CHUNK_READINGS: Final = 8192
"""Readings in a chunk at the most: a query decodes whole ones."""
DAY_NS: Final = 24 * HOUR_NS
NEVER: Final = -(2**63)
_FOREVER: Final = 2**63 - 1


def chunks_of(db: Connection, series: int, start_ns: int, end_ns: int) -> Iterator[tuple[Kind, Readings]]:
    """Return the chunks of a series that may have readings in [start, end), whole, by the time of their first."""
    return _decoded(db, coded(within(series, tuple(Kind), start_ns, end_ns)).order_by(schema.chunk.c.first_time))


def chunks_before(db: Connection, series: int, kind: Kind, time_ns: int) -> Iterator[tuple[Kind, Readings]]:
    """Return the chunks of a series and kind that begin at or before a time, whole, the last one first."""
    chunk = schema.chunk.c
    mine = (chunk.series == series) & (chunk.kind == int(kind)) & (chunk.first_time <= time_ns)
    return _decoded(db, coded(mine).order_by(chunk.first_time.desc()))


def chunks_with_ids(db: Connection, series: int, start_ns: int, end_ns: int) -> list[tuple[int, Readings]]:
    """Return the chunks of a series that may have readings in [start, end), of all kinds, and their ids."""
    rows = db.execute(coded(within(series, tuple(Kind), start_ns, end_ns))).all()
    return [(id_, coding.decode(data, coding.decode_times(times))[1]) for id_, data, times in rows]


def coded(which: ColumnElement[bool]) -> Select[Any]:
    """Return a query for chunks: id, data, and the data of their times."""
    chunk, times = schema.chunk.c, schema.times.c
    return select(chunk.id, chunk.data, times.data).join(schema.times, times.id == chunk.times).where(which)


def _decoded(db: Connection, rows: Select[Any]) -> Iterator[tuple[Kind, Readings]]:
    """Decode chunks one by one: whoever asks may not want all."""
    with db.execute(rows, execution_options={"yield_per": 32}) as found:
        for _, data, times in found:
            heed(db)
            yield coding.decode(data, coding.decode_times(times))


def within(series: int, kinds: Sequence[Kind], start_ns: int, end_ns: int) -> ColumnElement[bool]:
    """Which chunks may have readings in [start, end); as no chunk is longer than a day, the index finds them."""
    chunk = schema.chunk.c
    return and_(
        chunk.series == series,
        chunk.kind.in_([int(kind) for kind in kinds]),
        chunk.first_time.between(max(start_ns - DAY_NS, NEVER), min(end_ns - 1, _FOREVER)),
        chunk.last_time >= max(start_ns, NEVER),
    )


def newest_times(db: Connection, shard: int, kind: Kind) -> NDArray[np.int64]:
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
    times = np.full(SHARD_SERIES, NEVER)
    for id_, time in db.execute(
        select(series.c.id, newest).where(series.c.id.between(first, first + SHARD_SERIES - 1))
    ):
        times[id_ - first] = NEVER if time is None else time
    return times


class Chunks:
    """Chunks on their way into the database: coded some series at a time, inserted together."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int, int, int, int, bytes]] = []
        self._times: list[NDArray[np.int64]] = []
        self._like: dict[tuple[int, int, int], int] = {}
        self._ids: list[int] = []

    def add(self, batch: Batch) -> None:
        """Take readings that are ordered by series and time. A series and day comes once."""
        if not len(batch):
            return
        starts = _starts(batch)
        stops = np.append(starts[1:], len(batch))
        runs = [batch.time[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
        columns = (
            batch.tag[starts].tolist(),
            [int(batch.kind)] * len(runs),
            batch.time[starts].tolist(),
            batch.time[stops - 1].tolist(),
            (stops - starts).tolist(),
        )
        times = map(self._time, runs, *columns[2:])
        self._rows += zip(*columns, times, coding.encode(batch.kind, batch.value, batch.quality, starts), strict=True)

    def _time(self, run: NDArray[np.int64], first: int, last: int, n: int) -> int:
        """Which of the times those of a run are; runs that were read together have the same."""
        own = self._like.setdefault((n, first, last), len(self._times))
        if own == len(self._times) or (run != self._times[own]).any():
            own = len(self._times)
            self._times.append(run)
        return own

    def insert(self, db: Connection) -> None:
        """Insert what was taken since the last time; what comes next may have the same times."""
        table, new = schema.times, self._times[len(self._ids) :]
        if new:
            rows = [{"last_time": int(run[-1]), "data": coding.encode_times(run)} for run in new]
            self._ids += db.scalars(insert(table).returning(table.c.id, sort_by_parameter_order=True), rows)
        if self._rows:
            names = ("series", "kind", "first_time", "last_time", "n", "times", "data")
            columns = dict(zip(names, map(list, zip(*self._rows, strict=True)), strict=True))
            insert_rows(db, schema.chunk, columns | {"times": [self._ids[own] for own in columns["times"]]})
            self._rows = []


def _starts(batch: Batch) -> NDArray[np.intp]:
    """Where chunks begin: with each series and day, and when one is full."""
    tag, day = batch.tag, batch.time // DAY_NS
    starts = np.flatnonzero(np.append(True, (tag[1:] != tag[:-1]) | (day[1:] != day[:-1])))
    pieces = -(-np.diff(starts, append=len(batch)) // CHUNK_READINGS)
    nth = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.asarray(np.repeat(starts, pieces) + nth * CHUNK_READINGS)


def merge_late(db: Connection, late: Batch) -> int:
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
        _, old = next(_decoded(db, coded(table.c.id == heads[k].id)))
        whole, n = once(Batch.join([batch_of(series, old), late.where(at == k)]))
        merged.append(whole)
        replaced += n
        db.execute(delete(table).where(table.c.id == heads[k].id))
    for run in merged:  # each on its own: other chunks may lie between them
        chunks = Chunks()
        chunks.add(run)
        chunks.insert(db)
    return replaced
