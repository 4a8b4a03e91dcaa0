"""SQLite files that belong to one process: opened and checked, and set aside when they are damaged.

A damaged file is never a reason not to start; what becomes of what was in it is the business of whoever opened it.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TypeVar

_ALONE: Final = "PRAGMA locking_mode = EXCLUSIVE;"
_SETTINGS: Final = """
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 2000;
"""
_ENVIRONMENT: Final = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)
"""Errors that are not in the file: another process has it, or there is no right, no room, no path."""


T = TypeVar("T")

log = logging.getLogger(__name__)


class DamagedFile(Exception):
    """The file is there, but it is not what the program wrote."""


def opened(path: Path, schema: str, *, shared: bool = False) -> sqlite3.Connection:
    """Open a file with these tables, or make it; other processes get it only if it is shared. One thread at a time.

    Raises OSError if that is not possible here, DamagedFile if the file is not what it should be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing, judged(path):
        db = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
        closing.callback(db.close)
        db.executescript(_SETTINGS if shared else _ALONE + _SETTINGS)
        db.executescript(schema)
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise DamagedFile(found)
        if _tables(db) != _tables_of(schema):
            raise DamagedFile("its tables are not those of this program")
        db.execute("PRAGMA user_version = 0")  # it can be written
        closing.pop_all()
        return db


def anew(path: Path, what: str, open: Callable[[Path], T]) -> T:
    """Return what `open` makes of a file; a damaged one is set aside, and another begun. Raises OSError as `open` does.

    `what` is what people call the file.
    """
    try:
        return open(path)
    except DamagedFile as error:
        aside = set_aside(path)
        log.error("%s %s is damaged (%s); set aside as %s, a new one is begun", what, path, error, aside.name)
        return open(path)


@contextmanager
def judged(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file into what is wrong: OSError if it is the world around it, else DamagedFile."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter when it quotes what is no text
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        only_says_so = code == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK)  # by two bytes of its header
        if code in _ENVIRONMENT and not only_says_so:
            remedy = ": is another gateway running on this folder?" if "locked" in str(error) else ""
            raise OSError(f"{path} cannot be opened: {error}{remedy}") from error
        raise DamagedFile(str(error)) from error


def set_aside(path: Path, why: str = "damaged") -> Path:
    """Give a file, and what SQLite keeps beside it, a name that is free and says why; return it."""
    n = 1
    while (aside := path.with_name(f"{path.name}.{why}-{n}")).exists():
        n += 1
    path.rename(aside)
    if (newest := Path(f"{path}-wal")).exists():
        newest.rename(f"{aside}-wal")
    Path(f"{path}-shm").unlink(missing_ok=True)
    return aside


def _tables(db: sqlite3.Connection) -> set[tuple[str, ...]]:
    """What there is, those tables included that SQLite keeps for itself, wherever it lies in the file."""
    return set(db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"))


def _tables_of(schema: str) -> set[tuple[str, ...]]:
    db = sqlite3.connect(":memory:")
    db.executescript(schema)
    tables = _tables(db)
    db.close()
    return tables
