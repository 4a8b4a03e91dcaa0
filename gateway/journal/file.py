"""The journal on disk: one SQLite file in WAL mode. Blocking; one thread at a time.

    journal(id, format, boot, seal)                         one row; boot counts how often the file was opened
    asset(number, path, sequence, seal)                     sequence of the asset's newest record
    tag(number, asset, name, seal)                          the numbering of the Catalog, for ever
    record(position, asset, boot, sequence, received, data, seal)
                                                            one row per emission, data as in model/encoding.py
    cursor(name, position, seal)                            everything up to position is confirmed
    told(device, position, data, seal)                      how far the tags of a device were told (past.py)

A commit writes the WAL without fsync, so it survives the death of the process; `sync` is what bounds the loss of a
power cut. The file is locked, because two gateways on one journal would give the same sequence twice. A file in which
SQLite finds damage, or a seal is wrong that all depends on, is set aside under another name and reported, and what can
be saved of it, row by row, begins a new one: the gateway must come up. A record whose seal or checksum is wrong is
skipped, counted and reported.
"""

import logging
import os
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Final

from gateway.journal.salvage import refill, salvage
from gateway.journal.seal import RECORD, seal
from gateway.model import Catalog, Record
from gateway.model.encoding import Damaged, decode, encode
from gateway.sqlite import DamagedFile, judged, opened, set_aside

