"""What a tag said over time: values that hold until the next, and counters. Pure numpy, exact.

A row is a time and a value; a row that is not known says that from then on nobody knows: the device was lost, or the
gateway was stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_JUMP: Final = 16
"""A fall is a rollover if it is a step of less than this part of the range, else a reset. Ours: between two readings
a counter hardly runs through a sixteenth of its range, and hardly ever is reset by hand from so near its end."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Columns of shape (n,): `time` [ns] strictly rising, `value`, and whether it is `known`."""

    time: NDArray[np.int64]
    value: NDArray[Any]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[tuple[int, Any]]) -> "Track":
        """Make a track of rows in order of time; None is a value that is not known."""
        value = np.empty(len(rows), object)
        for i, (_, said) in enumerate(rows):
            value[i] = said
        return cls(
            np.array([time for time, _ in rows], np.int64),
            value,
            np.array([said is not None for _, said in rows], np.bool_),
        )

    def index(self, times: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the row that holds at each time, -1 before the first. Shape (m,) in and out."""
        return np.searchsorted(self.time, times, "right") - 1

    def usable(self) -> "Track":
        """Return the rows that are known: what a parameter was holds until it is another."""
        return Track(self.time[self.known], self.value[self.known], self.known[self.known])


NOTHING: Final = Track.of(())


@dataclass(frozen=True, slots=True, eq=False)
class Count:
    """A counter: what it counted in any range, falls corrected.

    The step of a reading belongs to the time of that reading; the first reading of all has none, nor has the first
    after a reset: what a counter shows then may have been put there. `falls` are the rows that are less than the row
    before, `corrections` what their steps need, `resets` those of them that are no rollovers; `bridges` are the rows
    before which nobody knew for a while.
    """

    time: NDArray[np.int64]
    value: NDArray[Any]
    bridges: NDArray[np.intp]
    falls: NDArray[np.intp]
    corrections: Sequence[Fraction] = field(repr=False)
    resets: NDArray[np.intp]

    @classmethod
    def of(cls, track: Track, modulus: int) -> "Count":
        """Make a counter of a track that starts again from 0 at `modulus`, if that is not 0.

        What is no number from 0 up is as good as not known.
        """
        rows = np.flatnonzero(np.array([_countable(value) for value in track.value], np.bool_) & track.known)
        value = np.array(track.value[rows].tolist() or [0])[: len(rows)]
        falls = np.flatnonzero(value[1:] < value[:-1]) + 1
        before, after = value[falls - 1], value[falls]
        rolls = (before < modulus) & ((after - before) % max(modulus, 1) * _JUMP < modulus)
        corrections = [
            Fraction(modulus) if rolled else Fraction(was) - Fraction(is_)
            for rolled, was, is_ in zip(rolls.tolist(), before.tolist(), after.tolist(), strict=True)
        ]
        return cls(track.time[rows], value, np.flatnonzero(np.diff(rows) > 1) + 1, falls, corrections, falls[~rolls])

    def between(self, start_ns: int, end_ns: int) -> Fraction:
        """Return what was counted by readings in [start, end)."""
        first, last = self._rows(start_ns, end_ns)
        if last <= first:
            return Fraction(0)
        corrected = slice(*np.searchsorted(self.falls, [first, last], "right"))
        steps = Fraction(self.value[last].item()) - Fraction(self.value[first].item())
        return sum(self.corrections[corrected], steps)

    def bridged(self, start_ns: int, end_ns: int) -> Fraction:
        """Return the part of that which was counted while nobody knew."""
        first, last = self._rows(start_ns, end_ns)
        rows = self.bridges[(self.bridges > first) & (self.bridges <= last)]
        return sum((self.between(int(self.time[row]), int(self.time[row]) + 1) for row in rows), Fraction(0))

    def _rows(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """The rows between which the steps of a range lie: the last before it, and the last in it."""
        before, beyond = np.searchsorted(self.time, [start_ns, end_ns])
        return max(int(before) - 1, 0), int(beyond) - 1


def _countable(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < float("inf")
