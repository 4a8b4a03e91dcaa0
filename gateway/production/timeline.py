"""A unit's time, cut into spans in which nothing changes, and its stops. Pure.

A span has a use: what its time counts as. Where the plan says nothing, only what is produced or set up counts, as
overtime; a break is planned whatever the machine says in it, unless it works on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.production.shifts import BREAK, OUTSIDE, SHIFT
from gateway.production.states import Mode, State, combined
from gateway.production.track import Track


class Use(IntEnum):
    """What time counts as."""

    OUTSIDE = 0
    PRODUCING = 1
    SETUP = 2
    DELAY = 3
    WAITING = 4
    CORRECTIVE = 5
    FAILURE = 6
    DOWN = 7
    PLANNED_STOP = 8
    PREVENTIVE = 9
    UNKNOWN = 10


WORKING: Final = (Use.PRODUCING, Use.SETUP)
STOPS: Final = (Use.DELAY, Use.WAITING, Use.CORRECTIVE, Use.FAILURE, Use.DOWN)
_FAILURES: Final = (Use.FAILURE, Use.CORRECTIVE)


def _use(plan: int, state: State, ordered: bool) -> Use:
    if state in (State.PRODUCING, State.SETUP):
        return Use(state)
    if plan == OUTSIDE:
        return Use.OUTSIDE
    if plan == BREAK:
        return Use.PLANNED_STOP
    return {
        State.UNKNOWN: Use.UNKNOWN,
        State.DELAY: Use.DELAY,
        State.WAITING: Use.WAITING,
        State.FAILURE: Use.FAILURE,
        State.IDLE: Use.DELAY if ordered else Use.DOWN,
        State.DOWN: Use.DOWN,
        State.PLANNED: Use.PLANNED_STOP,
        State.MAINTENANCE: Use.CORRECTIVE if ordered else Use.PREVENTIVE,
    }[state]


_USES: Final = np.array(
    [
        [[[_use(plan, combined(s, m), ordered) for ordered in (False, True)] for m in Mode] for s in State]
        for plan in (OUTSIDE, BREAK, SHIFT)
    ],
    np.int8,
)
"""The use of time by what is planned, state, mode, and whether there is an order."""


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Spans one after the other: `edge` (n + 1,) [ns], `use`, `planned` and `ordered` (n,).

    `run` numbers them: spans of the same use that follow one another are one run, and a stop is a run.
    """

    edge: NDArray[np.int64]
    use: NDArray[np.int8]
    planned: NDArray[np.bool_]
    ordered: NDArray[np.bool_]
    run: NDArray[np.intp]

    def runs(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
        """Return begin, end and use of each run. Shapes (m,)."""
        first = np.flatnonzero(np.diff(self.run, prepend=-1))
        return self.edge[first], self.edge[np.append(first[1:], len(self.use))], self.use[first]

    def within(self, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """Return how much of each span lies in [start, end), shape (n,) [ns]."""
        clipped = np.clip(self.edge, start_ns, end_ns)
        return clipped[1:] - clipped[:-1]

    def failures(self, minor_ns: int) -> NDArray[np.bool_]:
        """Return which runs are breakdowns: failures, repairs, and delays that are longer than a minor stop."""
        begin, end, use = self.runs()
        failed: NDArray[np.bool_] = np.isin(use, _FAILURES) | ((use == Use.DELAY) & (end - begin > minor_ns))
        return failed


def timeline(
    start_ns: int,
    end_ns: int,
    state: Track,
    mode: Track,
    orders: Sequence[tuple[int, int]],
    plan: tuple[NDArray[np.int64], NDArray[np.int8]],
) -> Timeline:
    """Cut [start, end) into spans. Values of `state` are State, those of `mode` Mode; orders are [start, end)."""
    changes = np.concatenate([state.time, mode.time, np.array(orders, np.int64).reshape(-1), plan[0]])
    inner = changes[(changes > start_ns) & (changes < end_ns)]
    edge = np.unique(np.concatenate([inner, np.array([start_ns, max(start_ns, end_ns)], np.int64)]))
    begin = edge[:-1]
    ordered = np.zeros(len(begin), np.bool_)
    for first, last in orders:
        ordered |= (begin >= first) & (begin < last)
    planned = plan[1][np.searchsorted(plan[0], begin, "right") - 1]
    use = _USES[planned, _held(state, begin), _held(mode, begin), ordered.astype(np.intp)]
    run = np.cumsum(np.diff(use, prepend=use[:1]) != 0)
    return Timeline(edge, use, planned == SHIFT, ordered, run)


def _held(track: Track, times: NDArray[np.int64]) -> NDArray[np.intp]:
    """The numbers that hold at these times, 0 where none is known: an unknown state, or a mode that changes nothing."""
    numbers = np.array([0, *(int(value) if value is not None else 0 for value in track.value)], np.intp)
    return numbers[track.index(times) + 1]
