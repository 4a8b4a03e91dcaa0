"""Which batch messages of one asset have come, and which are missing, by what they say of themselves. Pure.

A gateway numbers the messages of an asset 1, 2, 3, ... also over its restarts (docs/payloads.md), so each number is
taken once and every gap is known. A number that was taken comes again after a crash or a lost connection, and has no
newer readings then; if it has, the gateway has lost its journal and counts anew.
"""

from collections import Counter
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Self

_GAPS_MAX: Final = 1000


class Turn(Enum):
    """What a message is: the next one, one that was missing, or one that has been taken."""

    NEXT = 1
    MISSING = 2
    REPEATED = 3


class Numbering:
    """The numbers of one asset. `missing` are stretches [first, last], both included, in order.

    `counts` has the messages that were found missing (`gaps`), and those that nobody has any more (`lost_messages`).
    """

    def __init__(self, counts: Counter[str]) -> None:
        self.boot = self.last = self.time_us = 0
        self.missing: list[list[int]] = []
        self._counts = counts

    @classmethod
    def recalled(cls, kept: Any, counts: Counter[str]) -> Self:
        """Go on where `kept`, a `state` that a file may have damaged, ended; without it begin with what comes next."""
        numbering = cls(counts)
        if isinstance(kept, Mapping) and all(type(kept.get(key)) is int for key in ("boot", "last", "time_us")):
            numbering.boot, numbering.last, numbering.time_us = kept["boot"], kept["last"], kept["time_us"]
            numbering.missing = stretches(kept.get("missing"))
        return numbering

    @property
    def state(self) -> dict[str, Any]:
        """What has to be known to go on, in what JSON can carry."""
        missing = [list(stretch) for stretch in self.missing]
        return {"boot": self.boot, "last": self.last, "time_us": self.time_us, "missing": missing}

    def take(self, boot: int, sequence: int, newest_us: int) -> Turn:
        """Take a message whose newest reading has this time."""
        if sequence <= self.last and self._find(sequence):
            return Turn.MISSING
        anew = boot < self.boot if sequence > self.last else newest_us > self.time_us
        if sequence <= self.last and not anew:
            return Turn.REPEATED
        if anew:
            self.settle(1, self.last)
            self.last = 0
        if sequence > self.last + 1 and (self.boot or anew):
            self._miss(self.last + 1, sequence - 1)
        self.boot, self.last = boot, sequence
        self.time_us = max(self.time_us, newest_us)
        return Turn.NEXT

    def settle(self, first: int, last: int) -> None:
        """Give up what is missing between these numbers, both included."""
        rest: list[list[int]] = []
        for a, b in self.missing:
            rest += [[x, y] for x, y in ((a, min(b, first - 1)), (max(a, last + 1), b)) if x <= y]
        self._counts["lost_messages"] += _count(self.missing) - _count(rest)
        self.missing = rest

    def _miss(self, first: int, last: int) -> None:
        self.missing.append([first, last])
        self._counts["gaps"] += last - first + 1
        if len(self.missing) > _GAPS_MAX:
            self.settle(*self.missing[0])

    def _find(self, sequence: int) -> bool:
        """Whether a number was missing; it is not any more."""
        for i, (first, last) in enumerate(self.missing):
            if first <= sequence <= last:
                self.missing[i : i + 1] = [[x, y] for x, y in ((first, sequence - 1), (sequence + 1, last)) if x <= y]
                return True
        return False


def stretches(said: Any) -> list[list[int]]:
    """Return what of this are stretches [first, last]."""
    listed = said if isinstance(said, list) else []
    return [[*one] for one in listed if isinstance(one, list) and len(one) == 2 and all(type(x) is int for x in one)]


def _count(stretches: list[list[int]]) -> int:
    return sum(b - a + 1 for a, b in stretches)
