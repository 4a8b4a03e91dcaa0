"""Production on disk: one SQLite file. Blocking; one thread at a time.

    state(journal, place, boot, reached, thinned)  one row: how far which journal is taken, in which boot, until when
                                                   [ns] everything is known, and until when it is thinned
    series(number, path)                           a number for each tag that plays a role, for ever
    edge(series, time, value)                      what tags said; NULL when from then on nobody knows
    job(id, unit, state, "begin", "end", facts)    production orders, as JSON; begin and end are actual
    reason(unit, time, facts)                      what people say of a stop, by when it began
    event(number, id, path, time, facts)           news for a tag, as JSON, until the journal has it
    news(path, last, looked)                       by tag of events: time of the last one, and how far was looked
    answer(client, route, key, print, time, body)  what was answered to an Idempotency-Key

Edges and how far the journal is taken are written in one transaction, so each record counts once, whatever dies.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.production.intake import Edge
from gateway.sqlite import anew, opened

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS state (journal TEXT NOT NULL, place INTEGER NOT NULL, boot INTEGER NOT NULL,
    reached INTEGER NOT NULL, thinned INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS series (number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS edge (series INTEGER NOT NULL, time INTEGER NOT NULL, value, PRIMARY KEY (series, time))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS job (id TEXT PRIMARY KEY, unit TEXT NOT NULL, state TEXT NOT NULL, "begin" INTEGER,
    "end" INTEGER, facts TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_by_unit ON job (unit, "begin");
CREATE TABLE IF NOT EXISTS reason (unit TEXT NOT NULL, time INTEGER NOT NULL, facts TEXT NOT NULL,
    PRIMARY KEY (unit, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL, time INTEGER NOT NULL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS news (path TEXT PRIMARY KEY, last INTEGER NOT NULL, looked TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answer (client TEXT NOT NULL, route TEXT NOT NULL, key TEXT NOT NULL, print TEXT NOT NULL,
    time INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (client, route, key)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a journal is taken: its record of this place and boot; `until_ns` is until when everything is known."""

    journal: str = ""
    place: int = 0
    boot: int = 0
    until_ns: int = 0
    thinned_ns: int = 0


