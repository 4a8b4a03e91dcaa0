"""The journal as the gateway sees it: append without waiting, commit in groups, read at cursors.

`append` numbers a record and returns; the writer takes all that waits, commits it in one transaction in its own
thread, and wakes the cursors. There is no timer in between: at low rates a record is committed by itself at once,
at high rates the next group gathers while one is being written. Records stay in memory for a while after their
commit, so that a cursor at the head never reads the disk.

What is bounded, and by which policy, is in limits.py. `append` never waits, so blocking is asked for: a connector
awaits `room()` before it asks its device for more, and `stored()` before it tells a server to forget. One that does
neither fills the memory, whose bound holds for all.
"""

import asyncio
import logging
import sqlite3
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Clock, Offload
from gateway.journal.cursor import Cursor
from gateway.journal.file import JournalFile
from gateway.journal.limits import REASONS, Limits
from gateway.journal.past import Past
from gateway.journal.witness import Nobody, Witness
from gateway.model import Batch, Record

_RETRY_S = 1.0
_READ_RECORDS_MAX = 200
_ROOM = 0.9
"""How full a journal is that was too full and has been trimmed."""

log = logging.getLogger(__name__)


class Journal:
    """One durable log, one writer. `run` is its life; everything else is for the event loop's thread only."""

    def __init__(
        self,
        file: JournalFile,
        offload: Offload,
        clock: Clock,
        limits: Limits | None = None,
        witness: Witness | None = None,
    ) -> None:
        self.id, self.boot = file.id, file.boot
        self.limits = limits or Limits()
        self.appended = self.committed = file.last
        self.size_bytes = file.size_bytes()
        self.lost = Counter(dict.fromkeys(REASONS, 0))
        self.failure = ""
        self.blocked = False
        self.blocks = 0
        self._full = False
        self._file = file
        self._offload = offload
        self._clock = clock
        self._witness = witness or Nobody()
        self._sequence = file.sequences()
        self._waiting: deque[Record] = deque()
        self._waiting_bytes = 0
        self._writing = False
        self._recent: deque[Record] = deque()
        self._recent_bytes = 0
        self._cursors: dict[str, Cursor] = {}
        self._stored = file.positions()
        self._told: dict[str, tuple[int, bytes]] = {}
        self._work = asyncio.Event()
        self._news = asyncio.Event()
        self._closed = False

    # --- writing --------------------------------------------------------------------------

    def append(self, asset: int, batches: Sequence[Batch]) -> Record:
        """Number the batches as one record of the asset and queue it for the disk."""
        self.appended += 1
        sequence = self._sequence.get(asset, 0) + 1
        self._sequence[asset] = sequence
        record = Record(self.appended, asset, self.boot, sequence, self._clock.now_ns(), tuple(batches))
        self._waiting.append(record)
        self._waiting_bytes += record.nbytes
        self._witness.appended(record)
        while self._waiting_bytes > self.limits.memory_bytes_max and len(self._waiting) > 1:
            oldest = self._waiting.popleft()
            self._waiting_bytes -= oldest.nbytes
            self._lose("journal_behind", [oldest])
        self._look_for_room()
        self._work.set()
        return record

    def close(self) -> None:
        """Expect no more records: cursors reach their end when they have read the rest, and `run` returns."""
        self._closed = True
        self._work.set()
        self._news.set()

    async def run(self) -> None:
        """Commit, sync and trim until closed and empty."""
        async with asyncio.TaskGroup() as tasks:
            chores = [
                tasks.create_task(self._every(self.limits.sync_s, self._sync), name="journal sync"),
                tasks.create_task(self._every(self.limits.trim_s, self._trim), name="journal trim"),
            ]
            while self._waiting or not self._closed:
                await self._work.wait()
                self._work.clear()
                await self._commit()
            self._news.set()
            for chore in chores:
                chore.cancel()

    async def finish(self) -> None:
        """Store where the cursors are and wait for the disk; the last thing to do with a journal."""
        try:
            await self._sync()
        except (sqlite3.Error, OSError) as error:
            self.failure = str(error)
            log.error("journal cannot be written at the end: %s. Some of what was sent may be sent again", error)

    # --- reading --------------------------------------------------------------------------

    def cursor(self, name: str) -> Cursor:
        """Return the durable cursor of this name; a new one begins with the oldest record there is."""
        if name not in self._cursors:
            start = self._stored[name] if name in self._stored else self._file.oldest() - 1
            delivered = partial(self._witness.delivered, name)
            self._cursors[name] = Cursor(self.after, lambda: self.appended, start, delivered)
        return self._cursors[name]

    @property
    def cursors(self) -> Mapping[str, Cursor]:
        return self._cursors

    async def after(self, position: int) -> tuple[Sequence[Record], int]:
        """Return the next committed records after a position, and the position that they reach.

        Waits until there are some. Returns none, and the position itself, when the journal is closed and all is read.
        """
        while position >= self.committed:
            if self._closed and not self._waiting and not self._writing:
                return (), position
            self._news.clear()
            await self._news.wait()
        if self._recent and self._recent[0].position <= position + 1:
            start = bisect_right(self._recent, position, key=attrgetter("position"))
            records = list(islice(self._recent, start, start + _READ_RECORDS_MAX))
            return records, records[-1].position
        found = await self._offload(self._file.read, position, self.committed, _READ_RECORDS_MAX)
        self.lost["journal_damaged"] = len(self._file.damaged)
        return found

    async def find(self, asset: int, first: int, last: int, records_max: int) -> Sequence[Record]:
        """Return records of an asset that are still there, by their sequence from first to last, both included."""
        return await self._offload(self._file.find, asset, first, last, records_max)

    def past(self, device: str, asset: int, numbers: NDArray[np.uint32]) -> Past:
        """Return how far a device was told before it is read, and keep how far it is."""
        return Past(self._file, self._offload, device, asset, numbers, self.stored, self.keep)

    def keep(self, name: str, told: bytes) -> None:
        """Have this in the file as soon as all that was appended so far is; what was kept of the name before goes."""
        self._told[name] = (self.appended, told)

    async def kept(self, name: str) -> bytes:
        """Return what was kept last; nothing if nothing was, or it is not intact."""
        return (await self._offload(self._file.told, name))[1]

    async def stored(self) -> None:
        """Wait until what has been appended so far is committed and there is room; not longer than the journal runs."""
        position = self.appended
        while self.committed < position and not (self._closed and not self._waiting and not self._writing):
            self._news.clear()
            await self._news.wait()
        await self.room()

    async def room(self) -> None:
        """Wait as long as the journal is too full for more and its policy is to block."""
        while self.blocked and not self._closed:
            self._news.clear()
            await self._news.wait()

    # --- inside ---------------------------------------------------------------------------

    async def _commit(self) -> None:
        group, moved = list(self._waiting), self._moved()
        if not group:
            return
        self._waiting.clear()
        self._waiting_bytes = 0
        self._writing = True
        try:
            await self._offload(self._file.commit, group, moved)
        except sqlite3.Error as error:
            self._waiting.extendleft(reversed(group))
            self._waiting_bytes = sum(record.nbytes for record in self._waiting)
            await self._failed(error)
            return
        finally:
            self._writing = False
        if self.failure:
            log.warning("journal can be written again")
        self.failure = ""
        self._stored |= moved
        self._remember(group)
        self.committed = group[-1].position
        self._witness.committed(group)
        self._look_for_room()
        if self.limits.sync_s == 0:
            await self._offload(self._file.sync)
        self._news.set()

    def _remember(self, group: Sequence[Record]) -> None:
        self._recent.extend(group)
        self._recent_bytes += sum(record.nbytes for record in group)
        while self._recent_bytes > self.limits.memory_bytes_max // 8 and len(self._recent) > 1:
            self._recent_bytes -= self._recent.popleft().nbytes

    def _moved(self) -> dict[str, int]:
        """The cursors that are further than the file knows."""
        return {
            name: cursor.position for name, cursor in self._cursors.items() if self._stored.get(name) != cursor.position
        }

    async def _failed(self, error: Exception) -> None:
        """Say once that the disk fails, and try again later; at the end, say what that costs."""
        if not self.failure:
            log.error(
                "journal cannot be written: %s. Readings wait in memory, up to %d MiB; free some space",
                error,
                self.limits.memory_bytes_max >> 20,
            )
        self.failure = str(error)
        if self._closed:
            self._lose("journal_failed", list(self._waiting))
            self._waiting.clear()
            return
        await asyncio.sleep(_RETRY_S)
        self._work.set()

    async def _every(self, period_s: float, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(period_s or 1.0)
            try:
                await chore()
            except (sqlite3.Error, OSError) as error:
                await self._failed(error)

    async def _sync(self) -> None:
        moved = self._moved()
        if moved:
            await self._offload(self._file.commit, (), moved)
            self._stored |= moved
        told = {device: kept for device, kept in self._told.items() if kept[0] <= self.committed}
        if told:
            await self._offload(self._file.keep, told)
            self._told = {device: kept for device, kept in self._told.items() if kept is not told.get(device)}
        await self._offload(self._file.sync)

    async def _trim(self) -> None:
        confirmed, now = self._confirmed(), self._clock.now_ns()
        await self._offload(self._file.trim, confirmed, now - round(self.limits.retention_s * 1e9))
        old = await self._offload(self._file.drop_old, now - round(self.limits.age_s * 1e9), confirmed)
        self._forgotten("journal_old", old)
        self.size_bytes = await self._offload(self._file.size_bytes)
        if self.size_bytes > self.limits.size_bytes_max:
            await self._make_room(confirmed)
        self._full = self.size_bytes > self.limits.size_bytes_max * (_ROOM if self._full else 1.0)
        self._look_for_room()

    async def _make_room(self, confirmed: int) -> None:
        """Forget what all have read, and of the rest as much as the policy says."""
        excess = self.size_bytes - round(_ROOM * self.limits.size_bytes_max)
        if self.limits.policy == "block":
            await self._offload(self._file.trim, confirmed, self._clock.now_ns())
        elif self.limits.policy == "thin_out":
            self._forgotten("journal_thinned", await self._offload(self._file.thin_out, excess, confirmed))
        else:
            self._forgotten("journal_full", await self._offload(self._file.drop_oldest, excess, confirmed))
        self.size_bytes = await self._offload(self._file.size_bytes)

    def _confirmed(self) -> int:
        return min((cursor.position for cursor in self._cursors.values()), default=self.committed)

    def _look_for_room(self) -> None:
        """Block or unblock, with some distance in between; an edge is logged."""
        if self.limits.policy != "block":
            return
        much = self.limits.memory_bytes_max // (4 if self.blocked else 2)
        blocked = self._full or self._waiting_bytes > much
        if blocked != self.blocked:
            self.blocked = blocked
            self.blocks += blocked
            self._news.set()
            if blocked:
                log.warning("journal is full, devices wait")
            else:
                log.warning("journal has room again, devices go on")

    def _forgotten(self, reason: str, records: Sequence[Record]) -> None:
        """The file has lost records: they shall not come out of memory either."""
        gone = {record.position for record in records}
        self._recent = deque(record for record in self._recent if record.position not in gone)
        self._recent_bytes = sum(record.nbytes for record in self._recent)
        self._lose(reason, records)

    def _lose(self, reason: str, records: Sequence[Record]) -> None:
        if records and not self.lost[reason]:
            log.error("records are being lost: %s", reason)
        self.lost[reason] += len(records)
        for record in records:
            behind = [name for name, cursor in self._cursors.items() if cursor.position < record.position]
            self._witness.lost(reason, record, behind if record.position <= self.committed else ())
