"""What can be saved of a journal file that SQLite cannot use any more: every row that is whole, wherever it lies.

It reads the pages of the file and of its write-ahead log by themselves, without the tree above them: each leaf of a
table (https://www.sqlite.org/fileformat2.html, 1.6) names its rows, and each row says with its seal that it is what was
written. What has been deleted may come again, what is damaged does not: a row is as it was, or it is not there. Of
the rows that a file has in several versions, the one that counts furthest is the newest.
"""

import mmap
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.journal.seal import RECORD, seal
from gateway.model.encoding import Damaged, decode

_PAGE: Final = 8192
_LEAF: Final = 13
_WAL_HEADER, _FRAME_HEADER = 32, 24
_LOCAL_MAX: Final = _PAGE - 35
_LOCAL_MIN: Final = (_PAGE - 12) * 32 // 255 - 23
_BEYOND: Final = 1_000_000_000
_PAYLOAD_MAX: Final = 1 << 30
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


@dataclass(slots=True)
class Salvaged:
    """Rows whose seal is right. `journal` is identity and boot; `records` are rows of the table, by position."""

    journal: tuple[str, int] | None = None
    assets: dict[int, tuple[str, int]] = field(default_factory=dict)
    tags: dict[int, tuple[str, str]] = field(default_factory=dict)
    cursors: dict[str, int] = field(default_factory=dict)
    records: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def take(self, row: tuple[Any, ...]) -> None:
        """Take a row of whatever table, if its seal is right; it is told by its columns."""
        *fields, sealed = row
        match fields:
            case [int(position), int(), int(), int(), int(), bytes(data)]:
                if sealed == seal(RECORD, *fields[:5], data[:4]):
                    self.records[position] = row
            case [int(number), str(path), int(sequence)]:
                if sealed == seal("asset", *fields):
                    self.assets[number] = (path, max(sequence, self.assets.get(number, ("", 0))[1]))
            case [int(number), str(asset), str(name)]:
                if sealed == seal("tag", *fields):
                    self.tags[number] = (asset, name)
            case [str(name), int(position)]:
                if sealed == seal("cursor", *fields):
                    self.cursors[name] = max(position, self.cursors.get(name, 0))
            case [str(identity), int(), int(boot)]:
                if sealed == seal("journal", *fields):
                    self.journal = max(self.journal or ("", 0), (identity, boot), key=lambda known: known[1])
            case _:
                pass  # of a table of SQLite's own


def salvage(path: Path) -> Salvaged:
    """Return what can be saved of a file and of the write-ahead log beside it. Raises OSError if it cannot be read."""
    found = Salvaged()
    with ExitStack() as files:
        main, log = (_mapped(files, Path(f"{path}{suffix}")) for suffix in ("", "-wal"))
        pages = _Pages(main, log)
        for page in pages.versions():
            for cell in _cells(page):
                for payload, rowid in _payloads(page, cell, pages):
                    if row := _row(payload, rowid):
                        found.take(row)
    return found


def refill(db: sqlite3.Connection, found: Salvaged) -> None:
    """Write what was saved into the empty tables of a new file; the caller commits.

    Where the name of a number is lost, nothing may get its readings: they are kept under `lost/...`. Positions go on
    far beyond all that can have been given, so that nobody takes a new record for one that he has.
    """
    tags = {position: _tags(row) for position, row in found.records.items()}
    records = {position: row for position, row in found.records.items() if tags[position] is not None}
    tags_max = max([*found.tags, *(tag for numbers in tags.values() for tag in numbers or ())], default=-1)
    assets_max = max([*found.assets, *(row[1] for row in records.values())], default=-1)
    newest = {row[1]: row[3] for row in sorted(records.values(), key=lambda row: row[3])}
    for number in range(assets_max + 1):
        path, sequence = found.assets.get(number, (f"lost/asset-{number}", 0))
        fields = (number, path, max(sequence, newest.get(number, 0)))
        db.execute("INSERT INTO asset VALUES (?, ?, ?, ?)", (*fields, seal("asset", *fields)))
    for number in range(tags_max + 1):
        tag = (number, *found.tags.get(number, ("lost", f"tag-{number}")))
        db.execute("INSERT INTO tag VALUES (?, ?, ?, ?)", (*tag, seal("tag", *tag)))
    for cursor in found.cursors.items():
        db.execute("INSERT INTO cursor VALUES (?, ?, ?)", (*cursor, seal("cursor", *cursor)))
    db.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", [records[n] for n in sorted(records)])
    last = max([0, *records, *found.cursors.values()]) + _BEYOND
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'record'")
    db.execute("INSERT INTO sqlite_sequence VALUES ('record', ?)", (last,))


