"""The audit trail on disk: segments of lines in one folder. Blocking; one thread at a time.

    audit/audit-000000000001.jsonl      records 1, 2, 3 ...; the name has the number of the first
    audit/audit-000000020417.jsonl      where the next segment begins; its first record seals the last of the one before

Lines are only ever appended, and synced before anybody counts on them. What a crash left of a line that was being
written is cut off, and a record says so. Of a segment whose end is damaged nothing is touched: a new one is begun, and
its first record says why. Beyond `size_max` bytes the oldest segment is deleted, after a record that says up to which
one, so a chain that begins later than with 1 has its reason in itself.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from gateway.audit.chain import GENESIS, Broken, Record, fields, read, sealed, stamp
from gateway.audit.entry import Entry
from gateway.contracts import Clock

SEGMENTS: Final = 16
"""How many segments make up the size: what is deleted at once is a sixteenth of it."""
GATEWAY: Final = "gateway"
"""By whom records are that the trail makes of itself."""

Fields = Mapping[str, Any]
Wanted = Callable[[Record], bool]

log = logging.getLogger("gateway.audit")


class AuditFile:
    """An open trail. Raises OSError if the folder cannot be written.

    `n` and `hash` are those of the newest record; `dropped` counts records that were deleted.
    """

    def __init__(self, folder: Path, size_max: int, clock: Clock) -> None:
        self.folder = folder
        self.dropped = 0
        self._size_max = size_max
        self._clock = clock
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.n, self.hash, found = 0, GENESIS, segments(folder)
        trouble = self._last(found[-1]) if found else None
        fresh = not found or (trouble is not None and trouble.action == "audit.damaged")
        self._open(folder / _name(self.n + 1) if fresh else found[-1])
        if trouble is not None:
            log.error("audit trail: %s: %s", trouble.object, trouble.detail)
            self._say(trouble)
        if self.n:
            log.info("audit trail: goes on behind record %d with hash %s", self.n, self.hash)

    def close(self) -> None:
        os.close(self._file)

    def append(self, told: Sequence[Fields]) -> None:
        """Write records and have the disk keep them. Raises OSError; nothing of them is there then."""
        if self._bytes >= self._size_max // SEGMENTS:
            self._rotate()
        n, hash, text = self.n, self.hash, bytearray()
        for one in told:
            sealed_line, hash = sealed(n := n + 1, one, hash)
            text += sealed_line
        try:
            written = os.write(self._file, text)
            if written < len(text):
                raise OSError(f"only {written} of {len(text)} bytes could be written")
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):  # a disk that takes nothing now will be told again
                os.ftruncate(self._file, self._bytes)
            raise
        self.n, self.hash = n, hash
        self._bytes += len(text)

    def page(self, before: int, limit: int, wanted: Wanted) -> tuple[list[Record], int | None]:
        """Return up to `limit` records older than one, newest first, and from where to go on, None at the beginning.

        No more than one segment is looked at, so a page may have fewer than there are.
        """
        older = [path for path in segments(self.folder) if first(path) < before]
        if not older:
            return [], None
        kept: list[Record] = []
        for text in reversed(older[-1].read_bytes().split(b"\n")[:-1]):
            with suppress(Broken):  # what is damaged is told by verify
                record = read(text)
                if record.n < before and wanted(record):
                    kept.append(record)
                if len(kept) == limit:
                    return kept, record.n if record.n > first(older[0]) else None
        return kept, first(older[-1]) if len(older) > 1 else None

    def _last(self, path: Path) -> Entry | None:
        """Find the newest record, and cut off what a crash left behind it; return what there is to say of that."""
        data = path.read_bytes()
        whole, _, torn = data.rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        if torn:
            os.truncate(path, len(data) - len(torn))
        self.n = first(path) - 1 + len(lines)
        broken = 0
        for text in reversed(lines):
            with suppress(Broken):
                self.hash = read(text).hash
                break
            broken += 1
        if broken:
            what = f"its last {broken} records are not as they were written; the chain goes on in a new file"
            return Entry("audit.damaged", path.name, "failed", GATEWAY, detail=what)
        if not lines and (before := segments(path.parent)[:-1]):
            self.hash = _last_hash(before[-1])
        if torn:
            what = f"{len(torn)} bytes of a record that was being written when the gateway ended were cut off"
            return Entry("audit.torn", path.name, "failed", GATEWAY, detail=what)
        return None

    def _open(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        self._bytes = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        """Begin a new segment; make room for it first, by the oldest ones."""
        log.info("audit trail: a new file is begun behind record %d with hash %s", self.n, self.hash)
        before = self._file
        self._open(self.folder / _name(self.n + 1))
        os.close(before)
        found = segments(self.folder)
        left = sum(path.stat().st_size for path in found)
        for path, following in pairwise(found):
            if left + self._size_max // SEGMENTS <= self._size_max:
                return
            left -= path.stat().st_size
            last = first(following) - 1
            what = f"records {first(path)} to {last} are deleted, the size of the trail is {self._size_max} bytes"
            gone = {"upto": last, "upto_hash": _last_hash(path)}
            self._say(Entry("audit.dropped", path.name, "done", GATEWAY, detail=what), gone)
            path.unlink()
            self.dropped += last - first(path) + 1

    def _say(self, entry: Entry, more: Fields = {}) -> None:  # noqa: B006
        """Write a record that the trail makes of itself."""
        self.append([{**fields(entry, stamp(self._clock.now_ns())), **more}])


def segments(folder: Path) -> list[Path]:
    """Return the files of a trail, oldest first."""
    return sorted(folder.glob("audit-*.jsonl"))


def first(path: Path) -> int:
    """Return the number of the first record of a segment, which its name has; 0 for a name that has none."""
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def _name(n: int) -> str:
    return f"audit-{n:012}.jsonl"


def _last_hash(path: Path) -> str:
    """The hash that the last record of a segment says it has."""
    last = path.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
    return last[-66:-2].decode("ascii", "replace")
