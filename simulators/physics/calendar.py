"""The shift plan: a weekly calendar with breaks. Knows seconds of the week, and no date."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S


class Calendar:
    """When the line shall produce: half-open intervals [start, end) in seconds since Monday 00:00."""

    def __init__(self, shifts: Iterable[tuple[int, int]], breaks: Iterable[tuple[int, int]]) -> None:
        """Take shifts and breaks; an end beyond the week wraps around. The line works in a shift but for its breaks."""
        edges = sorted([*_edges(shifts, shift=1), *_edges(breaks, pause=1)])
        self._times: list[int] = []
        self._working: list[bool] = []
        shift = pause = 0
        for time_s, shift_change, pause_change in edges:
            shift, pause = shift + shift_change, pause + pause_change
            self._times.append(time_s)
            self._working.append(shift > 0 and pause == 0)

    def working(self, week_s: float) -> bool:
        """Whether the line shall produce, at a time since any Monday 00:00 [s]."""
        position = bisect_right(self._times, week_s % WEEK_S) - 1
        return position >= 0 and self._working[position]


def _edges(intervals: Iterable[tuple[int, int]], *, shift: int = 0, pause: int = 0) -> Iterable[tuple[int, int, int]]:
    for start, end in intervals:
        for from_s, to_s in [(start, end)] if end <= WEEK_S else [(start, WEEK_S), (0, end - WEEK_S)]:
            yield from_s, shift, pause
            yield to_s, -shift, -pause