def _tags(row: tuple[Any, ...]) -> list[int] | None:
    """The tags of a record, None if its data is damaged."""
    try:
        return [int(batch.tag.max()) for batch in decode(row[5]) if len(batch)]
    except Damaged:
        return None


def _mapped(files: ExitStack, path: Path) -> "mmap.mmap | bytes":
    if not path.exists() or path.stat().st_size == 0:
        return b""
    file = files.enter_context(path.open("rb"))
    return files.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class _Pages:
    """The pages of a file, and those in its log, which are newer."""

    def __init__(self, main: "mmap.mmap | bytes", log: "mmap.mmap | bytes") -> None:
        self._main = main
        self._log = log
        frames = range(_WAL_HEADER, len(log) - _FRAME_HEADER - _PAGE + 1, _FRAME_HEADER + _PAGE)
        self._frames = [(int.from_bytes(log[at : at + 4], "big"), at + _FRAME_HEADER) for at in frames]
        self._newest = dict(self._frames)

    def versions(self) -> Iterator[bytes]:
        """Every page, in every version that there is, but the first, which has only the schema."""
        for at in range(_PAGE, len(self._main) - _PAGE + 1, _PAGE):
            yield self._main[at : at + _PAGE]
        for _, at in self._frames:
            yield self._log[at : at + _PAGE]

    def chain(self, number: int, length: int, *, logged: bool) -> bytes:
        """The bytes of a chain of overflow pages, as they are in the log or as they were before it."""
        parts: list[bytes] = []
        while number and length > 0:
            at = self._newest.get(number) if logged else None
            page = self._main[(number - 1) * _PAGE : number * _PAGE] if at is None else self._log[at : at + _PAGE]
            if len(page) < _PAGE:
                break
            parts.append(page[4 : 4 + min(length, _PAGE - 4)])
            length -= _PAGE - 4
            number = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def _cells(page: bytes) -> Iterator[int]:
    """Where the rows of a leaf begin; none if it is no leaf of a table."""
    if page[0] != _LEAF:
        return
    count = int.from_bytes(page[3:5], "big")
    for i in range(min(count, (_PAGE - 8) // 2)):
        at = int.from_bytes(page[8 + 2 * i : 10 + 2 * i], "big")
        if 8 <= at < _PAGE - 4:
            yield at


def _payloads(page: bytes, at: int, pages: _Pages) -> Iterator[tuple[bytes, int]]:
    """The bytes of a row and its number; in two versions if a part of them lies elsewhere (1.6)."""
    length, at = _varint(page, at)
    rowid, at = _varint(page, at)
    if not 0 < length < _PAYLOAD_MAX:
        return
    if length <= _LOCAL_MAX:
        yield page[at : at + length], rowid
        return
    local = _LOCAL_MIN + (length - _LOCAL_MIN) % (_PAGE - 4)
    local = local if local <= _LOCAL_MAX else _LOCAL_MIN
    further = int.from_bytes(page[at + local : at + local + 4], "big")
    for logged in (False, True):
        yield page[at : at + local] + pages.chain(further, length - local, logged=logged), rowid


def _row(payload: bytes, rowid: int) -> tuple[Any, ...]:
    """The columns of a row (2.1), () if they are none; a first column of NULL stands for the number of the row."""
    size, at = _varint(payload, 0)
    values: list[Any] = []
    body = size
    while at < size <= len(payload):
        kind, at = _varint(payload, at)
        value, length = _value(payload, body, kind)
        values.append(value)
        body += length
    if not values or body != len(payload):
        return ()
    return (rowid if values[0] is None else values[0], *values[1:])


def _value(payload: bytes, at: int, kind: int) -> tuple[Any, int]:
    """A value by its serial type, and how many bytes it takes."""
    if kind in _INTEGERS:
        length = _INTEGERS[kind]
        return int.from_bytes(payload[at : at + length], "big", signed=True), length
    if kind in (8, 9):
        return kind - 8, 0
    if kind >= 12:
        length = (kind - 12) // 2
        data = payload[at : at + length]
        return (data if kind % 2 == 0 else data.decode("utf-8", "replace")), length
    if kind == 7:
        return struct.unpack(">d", payload[at : at + 8].ljust(8, b"\0"))[0], 8
    return None, 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer (1.6) as it is stored in rows that were written by SQLite, and where it ends."""
    value = 0
    for i, byte in enumerate(data[at : at + 9].ljust(9, b"\0")):
        last = i == 8
        value = value << 8 | byte if last else value << 7 | byte & 0x7F
        if byte < 0x80 or last:
            return value - (1 << 64) if value >= 1 << 63 else value, at + i + 1
    raise AssertionError("a varint has nine bytes at most")
