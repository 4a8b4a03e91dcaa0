"""Advice that was given, and what people say of it: one SQLite file, `ratings.db`.

    advice(id, asset, tag, cause, raised, cleared, event,      what was advised, from when to when [ns]
           acknowledged, acknowledged_by,                      who said first that they have seen it
           verdict, true_cause, note, rated, rated_by)         whether it was right, as it was said last

What is advised comes from the journal at a cursor of its own; whatever comes twice is known. Who looks at what signals
would have said (a backtest) reads the file meanwhile, with `read`. It is bounded: beyond `ADVICES_MAX` the oldest are
forgotten, those that nobody rated before those that somebody did.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import orjson

from gateway.cloudevents import Events
from gateway.contracts import Clock, Offload
from gateway.model import Catalog, Record
from gateway.sqlite import anew, opened

ADVICES_MAX: Final = 20_000
"""Some 2 kB each, so 40 MB: of a plant that is advised ten times a day, five years."""
STATES: Final[Mapping[str, str]] = {
    "": "1",
    "open": "cleared IS NULL",
    "cleared": "cleared IS NOT NULL",
    "unrated": "verdict IS NULL",
    "rated": "verdict IS NOT NULL",
}
"""What may be asked for, and what that is in SQL."""
_COLUMNS: Final = (
    "id, asset, tag, cause, raised, cleared, event, acknowledged, acknowledged_by,"
    " verdict, true_cause, note, rated, rated_by"
)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS advice (id TEXT PRIMARY KEY, asset TEXT NOT NULL, tag TEXT NOT NULL, cause TEXT NOT NULL,
    raised INTEGER NOT NULL, cleared INTEGER, event TEXT NOT NULL, acknowledged INTEGER, acknowledged_by TEXT,
    verdict TEXT, true_cause TEXT, note TEXT, rated INTEGER, rated_by TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS advice_by_time ON advice (raised, id);
"""

