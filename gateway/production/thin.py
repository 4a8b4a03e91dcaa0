"""Which edges nobody needs any more. Pure.

What is old is thinned: a value that is repeated says nothing, and of a counter the last reading of a minute is enough,
or of the time until something else changes. Counts of ranges that begin and end with a minute, a state or an order
stay as they were, to the last piece; times always do.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.production.track import Track

MINUTE_NS = 60 * 10**9


def repeated(track: Track) -> NDArray[np.bool_]:
    """Return which rows say what the row before says, shape (n,)."""
    same = [
        now == before and type(now) is type(before)
        for now, before in zip(track.value[1:], track.value[:-1], strict=True)
    ]
    return np.array([False, *same][: len(track.time)], np.bool_)


def needless(track: Track, cuts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows of a counter are needless, if ranges begin and end at minutes or at `cuts`; shape (n,).

    The first and the last row stay, and so do those around a fall and around what is not known.
    """
    n = len(track.time)
    if n < 3:
        return np.zeros(n, np.bool_)
    minute = track.time // MINUTE_NS
    part = np.searchsorted(np.unique(cuts), track.time, "right")
    last = np.append((minute[1:] != minute[:-1]) | (part[1:] != part[:-1]), True)
    steady = np.zeros(n, np.bool_)
    steady[1:-1] = _rising(track.value[1:-1], track.value[2:]) & _rising(track.value[:-2], track.value[1:-1])
    steady &= ~last
    return steady


def _rising(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.bool_]:
    number = (int, float)
    return np.array(
        [isinstance(a, number) and isinstance(b, number) and 0 <= a <= b for a, b in zip(before, after, strict=True)],
        np.bool_,
    )
