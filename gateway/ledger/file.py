"""The ledger on disk: one SQLite file. Blocking; one thread at a time.

    state(journal, alive, ended)                                one row: of which journal it is, up to when [ns] it is
                                                                complete, and whether that was an orderly end
    reached(cursor, position)                                   how far into the journal the rows reach; '' is what
                                                                was committed, others are what sinks have confirmed
    entry(minute, device, expected, good, bad, recovered, sinks, gaps)
                                                                one row per device and minute; see row.py
    pause("begin", "end", cause, polls)                         when there was no gateway, [begin, end), and what its
                                                                devices would have been asked for

Rows and positions are written in one transaction, so after a crash the journal says what is missing of them.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from gateway.ledger.row import MINUTE_NS, Pause, Poll, Row, minute_of, restored
from gateway.sqlite import DamagedFile, opened, set_aside

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS state (journal TEXT NOT NULL, alive INTEGER NOT NULL, ended INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reached (cursor TEXT PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    minute INTEGER NOT NULL, device TEXT NOT NULL, expected INTEGER, good INTEGER NOT NULL, bad INTEGER NOT NULL,
    recovered INTEGER NOT NULL, sinks TEXT NOT NULL, gaps TEXT NOT NULL, PRIMARY KEY (minute, device)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pause ("begin" INTEGER NOT NULL, "end" INTEGER NOT NULL, cause TEXT NOT NULL,
    polls TEXT NOT NULL);
"""

Key = tuple[int, str]
"""When a minute began, and a device."""

log = logging.getLogger(__name__)


class LedgerFile:
    """An open ledger. Raises OSError if the path cannot be written.

    `journal` is the identity of the journal it is of, empty in a new file; `alive_ns` up to when it is complete, and
    `ended` whether that was an orderly end.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = opened(path, _SCHEMA)
        except DamagedFile as error:
            aside = set_aside(path)
            log.error("ledger %s is damaged (%s); set aside as %s, a new one is begun", path, error, aside.name)
            self._db = opened(path, _SCHEMA)
        found = self._db.execute("SELECT journal, alive, ended FROM state").fetchone() or ("", 0, 0)
        self.journal, self.alive_ns, self.ended = str(found[0]), int(found[1]), bool(found[2])

    def close(self) -> None:
        self._db.close()

    def positions(self) -> dict[str, int]:
        """Return how far into the journal the rows reach."""
        return dict(self._db.execute("SELECT cursor, position FROM reached"))

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
                self._db.execute(
                    "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (minute, device, *whole.numbers, _json(whole.sinks), _json(whole.gaps)),
                )
            self._db.executemany("INSERT OR REPLACE INTO reached VALUES (?, ?)", list(positions.items()))
            self._db.execute("DELETE FROM state")
            self._db.execute("INSERT INTO state VALUES (?, ?, ?)", (journal, upto_ns, ended))
            if pause is not None:
                polls = json.dumps(pause.polls)
                self._db.execute(
                    "INSERT INTO pause VALUES (?, ?, ?, ?)", (pause.begin_ns, pause.end_ns, pause.cause, polls)
                )

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

    def _row(self, minute: int, device: str) -> Row:
        found = self._db.execute("SELECT * FROM entry WHERE minute = ? AND device = ?", (minute, device)).fetchone()
        return _read(found[2:]) if found else Row()

    def _stored(self, device: str, start_ns: int, end_ns: int) -> Iterator[tuple[Key, Row]]:
        rows = self._db.execute(
            "SELECT * FROM entry WHERE minute >= ? AND minute < ? AND (? = '' OR device = ?) ORDER BY minute, device",
            (start_ns, end_ns, device, device),
        )
        return (((minute, name), _read(facts)) for minute, name, *facts in rows)

    def _pauses(self, device: str, start_ns: int, end_ns: int) -> list[Iterator[tuple[Key, Row]]]:
        """One stream of rows for each pause in a range of time."""
        found = self._db.execute('SELECT * FROM pause WHERE "end" > ? AND "begin" < ?', (start_ns, end_ns)).fetchall()
        return [
            _minutes(Pause(begin, end, cause, _polls(polls, device)), start_ns, end_ns)
            for begin, end, cause, polls in found
        ]


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