Verdict = Literal["seen", "right", "wrong"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rating:
    """What somebody says of an advice: whether it was right, and what it was really, if that is something else."""

    verdict: str
    true_cause: str
    note: str
    time_ns: int
    by: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What was advised; `cause` is the name of the fault, `event` that with which it was raised (signals/advice.py).

    `asset` and `tag` are paths. `cleared_ns` is None as long as it stands, `acknowledged_ns` until somebody has seen
    it, `rating` until somebody says whether it was right.
    """

    id: str
    asset: str
    tag: str
    cause: str
    raised_ns: int
    cleared_ns: int | None
    event: Mapping[str, Any]
    acknowledged_ns: int | None = None
    acknowledged_by: str | None = None
    rating: Rating | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which advices: raised in [start, end), older than the one with `before`, of assets at or below a path."""

    start_ns: int
    end_ns: int
    asset: str = ""
    state: str = ""
    before: tuple[int, str] = (2**63 - 1, "")
    rows_max: int = ADVICES_MAX


def read(path: Path, start_ns: int, end_ns: int) -> list[Advice]:
    """Return the advices that were raised in [start, end), newest first, of a gateway that may be running.

    Raises OSError if the file is not there or cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return list(_found(db, Wanted(start_ns, end_ns)))
    except sqlite3.Error as error:
        raise OSError(f"{path} cannot be read: {error}") from error


class RatingsFile:
    """The open file; blocking, one thread at a time. Raises OSError if the path cannot be written.

    A damaged file is set aside.
    """

    def __init__(self, path: Path) -> None:
        self._db = anew(path, "ratings", partial(opened, schema=_SCHEMA, shared=True))

    def close(self) -> None:
        self._db.close()

    def take(self, told: Iterable[Advice]) -> int:
        """Keep what was raised and cleared; return how many advices were forgotten. Raises sqlite3.Error.

        A signal raises a finding once. If it raises it again it had begun anew, and never clears what stood then.
        """
        with self._db:
            for advice in told:
                row = (advice.id, advice.asset, advice.tag, advice.cause, advice.raised_ns, advice.cleared_ns)
                self._db.execute(
                    "INSERT INTO advice (id, asset, tag, cause, raised, cleared, event) VALUES (?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET cleared = coalesce(cleared, excluded.cleared)",
                    (*row, orjson.dumps(advice.event).decode()),
                )
                self._db.execute(
                    "UPDATE advice SET cleared = ? WHERE tag = ? AND cause = ? AND raised < ? AND cleared IS NULL",
                    (advice.raised_ns, advice.tag, advice.cause, advice.raised_ns),
                )
            return self._db.execute(
                "DELETE FROM advice WHERE id IN (SELECT id FROM advice ORDER BY verdict IS NOT NULL, raised, id"
                " LIMIT max(0, (SELECT count(*) FROM advice) - ?))",
                (ADVICES_MAX,),
            ).rowcount

    def found(self, wanted: Wanted) -> list[Advice]:
        """Return advices, newest first."""
        return list(_found(self._db, wanted))

    def one(self, id: str) -> Advice:
        """Return an advice. Raises KeyError."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM advice WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise KeyError(id)
        return _advice(row)

    def say(self, id: str, said: Rating) -> Advice:
        """Note what somebody says; that something was seen takes back no verdict. Raises KeyError, sqlite3.Error."""
        before = self.one(id)
        with self._db:
            self._db.execute(
                "UPDATE advice SET acknowledged = ?, acknowledged_by = ? WHERE id = ? AND acknowledged IS NULL",
                (said.time_ns, said.by, id),
            )
            if said.verdict != "seen" and _words(said) != _words(before.rating):
                self._db.execute(
                    "UPDATE advice SET verdict = ?, true_cause = ?, note = ?, rated = ?, rated_by = ? WHERE id = ?",
                    (said.verdict, said.true_cause, said.note, said.time_ns, said.by, id),
                )
        return self.one(id)


class Ratings:
    """The file as the gateway has it: a Sink of what is advised, and what the API asks. `offload` has one thread."""

    def __init__(self, file: RatingsFile, offload: Offload, catalog: Catalog, clock: Clock) -> None:
        self._file = file
        self._offload = offload
        self._catalog = catalog
        self._events = Events(catalog)
        self._clock = clock
        self._forgotten = 0

    def counts(self) -> Mapping[str, int]:
        """Return what was counted, by name."""
        return {"advices_forgotten": self._forgotten}

    async def write(self, records: Sequence[Record]) -> None:
        """Keep what is advised in the records. Raises ConnectionError if the disk does not take it."""
        if told := [advice for record in records for advice in self._advised(record)]:
            self._forgotten += await self._ask(self._file.take, told)

    async def advices(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return advices, newest first, by the names of `Wanted`. Raises ConnectionError."""
        return [asdict(one) for one in await self._ask(self._file.found, Wanted(**wanted))]

    async def advice(self, id: str) -> dict[str, Any]:
        """Return an advice. Raises KeyError, ConnectionError."""
        return asdict(await self._ask(self._file.one, id))

    async def say(self, id: str, verdict: Verdict, true_cause: str, note: str, who: str) -> dict[str, Any]:
        """Note what somebody says of an advice, and return it. The same again changes nothing.

        Raises KeyError, ConnectionError.
        """
        said = Rating(verdict, true_cause, note, self._clock.now_ns(), who)
        return asdict(await self._ask(self._file.say, id, said))

    async def _ask(self, question: Callable[..., T], *of: Any) -> T:
        try:
            return await self._offload(question, *of)
        except sqlite3.Error as error:
            raise ConnectionError(f"ratings cannot be read or written: {error}") from error

    def _advised(self, record: Record) -> Iterator[Advice]:
        for batch in self._events.among(record.batches):
            for number, time, value in zip(batch.tag.tolist(), batch.time.tolist(), batch.value.tolist(), strict=True):
                tag = self._catalog[number]
                if not tag.device and "AdviceId" in value:
                    yield _told(tag.path, time, value)


def _told(tag: str, time_ns: int, event: Mapping[str, Any]) -> Advice:
    """What an event says; one that clears what nobody heard of tells since when it was there."""
    stands = bool(event["ActiveState"])
    raised_ns = time_ns if stands else int(datetime.fromisoformat(event["Since"]).timestamp()) * 1_000_000_000
    cause = str(event["ConditionName"])
    return Advice(event["AdviceId"], event["Asset"], tag, cause, raised_ns, None if stands else time_ns, event)


def _found(db: sqlite3.Connection, wanted: Wanted) -> Iterator[Advice]:
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM advice WHERE raised >= ? AND raised < ? AND (raised, id) < (?, ?)"
        f" AND (? = '' OR asset = ? OR substr(asset, 1, ?) = ?) AND {STATES[wanted.state]}"
        " ORDER BY raised DESC, id DESC LIMIT ?",
        (
            *(wanted.start_ns, wanted.end_ns, *wanted.before),
            *(wanted.asset, wanted.asset, len(wanted.asset) + 1, f"{wanted.asset}/", wanted.rows_max),
        ),
    )
    return map(_advice, rows)


def _advice(row: Sequence[Any]) -> Advice:
    id, asset, tag, cause, raised, cleared, event, seen, seen_by, verdict, *said = row
    rating = None if verdict is None else Rating(verdict, *said)
    return Advice(id, asset, tag, cause, raised, cleared, orjson.loads(event), seen, seen_by, rating)


def _words(rating: Rating | None) -> tuple[str, str, str] | None:
    return None if rating is None else (rating.verdict, rating.true_cause, rating.note)
