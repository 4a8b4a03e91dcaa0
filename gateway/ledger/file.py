"""The ledger on disk: one SQLite file. Blocking; one thread at a time.

    state(journal, alive, ended, seal)                          one row: of which journal it is, up to when [ns] it is
                                                                complete, and whether that was an orderly end
    reached(cursor, position, seal)                             how far into the journal the rows reach; '' is what
                                                                was committed, others are what sinks have confirmed
    entry(minute, device, expected, good, bad, recovered, sinks, gaps, seal)
                                                                one row per device and minute; see row.py
    pause("begin", "end", cause, polls, seal)                   when there was no gateway, [begin, end), and what its
                                                                devices would have been asked for

Rows and positions are written in one transaction, so after a crash the journal says what is missing of them. Every row
ends with a seal (journal/seal.py). A file whose positions are not what was written is set aside; an entry or a pause
that is not tells nothing: it is left out, and counted.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from gateway.journal.seal import seal
from gateway.ledger.row import MINUTE_NS, Pause, Poll, Row, minute_of, restored
from gateway.sqlite import DamagedFile, anew, judged, opened

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS state (
    journal TEXT NOT NULL, alive INTEGER NOT NULL, ended INTEGER NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reached (
    cursor TEXT PRIMARY KEY, position INTEGER NOT NULL, seal INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
    minute INTEGER NOT NULL, device TEXT NOT NULL, expected INTEGER, good INTEGER NOT NULL, bad INTEGER NOT NULL,
    recovered INTEGER NOT NULL, sinks TEXT NOT NULL, gaps TEXT NOT NULL, seal INTEGER NOT NULL,
    PRIMARY KEY (minute, device)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pause ("begin" INTEGER NOT NULL, "end" INTEGER NOT NULL, cause TEXT NOT NULL,
    polls TEXT NOT NULL, seal INTEGER NOT NULL);
"""

Key = tuple[int, str]
"""When a minute began, and a device."""

log = logging.getLogger(__name__)


