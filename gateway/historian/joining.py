"""Small chunks of a series become few large ones, a short transaction at a time.

A tag that is read now and then, and a gateway that is restarted often, leave many: a query decodes each of them. What
is deleted is what is written, in one transaction; if somebody else has changed one of the chunks meanwhile, nothing is.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, Row, bindparam, delete, func, select

from gateway.historian import chunk as coding
from gateway.historian import schema
from gateway.historian.chunk import Readings
from gateway.historian.chunks import CHUNK_READINGS, DAY_NS, Chunks, coded
from gateway.historian.order import SHARD_SERIES, batch_of
from gateway.historian.rollup import HOUR_NS
from gateway.model import Batch, Kind

_EVERY_NS: Final = 2 * HOUR_NS
_WORTH: Final = 4
"""Chunks that fill one, so many at least, are joined on the day itself; twice the work for each reading in the end."""
_MANY: Final = 16
_TRANSACTION_READINGS: Final = 250_000

Run = Sequence[Row[Any]]
"""Heads of chunks that are to be one: `id`, `series`, `kind`, `first_time`, `n`, `times`."""


class Turns:
    """Which shards and days are looked through next: the last two days every two hours, and once all days before."""

    def __init__(self) -> None:
        self._sweep: Iterator[tuple[int, int, int]] = iter(())
        self._next_ns: int | None = None

    def turn(self, now_ns: int, shards: int, oldest_ns: int | None) -> tuple[int, int, int] | None:
        """Return a shard, and the start and end of a stretch of time; None if nothing is due."""
        if self._next_ns is None or now_ns >= self._next_ns:
            today = now_ns - now_ns % DAY_NS
            last = today - DAY_NS
            if self._next_ns is None and oldest_ns is not None:
                last = min(last, oldest_ns - oldest_ns % DAY_NS)
            days = range(today, last - 1, -DAY_NS)
            self._sweep = iter([(shard, day, day + DAY_NS) for day in days for shard in range(shards)])
            self._next_ns = now_ns + _EVERY_NS
        return next(self._sweep, None)


def oldest(db: Connection) -> int | None:
    """Return about the time of the oldest chunk."""
    time: int | None = db.scalar(select(func.min(schema.times.c.last_time)))
    return time


def joins(engine: Engine, shard: int, start_ns: int, end_ns: int, now_ns: int) -> Iterator[int]:
    """Join the small chunks of a shard in [start, end), whole days, so that the other steps of a writer fit in between.

    Each step is a transaction and gives how many chunks there are less.
    """
    with engine.connect() as db:
        heads = _heads(db, shard, start_ns, end_ns)
    found = list(runs(heads, now_ns - HOUR_NS))
    joined = {head.id for run in found for head in run}
    needed = {head.times for head in heads if head.id not in joined}
    chunks = Chunks()
    for some in _transactions(sorted(found, key=lambda run: [head.times for head in run])):
        with schema.writing(engine) as db:
            less = _join(db, chunks, some)
            if not less:
                db.rollback()
                return
        yield less
    if unneeded := [{"of": id_} for id_ in {head.times for run in found for head in run} - needed]:
        with engine.begin() as db:
            db.execute(delete(schema.times).where(schema.times.c.id == bindparam("of")), unneeded)


def runs(heads: Iterable[Row[Any]], over_ns: int) -> Iterator[Run]:
    """Return which chunks, by series, kind and time, are to be one: on days that are over all that fit."""
    run: list[Row[Any]] = []
    for head in heads:
        alike = bool(run) and _day(run[-1]) == _day(head)
        full = alike and sum(one.n for one in run) + head.n > CHUNK_READINGS
        if run and (full or not alike):
            if _worth(run, full, over_ns):
                yield run
            run = []
        run.append(head)
    if run and _worth(run, False, over_ns):
        yield run


def _worth(run: Run, full: bool, over_ns: int) -> bool:
    over = run[0].first_time // DAY_NS < over_ns // DAY_NS
    return len(run) > 1 and (over or len(run) >= _MANY or (full and len(run) >= _WORTH))


def _day(head: Row[Any]) -> tuple[int, int, int]:
    return head.series, head.kind, head.first_time // DAY_NS


def _heads(db: Connection, shard: int, start_ns: int, end_ns: int) -> list[Any]:
    chunk = schema.chunk.c
    series = range(shard * SHARD_SERIES, (shard + 1) * SHARD_SERIES)
    these = (
        chunk.series.in_(series),
        chunk.kind.in_([int(kind) for kind in Kind]),
        chunk.first_time >= start_ns,
        chunk.first_time < end_ns,
    )
    head = select(chunk.id, chunk.series, chunk.kind, chunk.first_time, chunk.n, chunk.times).where(*these)
    return list(db.execute(head.order_by(chunk.series, chunk.kind, chunk.first_time)))


def _transactions(found: Iterable[Run]) -> Iterator[list[Run]]:
    some: list[Run] = []
    n = 0
    for run in found:
        some.append(run)
        n += sum(head.n for head in run)
        if n >= _TRANSACTION_READINGS:
            yield some
            some, n = [], 0
    if some:
        yield some


def _join(db: Connection, chunks: Chunks, found: Sequence[Run]) -> int:
    """Put one chunk in the place of each run; return how many there are less, 0 if one of them was not there."""
    table = schema.chunk
    heads = [head for run in found for head in run]
    rows: dict[int, tuple[Kind, Readings]] = {}
    known: dict[bytes, NDArray[np.int64]] = {}
    for some in _slices([head.id for head in heads]):
        for id_, data, of_times in db.execute(coded(table.c.id.in_(some))):
            if of_times not in known:
                known[of_times] = coding.decode_times(of_times)
            rows[id_] = coding.decode(data, known[of_times])
    deleted = db.execute(delete(table).where(table.c.id == bindparam("of")), [{"of": head.id} for head in heads])
    if deleted.rowcount != len(heads) or len(rows) != len(heads):
        return 0
    for run in found:
        parts = [batch_of(head.series, rows[head.id][1]) for head in run]
        chunks.add(Batch.join(parts))
    chunks.insert(db)
    return len(heads) - len(found)


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + 500] for start in range(0, len(ids), 500))
