"""Readings of one series out of tail and chunks, as if there were no difference.

The tail is read first: what is compacted meanwhile is then seen twice, and never missed. What came last counts.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from gateway.historian import schema
from gateway.historian.chunk import Readings
from gateway.historian.chunks import chunks_before, chunks_of, within
from gateway.historian.order import batch_of, numbers
from gateway.historian.tail import tail_of
from gateway.model import Batch, Kind
from gateway.model.quality import good

FIRST_NS: Final = -(2**63)
READINGS_MAX: Final = 10_000_000
"""Readings from which something is computed at once, some 300 MB."""
_LAST_NS: Final = 2**63 - 1


def readings_of(
    db: Connection,
    series: int,
    start_ns: int,
    end_ns: int,
    most: int | None = None,
    tail: Sequence[Batch] | None = None,
) -> dict[Kind, Readings]:
    """The readings of a series in [start, end), by kind; none for a kind without any.

    With `most`, the range may end earlier, but not before there are so many. `tail` is what `tail_of` gave, for more
    than the range perhaps, if it was asked for before.
    """
    if tail is None:
        tail = list(tail_of(db, series, start_ns, end_ns))
    by_kind: dict[Kind, list[Readings]] = {}
    for kind, part in chunks_of(db, series, start_ns, end_ns):
        if most is not None and _between(by_kind, start_ns, int(part.time[0])) >= most:
            end_ns = min(end_ns, int(part.time[0]))  # chunks come by their first time: up to here all are there
            break
        by_kind.setdefault(kind, []).append(part)
    for batch in tail:
        by_kind.setdefault(batch.kind, []).append(Readings(batch.time, batch.value, batch.quality))
    found = {kind: joined(parts, start_ns, end_ns) for kind, parts in by_kind.items()}
    return {kind: readings for kind, readings in found.items() if len(readings)}


def _between(by_kind: Mapping[Kind, Sequence[Readings]], start_ns: int, end_ns: int) -> int:
    """How many readings there are in [start, end)."""
    ends = (np.searchsorted(part.time, (start_ns, end_ns)) for parts in by_kind.values() for part in parts)
    return sum(int(b - a) for a, b in ends)


def check_count(db: Connection, series: int, start_ns: int, end_ns: int) -> None:
    """Raise ValueError if the readings of a series in [start, end) that are compacted are too many to compute with."""
    table = schema.chunk
    n = int(db.scalar(select(func.sum(table.c.n)).where(within(series, tuple(Kind), start_ns, end_ns))) or 0)
    if n > READINGS_MAX:
        raise ValueError(f"the range has {n} readings, more than {READINGS_MAX} are not computed at once: shorten it")


def last_at(db: Connection, series: int, time_ns: int, usable: bool) -> Readings | None:
    """The last reading at or before a time; of several kinds the latest."""
    parts = [Readings(batch.time, batch.value, batch.quality) for batch in tail_of(db, series, FIRST_NS, time_ns + 1)]
    for kind in Kind:
        for _, part in chunks_before(db, series, kind, time_ns):
            parts.insert(0, part)
            if len(_last(part, time_ns, usable)):
                break
    found = [last for part in parts if len(last := _last(part, time_ns, usable))]
    newest = max((int(last.time[0]) for last in found), default=0)
    return next((last for last in reversed(found) if last.time[0] == newest), None)


def _last(part: Readings, time_ns: int, usable: bool) -> Readings:
    """The last reading at or before a time, as Readings of one, or of none."""
    fits = np.flatnonzero((part.time <= time_ns) & (good(part.quality) | (not usable)))
    at = fits[part.time[fits] == part.time[fits].max(initial=FIRST_NS)][-1:]
    return Readings(part.time[at], part.value[at], part.quality[at])


def joined(parts: Sequence[Readings], start_ns: int, end_ns: int) -> Readings:
    """All parts as one, cut to [start, end), by time; of those with the same time the last one."""
    time = np.concatenate([part.time for part in parts])
    value = np.concatenate([part.value for part in parts])
    quality = np.concatenate([part.quality for part in parts])
    if not (time[1:] > time[:-1]).all():
        order = np.argsort(time, kind="stable")
        order = order[np.append(time[order][1:] != time[order][:-1], True)]
        time, value, quality = time[order], value[order], quality[order]
    within = slice(*np.searchsorted(time, (start_ns, end_ns)))
    return Readings(time[within], value[within], quality[within])


def as_one(parts: Sequence[Readings]) -> Readings:
    """Readings of one kind as they are, of several as numbers."""
    if len({part.value.dtype for part in parts}) > 1:
        every = numbers([batch_of(0, part) for part in parts])
        parts = [Readings(every.time, every.value, every.quality)]
    return joined(parts, FIRST_NS, _LAST_NS)


def stretches(buckets: NDArray[np.int64], width_ns: int) -> list[tuple[int, int]]:
    """The first and the last of each stretch of buckets, in order, without one missing."""
    ends = np.flatnonzero(np.diff(buckets) > width_ns)
    return list(zip(buckets[np.append(0, ends + 1)].tolist(), buckets[np.append(ends, -1)].tolist(), strict=True))
