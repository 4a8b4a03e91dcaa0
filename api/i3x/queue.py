"""What waits for a subscriber: updates that came, and batches that were handed out and are not acknowledged yet.

    put, touch ──> staged columns, touched assets ──hand_out──> numbered batches, as they were sent ──acknowledge──>
                                                  `──take_all──> whoever streams does not acknowledge

Both are bounded; the oldest make room, counted. What was just handed out never does: it is on its way.

An asset waits once, however often it was touched: its value is that of the moment in which it is handed out.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from api.i3x.space import Place, Space
from api.i3x.values import latest, of_batch, whole
from api.plant import Plant
from gateway.model import Batch, Kind

UPDATES_MAX: Final = 10_000
"""Of those that are staged, and of those that are handed out; an update of more than a kilobyte counts as several."""
_KB: Final = 1_000

Handed = tuple[int, bytes, int, int]
"""A batch: its number, its updates as JSON, how many, and what they count."""


class Queue:
    """The updates of one subscription. `dropped` are those that made room for others."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._staged: deque[tuple[Batch, int]] = deque()
        self._touched: dict[str, tuple[Place, bool]] = {}
        self._handed: deque[Handed] = deque()
        self._last = 0
        self._staged_counts = 0
        self._handed_counts = 0
        self.dropped = 0

    def put(self, batch: Batch) -> None:
        """Take readings of tags."""
        counts = _counts(batch)
        self._staged.append((batch, counts))
        self._staged_counts += counts
        while self._staged_counts > UPDATES_MAX:
            self._drop_staged()

    def touch(self, place: Place, *, deep: bool) -> None:
        """Take note that an asset has another value; with `deep` its components are told as well."""
        self._touched[place.id] = (place, deep)

    def acknowledge(self, number: Any) -> None:
        """Forget the batches up to a number, all of them if it is -1, none if it is no number of a batch."""
        if type(number) is not int or number < -1:
            return
        while self._handed and (number == -1 or self._handed[0][0] <= number):
            self._handed_counts -= self._handed.popleft()[3]

    def hand_out(self, space: Space) -> list[tuple[int, bytes]]:
        """Return all batches that are not acknowledged, each with its number; what has come since is the last."""
        updates, counts = self._render(space)
        if updates:
            self._last += 1
            self._handed.append((self._last, b",".join(updates), len(updates), counts))
            self._handed_counts += counts
        while self._handed_counts > UPDATES_MAX and len(self._handed) > 1:
            _, _, lost, counts = self._handed.popleft()
            self._handed_counts -= counts
            self.dropped += lost
        return [(number, body) for number, body, _, _ in self._handed]

    def take_all(self, space: Space) -> bytes:
        """Return everything as a JSON array without its brackets, and forget it."""
        before = [body for _, body, _, _ in self._handed]
        self.acknowledge(-1)
        return b",".join([*before, *self._render(space)[0]])

    def _render(self, space: Space) -> tuple[list[bytes], int]:
        """What is staged as JSON objects, and what that counts; then it is no longer staged."""
        updates = self._in_order(space, [batch for batch, _ in self._staged])
        counts, self._staged_counts = self._staged_counts, 0
        self._staged.clear()
        for place, deep in self._touched.values():
            updates.append(_update(self._plant, place, deep))
            counts += 1 + len(updates[-1]) // _KB
        self._touched.clear()
        return updates, counts

    def _in_order(self, space: Space, batches: Sequence[Batch]) -> list[bytes]:
        """Each reading as a JSON object; those of a kind are encoded together, for most batches are short."""
        ends = np.cumsum([len(batch) for batch in batches])
        updates = [b""] * (int(ends[-1]) if batches else 0)
        for kind in {batch.kind for batch in batches}:
            those = [k for k, batch in enumerate(batches) if batch.kind is kind]
            batch = Batch.join([batches[k] for k in those])
            at = np.concatenate([np.arange(ends[k] - len(batches[k]), ends[k]) for k in those])
            heads = space.heads[batch.tag].tolist()
            texts = of_batch(batch, self._plant.started_ns).texts()
            for row, head, text in zip(at.tolist(), heads, texts, strict=True):
                updates[row] = b"{%s%s}" % (head, text)
        return updates

    def _drop_staged(self) -> None:
        """Let the oldest go, as many as have to; of large values all that came with them."""
        batch, counts = self._staged.popleft()
        self._staged_counts -= counts
        kept = 0 if batch.kind is Kind.OBJECT else max(0, UPDATES_MAX - self._staged_counts)
        rest = batch.take(np.arange(max(0, len(batch) - kept), len(batch)))
        self.dropped += len(batch) - len(rest)
        if len(rest):
            self._staged.appendleft((rest, len(rest)))
            self._staged_counts += len(rest)


def _counts(batch: Batch) -> int:
    if batch.kind is not Kind.OBJECT:
        return len(batch)
    return len(batch) + sum(_nbytes(value) for value in batch.value) // _KB


def _nbytes(value: Any) -> int:
    """About how many bytes a value has; one with several parts counts as they do."""
    match value:
        case np.ndarray():
            return value.nbytes
        case dict():
            return sum(_nbytes(part) for part in value.values())
        case list() | tuple():
            return sum(map(_nbytes, value))
        case str():
            return len(value)
        case _:
            return 8


def _update(plant: Plant, place: Place, deep: bool) -> bytes:
    """The value of an asset as an update."""
    parts = latest(plant, place.numbers)
    own = whole(place.names, parts, plant.started_ns).texts()[0]
    body = b"{%s%s" % (place.head, own)
    if deep:
        below: list[bytes] = [b"%s:{%s}" % row for row in zip(place.ids, parts.texts(), strict=True)]
        body += b',"components":{%s}' % b",".join(below)
    return body + b"}"
