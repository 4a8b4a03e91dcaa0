"""How many commands are taken: a flood of them would fill the log, and wear out what they write. Time comes in."""

import logging
from typing import Final

PER_S: Final = 10.0
BURST: Final = 50
"""So many commands are taken at once, and per second in the long run; the others are refused. Our choice: people and
recipes write less, a loop that has gone wild writes more."""

log = logging.getLogger(__name__)


class Allowance:
    """A bucket that holds BURST and gains PER_S; when it is empty for the first time, that is a line of the log."""

    def __init__(self, whose: str) -> None:
        self._whose = whose
        self._left = float(BURST)
        self._at_s = 0.0
        self._flooded = False

    def take(self, now_s: float) -> bool:
        """Whether there is one left, which is taken then. `now_s` is a clock that only goes forward."""
        self._left = min(float(BURST), self._left + (now_s - self._at_s) * PER_S)
        self._at_s = now_s
        if self._left >= 1.0:
            self._left -= 1.0
            self._flooded = self._flooded and self._left < BURST / 2  # it is over once there is room again
            return True
        if not self._flooded:
            log.warning("%s are refused: more than %d per second come", self._whose, PER_S)
        self._flooded = True
        return False
