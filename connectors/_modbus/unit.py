"""A unit: one device behind a line, what it may be asked, and what asking it has taught."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from connectors._modbus.depth import Depth
from connectors._modbus.pdu import Answer, Request

_BUSY_S: Final = 0.1
_WEIGHT: Final = 0.1
"""Of the newest answer in the usual time of an answer."""


class Unit:
    """One unit of a line.

    `budget` is how many requests per second it is asked at most, 0 for any number. Times are those of the event loop.
    `counts` has `requests`, `exceptions`, `timeouts`, `late`.
    """

    def __init__(self, number: int, timeout_s: float, *, budget: float, depth: Depth, counts: Counter[str]) -> None:
        self.number = number
        self.timeout_s = timeout_s
        self.depth = depth
        self.counts = counts
        self.free_at = 0.0
        self.silent = False
        self.answer_s = 0.0
        self._interval_s = 1 / budget if budget else 0.0

    def sent(self, now: float) -> None:
        """Note a request; the next one has to wait for the budget."""
        self.counts["requests"] += 1
        if self._interval_s:
            self.free_at = max(self.free_at, now) + self._interval_s

    def busy(self, now: float, times: int) -> None:
        """Note that it asked for time, so many times in a row."""
        self.free_at = max(self.free_at, now + _BUSY_S * 2**times)

    def took(self, requests: int, seconds: float) -> None:
        """Note how long so many requests took that were all answered."""
        each = seconds / requests
        self.answer_s += (each - self.answer_s) * (_WEIGHT if self.answer_s else 1.0)
        self.silent = False
        self.depth.took(requests, seconds)


class Exchange:
    """Requests to one unit that somebody waits for, and what came: None for those that were not asked."""

    def __init__(self, unit: Unit, requests: Sequence[Request], retries: int) -> None:
        self.unit = unit
        self.requests = requests
        self.answers: list[Answer | None] = [None] * len(requests)
        self.todo = deque(range(len(requests)))
        self.retries = retries
        self.busy = 0
        self.depth = unit.depth.value
        self.doubtful = False
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def again(self, numbers: Sequence[int]) -> None:
        """Ask these once more, before the others."""
        self.todo.extendleft(reversed(numbers))

    def end(self, *, complete: bool) -> None:
        """Wake whoever waits; `complete` is False if the link was renewed and the rest has to be asked on it."""
        if not self.done.done():
            self.done.set_result(complete)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
