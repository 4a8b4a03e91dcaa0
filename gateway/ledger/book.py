"""The ledger as the gateway sees it: fed by the journal and the supervisor, kept on disk every two seconds.

What came and what was delivered is counted from the journal's records, once they are committed or confirmed. So after
a crash the journal says what the last two seconds were. What was expected is entered together with the record it
belongs to, so a record that a crash took is neither expected nor there; that time is part of the pause.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np

from gateway.contracts import Clock, Connector, Offload
from gateway.journal import Journal, JournalFile
from gateway.ledger.account import STOPPED, Account
from gateway.ledger.file import Key, LedgerFile
from gateway.ledger.row import Gap, GivenUp, Pause, Row, minute_of
from gateway.model import Catalog, Record

KILLED: Final = "gateway killed"
_FORGET_ROUNDS: Final = 300
_ROWS_MAX: Final = 100_000
"""Rows that wait for a disk that fails; beyond it the oldest are given up, and counted."""
_READ_RECORDS: Final = 500
_COMMITTED: Final = ""

P = ParamSpec("P")
T = TypeVar("T")


class Ledger:
    """The journal's Witness. `run` keeps it on disk; `rows` answers."""

    def __init__(
        self,
        file: LedgerFile,
        offload: Offload,
        catalog: Catalog,
        clock: Clock,
        *,
        retention_s: float,
        keep_s: float = 2.0,
        down: Callable[[str], str] = lambda sink: "",
    ) -> None:
        self.accounts: dict[str, Account] = {}
        self._polled: dict[str, bool] = {}
        self.rows_dropped = 0
        self._file = file
        self._offload = offload
        self._catalog = catalog
        self._clock = clock
        self._retention_ns = round(retention_s * 1e9)
        self._keep_s = keep_s
        self._down = down
        self._journal = file.journal
        self._rows: dict[Key, Row] = {}
        self._reached: dict[str, int] = dict(file.reached)
        self._pending: deque[tuple[int, int, str, Row]] = deque()
        self._newest: Record | None = None
        self._blocks: Callable[[], int] = lambda: 0
        self._ended = False
        self._pause: Pause | None = None
        self._keeping = asyncio.Lock()

    @property
    def counts(self) -> dict[str, int]:
        return {"rows_dropped": self.rows_dropped, "rows_damaged": self._file.rows_damaged}

    # --- the beginning --------------------------------------------------------------------

    def begin(self, file: JournalFile, journal: Journal, devices: Mapping[str, Connector]) -> None:
        """Open the accounts, make up for what the last process did not write down, and enter the pause since then."""
        now_ns = self._clock.now_ns()
        self._blocks = lambda: journal.blocks
        known = self._journal == journal.id
        self._journal = journal.id
        if not known:
            self._reached = {_COMMITTED: journal.committed, **file.positions()}
        for name, connector in devices.items():
            self.open(name, connector)
        alive_ns = self._catch_up(file) if known else 0
        if alive_ns and alive_ns < now_ns:
            polls = {name: account.polls for name, account in self.accounts.items()}
            self._pause = Pause(alive_ns, now_ns, STOPPED if self._file.ended else KILLED, polls)
        with suppress(sqlite3.Error):  # a disk that fails; `run` tries again, and says so
            self._file.add(self._journal, self._rows, self._reached, now_ns, pause=self._pause)
            self._rows, self._pause = {}, None

    def _catch_up(self, file: JournalFile) -> int:
        """Count the records that are in the journal and not in the rows; return when the last process was alive."""
        alive_ns = self._file.alive_ns
        for record in _records(file, self._reached.get(_COMMITTED, 0), file.last):
            alive_ns = max(alive_ns, record.received)
            if (row := self._came(record)) is not None and row.expected is not None and not record.historical:
                row.expect(_good(record))
        for sink, position in file.positions().items():
            for record in _records(file, self._reached.get(sink, position), position):
                if (row := self._row_of(record)) is not None:
                    row.at(sink).delivered += len(record)
            self._reached[sink] = min(file.last, max(position, self._reached.get(sink, 0)))  # after a power cut
        self._reached[_COMMITTED] = file.last
        return alive_ns

    def open(self, name: str, connector: Connector) -> None:
        """Open the account of a device that is read from now on."""
        account = self.accounts[name] = Account(connector, self._catalog, self._entering(name), self._blocks)
        account.begin(self._clock.now_ns())
        self._polled[name] = bool(account.polls)

    def close(self, name: str) -> None:
        """Close the account of a device that is not read any more; what is still on its way is counted."""
        account = self.accounts.pop(name)
        account.settle(self._clock.now_ns())

    # --- what the journal tells -----------------------------------------------------------

    def appended(self, record: Record) -> None:
        self._newest = record

    def committed(self, records: Sequence[Record]) -> None:
        for record in records:
            self._came(record)
        self._reached[_COMMITTED] = records[-1].position
        self._enter_pending()

    def delivered(self, cursor: str, records: Sequence[Record]) -> None:
        now_ns = self._clock.now_ns()
        reached = self._reached.get(cursor, 0)
        for record in records:
            if record.position > reached and (row := self._row_of(record)) is not None:
                sink = row.at(cursor)
                sink.delivered += len(record)
                sink.late_s = max(sink.late_s, round((now_ns - record.received) / 1e9, 3))
        if records:
            self._reached[cursor] = max(reached, records[-1].position)

    def lost(self, reason: str, record: Record, cursors: Sequence[str]) -> None:
        row = self._row_of(record)
        if row is None:
            return
        for cursor in cursors:
            row.at(cursor).dropped += len(record)
        if record.position > self._reached.get(_COMMITTED, 0):
            row.gap(reason.replace("_", " "), Gap(_good(record), times=1))

    def gave_up(self, sink: str, device: str, cause: str, count: int, time_ns: tuple[int, int]) -> None:
        """Enter, in this minute, what a sink had of a device and has not any more; of which time, [begin, end)."""
        if device in self._polled:
            row = self._open(minute_of(self._clock.now_ns()), device)
            row.at(sink).give_up(cause, GivenUp(count, *time_ns))

    # --- on disk --------------------------------------------------------------------------

    async def run(self, up: Callable[[], None]) -> None:
        """Keep the ledger on disk, until cancelled. Raises OSError if that fails; nothing is forgotten then."""
        rounds = 0
        while True:
            await self.keep()
            up()
            await asyncio.sleep(self._keep_s)
            rounds += 1
            if rounds % _FORGET_ROUNDS == 1:
                await self._ask(self._file.forget, self._clock.now_ns() - self._retention_ns)

    async def end(self) -> None:
        """Write what is new, and that this was an orderly end. Raises OSError if the disk fails."""
        self._ended = True
        await self.keep()

    async def keep(self) -> None:
        """Write what is new. Raises OSError if the disk fails."""
        async with self._keeping:
            now_ns = self._clock.now_ns()
            for account in self.accounts.values():
                account.settle(now_ns)
            self._enter_pending()
            entered_ns = self._pending[0][1] if self._pending else now_ns
            self._note_sinks(now_ns)
            rows, self._rows = self._rows, {}
            add = partial(self._file.add, ended=self._ended, pause=self._pause)
            try:
                await self._ask(add, self._journal, rows, dict(self._reached), entered_ns)
            except OSError:
                self._take_back(rows)
                raise
            self._pause = None

    async def rows(self, device: str, start_ns: int, end_ns: int, after: Key, rows_max: int) -> list[tuple[Key, Row]]:
        """Return the rows of minutes in [start, end) after a key, at most so many; of all devices if none is named.

        They are up to two seconds old. Raises OSError if the disk fails.
        """
        return await self._ask(self._file.rows, device, start_ns, end_ns, after, rows_max)

    async def minute(self, start_ns: int, end_ns: int) -> dict[str, dict[str, Any]]:
        """Return what the rows of one minute, [start, end), say, by device. Raises OSError if the disk fails."""
        found = await self.rows("", start_ns, end_ns, (0, ""), len(self._polled))
        return {device: row.described() for (_, device), row in found}

    async def _ask(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._offload(work, *args, **kwargs)
        except sqlite3.Error as error:
            raise OSError(f"the ledger's file cannot be used: {error}") from error

    # --- inside ---------------------------------------------------------------------------

    def _entering(self, device: str) -> Callable[[int, Row, bool], None]:
        def enter(time_ns: int, row: Row, with_record: bool) -> None:
            newest = self._newest
            if newest is None:
                self._pending.append((0, time_ns, device, row))
            else:
                self._pending.append((newest.position, newest.received if with_record else time_ns, device, row))

        return enter

    def _enter_pending(self) -> None:
        """Enter what belongs to records that are committed; the rest too, if a disk that fails has made it much."""
        committed = self._reached.get(_COMMITTED, 0)
        while self._pending and (self._pending[0][0] <= committed or len(self._pending) > _ROWS_MAX or self._ended):
            _, time_ns, device, row = self._pending.popleft()
            self._open(minute_of(time_ns), device).add(row)

    def _note_sinks(self, now_ns: int) -> None:
        """Say in this minute's rows which sink is away, and why."""
        minute = minute_of(now_ns)
        for sink in self._reached:
            if sink != _COMMITTED and (why := self._down(sink)):
                for device in self.accounts:
                    self._open(minute, device).at(sink).down = why

    def _take_back(self, rows: dict[Key, Row]) -> None:
        for key, row in self._rows.items():
            rows.setdefault(key, Row()).add(row)
        self._rows = rows
        while len(rows) > _ROWS_MAX:
            del rows[min(rows)]
            self.rows_dropped += 1

    def _came(self, record: Record) -> Row | None:
        """Count a record that is durable; return its row."""
        row = self._row_of(record)
        if row is not None and record.historical:
            row.recovered += len(record)
        elif row is not None:
            usable = _good(record)
            row.good += usable
            row.bad += len(record) - usable
        return row

    def _row_of(self, record: Record) -> Row | None:
        """The row that a record belongs to; None if it is of no device that there is: signals have no ledger."""
        device = self._catalog[int(record.batches[0].tag[0])].device
        if device not in self._polled:
            return None
        return self._open(minute_of(record.received), device)

    def _open(self, minute: int, device: str) -> Row:
        """The row of a minute and a device; nothing is expected yet if that can be known."""
        key = (minute, device)
        if key not in self._rows:
            self._rows[key] = Row(0 if self._polled[device] else None)
        return self._rows[key]


def _good(record: Record) -> int:
    return sum(int(np.count_nonzero(batch.good)) for batch in record.batches)


def _records(file: JournalFile, after: int, upto: int) -> Iterator[Record]:
    while after < upto:
        records, after = file.read(after, upto, _READ_RECORDS)
        yield from records
