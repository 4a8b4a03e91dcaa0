"""What waits for the endpoints and what was given up, on disk: one SQLite file. Blocking; one thread at a time.

    state(journal, place, since)   one row: how far which journal is taken, and when this file was begun [ns]
    letter(number, endpoint, id, asset, attributes, data, made, attempts, due, away, error, dead)
                                   an event for one endpoint: when it came [ns], how often it was tried, when it is
                                   tried next, whether the endpoint was away, and since when it is given up
    gone(endpoint, print, time)    endpoints that answered 410 Gone, and at which URL

Letters and how far the journal is taken are written in one transaction, and are on the disk before the journal hears of
it: each event is there once, whatever dies. A letter is deleted when it was delivered. Of an endpoint so many may wait,
and so many that were given up are kept; what does not fit is given up, or forgotten, and counted.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.sqlite import anew, opened
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.letters import DATA_MAX, Letter
from gateway.webhooks.verdict import Verdict

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS state (journal TEXT NOT NULL, place INTEGER NOT NULL, since INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS letter (number INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, id TEXT NOT NULL,
    asset TEXT NOT NULL, attributes TEXT NOT NULL, data BLOB, made INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL, away INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '', dead INTEGER);
CREATE INDEX IF NOT EXISTS letter_by_due ON letter (endpoint, dead, due, made, asset);
CREATE TABLE IF NOT EXISTS gone (endpoint TEXT PRIMARY KEY, print TEXT NOT NULL, time INTEGER NOT NULL);
"""
_HEADS: Final = {
    "any": "",
    "asset": "AND number IN (SELECT min(number) FROM letter WHERE endpoint = :name AND dead IS NULL GROUP BY asset)",
    "all": "AND number = (SELECT min(number) FROM letter WHERE endpoint = :name AND dead IS NULL)",
}
"""Which of those that wait may go, by the order that the endpoint wants."""
_FAR_NS: Final = 2 * 86_400 * 10**9
"""Nobody waits so long for an attempt: the clock was set back."""
_STRANGE_NS: Final = 30 * 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter that waits, by the number that it has in this file."""

    number: int
    letter: Letter
    attempts: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many letters of an endpoint wait and were given up, and when the oldest that waits came [ns], 0 if none."""

    waiting: int = 0
    dead: int = 0
    oldest_ns: int = 0


