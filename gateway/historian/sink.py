"""From the journal's cursor into history, exactly once, and the chores of the database.

How far the journal is stored is written in the same transaction as the readings, so records that come again are
known and passed over. A database that is away is the drain's business: its cursor waits.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from gateway.contracts import Clock, Offload
from gateway.historian.history import COMPACT_READINGS, History, Progress
from gateway.historian.joining import Turns
from gateway.historian.order import SHARD_SERIES
from gateway.model import Batch, Catalog, Record

_CHORES_S = 5.0
_FORGET_EVERY = 120
"""What is too old is deleted every ten minutes."""
_TRANSACTION_READINGS = 100_000
_JOINED_AT_A_TIME = 4
"""Shards and days that are looked through for small chunks every five seconds."""
GaveUp = Callable[[str, str, str, int, tuple[int, int]], None]
"""Is told what is gone: of which sink and device, why, how much, and of which time, [begin, end)."""
_CAUSES: Final = {
    "readings": "history full: readings",
    "rows": "history full: roll-ups",
    "scans": "history full: answers",
}
_DROPPED = ("history_readings_dropped", "history_rows_dropped", "history_scans_dropped")
_POSITION_BITS = 40
_TAIL_AGE_NS = 600_000_000_000
"""A shard is compacted when its oldest reading has waited for ten minutes: that makes long chunks, but a query reads
all of a shard's tail."""

log = logging.getLogger(__name__)


def nobody_asks(sink: str, device: str, cause: str, count: int, time_ns: tuple[int, int]) -> None:
    """Nobody wants to know what is gone."""


class Historian:
    """A Sink. `chores` compacts and forgets until cancelled; `dropped` counts what there was no room for."""

    def __init__(
        self,
        history: History,
        offload: Offload,
        catalog: Catalog,
        clock: Clock,
        *,
        gateway: str,
        journal: str,
        retention_s: float,
        retentions_s: Mapping[str, float] | None = None,
        size_max: int | None = None,
        gave_up: GaveUp = nobody_asks,
    ) -> None:
        self._history = history
        self._offload = offload
        self._catalog = catalog
        self._clock = clock
        self._gateway = gateway
        self._journal = journal
        self._retention_ns = round(retention_s * 1e9)
        self._retentions_ns = {pattern: round(kept_s * 1e9) for pattern, kept_s in (retentions_s or {}).items()}
        self._size_max = size_max
        self._gave_up = gave_up
        self._full = False
        self._turns = Turns()
        self._stored: int | None = None
        self._series = np.empty(0, np.uint32)
        self.readings = 0
        self.joined = 0
        self.dropped = dict.fromkeys(_DROPPED, 0)

    def counts(self) -> Mapping[str, int]:
        """Return what compacting has counted, by name."""
        return {"readings_replaced": self._history.replaced, "chunks_joined": self.joined} | self.dropped

    async def write(self, records: Sequence[Record]) -> None:
        """Store the records. Raises ConnectionError if the database does not take them."""
        try:
            self.readings += await self._offload(self._write, records, self._clock.now_ns())
        except SQLAlchemyError as error:
            self._stored = None
            raise ConnectionError(f"history cannot be written: {_first_line(error)}") from error

    async def chores(self, up: Callable[[], None]) -> None:
        """Compact the tail, forget what is too old and drop what is too much, now and then.

        Raises ConnectionError as `write` does.
        """
        for forgotten in itertools.count():
            try:
                for shard in await self._offload(self._due, self._clock.now_ns()):
                    await self._offload(self._history.compact, shard)  # each its turn: readings are stored in between
                if forgotten % _FORGET_EVERY == 0:
                    await self._offload(self._forget, self._clock.now_ns())
                await self._keep_within()
                await self._join()
            except SQLAlchemyError as error:
                raise ConnectionError(f"history cannot be compacted: {_first_line(error)}") from error
            up()
            await asyncio.sleep(_CHORES_S)

    async def _join(self) -> None:
        """Join small chunks of the shards and days whose turn it is; readings are stored in between."""
        now_ns = self._clock.now_ns()
        shards = -(-int(self._series.max(initial=0) + 1) // SHARD_SERIES)
        oldest_ns = await self._offload(self._history.oldest)
        for _ in range(_JOINED_AT_A_TIME):
            if (turn := self._turns.turn(now_ns, shards, oldest_ns)) is None:
                return
            steps = self._history.joins(*turn, now_ns)
            while less := await self._offload(next, steps, 0):
                self.joined += less

    async def _keep_within(self) -> None:
        """Drop the oldest, piece by piece, until history fits on its part of the disk."""
        while self._size_max is not None and await self._offload(self._history.used) > self._size_max:
            dropped = await self._offload(self._history.drop_oldest)
            if not self._full:
                self._full = True
                log.error(
                    "history is larger than historian.size: the oldest is being dropped, readings before roll-ups"
                )
            if not dropped:
                return  # the tail is what is left
            for one in dropped:
                self.dropped[f"history_{one.what}_dropped"] += one.count
                device = one.of if one.what == "scans" else self._device(one.of)
                self._gave_up("historian", device, _CAUSES[one.what], one.count, (one.begin_ns, one.end_ns))

    def _device(self, path: str) -> str:
        return self._catalog[self._catalog.number(path)].device if path in self._catalog else ""

    def _write(self, records: Sequence[Record], now_ns: int) -> int:
        if self._stored is None:
            self._stored = self._history.stored(self._gateway, self._journal)
        stored = 0
        new = [record for record in records if not _known(record, self._stored)]
        for group in _groups(new):
            batches = [self._by_series(batch) for record in group for batch in record.batches]
            self._history.append(batches, Progress(self._gateway, self._journal, _place(group[-1])), now_ns)
            self._stored = _place(group[-1])
            stored += sum(map(len, batches))
        return stored

    def _by_series(self, batch: Batch) -> Batch:
        """The batch with series instead of tags; all tags that there are get theirs at once."""
        if len(self._series) < len(self._catalog):
            self._series = self._history.series(list(self._catalog.tags))  # more may come meanwhile
        return Batch(self._series[batch.tag], batch.time, batch.value, batch.quality)

    def _forget(self, now_ns: int) -> None:
        others = [(pattern, now_ns - kept_ns) for pattern, kept_ns in self._retentions_ns.items()]
        self._history.forget(now_ns - self._retention_ns, others)

    def _due(self, now_ns: int) -> list[int]:
        """The shards whose tail is to be compacted."""
        return [
            waiting.shard
            for waiting in self._history.tail()
            if waiting.readings >= COMPACT_READINGS or now_ns - waiting.oldest_ns > _TAIL_AGE_NS
        ]


def _place(record: Record) -> int:
    """The place of a record among all that a journal ever had: its boot counts more than its position.

    A power cut may take the last positions from the journal, but not from history, and the next boot gives them again.
    """
    return record.boot << _POSITION_BITS | record.position


def position(place: int) -> int:
    """Return the position in its journal of a record whose place history has stored."""
    return place & (1 << _POSITION_BITS) - 1


def _known(record: Record, stored: int) -> bool:
    """Whether a record is stored already; what was written before boots counted is a plain position."""
    return _place(record) <= stored or record.position <= stored < 1 << _POSITION_BITS


def _groups(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Cut records into groups of a moderate number of readings: a transaction each."""
    start = readings = 0
    for i, record in enumerate(records):
        readings += len(record)
        if readings >= _TRANSACTION_READINGS or i == len(records) - 1:
            yield records[start : i + 1]
            start, readings = i + 1, 0


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
