"""The latest readings as JSON, encoded again only where a reading has come: those who ask for the same share it."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from api.browse import number_of
from api.plant import Plant
from gateway.model import Batch
from gateway.payload import tag_messages

_QUESTIONS_MAX: Final = 64
_TAGS_MAX: Final = 1_000
"""Of so many tags an answer of 150 kB is kept for each question."""


class Present:
    """The latest readings of some tags as JSON objects."""

    def __init__(self, plant: Plant, numbers: NDArray[np.uint32]) -> None:
        self.numbers = numbers
        self._plant = plant
        self._now = -1
        self._rows: list[bytes] = []
        self._joined = b""

    def joined(self) -> bytes:
        """Return them in the order of the numbers, joined by commas."""
        now, since = self._plant.latest.now, self._now
        if now != since:
            version = self._plant.latest.version
            known = len(version) > int(self.numbers.max(initial=0))
            changed = np.flatnonzero(version[self.numbers] > since) if known and self._rows else None
            if changed is None:
                self._rows = latest(self._plant, self.numbers)
            elif len(changed):
                for at, row in zip(changed.tolist(), latest(self._plant, self.numbers[changed]), strict=True):
                    self._rows[at] = row
            if changed is None or len(changed):
                self._joined = b",".join(self._rows)
            self._now = now
        return self._joined


class Known:
    """Questions that were asked lately, and what the answers are made of; one per application."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._catalog = (-1, -1)
        self._known: OrderedDict[Hashable, Present] = OrderedDict()

    def joined(self, question: Hashable, numbers: Callable[[], NDArray[np.uint32] | None]) -> bytes | None:
        """Return the rows that answer a question; `numbers` says of which tags, None if it is not for here."""
        catalog = self._plant.catalog
        if self._catalog != (catalog.generation, catalog.version):
            self._catalog = (catalog.generation, catalog.version)
            self._known.clear()
        if question not in self._known:
            asked = numbers()
            if asked is None:
                return None
            if len(asked) > _TAGS_MAX:
                return b",".join(latest(self._plant, asked))
            self._known[question] = Present(self._plant, asked)
            if len(self._known) > _QUESTIONS_MAX:
                self._known.popitem(last=False)
        return self._known[question].joined()


def named(plant: Plant, paths: Sequence[str], glob: str) -> NDArray[np.uint32]:
    """Return the numbers of these tags, those that match if none are named. Raises HTTPException 404."""
    numbers = [number_of(plant, path) for path in paths] or [
        number for number in plant.catalog if fnmatchcase(plant.catalog[number].path, glob)
    ]
    return np.array(numbers, np.uint32)


def latest(plant: Plant, numbers: NDArray[np.uint32]) -> list[bytes]:
    """Return the latest readings as JSON objects, in the order of the numbers."""
    found = {
        number: row
        for batch in plant.latest.read(numbers)
        for number, row in zip(batch.tag.tolist(), rows(plant, batch), strict=True)
    }
    return [found[number] for number in numbers.tolist()]


def rows(plant: Plant, batch: Batch) -> Iterator[bytes]:
    """Yield readings as JSON objects."""
    tags = [plant.catalog[number] for number in batch.tag.tolist()]
    for tag, payload in tag_messages(batch, tags):
        yield b'{"path":%s,' % orjson.dumps(tag.path) + payload[1:]
