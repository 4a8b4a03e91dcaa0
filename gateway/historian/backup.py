"""A copy of history while it is written, and whether a copy, or history itself, is whole. SQLite and, to check, any."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError

from gateway.historian import chunk as coding
from gateway.historian import grid, schema, words

_ROWS: Final = 500


def backup(source: Path, target: Path) -> None:
    """Copy a history on SQLite as it is at one moment; whoever writes goes on. Raises OSError.

    The copy is made beside the target and renamed when it is on the disk: a target is whole or not there.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists: name a file that does not")
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist: has this gateway run, and from this folder?")
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.execute("VACUUM INTO ?", (str(part),))
    except sqlite3.Error as error:
        part.unlink(missing_ok=True)
        raise OSError(f"{source} cannot be copied to {part}: {error}") from error
    with part.open("rb+") as copy:
        os.fsync(copy.fileno())
    part.rename(target)


def findings(engine: Engine) -> Iterator[str]:
    """Read all there is; say what is damaged, and which chunks overlap. Nothing if history is whole."""
    try:
        yield from _findings(engine)
    except DBAPIError as error:
        yield str(error.orig)


def _findings(engine: Engine) -> Iterator[str]:
    chunk, times, tail = schema.chunk.c, schema.times.c, schema.tail.c
    chunks = select(
        chunk.id, chunk.series, chunk.kind, chunk.n, chunk.first_time, chunk.last_time, chunk.data, times.data
    )
    ordered = chunks.join(schema.times, times.id == chunk.times, isouter=True).order_by(
        chunk.series, chunk.kind, chunk.first_time
    )
    with engine.connect() as db:
        if db.dialect.name == "sqlite":
            for (found,) in db.exec_driver_sql("PRAGMA integrity_check"):
                if found != "ok":
                    yield f"database: {found}"
        before = (0, 0, 0)
        for id_, series, kind, n, first, last, data, of_times in db.execute(
            ordered, execution_options={"yield_per": _ROWS}
        ):
            if (fault := _fault(data, of_times, (n, first, last))) is not None:
                yield f"chunk {id_} of series {series}: {fault}"
            if before[:2] == (series, kind) and first <= before[2]:
                yield f"chunk {id_} of series {series}: begins before the one before it ends"
            before = (series, kind, last)
        for id_, data in db.execute(select(tail.id, tail.data), execution_options={"yield_per": _ROWS}):
            try:
                grid.decode(data)
            except ValueError as error:
                yield f"row {id_} of the tail: {error}"
        yield from _words_findings(db)


def _words_findings(db: Connection) -> Iterator[str]:
    table = schema.words.c
    for id_, data in db.execute(select(table.id, table.data), execution_options={"yield_per": _ROWS}):
        try:
            words.decode(data, "")
        except ValueError as error:
            yield f"answers {id_}: {error}"


def _fault(data: bytes, times: bytes | None, head: tuple[int, int, int]) -> str | None:
    """What is wrong with a chunk whose row says so many readings, first and last time."""
    if times is None:
        return "its times are gone"
    try:
        _, readings = coding.decode(data, coding.decode_times(times))
    except ValueError as error:
        return str(error)
    if (len(readings), int(readings.time[0]), int(readings.time[-1])) != head:
        return "it is not what its row says"
    return None