class Outbox:
    """An open file. Raises OSError if the path cannot be written; a damaged one is set aside."""

    def __init__(self, path: Path, now_ns: int) -> None:
        self._db = anew(path, "webhooks", partial(opened, schema=_SCHEMA))
        self._db.execute("PRAGMA synchronous = FULL")  # or a power cut takes what the journal's cursor has passed
        with self._db:
            self._db.execute("INSERT INTO state SELECT '', 0, ? WHERE NOT EXISTS (SELECT * FROM state)", (now_ns,))

    def close(self) -> None:
        self._db.close()

    def reached(self, journal: str) -> tuple[int, int]:
        """Return the place up to which a journal is taken, 0 if nothing is, and when this file was begun [ns]."""
        known, place, since = self._db.execute("SELECT journal, place, since FROM state").fetchone()
        return (place if known == journal else 0), since

    def put(
        self, letters: Iterable[tuple[Endpoint, str, Letter]], journal: str, place: int, now_ns: int
    ) -> dict[str, Counter[str]]:
        """Keep letters for endpoints, each with its asset, and how far the journal is taken with them.

        Return by endpoint how many were queued, are never sent, and were dropped and forgotten for want of room.
        """
        counted: dict[str, Counter[str]] = defaultdict(Counter)
        endpoints: dict[str, Endpoint] = {}
        with self._db:
            for endpoint, asset, one in letters:
                endpoints[endpoint.name] = endpoint
                fits = len(one.data) <= DATA_MAX
                counted[endpoint.name]["events_queued" if fits else "events_dead"] += 1
                said = "" if fits else f"its data of {len(one.data)} bytes is more than {DATA_MAX}: it is never sent"
                self._db.execute(
                    "INSERT INTO letter (endpoint, id, asset, attributes, data, made, due, error, dead)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (endpoint.name, one.id, asset, json.dumps(one.attributes), one.data if fits else None,
                     now_ns, now_ns, said, None if fits else now_ns),
                )  # fmt: skip
            for name, endpoint in endpoints.items():
                counted[name]["events_dropped"] += self._give_up(endpoint, now_ns)
                counted[name]["events_forgotten"] += self._forget(endpoint, now_ns)
            self._db.execute("UPDATE state SET journal = ?, place = ?", (journal, place))
        return counted

    def due(self, endpoint: Endpoint, now_ns: int, most: int) -> list[Waiting]:
        """Return letters whose time has come, those first that have waited longest for it."""
        rows = self._db.execute(
            "SELECT number, id, attributes, data, attempts FROM letter WHERE endpoint = :name AND dead IS NULL"
            f" AND (due <= :now OR due > :far) {_HEADS[endpoint.order]} ORDER BY due, number LIMIT :most",
            {"name": endpoint.name, "now": now_ns, "far": now_ns + _FAR_NS, "most": most},
        )
        return [Waiting(n, Letter(id, json.loads(head), data), attempts) for n, id, head, data, attempts in rows]

    def next_due(self, endpoint: Endpoint, now_ns: int) -> int | None:
        """Return when the next letter's time comes [ns], of those whose time has not."""
        found = self._db.execute(
            f"SELECT min(due) FROM letter WHERE endpoint = :name AND dead IS NULL AND due > :now"
            f" {_HEADS[endpoint.order]}",
            {"name": endpoint.name, "now": now_ns},
        ).fetchone()
        due: int | None = found[0]
        return due

    def settle(self, endpoint: Endpoint, waiting: Waiting, verdict: Verdict, now_ns: int) -> int:
        """Write what became of an attempt. Return how many others were forgotten."""
        with self._db:
            if verdict.what == "delivered":
                self._db.execute("DELETE FROM letter WHERE number = ?", (waiting.number,))
                return 0
            if verdict.what == "gone":
                self._db.execute(
                    "INSERT OR REPLACE INTO gone VALUES (?, ?, ?)", (endpoint.name, endpoint.print, now_ns)
                )
            counted = waiting.attempts + (verdict.what != "gone")
            dead = now_ns if verdict.what == "dead" else None
            self._db.execute(
                "UPDATE letter SET attempts = ?, due = ?, away = ?, error = ?, dead = ?"
                " WHERE number = ? AND dead IS NULL",
                (counted, verdict.due_ns, verdict.away, verdict.error, dead, waiting.number),
            )
            return self._forget(endpoint, now_ns)

    def hasten(self, endpoint: Endpoint, now_ns: int) -> None:
        """Let those go now that wait only because the endpoint was away."""
        with self._db:
            self._db.execute(
                "UPDATE letter SET due = ? WHERE endpoint = ? AND dead IS NULL AND away AND due > ?",
                (now_ns, endpoint.name, now_ns),
            )

    # --- endpoints that are gone --------------------------------------------------------------

    def gone(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint said at this URL that it is gone."""
        found = self._db.execute("SELECT print FROM gone WHERE endpoint = ?", (endpoint.name,)).fetchone()
        return found is not None and found[0] == endpoint.print

    def enable(self, endpoint: Endpoint) -> None:
        with self._db:
            self._db.execute("DELETE FROM gone WHERE endpoint = ?", (endpoint.name,))

    # --- what people ask ----------------------------------------------------------------------

    def counts(self, endpoint: Endpoint) -> Counts:
        (oldest,) = self._db.execute(
            "SELECT min(made) FROM letter WHERE endpoint = ? AND dead IS NULL", (endpoint.name,)
        ).fetchone()
        return Counts(self._count(endpoint, "IS NULL"), self._count(endpoint, "IS NOT NULL"), oldest or 0)

    def strangers(self, names: Iterable[str], now_ns: int) -> dict[str, int]:
        """Return how many letters wait for endpoints that have none of these names; forget them after a month."""
        before, known = now_ns - _STRANGE_NS, json.dumps(list(names))
        unknown = "endpoint NOT IN (SELECT value FROM json_each(?))"
        with self._db:
            self._db.execute(f"DELETE FROM letter WHERE {unknown} AND made < ?", (known, before))
        return dict(
            self._db.execute(f"SELECT endpoint, count(*) FROM letter WHERE {unknown} GROUP BY endpoint", (known,))
        )

    def dead(self, endpoint: Endpoint, after: int, most: int) -> list[dict[str, Any]]:
        """Return letters that were given up, after a number, oldest first."""
        rows = self._db.execute(
            "SELECT number, id, attributes, data, made, attempts, error, dead FROM letter"
            " WHERE endpoint = ? AND dead IS NOT NULL AND number > ? ORDER BY number LIMIT ?",
            (endpoint.name, after, most),
        )
        names = ("number", "id", "attributes", "data", "made_ns", "attempts", "error", "dead_ns")
        return [dict(zip(names, row, strict=True)) | {"attributes": json.loads(row[2])} for row in rows]

    def replay(
        self, endpoint: Endpoint, now_ns: int, *, ids: Sequence[str] | None, between_ns: tuple[int, int] | None
    ) -> tuple[int, int]:
        """Let letters wait again that were given up: these, or those that came in [start, end), oldest first.

        Return how many do, and how many do not because no more may wait.
        """
        room = max(0, endpoint.queue - self._count(endpoint, "IS NULL"))
        start, end = between_ns or (0, 0)
        those = "dead IS NOT NULL AND data IS NOT NULL AND endpoint = :name AND "
        those += "made >= :start AND made < :end" if ids is None else "id IN (SELECT value FROM json_each(:ids))"
        asked = {"name": endpoint.name, "start": start, "end": end, "ids": json.dumps(list(ids or ())), "now": now_ns}
        with self._db:
            (wanted,) = self._db.execute(f"SELECT count(*) FROM letter WHERE {those}", asked).fetchone()
            done = self._db.execute(
                "UPDATE letter SET dead = NULL, attempts = 0, due = :now, away = 0 WHERE number IN"
                f" (SELECT number FROM letter WHERE {those} ORDER BY number LIMIT :room)",
                asked | {"room": room},
            ).rowcount
        return done, wanted - done

    # --- bounds -------------------------------------------------------------------------------

    def _give_up(self, endpoint: Endpoint, now_ns: int) -> int:
        excess = self._count(endpoint, "IS NULL") - endpoint.queue
        if excess > 0:
            which = "DESC" if endpoint.drop_newest else "ASC"
            error = f"dropped, for more than {endpoint.queue} waited"
            self._db.execute(
                "UPDATE letter SET dead = ?, error = ? WHERE number IN (SELECT number FROM letter"
                f" WHERE endpoint = ? AND dead IS NULL ORDER BY number {which} LIMIT ?)",
                (now_ns, error, endpoint.name, excess),
            )
        return max(excess, 0)

    def _forget(self, endpoint: Endpoint, now_ns: int) -> int:
        """Delete of those that were given up what is too old and too much."""
        old = self._db.execute(
            "DELETE FROM letter WHERE endpoint = ? AND dead < ?", (endpoint.name, now_ns - endpoint.keep_ns)
        ).rowcount
        excess = self._count(endpoint, "IS NOT NULL") - endpoint.queue
        if excess > 0:
            self._db.execute(
                "DELETE FROM letter WHERE number IN (SELECT number FROM letter WHERE endpoint = ?"
                " AND dead IS NOT NULL ORDER BY dead, number LIMIT ?)",
                (endpoint.name, excess),
            )
        return old + max(excess, 0)

    def _count(self, endpoint: Endpoint, dead: str) -> int:
        found = self._db.execute(
            f"SELECT count(*) FROM letter WHERE endpoint = ? AND dead {dead}", (endpoint.name,)
        ).fetchone()
        return int(found[0])
