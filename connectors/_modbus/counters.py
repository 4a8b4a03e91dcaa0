"""Counters that roll over: 65534, 65535, 0, 1 goes on as 65534, 65535, 65536, 65537.

Knows numpy; not where the counts come from, nor what unit they have.

A count that falls has either gone over the end of its range or been set to zero, by a restart or by hand. A fall by
more than half the range is a wrap: between two readings, far apart as they may be, a sound counter moves a small part
of its range, so it wraps from near the end to near zero. Any other fall is a reset, and the count starts anew from
what the register has, as if it were seen for the first time: the total shows the fall that the device shows, and is
never more than the device has counted. So a counter must not move half its range between two readings, which is
32,768 for uint16; and one that is set to zero in the upper half of its range cannot be told from one that wrapped.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Counters:
    """Where each of n counters stands: its last raw count and how often it has wrapped.

    `names` identify the counters across restarts and `ranges` say how many raw counts each has (65536 for uint16; 0 for
    a row that is none); `state` is what `state()` returned in an earlier life. What is there of a name or a range that
    is no more is forgotten.
    """

    def __init__(self, names: Sequence[str], ranges: Sequence[int], state: Mapping[str, Any]) -> None:
        self._names = names
        self._range = np.array(ranges, dtype=np.int64)
        known = [
            state[name] if name in state and state[name]["range"] == size else {"last": 0, "wraps": 0}
            for name, size in zip(names, ranges, strict=True)
        ]
        self._last = np.array([one["last"] for one in known], dtype=np.int64)
        self._wraps = np.array([one["wraps"] for one in known], dtype=np.int64)

    def follow(self, rows: NDArray[np.intp], raw: NDArray[np.int64], good: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Take one raw count of each of these rows and return the totals; shapes (n,), no row twice.

        A row that is not good leaves its counter as it was, and its total means nothing.
        """
        last, size = self._last[rows], self._range[rows]
        fallen = raw < last
        wrapped = 2 * (last - raw) > size
        wraps = np.where(fallen, np.where(wrapped, self._wraps[rows] + 1, 0), self._wraps[rows]).astype(np.int64)
        self._last[rows[good]] = raw[good]
        self._wraps[rows[good]] = wraps[good]
        total: NDArray[np.int64] = raw + wraps * size
        return total

    def state(self) -> dict[str, dict[str, int]]:
        """Return what JSON can carry, for the next life: `{name: {last, wraps, range}}`."""
        columns = (self._last.tolist(), self._wraps.tolist(), self._range.tolist())
        return {
            name: {"last": last, "wraps": wraps, "range": size}
            for name, last, wraps, size in zip(self._names, *columns, strict=True)
            if size
        }
