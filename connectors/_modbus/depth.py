"""How many requests a device takes at a time: nobody says, so it is tried. Pure.

Most devices answer one request after the other, many simulators lose all but one of several, and a few are faster
the more they have. So it begins with one, and doubles as long as that makes the answers come faster; the first
request that is lost for it ends the search at one.
"""

from typing import Final

DEPTH_MAX: Final = 16
_ROUNDS: Final = 4
"""Measurements for each depth, of which the fastest counts."""
_GAIN: Final = 1.15
"""How much faster it must get to be worth a longer queue in the device."""


class Depth:
    """The search for one device. `value` is how many requests may be on their way, `settled` whether it is final."""

    def __init__(self, value: int = 1, *, settled: bool = False) -> None:
        self.value = value
        self.settled = settled
        self._most = 0
        self._fastest_s = float("inf")
        self._measured: list[float] = []

    def took(self, requests: int, seconds: float) -> None:
        """Learn from requests that were all answered; as many as may be on their way at once say nothing."""
        self._most = max(self._most, requests)
        if self.settled or requests <= self.value:
            return
        self._measured.append(seconds / requests)
        if len(self._measured) == _ROUNDS:
            self._judge(min(self._measured))
            self._measured.clear()

    def lost(self) -> None:
        """Learn that the device loses requests if there are several."""
        self.value, self.settled = 1, True

    def _judge(self, seconds: float) -> None:
        if seconds * _GAIN > self._fastest_s:
            self.value, self.settled = max(1, self.value // 2), True
        elif 2 * self.value >= min(self._most, DEPTH_MAX + 1):
            self.settled = True
        else:
            self._fastest_s = seconds
            self.value *= 2
