"""What alarms did to those who had to answer to them: the metrics of ISA-18.2 over a range of time. Pure.

A flood begins when ten alarms came in ten minutes and ends when fewer than five did. An alarm chatters that came three
times in a minute, and is stale when it has been active for a day.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SECOND_NS: Final = 10**9
MINUTE_NS: Final = 60 * SECOND_NS
TEN_NS: Final = 10 * MINUTE_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
_FLOOD: Final = 10
_EBB: Final = 5
_CHATTERS: Final = 3
_TOP: Final = 10
TARGETS: Final[Mapping[str, float]] = {
    "per_day": 150,
    "per_hour": 6,
    "per_10_min": 1,
    "most_in_10_min": 10,
    "percent_of_10_min_over_10": 1,
    "percent_of_hours_over_30": 1,
    "percent_of_time_in_flood": 1,
    "percent_by_top_10": 5,
    "chattering": 0,
    "stale": 5,
}
"""What is acceptable at most, per operator position (ISA-18.2, table of clause 16)."""


def performance(
    times: NDArray[np.int64], alarms: Sequence[str], priorities: Sequence[str], stale: int, start_ns: int, end_ns: int
) -> dict[str, Any]:
    """Return the metrics of [start, end), which is not empty.

    `times`, sorted, shape (n,), is when alarms were told to people, `alarms` and `priorities` which and how urgent;
    `stale` is how many had been active for a day at the end. Parts of ten minutes and hours are left out of what is
    counted by them, so those are None in a range that has none.
    """
    span = end_ns - start_ns
    n = len(times)
    names, of = np.unique(np.array(alarms, object), return_inverse=True) if n else (np.array([]), np.array([], int))
    counts = np.bincount(of, minlength=len(names))
    top = np.lexsort((names.astype(str), -counts))[:_TOP].tolist()
    floods = flooded(times, start_ns, end_ns)
    values = {
        "per_day": n * DAY_NS / span,
        "per_hour": n * HOUR_NS / span,
        "per_10_min": n * TEN_NS / span,
        "most_in_10_min": int(_recent(times).max(initial=0)),
        "percent_of_10_min_over_10": _percent_over(times, start_ns, end_ns, TEN_NS, 10),
        "percent_of_hours_over_30": _percent_over(times, start_ns, end_ns, HOUR_NS, 30),
        "percent_of_time_in_flood": 100 * sum(end - begin for begin, end in floods) / span,
        "percent_by_top_10": 100 * int(counts[top].sum()) / n if n else 0.0,
        "chattering": len(chattering := [str(name) for i, name in enumerate(names) if _chatters(times[of == i])]),
        "stale": stale,
    }
    return {
        "alarms": n,
        "metrics": {name: {"value": value, "target": TARGETS[name]} for name, value in values.items()},
        "floods": floods,
        "chattering": chattering,
        "top": [{"id": str(names[i]), "alarms": int(counts[i]), "percent": 100 * int(counts[i]) / n} for i in top],
        "priorities": {name: 100 * priorities.count(name) / n for name in sorted(set(priorities))},
    }


def flooded(times: NDArray[np.int64], start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Return begin and end of each flood in a range, by alarms at these sorted times."""
    moments = np.concatenate([times, times + TEN_NS])
    order = np.argsort(moments, kind="stable")
    moments = moments[order]
    waiting = np.cumsum(np.where(order < len(times), 1, -1))
    if len(moments):  # what comes and goes at one moment is one step
        ends = np.r_[moments[1:] != moments[:-1], True]
        moments, waiting = moments[ends], waiting[ends]
    decides = np.flatnonzero((waiting >= _FLOOD) | (waiting < _EBB))
    flood = waiting[decides] >= _FLOOD
    turns = np.flatnonzero(np.r_[flood[:1], flood[1:] != flood[:-1]])
    edges = [*moments[decides[turns]].tolist(), end_ns]
    floods = zip(edges[:-1:2], edges[1::2], strict=False) if len(turns) else ()
    return [(max(begin, start_ns), min(end, end_ns)) for begin, end in floods if begin < end_ns and end > start_ns]


def _recent(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many alarms came in the ten minutes up to each."""
    return np.arange(1, len(times) + 1) - np.searchsorted(times, times - TEN_NS, "right")


def _percent_over(times: NDArray[np.int64], start_ns: int, end_ns: int, width_ns: int, most: int) -> float | None:
    """The percentage of whole periods of the range in which more than so many alarms came."""
    periods = (end_ns - start_ns) // width_ns
    if periods == 0:
        return None
    number = (times - start_ns) // width_ns
    _, counts = np.unique(number[number < periods], return_counts=True)
    return 100 * int((counts > most).sum()) / periods


def _chatters(times: NDArray[np.int64]) -> bool:
    before = _CHATTERS - 1
    return bool((times[before:] - times[:-before] < MINUTE_NS).any())