class ProductionFile:
    """An open file. Raises OSError if the path cannot be written; a damaged one is set aside."""

    def __init__(self, path: Path) -> None:
        self._db = anew(path, "production", partial(opened, schema=_SCHEMA))
        self._writing = False

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write all that is written within in one transaction, or nothing of it."""
        if self._writing:
            yield
            return
        self._writing = True
        try:
            with self._db:
                yield
        finally:
            self._writing = False

    # --- what tags said -------------------------------------------------------------------

    def reached(self) -> Reached:
        found = self._db.execute("SELECT * FROM state").fetchone()
        return Reached(*found) if found else Reached()

    def series(self, paths: Iterable[str]) -> dict[str, int]:
        """Return the numbers of the series of these tags; those that had none get one."""
        with self.together():
            self._db.executemany("INSERT OR IGNORE INTO series (path) VALUES (?)", [(path,) for path in paths])
        return dict(self._db.execute("SELECT path, number FROM series"))

    def newest(self, series: int) -> tuple[int, Any] | None:
        """Return time and value of the newest edge of a series."""
        found: tuple[int, Any] | None = self._db.execute(
            "SELECT time, value FROM edge WHERE series = ? ORDER BY time DESC LIMIT 1", (series,)
        ).fetchone()
        return found

    def add(self, edges: Sequence[Edge], reached: Reached, told: Sequence[str] = ()) -> None:
        """Add edges, the later one of the same time, and how far that is; forget events that the journal has.

        Raises sqlite3.Error, and adds nothing.
        """
        with self.together():
            self._db.executemany("DELETE FROM event WHERE id = ?", [(id,) for id in told])
            self._db.executemany("INSERT OR REPLACE INTO edge VALUES (?, ?, ?)", edges)
            self._db.execute("DELETE FROM state")
            self._db.execute(
                "INSERT INTO state VALUES (?, ?, ?, ?, ?)",
                (reached.journal, reached.place, reached.boot, reached.until_ns, reached.thinned_ns),
            )

    def edges(self, series: int, start_ns: int, end_ns: int) -> list[tuple[int, Any]]:
        """Return the edges in [start, end), and before them those since the last one that is known."""
        return self._db.execute(
            "SELECT time, value FROM edge WHERE series = :series AND time < :end AND time >= coalesce("
            "(SELECT time FROM edge WHERE series = :series AND time <= :start AND value IS NOT NULL"
            " ORDER BY time DESC LIMIT 1), :start) ORDER BY time",
            {"series": series, "start": start_ns, "end": end_ns},
        ).fetchall()

    def drop(self, series: int, times: Iterable[int]) -> None:
        """Delete edges at these times."""
        with self.together():
            self._db.executemany("DELETE FROM edge WHERE series = ? AND time = ?", [(series, time) for time in times])

    def forget(self, before_ns: int, answers_before_ns: int) -> None:
        """Delete what is older than a time, but for the last edge of each series before it; and old answers."""
        with self.together():
            for (series,) in self._db.execute("SELECT number FROM series").fetchall():
                self._db.execute(
                    "DELETE FROM edge WHERE series = :series AND time <"
                    " (SELECT max(time) FROM edge WHERE series = :series AND time < :before)",
                    {"series": series, "before": before_ns},
                )
            self._db.execute('DELETE FROM job WHERE "end" < ?', (before_ns,))
            self._db.execute("DELETE FROM reason WHERE time < ?", (before_ns,))
            self._db.execute("DELETE FROM answer WHERE time < ?", (answers_before_ns,))

    # --- what people and the ERP say --------------------------------------------------------

    def jobs(self, unit: str = "", start_ns: int | None = None, end_ns: int | None = None) -> list[dict[str, Any]]:
        """Return the orders, of one unit, or those that ran in a range; by id."""
        found = self._db.execute(
            'SELECT id, unit, state, "begin", "end", facts FROM job WHERE (:unit = \'\' OR unit = :unit)'
            ' AND (:start IS NULL OR ("begin" < :stop AND ("end" IS NULL OR "end" > :start))) ORDER BY id',
            {"unit": unit, "start": start_ns, "stop": end_ns},
        )
        return [_job(row) for row in found]

    def job(self, id: str) -> dict[str, Any] | None:
        """Return an order."""
        found = self._db.execute(
            'SELECT id, unit, state, "begin", "end", facts FROM job WHERE id = ?', (id,)
        ).fetchone()
        return None if found is None else _job(found)

    def reasons(self, unit: str, start_ns: int, end_ns: int) -> dict[int, dict[str, Any]]:
        """Return what was said of the stops of a unit that began in [start, end), by when they did."""
        found = self._db.execute(
            "SELECT time, facts FROM reason WHERE unit = ? AND time >= ? AND time < ?", (unit, start_ns, end_ns)
        )
        return {time: json.loads(facts) for time, facts in found}

    def put_job(self, job: Mapping[str, Any]) -> None:
        """Store an order, in place of the one with its id. Raises sqlite3.Error, as all that writes."""
        facts = {name: value for name, value in job.items() if name not in _COLUMNS}
        with self.together():
            self._db.execute(
                "INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?, ?, ?)",
                (*(job[name] for name in _COLUMNS), json.dumps(facts)),
            )

    def put_reason(self, unit: str, time_ns: int, facts: Mapping[str, Any]) -> None:
        with self.together():
            self._db.execute("INSERT OR REPLACE INTO reason VALUES (?, ?, ?)", (unit, time_ns, json.dumps(facts)))

    # --- what is news -------------------------------------------------------------------------

    def put_event(self, path: str, time_ns: int, event: Mapping[str, Any]) -> None:
        """Keep an event of a tag until it is told; its reading is later than all before it, if by a nanosecond."""
        with self.together():
            found = self._db.execute("SELECT last FROM news WHERE path = ?", (path,)).fetchone()
            time = max(time_ns, found[0] + 1) if found else time_ns
            self._db.execute(
                "INSERT INTO news (path, last) VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET last = excluded.last",
                (path, time),
            )
            row = (event["EventId"], path, time, json.dumps(event))
            self._db.execute("INSERT OR IGNORE INTO event (id, path, time, facts) VALUES (?, ?, ?, ?)", row)

    def events(self) -> list[tuple[str, int, dict[str, Any]]]:
        """Return path, time and facts of the events that the journal is not known to have, in their order."""
        found = self._db.execute("SELECT path, time, facts FROM event ORDER BY number")
        return [(path, time, json.loads(facts)) for path, time, facts in found]

    def looked(self, path: str) -> dict[str, Any] | None:
        """Return how far stops were looked at, by the path of their events."""
        found = self._db.execute("SELECT looked FROM news WHERE path = ?", (path,)).fetchone()
        return json.loads(found[0]) if found and found[0] else None

    def put_looked(self, path: str, looked: Mapping[str, Any]) -> None:
        with self.together():
            self._db.execute(
                "INSERT INTO news (path, last, looked) VALUES (?, 0, ?)"
                " ON CONFLICT (path) DO UPDATE SET looked = excluded.looked",
                (path, json.dumps(looked)),
            )

    # --- what was answered --------------------------------------------------------------------

    def answered(self, client: str, route: str, key: str) -> tuple[str, str] | None:
        """Return the fingerprint of what was asked with a key, and what was answered."""
        found: tuple[str, str] | None = self._db.execute(
            "SELECT print, body FROM answer WHERE client = ? AND route = ? AND key = ?", (client, route, key)
        ).fetchone()
        return found

    def keep_answer(self, client: str, route: str, key: str, fingerprint: str, time_ns: int, body: str) -> None:
        """Keep what was answered to a key. Raises sqlite3.Error."""
        with self.together():
            self._db.execute(
                "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?)",
                (client, route, key, fingerprint, time_ns, body),
            )


_COLUMNS: Final = ("id", "unit", "state", "begin", "end")


def _job(row: Sequence[Any]) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(row[-1])
    return dict(zip(_COLUMNS, row[:-1], strict=True)) | facts
