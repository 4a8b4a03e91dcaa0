"""Readings in the standard's form, by columns: value, quality, timestamp.

A value is null exactly if its quality is Bad or GoodNoData. GoodNoData is what was never read, since the start of the
gateway. Numbers are numbers however large, for the type of an object promises that. An asset's value is the object of
those of its tags that have one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from fastapi import Response
from numpy.typing import NDArray

from api.i3x.answers import bulk, done, failed, unknown
from api.i3x.requests import Values
from api.i3x.space import Place, Space
from api.plant import Plant
from gateway.model import Batch, Kind, Quality
from gateway.payload import encoded, timestamps

GOOD, UNCERTAIN, BAD, NO_DATA = range(4)
WORDS: Final = ("Good", "Uncertain", "Bad", "GoodNoData")
VALUES_MAX: Final = 100_000
"""Values in one answer, those within the values of assets counted: some 10 MB."""
_MIDDLE: Final = np.array([b',"quality":"%s","timestamp":' % word.encode() for word in WORDS], object)
_NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
_CODE: Final = np.uint32(0xFFFF_0000)

Bytes = list[bytes]


@dataclass(frozen=True, slots=True)
class Vqts:
    """Readings as columns: `value` is JSON, `word` the place of the quality in WORDS, `time` in ns since 1970 UTC."""

    value: Bytes
    word: NDArray[np.intp]
    time: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.value)

    def texts(self) -> Bytes:
        """Return each row as `"value":1.5,"quality":"Good","timestamp":"2026-01-05T06:00:00Z"`."""
        rows = zip(self.value, _MIDDLE[self.word].tolist(), _stamps(self.time), strict=True)
        return [b'"value":%s%s%s' % row for row in rows]

    def take(self, rows: NDArray[np.intp]) -> "Vqts":
        return Vqts([self.value[row] for row in rows.tolist()], self.word[rows], self.time[rows])

    def first(self, n: int) -> "Vqts":
        return Vqts(self.value[:n], self.word[:n], self.time[:n])


def joined(parts: Sequence[Vqts]) -> Vqts:
    """Return all rows, in order."""
    if len(parts) == 1:
        return parts[0]
    return Vqts(
        [value for part in parts for value in part.value],
        np.concatenate([part.word for part in parts] or [np.empty(0, np.intp)]),
        np.concatenate([part.time for part in parts] or [np.empty(0, np.int64)]),
    )


def vqts(kind: Kind, time: NDArray[np.int64], value: NDArray[Any], quality: NDArray[np.uint32]) -> Vqts:
    """Return readings of one kind of value in the standard's form."""
    word = np.minimum(quality >> np.uint32(30), BAD).astype(np.intp)
    word[(quality & _CODE) == Quality.GOOD_NO_DATA] = NO_DATA
    if kind is Kind.OBJECT:
        texts = [encoded(item) for item in value]
        word[np.array([text == b"null" for text in texts], np.bool_) & (word < BAD)] = NO_DATA
    else:
        texts = _array(value)
        if kind is Kind.FLOAT:  # what JSON cannot carry
            word[~np.isfinite(value) & (word < BAD)] = BAD
    for row in np.flatnonzero(word >= BAD).tolist():
        texts[row] = b"null"
    return Vqts(texts, word, time)


def of_batch(batch: Batch, started_ns: int) -> Vqts:
    """Return the readings of a batch; those that never came have time 0, and get that of the start."""
    never = batch.time == 0
    found = vqts(batch.kind, np.where(never, started_ns, batch.time), batch.value, batch.quality)
    if never.any():
        found.word[never] = NO_DATA
    return found


def latest(plant: Plant, asked: Sequence[int] | NDArray[np.uint32]) -> Vqts:
    """Return the latest readings of tags, in the order of their numbers."""
    numbers = np.asarray(asked, np.uint32)
    batches = plant.latest.read(numbers)
    found = joined([of_batch(batch, plant.started_ns) for batch in batches])
    tag = np.concatenate([batch.tag for batch in batches] or [numbers])
    if np.array_equal(tag, numbers):
        return found
    at = np.empty(len(numbers), np.intp)
    at[np.argsort(numbers, kind="stable")] = np.argsort(tag, kind="stable")
    return found.take(at)


def whole(names: Sequence[bytes], parts: Vqts, started_ns: int) -> Vqts:
    """Return the readings of an asset's tags as one, with the latest of their times; `names` are `"name":`.

    It is Good if all are that have ever been read, Uncertain if some are not, Bad if there is nothing else.
    """
    there = [name + value for name, value, word in zip(names, parts.value, parts.word, strict=True) if word < BAD]
    read = parts.word[parts.word != NO_DATA]
    word = _together(len(there), read)
    time = parts.time[parts.word != NO_DATA].max() if len(read) else started_ns
    value = b"{%s}" % b",".join(there) if there else b"null"
    return Vqts([value], np.array([word], np.intp), np.array([time], np.int64))


def current(plant: Plant, space: Space, asked: Values) -> tuple[Response, NDArray[np.uint32], Vqts]:
    """Answer what things are now; return as well which readings that were, of which tags."""
    elements = [space.find(id) for id in asked.elementIds]
    asked_for = sorted({number for element in elements if element is not None for number in element.numbers})
    row_of = {number: row for row, number in enumerate(asked_for)}
    numbers = np.array(asked_for, np.uint32)
    found = latest(plant, numbers)
    texts = found.texts()
    items: Bytes = []
    left = VALUES_MAX
    for id, element in zip(asked.elementIds, elements, strict=True):
        if element is None:
            items.append(unknown(id))
            continue
        left -= len(element.numbers) * (1 + asked.deep)
        if left < 0:
            items.append(failed(id, 400, f"an answer has {VALUES_MAX} values at most: ask for this one by itself"))
            continue
        rows = [row_of[number] for number in element.numbers]
        if isinstance(element, Place):
            own = whole(element.names, found.take(np.array(rows, np.intp)), plant.started_ns).texts()[0]
            below = zip(element.ids, (texts[row] for row in rows), strict=True)
            items.append(done(id, _result(element, own, below if asked.deep else None)))
        else:
            items.append(b'{"success":true,%s"result":{"isComposition":false,%s}}' % (element.head, texts[rows[0]]))
    return bulk(items), numbers, found


def _result(place: Place, own: bytes, below: Iterable[tuple[bytes, bytes]] | None) -> bytes:
    body = b'{"isComposition":%s,%s' % (b"true" if place.composed else b"false", own)
    if below is not None and place.composed:
        body += b',"components":{%s}' % b",".join(b"%s:{%s}" % row for row in below)
    return body + b"}"


def _together(values: int, read: NDArray[np.intp]) -> int:
    if not values:
        return BAD if len(read) else NO_DATA
    return GOOD if (read == GOOD).all() else UNCERTAIN


def _array(column: NDArray[Any]) -> Bytes:
    """Each number of a column as JSON."""
    return orjson.dumps(np.ascontiguousarray(column), option=_NUMPY)[1:-1].split(b",") if len(column) else []


def _stamps(time: NDArray[np.int64]) -> Bytes:
    """Each time as RFC 3339 in UTC, in quotes. orjson is nine times as fast as numpy, from 1970 on."""
    if len(time) and time.min() < 0:
        return [b'"%s"' % text.encode("ascii") for text in timestamps(time)]
    return _array((time // 1000).view("M8[us]"))
