"""A mailbox: batches on their way to someone who may be slower than the plant. Bounded; drops the oldest, counted."""

import asyncio
from collections import deque
from collections.abc import Sequence

from gateway.model import Batch


class Mailbox:
    """Put never waits, take gives everything there is. What is in here may be lost; the journal is for the rest."""

    def __init__(self, batches_max: int = 1000) -> None:
        self._batches: deque[Batch] = deque(maxlen=batches_max)
        self._filled = asyncio.Event()
        self.dropped = 0

    def put(self, batches: Sequence[Batch]) -> None:
        """Add batches; the oldest make room for them."""
        limit = self._batches.maxlen or 0
        self.dropped += max(0, len(self._batches) + len(batches) - limit)
        self._batches.extend(batches)
        self._filled.set()

    async def take(self) -> list[Batch]:
        """Return all batches, oldest first; wait for one if there are none."""
        while not self._batches:
            self._filled.clear()
            await self._filled.wait()
        taken = list(self._batches)
        self._batches.clear()
        return taken
