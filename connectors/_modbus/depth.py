"""How many requests a device takes at a time: nobody says, so it is tried. Pure.

Most devices answer one request after the other, many simulators lose all but one of several, and a few are faster
the more they have. So it begins with one, and twice as many are tried in every other poll: side by side, because how
busy device and gateway are changes all the time. As long as that makes the answers come faster, it goes on doubling;
the first request that is lost for it ends the search.
"""

from typing import Final

DEPTH_MAX: Final = 32
_ROUNDS: Final = 8
"""Polls with as many as before, and with twice as many, of which the fastest are compared: others only waited."""
_MISSES_MAX: Final = 3
"""So often in a row it may be no faster before the search is over: a busy machine tells less than half of the truth."""
_GAIN: Final = 1.05
"""How much faster it must get to be worth a longer queue in the device."""


class Depth:
    """The search for one device. `proved` is what it takes for certain, `settled` says that the search is over."""

    def __init__(self, proved: int = 1, *, settled: bool = False) -> None:
        self.proved = proved
        self.settled = settled
        self._most = 0
        self._turns = 0
        self._misses = 0
        self._proved_s: list[float] = []
        self._tried_s: list[float] = []

    @property
    def value(self) -> int:
        """How many requests may be on their way in the next poll."""
        return self._trial if self._turns % 2 else self.proved

    @property
    def _trial(self) -> int:
        return max(self.proved, min(2 * self.proved, self._most, DEPTH_MAX))

    def took(self, depth: int, requests: int, seconds: float) -> None:
        """Learn from requests that were all answered, with so many on their way; no more than that say nothing."""
        self._most = max(self._most, requests)
        if self.settled or requests <= self.proved:
            return
        (self._proved_s if depth <= self.proved else self._tried_s).append(seconds / requests)
        self._turns += 1
        if len(self._tried_s) == _ROUNDS:
            self._judge(faster=min(self._proved_s) > _GAIN * min(self._tried_s))

    def lost(self, depth: int) -> None:
        """Learn that the device loses requests if so many are on their way."""
        if depth <= self.proved:
            self.proved = max(1, self.proved // 2)
        self._settle()

    def _judge(self, *, faster: bool) -> None:
        self._misses = 0 if faster else self._misses + 1
        if faster:
            self.proved = self._trial
        if self._misses == _MISSES_MAX or self._trial == self.proved:
            self._settle()
        self._proved_s.clear()
        self._tried_s.clear()

    def _settle(self) -> None:
        self.settled = True
        self._turns = 0