class LedgerFile:
    """An open ledger. Raises OSError if the path cannot be written.

    `journal` is the identity of the journal it is of, empty in a new file; `alive_ns` up to when it is complete, and
    `ended` whether that was an orderly end. `reached` is how far into the journal the rows reach, by cursor.
    `rows_damaged` counts how often a row was met that is not what was written.
    """

    def __init__(self, path: Path) -> None:
        self.rows_damaged = 0
        anew(path, "ledger", self._open)

    def _open(self, path: Path) -> None:
        self._db = opened(path, _SCHEMA)
        self._db.text_factory = partial(str, encoding="utf-8", errors="replace")  # its seal tells that it is none
        with ExitStack() as closing, judged(path):
            closing.callback(self._db.close)
            states = self._db.execute("SELECT * FROM state").fetchall()
            reached = self._db.execute("SELECT * FROM reached").fetchall()
            if len(states) > 1 or not _whole("state", states) or not _whole("reached", reached):
                raise DamagedFile("of which journal it is, and how far, is not what was written")
            closing.pop_all()
        journal, alive_ns, ended, _ = states[0] if states else ("", 0, 0, 0)
        self.journal: str = journal
        self.alive_ns: int = alive_ns
        self.ended = bool(ended)
        self.reached: dict[str, int] = {cursor: position for cursor, position, _ in reached}

    def close(self) -> None:
        self._db.close()

    def add(
        self,
        journal: str,
        rows: Mapping[Key, Row],
        positions: Mapping[str, int],
        upto_ns: int,
        *,
        ended: bool = False,
        pause: Pause | None = None,
    ) -> None:
        """Add to the rows that there are, which are complete up to a time then; and a pause, if there was one.

        Raises sqlite3.OperationalError if the disk is full or fails; nothing of it is written then.
        """
        with self._db:
            for (minute, device), row in rows.items():
                whole = self._row(minute, device)
                whole.add(row)
                self._put("entry", minute, device, *whole.numbers, _json(whole.sinks), _json(whole.gaps))
            for cursor, position in positions.items():
                self._put("reached", cursor, position)
            self._db.execute("DELETE FROM state")
            self._put("state", journal, upto_ns, int(ended))
            if pause is not None:
                self._put("pause", pause.begin_ns, pause.end_ns, pause.cause, json.dumps(pause.polls))

    def forget(self, before_ns: int) -> None:
        """Delete what is older than a time."""
        with self._db:
            self._db.execute("DELETE FROM entry WHERE minute < ?", (minute_of(before_ns),))
            self._db.execute('DELETE FROM pause WHERE "end" < ?', (before_ns,))

    def rows(self, device: str, start_ns: int, end_ns: int, after: Key, rows_max: int) -> list[tuple[Key, Row]]:
        """Return the rows of minutes in [start, end) that come after a key, by minute and device; of all if none."""
        stored = self._stored(device, max(start_ns, after[0]), end_ns)
        pauses = self._pauses(device, max(start_ns, after[0]), end_ns)
        found = groupby(merge(stored, *pauses, key=itemgetter(0)), key=itemgetter(0))
        return list(islice(((key, _sum(same)) for key, same in found if key > after), rows_max))

    def _put(self, table: str, *fields: int | str | None) -> None:
        marks = ", ".join("?" * (len(fields) + 1))
        self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", (*fields, seal(table, *fields)))

    def _written(self, table: str, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Those rows that are as they were written."""
        for row in rows:
            if _whole(table, [row]):
                yield row
            else:
                if not self.rows_damaged:
                    log.error("the ledger has rows that are not what was written; they are left out")
                self.rows_damaged += 1

    def _row(self, minute: int, device: str) -> Row:
        found = self._db.execute("SELECT * FROM entry WHERE minute = ? AND device = ?", (minute, device))
        return next((_read(facts) for _, _, *facts, _ in self._written("entry", found)), Row())

    def _stored(self, device: str, start_ns: int, end_ns: int) -> Iterator[tuple[Key, Row]]:
        rows = self._db.execute(
            "SELECT * FROM entry WHERE minute >= ? AND minute < ? AND (? = '' OR device = ?) ORDER BY minute, device",
            (start_ns, end_ns, device, device),
        )
        return (((minute, name), _read(facts)) for minute, name, *facts, _ in self._written("entry", rows))

    def _pauses(self, device: str, start_ns: int, end_ns: int) -> list[Iterator[tuple[Key, Row]]]:
        """One stream of rows for each pause in a range of time."""
        found = self._db.execute('SELECT * FROM pause WHERE "end" > ? AND "begin" < ?', (start_ns, end_ns)).fetchall()
        return [
            _minutes(Pause(begin, end, cause, _polls(polls, device)), start_ns, end_ns)
            for begin, end, cause, polls, _ in self._written("pause", found)
        ]


def _whole(table: str, rows: Iterable[Sequence[Any]]) -> bool:
    return all(row[-1] == seal(table, *row[:-1]) for row in rows)


def _minutes(pause: Pause, start_ns: int, end_ns: int) -> Iterator[tuple[Key, Row]]:
    """The rows that a pause is, in the minutes that begin in [start, end)."""
    first = max(start_ns + -start_ns % MINUTE_NS, minute_of(pause.begin_ns))
    for minute in range(first, min(end_ns, pause.end_ns), MINUTE_NS):
        for device in sorted(pause.polls):
            yield (minute, device), pause.row(minute, device)


def _polls(text: str, device: str) -> dict[str, list[Poll]]:
    polls: dict[str, list[Poll]] = json.loads(text)
    return {name: polls[name] for name in polls if device in ("", name)}


def _sum(rows: Iterator[tuple[Key, Row]]) -> Row:
    whole = Row()
    for _, row in rows:
        whole.add(row)
    return whole


def _read(facts: Sequence[Any]) -> Row:
    *numbers, sinks, gaps = facts
    return restored(numbers, json.loads(sinks), json.loads(gaps))


def _json(entries: Mapping[str, Any]) -> str:
    return json.dumps({name: asdict(entry) for name, entry in entries.items()})
