"""The tail: readings as they arrived, in a row per transaction and shard, until they are compacted."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import zstandard
from sqlalchemy import Connection, select

from gateway.historian import schema
from gateway.historian.compact import SHARD_SERIES
from gateway.model import Batch
from gateway.model.encoding import decode, encode


def tail_rows(batches: Sequence[Batch], now_ns: int) -> Iterator[dict[str, Any]]:
    """A row of the tail for each shard that has readings."""
    by_shard: dict[int, list[Batch]] = {}
    for batch in batches:
        for shard, part in _shards(batch):
            by_shard.setdefault(shard, []).append(part)
    compress = zstandard.ZstdCompressor(level=1).compress
    for shard, parts in by_shard.items():
        yield {
            "shard": shard,
            "received": now_ns,
            "first_time": min(int(part.time.min()) for part in parts),
            "last_time": max(int(part.time.max()) for part in parts),
            "n": sum(map(len, parts)),
            "data": compress(encode(parts)),
        }


def tail_of(db: Connection, series: int, start_ns: int, end_ns: int) -> Iterator[Batch]:
    """The readings of one series that are still in the tail, as they came."""
    table = schema.tail
    mine = (table.c.shard == series // SHARD_SERIES, table.c.last_time >= start_ns, table.c.first_time < end_ns)
    for data in db.scalars(select(table.c.data).where(*mine).order_by(table.c.id)):
        for batch in tail_batches(data):
            found = batch.where((batch.tag == series) & (batch.time >= start_ns) & (batch.time < end_ns))
            if len(found):
                yield found


def tail_batches(data: bytes) -> tuple[Batch, ...]:
    return decode(zstandard.ZstdDecompressor().decompress(data))


def _shards(batch: Batch) -> Iterator[tuple[int, Batch]]:
    shard = batch.tag // SHARD_SERIES
    order = np.argsort(shard, kind="stable")
    shard, ordered = shard[order], batch.take(order)
    starts = np.flatnonzero(np.append(True, shard[1:] != shard[:-1])[: len(batch)])
    for a, b in zip(starts, np.append(starts, len(batch))[1:], strict=True):
        rows = slice(a, b)
        yield int(shard[a]), Batch(ordered.tag[rows], ordered.time[rows], ordered.value[rows], ordered.quality[rows])
