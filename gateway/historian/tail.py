"""The tail: readings as they arrived, in a row per transaction and shard, until they are compacted."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from gateway.historian import schema
from gateway.historian.grid import Grid, decode, encode, gridded
from gateway.historian.heed import heed
from gateway.historian.order import SHARD_SERIES
from gateway.model import Batch


def tail_rows(batches: Iterable[Batch], now_ns: int) -> Iterator[dict[str, Any]]:
    """A row of the tail for each shard that has readings."""
    by_shard: dict[int, list[Grid]] = {}
    for grid in gridded(batches):
        for shard, part in _shards(grid):
            by_shard.setdefault(shard, []).append(part)
    for shard, parts in by_shard.items():
        yield {
            "shard": shard,
            "received": now_ns,
            "first_time": min(int(part.time.min()) for part in parts),
            "last_time": max(int(part.time.max()) for part in parts),
            "n": sum(map(len, parts)),
            "data": encode(parts),
        }


def tail_of(db: Connection, series: int, start_ns: int, end_ns: int) -> Iterator[Batch]:
    """The readings of one series that are still in the tail, as they came."""
    table = schema.tail
    mine = (table.c.shard == series // SHARD_SERIES, table.c.last_time >= start_ns, table.c.first_time < end_ns)
    for data in db.scalars(select(table.c.data).where(*mine).order_by(table.c.id)):
        heed(db)
        for grid in decode(data):
            columns = np.flatnonzero(grid.series == series)
            if len(columns):
                found = grid.of(columns).batch()
                found = found.where((found.time >= start_ns) & (found.time < end_ns))
                if len(found):
                    yield found


def until(rows: Iterable[Any], readings: int) -> tuple[int, int]:
    """Return the id of the row with which the readings, summed up from the first row, reach a number; and their sum."""
    last = total = 0
    for id_, n in rows:
        last = id_
        total += n
        if total >= readings:
            break
    return last, total


def _shards(grid: Grid) -> Iterator[tuple[int, Grid]]:
    shard = grid.series // SHARD_SERIES
    starts = np.flatnonzero(np.append(True, shard[1:] != shard[:-1]))
    for a, b in zip(starts, [*starts[1:], len(shard)], strict=True):
        yield int(shard[a]), grid.of(slice(a, b))
