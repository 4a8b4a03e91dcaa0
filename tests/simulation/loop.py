"""An event loop in virtual time: when nothing is ready, it is at once as late as the next timer.

Only for code that waits for timers and for other tasks: sockets and threads do not know this time.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH_NS = 1_767_592_800_000_000_000
"""The moment at which every simulation begins: 2026-01-05T06:00:00Z."""


class Deadlock(AssertionError):
    """Every task waits for another one, and no timer will ever change that."""


class _Jump(selectors.SelectSelector):
    """Does not wait, but turns the clock."""

    def __init__(self, early_s: float) -> None:
        super().__init__()
        self.now_s = 0.0
        self._early_s = early_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing is ready and nothing is scheduled")
        self.now_s += max(0.0, timeout - self._early_s)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at time 0 and knows no other clock than its own.

    Timers come early by `early_s`, as they do by the resolution of the clock; uvloop counts milliseconds.
    """

    def __init__(self, early_s: float = 0.0) -> None:
        self._jump = _Jump(early_s)
        super().__init__(self._jump)
        self._clock_resolution = early_s + 1e-9

    def time(self) -> float:
        return self._jump.now_s


class LoopClock:
    """A Clock that goes with the running loop."""

    def now_ns(self) -> int:
        return EPOCH_NS + round(asyncio.get_running_loop().time() * 1e9)


def simulate(world: Coroutine[Any, Any, T], *, early_s: float = 0.0) -> T:
    """Run a coroutine from beginning to end in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(early_s)) as runner:
        return runner.run(world)
