"""Takes entries from whoever acts, who never waits for it, and has a thread write them.

What waits is bounded: if the disk stalls or is full for so long that no more can wait, entries are lost, counted, and
the next one that is written is preceded by how many are missing. A crash of the process takes what was not written
yet, some milliseconds.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from gateway.audit.chain import Record, fields, stamp
from gateway.audit.entry import Entry, signed
from gateway.audit.file import GATEWAY, AuditFile
from gateway.audit.flood import Flood
from gateway.contracts import Clock, Offload

WAITING_MAX: Final = 10_000
"""Entries that may wait for the disk: half an hour of a busy plant, 10 MB of memory at most."""
_AT_ONCE: Final = 500
_LOOK_S: Final = 5.0


class AuditLog:
    """The trail of this gateway. `offload` has one thread, which has the file."""

    def __init__(self, file: AuditFile, offload: Offload, clock: Clock) -> None:
        self._file = file
        self._offload = offload
        self._clock = clock
        self._waiting: deque[dict[str, Any]] = deque()
        self._flood = Flood()
        self._wake = asyncio.Event()
        self._written = self._lost = self._missing = 0

    def counts(self) -> dict[str, int]:
        """Return entries that are on disk, that were only counted, lost before the disk had them, and deleted."""
        return {
            "entries": self._written,
            "entries_alike": self._flood.suppressed,
            "entries_lost": self._lost,
            "entries_deleted": self._file.dropped,
        }

    def add(self, entry: Entry) -> None:
        """Take an entry; who asks is put in where it does not say."""
        self._put(signed(entry))

    def often(self, entry: Entry) -> None:
        """Take an entry that may come again and again: of those that are too many it is only told how many."""
        whole = signed(entry)
        if self._flood.admits(whole):
            self._put(whole)

    async def run(self, up: Callable[[], None]) -> None:
        """Write what comes until cancelled, and then what is left. Raises OSError while the disk does not take it."""
        try:
            while True:
                self._tell(self._flood.over(asyncio.get_running_loop().time()))
                await self._offload(self._write)
                up()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await self._wake.wait()
                self._wake.clear()
        except asyncio.CancelledError:
            self._tell(self._flood.end(0.0))
            await self._offload(self._write)
            raise

    async def page(
        self, before: int | None, limit: int, who: str = "", action: str = ""
    ) -> tuple[list[Record], int | None]:
        """Return records, newest first, of one who asks and one action if they are named, and from where to go on.

        What was told before is among them. Raises OSError.
        """

        def wanted(record: Record) -> bool:
            told = record.fields
            return who in ("", told["who"]) and action in ("", told["action"])

        await self._offload(self._write)
        return await self._offload(self._file.page, before or self._file.n + 1, limit, wanted)

    def _tell(self, entries: list[Entry]) -> None:
        for entry in entries:
            self._put(entry)

    def _put(self, entry: Entry) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._lost += 1
            self._missing += 1
            return
        now = stamp(self._clock.now_ns())
        if self._missing:
            what = f"{self._missing} entries are missing: the disk did not take them in time"
            self._waiting.append(fields(Entry("audit.lost", "", "failed", GATEWAY, detail=what), now))
            self._missing = 0
        self._waiting.append(fields(entry, now))
        self._wake.set()

    def _write(self) -> None:
        """Write what waits; in the thread of the file, so that an entry is there once however this ends."""
        while some := list(islice(self._waiting, _AT_ONCE)):
            self._file.append(some)
            self._written += len(some)
            for _ in some:
                self._waiting.popleft()
