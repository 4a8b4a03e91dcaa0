"""Readings that are put in the place of others of the same tag and time, whatever kind these have.

That is how a wrong type is repaired in the past: what was there at these times is gone from chunks and roll-ups, also
if it was another kind of value. Each tag is a transaction; done again, nothing is left to do.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert

from gateway.historian import schema
from gateway.historian.chunk import Readings
from gateway.historian.chunks import Chunks, chunks_with_ids, merge_late
from gateway.historian.compact import rollup_again
from gateway.historian.history import History
from gateway.historian.order import SHARD_SERIES, batch_of, once
from gateway.historian.rollup import HOUR_NS
from gateway.historian.words import recipe_of
from gateway.model import Batch, Tag


@dataclass(frozen=True, slots=True)
class Repaired:
    """How many readings of a tag are not what history has, and the first of them: when, what it has, what it should."""

    readings: int
    time_ns: int = 0
    old: Any = None
    new: Any = None


def differing(history: History, path: str, found: Readings) -> tuple[Readings, Repaired]:
    """Return those readings of a tag, by time, that are not in history as they are."""
    stored = history.readings(path, int(found.time[0]), int(found.time[-1]) + 1)
    same = np.zeros(len(found), np.bool_)
    for part in stored:
        if part.value.dtype == found.value.dtype:
            at = np.minimum(np.searchsorted(part.time, found.time), len(part) - 1)
            alike = (_bits(part.value[at]) == _bits(found.value)) & (part.quality[at] == found.quality)
            same |= alike & (part.time[at] == found.time)
    rows = np.flatnonzero(~same)
    wrong = Readings(found.time[rows], found.value[rows], found.quality[rows])
    if not len(rows):
        return wrong, Repaired(0)
    time_ns = int(wrong.time[0])
    old = [value for part in stored for value in part.value[part.time == time_ns].tolist()]
    return wrong, Repaired(len(rows), time_ns, old[0] if old else None, wrong.value.tolist()[0])


def repair(history: History, tag: Tag, found: Readings) -> None:
    """Put readings of a tag, by time and at least one, in the place of those of the same times."""
    series = int(history.series([tag])[0])
    while history.compact(series // SHARD_SERIES):
        pass
    with schema.writing(history.engine) as db:
        _replace(db, batch_of(series, found))


def note(history: History, device: str, recipe: str, stretch: tuple[int, int], readings: int, now_ns: int) -> int:
    """Keep that readings of a device are by another recipe since; return the version of that."""
    with history.engine.begin() as db:
        version = recipe_of(db, device, recipe)
        row = {"device": device, "recipe": version, "start_time": stretch[0], "end_time": stretch[1]}
        db.execute(insert(schema.repair), [row | {"readings": readings, "done": now_ns}])
    return version


def _replace(db: Connection, batch: Batch) -> None:
    series = int(batch.tag[0])
    new, _ = once(batch)
    left = []
    for id_, old in chunks_with_ids(db, series, int(new.time[0]), int(new.time[-1]) + 1):
        stays = ~np.isin(old.time, new.time, assume_unique=True)
        if not stays.all():
            db.execute(delete(schema.chunk).where(schema.chunk.c.id == id_))
            left.append(batch_of(series, old).where(stays))
    for part in left:
        chunks = Chunks()
        chunks.add(part)
        chunks.insert(db)
    merge_late(db, new)
    for hour in np.unique(new.time // HOUR_NS).tolist():
        rollup_again(db, series, hour * HOUR_NS)


def _bits(value: NDArray[Any]) -> NDArray[Any]:
    """Floats as their bits: NaN is NaN then, and minus zero is not zero."""
    return value.view(np.uint64) if value.dtype == np.float64 else value