FORMAT: Final = 2
_TRIM_ROWS_MAX: Final = 5_000  # per transaction, so that trimming never holds up a commit for long
_STRETCH_BYTES: Final = 8 << 13
"""How much is left between two gaps when the journal is thinned out: eight pages."""
_ROW_BYTES: Final = 40  # about what a row takes beside its data
_EVER: Final = (1 << 63) - 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS journal (
    id TEXT NOT NULL, format INTEGER NOT NULL, boot INTEGER NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS asset (
    number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, sequence INTEGER NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tag (
    number INTEGER PRIMARY KEY, asset TEXT NOT NULL, name TEXT NOT NULL, seal INTEGER NOT NULL, UNIQUE (asset, name));
CREATE TABLE IF NOT EXISTS record (
    position INTEGER PRIMARY KEY AUTOINCREMENT, asset INTEGER NOT NULL, boot INTEGER NOT NULL,
    sequence INTEGER NOT NULL, received INTEGER NOT NULL, data BLOB NOT NULL, seal INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS record_by_sequence ON record (asset, sequence);
CREATE TABLE IF NOT EXISTS cursor (name TEXT PRIMARY KEY, position INTEGER NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS told (
    device TEXT PRIMARY KEY, position INTEGER NOT NULL, data BLOB NOT NULL, seal INTEGER NOT NULL);
"""

log = logging.getLogger(__name__)


class JournalFile:
    """An open journal file. Raises OSError if the path cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged: set[int] = set()
        self._paths: dict[int, str] = {}
        try:
            self._db = opened(path, _SCHEMA)
            self.id, self.boot, self.last = self._begun()
        except DamagedFile as error:
            self._db = self._saved(set_aside(path), error)
            self.id, self.boot, self.last = self._begun()
        self._wal = os.open(f"{path}-wal", os.O_RDWR)

    def close(self) -> None:
        os.close(self._wal)
        self._db.close()

    # --- numbering ------------------------------------------------------------------------

    def load(self, catalog: Catalog) -> None:
        """Give a new catalog the numbers that tags and assets had before."""
        for (path,) in self._db.execute("SELECT path FROM asset ORDER BY number"):
            catalog.reserve_asset(path)
        for asset, name in self._db.execute("SELECT asset, name FROM tag ORDER BY number"):
            catalog.reserve(asset, name)

    def save(self, catalog: Catalog) -> None:
        """Store the numbers of all tags and assets; what has been stored before stays."""
        ((first,),) = self._db.execute("SELECT coalesce(max(number) + 1, 0) FROM tag")
        new = [(n, t.asset, t.name, seal("tag", n, t.asset, t.name)) for n, t in enumerate(catalog.tags[first:], first)]
        self._paths = dict(enumerate(catalog.assets))
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO asset VALUES (?, ?, 0, ?)",
                [(number, path, seal("asset", number, path, 0)) for number, path in self._paths.items()],
            )
            self._db.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?, ?, ?)", new)

    def sequences(self) -> dict[int, int]:
        """Return the sequence of the newest record of each asset."""
        return dict(self._db.execute("SELECT number, sequence FROM asset"))

    # --- records --------------------------------------------------------------------------

    def commit(self, records: Sequence[Record], cursors: Mapping[str, int]) -> int:
        """Write records and cursor positions in one transaction; return the bytes of the records.

        Raises sqlite3.OperationalError if the disk is full or fails; nothing of it is written then.
        """
        rows = [_row(record) for record in records]
        newest = {r.asset: r.sequence for r in records}
        with self._db:
            self._db.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany(
                "UPDATE asset SET sequence = ?, seal = ? WHERE number = ?",
                [(n, seal("asset", asset, self._paths.get(asset, ""), n), asset) for asset, n in newest.items()],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)",
                [(name, position, seal("cursor", name, position)) for name, position in cursors.items()],
            )
        return sum(len(row[5]) for row in rows)

    def read(self, after: int, upto: int, records_max: int, asset: int | None = None) -> tuple[list[Record], int]:
        """Return the records after a position and up to another, at most so many, and how far that reaches.

        With `asset` only its own. Damaged records are left out; positions that were trimmed are simply not there.
        """
        rows = self._db.execute(
            "SELECT * FROM record WHERE position > ? AND position <= ? AND ? IN (-1, asset) ORDER BY position LIMIT ?",
            (after, upto, -1 if asset is None else asset, records_max),
        ).fetchall()
        reached = rows[-1][0] if len(rows) == records_max else upto
        return list(self._intact(rows)), reached

    def newest(self, asset: int) -> int:
        """Return the last sequence of an asset that is still there, 0 for none."""
        row = self._db.execute("SELECT max(sequence) FROM record WHERE asset = ?", (asset,)).fetchone()
        return int(row[0] or 0)

    def find(self, asset: int, first: int, last: int, records_max: int) -> list[Record]:
        """Return the intact records of an asset whose sequence is from first to last, both included, in order."""
        rows = self._db.execute(
            "SELECT * FROM record WHERE asset = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?",
            (asset, first, last, records_max),
        ).fetchall()
        return list(self._intact(rows))

    def sync(self) -> None:
        """Wait until what was committed is on the disk (fsync of the write-ahead log). Any thread."""
        os.fsync(self._wal)

    def positions(self) -> dict[str, int]:
        """Return the confirmed position of every cursor."""
        return dict(self._db.execute("SELECT name, position FROM cursor"))

    def keep(self, told: Mapping[str, tuple[int, bytes]]) -> None:
        """Write how far devices were told, each with the position of a record that is written already."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)",
                [(name, *kept, seal("told", name, *kept)) for name, kept in told.items()],
            )

    def told(self, device: str) -> tuple[int, bytes]:
        """Return how far a device was told, and the position of the last record then; nothing if it is not intact."""
        row = self._db.execute("SELECT * FROM told WHERE device = ?", (device,)).fetchone()
        if row is not None and row[3] == seal("told", *row[:3]):
            return row[1], row[2]
        if row is not None:
            log.warning("journal %s: what was kept of %s is damaged and left out", self.path, device)
        return 0, b""

    # --- limits ---------------------------------------------------------------------------

    def trim(self, upto: int, received_before: int) -> int:
        """Forget records up to a position that came before a time; return how many, at most a few thousand."""
        first = self._db.execute("SELECT received FROM record ORDER BY position LIMIT 1").fetchone()
        if first is None or first[0] >= received_before:
            return 0
        old = takewhile(lambda row: row[0] <= upto and row[1] < received_before, self._oldest())
        victims = [position for position, _, _ in old]
        self._forget(victims, _EVER)
        return len(victims)

    def drop_old(self, received_before: int, wanted_after: int) -> list[Record]:
        """Forget what came before a time, whoever wants it, a few thousand; return what lay after a position."""
        old = takewhile(lambda row: row[1] < received_before, self._oldest())
        return self._forget([position for position, _, _ in old], wanted_after)

    def drop_oldest(self, size: int, wanted_after: int) -> list[Record]:
        """Forget the oldest, a few thousand, until so many bytes are free; return what lay after a position."""
        rows = self._oldest()
        freed = accumulate((length for _, _, length in rows), initial=0)
        victims = [position for (position, _, _), before in zip(rows, freed, strict=False) if before < size]
        return self._forget(victims, wanted_after)

    def thin_out(self, size: int, wanted_after: int) -> list[Record]:
        """Forget every second stretch of the oldest until so many bytes are free; return what lay after a position.

        A stretch is as long as some pages, because only whole pages are free again. What is thinned out again and
        again is the oldest, so the further back, the less is left.
        """
        victims: list[int] = []
        dropping, stretch, freed = False, 0, 0
        for position, _, length in self._oldest():
            if position <= wanted_after or dropping:
                victims.append(position)
                freed += length
            stretch += length
            if stretch >= _STRETCH_BYTES:
                dropping, stretch = not dropping, 0
            if freed >= size:
                break
        return self._forget(victims, wanted_after)

    def oldest(self) -> int:
        """Return the position of the oldest record, or of the next one if there is none."""
        (position,) = self._db.execute("SELECT coalesce(min(position), ?) FROM record", (self.end() + 1,)).fetchone()
        return int(position)

    def size_bytes(self) -> int:
        """Return the bytes in use; pages that trimming freed do not count, they are used again."""
        (pages,), (free,), (size,) = (
            self._db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    # --- inside ---------------------------------------------------------------------------

    def _oldest(self) -> list[tuple[int, int, int]]:
        """Position, time of arrival and bytes of the oldest records, as many as one transaction may forget."""
        return self._db.execute(
            "SELECT position, received, length(data) + ? FROM record ORDER BY position LIMIT ?",
            (_ROW_BYTES, _TRIM_ROWS_MAX),
        ).fetchall()

    def _forget(self, positions: Sequence[int], wanted_after: int) -> list[Record]:
        """Delete records; return those of them, as far as they are intact, that lay after a position."""
        wanted = [position for position in positions if position > wanted_after]
        found = [self._db.execute("SELECT * FROM record WHERE position = ?", (p,)).fetchone() for p in wanted]
        with self._db:
            self._db.executemany("DELETE FROM record WHERE position = ?", [(position,) for position in positions])
        return list(self._intact(found))

    def _begun(self) -> tuple[str, int, int]:
        """Identity, boot and last position. Raises DamagedFile if it cannot be gone on with, and has closed it then."""
        with ExitStack() as closing, judged(self.path):
            closing.callback(self._db.close)
            self._verify()
            self._paths = dict(self._db.execute("SELECT number, path FROM asset"))
            begun = (*self._begin(), self.end())
            closing.pop_all()
        return begun

    def _begin(self) -> tuple[str, int]:
        with self._db:
            found = self._db.execute("SELECT id, format, boot FROM journal").fetchone()
            identity, version, boot = found or (secrets.token_hex(8), FORMAT, 0)
            if version != FORMAT:
                raise OSError(f"journal {self.path} has format {version}, this program reads {FORMAT}")
            self._write_identity(identity, boot + 1)
        return identity, boot + 1

    def _write_identity(self, identity: str, boot: int) -> None:
        self._db.execute("DELETE FROM journal")
        fields = identity, FORMAT, boot
        self._db.execute("INSERT INTO journal VALUES (?, ?, ?, ?)", (*fields, seal("journal", *fields)))

    def _verify(self) -> None:
        """Raise DamagedFile if a row is not what was written; records are looked at when they are read."""
        for table in ("journal", "asset", "tag", "cursor"):
            (found,) = self._db.execute(f"PRAGMA integrity_check({table})").fetchone()
            if found != "ok":
                raise DamagedFile(found)
            for *fields, sealed in self._db.execute(f"SELECT * FROM {table}"):
                if sealed != seal(table, *fields):
                    raise DamagedFile(f"a row of table {table} is not what was written")

    def _saved(self, aside: Path, error: Exception) -> sqlite3.Connection:
        """A new file with what can be saved of the old one."""
        found = salvage(aside)
        self._db = db = opened(self.path, _SCHEMA)
        with db:
            refill(db, found)
            if found.journal:
                self._write_identity(*found.journal)
        log.error(
            "journal %s is damaged (%s); set aside as %s, %d records of it are saved in a new one",
            self.path,
            error,
            aside.name,
            len(found.records),
        )
        return db

    def end(self) -> int:
        """The newest position ever given, also if its record has been trimmed; a counter may be damaged as well."""
        (counted,) = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone() or (0,)
        records = self._intact(self._db.execute("SELECT * FROM record ORDER BY position DESC"))
        newest = next((record.position for record in records), 0)
        return max(counted if isinstance(counted, int) and counted < _EVER else 0, newest)

    def _intact(self, rows: Iterable[tuple[int, int, int, int, int, bytes, int]]) -> Iterable[Record]:
        for position, asset, boot, sequence, received, data, sealed in rows:
            try:
                if sealed != seal(RECORD, position, asset, boot, sequence, received, data[:4]):
                    raise Damaged("its seal is wrong")
                yield Record(position, asset, boot, sequence, received, decode(data))
            except Damaged as error:
                if position not in self.damaged:  # each cursor comes by
                    self.damaged.add(position)
                    log.error("journal record %s of boot %s is lost: %s", position, boot, error)


def _row(record: Record) -> tuple[int, int, int, int, int, bytes, int]:
    data = encode(record.batches)
    head = (record.position, record.asset, record.boot, record.sequence, record.received)
    return (*head, data, seal(RECORD, *head, data[:4]))
