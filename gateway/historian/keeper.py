"""Answers of devices on their way into history: gathered in memory, written every five seconds.

They do not pass the journal: what a crash takes are the answers of the last seconds, and no readings. What there is no
room for is counted; while the database is away that is the oldest.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.exc import SQLAlchemyError

from gateway.contracts import Clock, Offload, Words
from gateway.historian import words
from gateway.historian.history import History

_EVERY_S: Final = 5.0
_FORGET_ROUNDS: Final = 120
_BYTES_MAX: Final = 32_000_000
_SCANS: Final = 600
"""Scans in a row of the table, at the most."""

Scan = tuple[str, str, NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]


class AnswerKeeper:
    """`keep` takes the answers of a device, `run` writes them until cancelled."""

    def __init__(self, history: History, offload: Offload, clock: Clock, retention_s: float) -> None:
        self._history = history
        self._offload = offload
        self._clock = clock
        self._retention_ns = round(retention_s * 1e9)
        self._waiting: deque[Scan] = deque()
        self._bytes = 0
        self._kept = 0
        self._dropped = 0

    def counts(self) -> Mapping[str, int]:
        """Return how many scans were kept, and how many there was no room for."""
        return {"scans_kept": self._kept, "scans_dropped": self._dropped}

    def keep(
        self, device: str, recipe: str, time: NDArray[np.int64], quality: NDArray[np.uint32], image: NDArray[np.uint8]
    ) -> None:
        """Take the answers of one scan of a device; never waits."""
        self._waiting.append((device, recipe, time, quality, image))
        self._bytes += image.nbytes
        self._trim()

    async def run(self, up: Callable[[], None]) -> None:
        """Write what waits, and forget what is too old. Raises ConnectionError if the database does not take it."""
        try:
            for rounds in itertools.count():
                await self._write()
                if rounds % _FORGET_ROUNDS == 0:
                    await self._offload(words.forget, self._history.engine, self._clock.now_ns() - self._retention_ns)
                up()
                await asyncio.sleep(_EVERY_S)
        except SQLAlchemyError as error:
            raise ConnectionError(f"answers of devices cannot be kept: {str(error).splitlines()[0]}") from error

    async def end(self) -> None:
        """Write what is left; if the database is away, it is lost and counted."""
        try:
            await self._write()
        except SQLAlchemyError:
            self._dropped += len(self._waiting)
            self._waiting.clear()

    async def _write(self) -> None:
        """Write what waits, and let go of it when it is written; some may have made room for others meanwhile."""
        scans = list(self._waiting)
        await self._offload(self._store, scans)
        for scan in scans:
            if self._waiting and self._waiting[0] is scan:
                self._waiting.popleft()
                self._bytes -= scan[-1].nbytes
        self._kept += len(scans)

    def _store(self, scans: Sequence[Scan]) -> None:
        self._history.prepare()
        words.keep(self._history.engine, gathered(scans))

    def _trim(self) -> None:
        while self._bytes > _BYTES_MAX:
            self._bytes -= self._waiting.popleft()[-1].nbytes
            self._dropped += 1


def gathered(scans: Sequence[Scan]) -> dict[str, list[Words]]:
    """Return scans by device, those with the same recipe together."""
    alike: dict[tuple[str, str], list[Scan]] = {}
    for scan in scans:
        alike.setdefault(scan[:2], []).append(scan)
    found: dict[str, list[Words]] = {}
    for (device, recipe), own in alike.items():
        for some in (own[start : start + _SCANS] for start in range(0, len(own), _SCANS)):
            _, _, time, quality, image = zip(*some, strict=True)
            found.setdefault(device, []).append(Words(recipe, np.stack(time), np.stack(quality), np.stack(image)))
    return found
