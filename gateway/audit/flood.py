"""Which of many entries that are alike the trail has: so many a minute, and how many more there were. Time comes in."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import replace
from typing import Final

from gateway.audit.entry import Entry

WINDOW_S: Final = 60.0
ALIKE_MAX: Final = 20
"""So many entries of one kind are kept each minute: enough to see what somebody tried."""
ALL_MAX: Final = 300
"""So many of all kinds: some 150 MB a day, whoever asks from however many addresses."""


class Flood:
    """Lets entries through, and counts the others until the minute is over. Holds ALL_MAX kinds at most."""

    def __init__(self) -> None:
        self.suppressed = 0
        self._since_s = 0.0
        self._kept: Counter[Hashable] = Counter()
        self._more: Counter[Hashable] = Counter()
        self._last: dict[Hashable, Entry] = {}

    def admits(self, entry: Entry) -> bool:
        """Whether an entry is kept by itself; else it is counted."""
        kind: Hashable = (entry.who, entry.address, entry.action, entry.outcome)
        if self._kept[kind] < ALIKE_MAX and self._kept.total() < ALL_MAX:
            self._kept[kind] += 1
            return True
        if kind not in self._kept:
            kind, entry = (), Entry("several", "", entry.outcome)
        self._more[kind] += 1
        self._last[kind] = entry
        self.suppressed += 1
        return False

    def over(self, now_s: float) -> list[Entry]:
        """Return what to say of the minute that is over, if one is; nothing while it lasts."""
        if now_s - self._since_s < WINDOW_S:
            return []
        return self.end(now_s)

    def end(self, now_s: float) -> list[Entry]:
        """End the minute, and return what to say of it: the last of each kind, and how many more there were."""
        what = "{} more like it within a minute"
        told = [replace(self._last[kind], detail=what.format(n)) for kind, n in self._more.items()]
        self._since_s = now_s
        for table in (self._kept, self._more, self._last):
            table.clear()
        return told
