"""The shift calendar: when the plant means to work, in local time, with daylight saving. Pure.

A shift begins and ends at times of the clock on the wall. A time that a spring night skips is what the clock would have
shown without the change; of a time that an autumn night has twice the first is meant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY_NS: Final = 86_400 * 10**9

OUTSIDE, BREAK, SHIFT = 0, 1, 2
"""What is planned of a time: nothing, a break, work."""

Minutes = tuple[int, int]
"""Begin and end, in minutes from local midnight; an end that is not after its begin is on the next day."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift of every week. `days` are those on which it begins, 0 is Monday; `breaks` lie within it."""

    name: str
    days: frozenset[int]
    hours: Minutes
    breaks: Sequence[Minutes] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One shift on one day, [start, end) in nanoseconds."""

    name: str
    day: date
    start_ns: int
    end_ns: int
    breaks: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Calendar:
    """The shifts of a plant; without any, all time is planned."""

    zone: ZoneInfo
    shifts: Sequence[Shift] = ()

    def turns(self, start_ns: int, end_ns: int) -> list[Turn]:
        """Return the turns that [start, end) touches, by their begin."""
        first = self._day(start_ns) - timedelta(days=2)
        days = [first + timedelta(days=n) for n in range((end_ns - start_ns) // DAY_NS + 5)]
        turns = [self._turn(shift, day) for day in days for shift in self.shifts if day.weekday() in shift.days]
        touched = [turn for turn in turns if turn.start_ns < end_ns and turn.end_ns > start_ns]
        return sorted(touched, key=lambda turn: (turn.start_ns, turn.name))

    def planned(self, start_ns: int, end_ns: int) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Return when what is planned changes, from `start_ns` on, and what is planned then. Shapes (m,)."""
        if not self.shifts:
            return np.array([start_ns], np.int64), np.array([SHIFT], np.int8)
        turns = self.turns(start_ns, end_ns)
        marks = [(t.start_ns, t.end_ns) for t in turns] + [span for t in turns for span in t.breaks]
        inner = [time for span in marks for time in span if start_ns < time < end_ns]
        times = np.unique(np.array([start_ns, *inner], np.int64))
        plan = np.full(len(times), OUTSIDE, np.int8)
        for turn in turns:
            own = np.full(len(times), OUTSIDE, np.int8)
            own[(times >= turn.start_ns) & (times < turn.end_ns)] = SHIFT
            for begin, end in turn.breaks:
                own[(times >= begin) & (times < end) & (own == SHIFT)] = BREAK
            plan = np.maximum(plan, own)
        return times, plan

    def _turn(self, shift: Shift, day: date) -> Turn:
        start, end = self._span(day, shift.hours)
        breaks = [self._span(day, span, after=shift.hours[0]) for span in shift.breaks]
        return Turn(shift.name, day, start, end, breaks)

    def _span(self, day: date, minutes: Minutes, after: int = 0) -> tuple[int, int]:
        begin, end = minutes
        begin += 1440 * (begin < after)
        end += 1440 * (end <= begin)
        end += 1440 * (end <= begin)
        return self._at(day, begin), self._at(day, end)

    def _at(self, day: date, minute: int) -> int:
        local = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
        since = local.replace(tzinfo=self.zone).astimezone(UTC) - _EPOCH
        return (since.days * 86_400 + since.seconds) * 10**9

    def _day(self, time_ns: int) -> date:
        return (_EPOCH + timedelta(seconds=time_ns // 10**9)).astimezone(self.zone).date()


ALWAYS: Final = Calendar(ZoneInfo("UTC"))
"""No shifts: all time is planned."""
