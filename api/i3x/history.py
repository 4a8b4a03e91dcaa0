"""What was: the readings of tags, oldest first; of an asset, what its tags were at each time that one was read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from fastapi import HTTPException, Request, Response
from numpy.typing import NDArray

from api.i3x.answers import bulk, done, unknown
from api.i3x.requests import History, moment_ns
from api.i3x.space import Element, Leaf, Place, Space
from api.i3x.values import BAD, GOOD, NO_DATA, UNCERTAIN, Vqts, joined, vqts
from api.past import Head, Past, answered, parted
from api.plant import Plant, Readings
from gateway.model import Batch

POINTS_MAX: Final = 100_000
"""Readings in one answer: some 10 MB."""
MICROSECOND_NS: Final = 1_000
Read = Sequence[Sequence[Readings]]
"""Of each tag, one Readings per kind of value."""
_CUT: Final = f"an answer has {POINTS_MAX} readings at most: ask again from the last one on, for fewer objects"


@dataclass(frozen=True, slots=True)
class Asked:
    """What there is to know of an object to tell its history: its tags, and how they are called in JSON."""

    id: str
    paths: list[str]
    names: list[bytes]
    ids: list[bytes]
    leaf: bool
    composed: bool


async def history(plant: Plant, space: Space, asked: History, request: Request) -> Response:
    """Answer a question for history. Both ends are in the range, to the microsecond that is told."""
    start_ns, end_ns = moment_ns(asked.startTime), moment_ns(asked.endTime)
    if start_ns > end_ns:
        raise HTTPException(400, f"the range ends before it starts: {asked.startTime} to {asked.endTime}")
    wanted = [_asked(id, space.find(id)) for id in asked.elementIds]
    if plant.keeps_history:
        return await answered(plant, request, _answer, wanted, start_ns, end_ns + MICROSECOND_NS, asked.deep)
    return bulk([unknown(one) if isinstance(one, str) else _nothing(one, end_ns, asked.deep) for one in wanted])


def _asked(id: str, element: Element | None) -> Asked | str:
    """The object with this id, or the id if there is none."""
    match element:
        case None:
            return id
        case Leaf():
            return Asked(id, [element.id], [], [], leaf=True, composed=False)
        case Place():
            paths = [leaf.id for leaf in element.tags]
            return Asked(id, paths, element.names, element.ids, leaf=False, composed=element.composed)


def _answer(past: Past, wanted: Sequence[Asked | str], start_ns: int, end_ns: int, deep: bool) -> tuple[Head, bytes]:
    """Answered where history is."""
    items: list[bytes] = []
    left, cut = POINTS_MAX, False
    for k, one in enumerate(wanted):
        if isinstance(one, str):
            items.append(unknown(one))
            continue
        share = max(1, left // (len(wanted) - k))  # what one leaves is for the others
        read = _read(past, one, start_ns, end_ns, share)
        body, taken = _encoded(one, read, share, deep)
        n = sum(len(readings.time) for parts in read for readings in parts)
        left, cut = left - taken, cut or n > taken
        items.append(done(one.id, body))
    return parted(bulk(items, _CUT if cut else ""))


def _read(past: Past, element: Asked, start_ns: int, end_ns: int, most: int) -> Read:
    """The oldest readings of each tag, one more than may be told if there are so many."""
    read: list[Sequence[Readings]] = []
    for path in element.paths:
        read.append(past.readings(path, start_ns, end_ns, most + 1))
        end_ns = min(end_ns, _full_ns(read, end_ns, most))
    return read


def _full_ns(read: Read, end_ns: int, most: int) -> int:
    """Up to where what has been read is all that may be told, so that of further tags no more is read."""
    times = [readings.time for parts in read for readings in parts]
    if sum(map(len, times)) <= most:
        return end_ns
    return int(np.partition(np.concatenate(times), most)[most]) + 1


def _encoded(element: Asked, read: Read, most: int, deep: bool) -> tuple[bytes, int]:
    """The history of an element as JSON, and of how many readings it is."""
    series = [whole_series(parts) for parts in read]
    if sum(map(len, series)) > most:  # all of them up to the same time, so that an asset's value is whole
        time = np.concatenate([one.time for one in series])
        last = max(np.partition(time, most)[most], time.min() + 1)
        series = [one.first(int(np.searchsorted(one.time, last))) for one in series]
    own = series[0] if element.leaf else _wholes(element, series)
    return _json(element, own, series if deep else ()), sum(map(len, series))


def _nothing(element: Asked, end_ns: int, deep: bool) -> bytes:
    """The history of a gateway that keeps none."""
    row = Vqts([b"null"], np.array([NO_DATA]), np.array([end_ns]))
    return done(element.id, _json(element, row, [row] * len(element.paths) if deep else ()))


def whole_series(parts: Sequence[Readings]) -> Vqts:
    """Return the readings of a tag in order of time, whatever kinds of value it had."""
    read = [_vqts(part) for part in parts if len(part.time)]
    every = joined(read)
    return every if len(read) < 2 else every.take(np.argsort(every.time, kind="stable"))


def _vqts(part: Readings) -> Vqts:
    batch = Batch(np.zeros(len(part.time), np.uint32), part.time, part.value, part.quality)
    return vqts(batch.kind, batch.time, batch.value, batch.quality)


def _wholes(place: Asked, series: Sequence[Vqts]) -> Vqts:
    """The value of an asset at each time that one of its tags was read: the object of those that were read then."""
    every = joined(series)
    if not len(every):
        return every
    names = [name for name, one in zip(place.names, series, strict=True) for _ in range(len(one))]
    order = np.argsort(every.time, kind="stable")
    time, word = every.time[order], every.word[order]
    starts = np.flatnonzero(np.r_[True, time[1:] != time[:-1]])
    there = word < BAD
    texts = [names[row] + every.value[row] for row in order[there].tolist()]
    bounds = np.r_[0, np.cumsum(np.add.reduceat(there, starts, dtype=np.intp))]
    values = [
        b"{%s}" % b",".join(texts[a:b]) if b > a else b"null"
        for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]
    return Vqts(values, _words(word, starts, bounds), time[starts])


def _words(word: NDArray[np.intp], starts: NDArray[np.intp], bounds: NDArray[np.intp]) -> NDArray[np.intp]:
    """How good each row of an asset is, as `values.whole` has it; here what has no data was read as well."""
    all_good = np.logical_and.reduceat(word == GOOD, starts)
    nothing = np.where(np.logical_and.reduceat(word == NO_DATA, starts), NO_DATA, BAD)
    return np.where(np.diff(bounds) == 0, nothing, np.where(all_good, GOOD, UNCERTAIN))


def _json(element: Asked, own: Vqts, below: Sequence[Vqts]) -> bytes:
    if not element.composed:
        return b'{"isComposition":false,"values":%s}' % array(own)
    body = b'{"isComposition":true,"values":%s' % array(own)
    if below:
        rows = zip(element.ids, below, strict=True)
        body += b',"components":{%s}' % b",".join(b'%s:{"values":%s}' % (id, array(one)) for id, one in rows)
    return body + b"}"


def array(rows: Vqts) -> bytes:
    """Return readings as a JSON array."""
    return b"[{%s}]" % b"},{".join(rows.texts()) if len(rows) else b"[]"
