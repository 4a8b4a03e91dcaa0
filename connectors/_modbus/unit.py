"""A unit: one device behind a line, what it may be asked, and what asking it has taught."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from connectors._modbus.depth import Depth
from connectors._modbus.pdu import BUSY, UNREACHABLE, Answer, Request

_BUSY_S: Final = 0.1
_BUSY_MAX: Final = 3
"""A device that is busy is asked again after 0.1 s, and so often, each time after twice as long."""
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

    @property
    def paced(self) -> bool:
        """Whether it has a budget, and so is sent one request at a time."""
        return self._interval_s > 0

    def sent(self, n: int, now: float) -> None:
        """Note n requests; the next one has to wait for the budget."""
        self.counts["requests"] += n
        if self.paced:
            self.free_at = max(self.free_at, now) + self._interval_s

    def wait(self, seconds: float) -> None:
        """Leave it alone for a while."""
        self.free_at = max(self.free_at, asyncio.get_running_loop().time() + seconds)

    def took(self, depth: int, requests: int, seconds: float) -> None:
        """Note how long so many requests took that were all answered, `depth` of them on their way at a time."""
        each = seconds / requests
        self.answer_s += (each - self.answer_s) * (_WEIGHT if self.answer_s else 1.0)
        self.silent = False
        self.depth.took(depth, requests, seconds)


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
        self.lost_at = 0  # the depth at which requests got lost, until it is known whether that was the reason
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def take(self, number: int, answer: Answer) -> None:
        """Note an answer. A device that is busy is asked again a little later, one request at a time."""
        if answer.code:
            self.unit.counts["exceptions"] += 1
        if answer.code == BUSY and self.busy < _BUSY_MAX:
            self.unit.wait(_BUSY_S * 2**self.busy)
            self.busy += 1
            self.depth = 1
            self.again([number])
            return
        self.answers[number] = answer
        if answer.code in UNREACHABLE:
            self.todo.clear()  # it would answer the same, each time after its own timeout

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
