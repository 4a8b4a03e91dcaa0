"""The register of alarms on disk: one SQLite file. Blocking; one thread at a time.

    state(id, journal, place, told)     one row: the identity of this file, how far which journal is taken, and up to
                                        which number the journal has our events
    alarm(id, process, shelving, until, suppressed, out_of_service, raised, changed, event, about, said)
                                        how each alarm is that is or was not normal; `about` is what it is, `said` its
                                        last event, as JSON
    transition(number, alarm, time, deed, hidden, priority, tag, place, event)
                                        what happened, until it is forgotten; `event` is JSON, `tag` is where it is
                                        told, '' where that is done already, `place` its time in history [ns]

What records said, what followed and how far the journal is taken are written in one transaction, so each record counts
once, whatever dies.
"""

import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.alarms.alarm import Kept
from gateway.alarms.states import Condition, Shelving, State
from gateway.sqlite import anew, opened

TRANSITIONS_MAX: Final = 1_000_000
_FORGET_MAX: Final = 10_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS state (id TEXT NOT NULL, journal TEXT NOT NULL, place INTEGER NOT NULL,
    told INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS alarm (id TEXT PRIMARY KEY, process TEXT NOT NULL, shelving TEXT NOT NULL,
    until INTEGER NOT NULL, suppressed INTEGER NOT NULL, out_of_service INTEGER NOT NULL, raised INTEGER NOT NULL,
    changed INTEGER NOT NULL, event TEXT NOT NULL, about TEXT NOT NULL, said TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transition (number INTEGER PRIMARY KEY AUTOINCREMENT, alarm TEXT NOT NULL,
    time INTEGER NOT NULL, deed TEXT NOT NULL, hidden INTEGER NOT NULL, priority TEXT NOT NULL, tag TEXT NOT NULL,
    place INTEGER NOT NULL, event TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS transition_by_alarm ON transition (alarm, number);
CREATE INDEX IF NOT EXISTS transition_by_time ON transition (time);
CREATE INDEX IF NOT EXISTS transition_by_place ON transition (tag, time);
"""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a journal is taken, and up to which number of ours it has what we told."""

    journal: str
    place: int
    told: int


@dataclass(frozen=True, slots=True)
class Transition:
    """What happened to an alarm."""

    number: int
    alarm: str
    time_ns: int
    deed: str
    hidden: bool
    priority: str
    tag: str
    place_ns: int
    event: str


class AlarmFile:
    """An open file. Raises OSError if the path cannot be written; a damaged one is set aside."""

    def __init__(self, path: Path) -> None:
        self._db = anew(path, "alarms", partial(opened, schema=_SCHEMA))
        with self._db:
            if self._db.execute("SELECT id FROM state").fetchone() is None:
                self._db.execute("INSERT INTO state VALUES (?, '', 0, 0)", (secrets.token_hex(4),))
        (self.id,) = self._db.execute("SELECT id FROM state").fetchone()

    def close(self) -> None:
        self._db.close()

    def reached(self) -> Reached:
        return Reached(*self._db.execute("SELECT journal, place, told FROM state").fetchone())

    def kept(self) -> list[Kept]:
        """Return all alarms that are not as they were at the beginning."""
        return [
            Kept(id, Condition(State(process), Shelving(shelving), until, bool(suppressed), bool(out)), *rest)
            for id, process, shelving, until, suppressed, out, *rest in self._db.execute("SELECT * FROM alarm")
        ]

    def last(self) -> int:
        """Return the number of the last transition there ever was."""
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'transition'").fetchone()
        return int(found[0]) if found else 0

    def at(self, tag: str, time_ns: int) -> int:
        """Return how many transitions of a time are told by a tag."""
        (n,) = self._db.execute("SELECT count(*) FROM transition WHERE tag = ? AND time = ?", (tag, time_ns)).fetchone()
        return int(n)

    def add(
        self, alarms: Iterable[Kept], gone: Iterable[str], transitions: Iterable[Transition], reached: Reached
    ) -> None:
        """Keep how alarms are, and are no more, and what happened. Raises sqlite3.Error, and then keeps nothing."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO alarm VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_row, alarms)
            )
            self._db.executemany("DELETE FROM alarm WHERE id = ?", ((id,) for id in gone))
            self._db.executemany(
                "INSERT INTO transition VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (t.number, t.alarm, t.time_ns, t.deed, t.hidden, t.priority, t.tag, t.place_ns, t.event)
                    for t in transitions
                ),
            )
            columns = (reached.journal, reached.place, reached.told)
            self._db.execute("UPDATE state SET journal = ?, place = ?, told = ?", columns)

    def untold(self, after: int, most: int) -> list[tuple[int, str, int, str]]:
        """Return number, tag, time and event of what is to be told after a number."""
        return self._db.execute(
            "SELECT number, tag, place, event FROM transition WHERE number > ? AND tag != '' ORDER BY number LIMIT ?",
            (after, most),
        ).fetchall()

    def happened(self, alarm: str, before: int, most: int) -> list[tuple[int, str]]:
        """Return number and event of what happened to an alarm before a number, the newest first."""
        return self._db.execute(
            "SELECT number, event FROM transition WHERE alarm = ? AND number < ? ORDER BY number DESC LIMIT ?",
            (alarm, before, most),
        ).fetchall()

    def raised(self, start_ns: int, end_ns: int) -> list[tuple[int, str, str]]:
        """Return time, alarm and priority of what people were told in a range, by time."""
        return self._db.execute(
            "SELECT time, alarm, priority FROM transition WHERE time >= ? AND time < ? AND deed = 'raise'"
            " AND hidden = 0 ORDER BY time, number",
            (start_ns, end_ns),
        ).fetchall()

    def standing(self, since_ns: int, at_ns: int) -> int:
        """Return how many alarms were active from one time to another without a break."""
        (n,) = self._db.execute(
            "SELECT count(*) FROM transition WHERE deed = 'raise' AND time <= ? AND number IN (SELECT max(number)"
            " FROM transition WHERE time < ? AND deed IN ('raise', 'clear') GROUP BY alarm)",
            (since_ns, at_ns),
        ).fetchone()
        return int(n)

    def forget(self, before_ns: int, told: int) -> int:
        """Delete some of what is older than a time or too much, if it is told; return how many that were."""
        with self._db:
            deleted: sqlite3.Cursor = self._db.execute(
                "DELETE FROM transition WHERE number IN (SELECT number FROM transition WHERE number <= :told AND"
                " (time < :before OR number <= (SELECT max(number) FROM transition) - :most) LIMIT :some)",
                {"told": told, "before": before_ns, "most": TRANSITIONS_MAX, "some": _FORGET_MAX},
            )
        return deleted.rowcount


def _row(kept: Kept) -> Sequence[Any]:
    how = kept.condition
    return (
        kept.id,
        how.process.value,
        how.shelving.value,
        how.until_ns,
        how.suppressed,
        how.out_of_service,
        kept.raised_ns,
        kept.changed_ns,
        kept.event,
        kept.about,
        kept.said,
    )
