"""What readings of one series come to, by bucket of time, and fewer of them for a picture. Pure.

A reading holds until the next one comes (OPC 10000-13, stepped interpolation): that gives means that are weighted by
time, and how long a state lasted. While the value is not good nothing is known, and the time does not count.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.historian.chunk import Readings
from gateway.historian.rollup import Rollup, rollup_sorted
from gateway.model import Batch
from gateway.model.quality import good

STATES_MAX: Final = 64
"""States of which the time is told; what has more is no state."""
Choose = Callable[[NDArray[np.int64], NDArray[np.float64], int], NDArray[np.intp]]
"""From times and values, which positions to show when so many points are wanted."""
_S: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """One row per bucket in which something is known, columns of shape (m,).

    `rollup` is of the readings in the bucket; `held` the seconds in which the value is known, also by a reading before;
    `time_mean` its mean over these, NaN where there are none or it is no number; `changes` counts good readings that
    differ from the good one before; `states` are the seconds of each value, for what has few and is no float.
    """

    rollup: Rollup
    held: NDArray[np.float64]
    time_mean: NDArray[np.float64]
    changes: NDArray[np.int64]
    states: Mapping[str, NDArray[np.float64]]


def summarise(readings: Readings, start_ns: int, end_ns: int, bucket_ns: int) -> Summary:
    """Return a row per bucket of [start, end). The readings, at least one, are by time, before the end.

    The last one at or before the start, if it is among them, says what the value is there; others before do not count.
    """
    number = _numbers(readings)
    usable = good(readings.quality)
    edges = np.arange(start_ns - start_ns % bucket_ns, end_ns + bucket_ns, bucket_ns)
    edges = edges[: np.searchsorted(edges, end_ns) + 1]
    clipped = np.clip(edges, start_ns, end_ns)
    until = np.append(readings.time[1:], end_ns)

    def spent(weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """The integral of a weight per reading over each bucket, in seconds; it is linear in between, so exact."""
        sums = np.concatenate(([0.0], np.cumsum(weight * ((until - readings.time) * _S))))
        knots = (np.append(readings.time, end_ns) - start_ns) * _S
        between: NDArray[np.float64] = np.diff(np.interp((clipped - start_ns) * _S, knots, sums))
        return between

    counts = usable & np.isfinite(number)
    held = spent(usable.astype(np.float64))
    weighed = spent(counts.astype(np.float64))
    area = spent(np.where(counts, number, 0.0))
    within = np.flatnonzero(readings.time >= start_ns)
    batch = Batch(np.zeros(len(within), np.uint32), readings.time[within], number[within], readings.quality[within])
    rows = rollup_sorted(batch, bucket_ns)
    at = np.searchsorted(edges, rows.bucket)
    known = held > 0
    known[at] = True
    full = _spread(rows, edges[:-1], at)
    changed = np.flatnonzero(usable)[1:][_differs(readings.value[usable])]
    changes = np.bincount(
        np.searchsorted(edges, readings.time[changed[readings.time[changed] >= start_ns]], "right") - 1,
        minlength=len(edges) - 1,
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(weighed > 0, area / weighed, np.nan)
    states = {name: spent((own & usable).astype(np.float64))[known] for name, own in _states(readings.value).items()}
    return Summary(full.where(known), held[known], mean[known], changes[known], states)


def minmax(time: NDArray[np.int64], value: NDArray[np.float64], points: int) -> NDArray[np.intp]:
    """Return the positions of the smallest and the largest value of each of points / 2 stretches of equal time."""
    n = max(1, points // 2)
    if len(time) <= 2 * n:
        return np.arange(len(time))
    span = max(1, int(time[-1]) - int(time[0]) + 1)
    part = np.minimum(((time - time[0]) / span * n).astype(np.intp), n - 1)
    order = np.lexsort((value, part))
    starts = np.flatnonzero(np.append(True, np.diff(part[order]) != 0))
    return np.unique(np.concatenate((order[starts], order[np.append(starts[1:], len(order)) - 1])))


def lttb(time: NDArray[np.int64], value: NDArray[np.float64], points: int) -> NDArray[np.intp]:
    """Return the positions of as many points that keep the look of the line: largest triangle, three buckets.

    Sveinn Steinarsson: Downsampling time series for visual representation (2013), section 4.2.
    """
    n = len(time)
    if n <= points or points < 3:
        return np.arange(n) if n <= points else np.array([0, n - 1][:points])
    x = (time - time[0]).astype(np.float64)
    bounds = np.linspace(1, n - 1, points - 1).astype(np.intp)
    kept = [0]
    for k in range(points - 2):
        a, b = bounds[k], bounds[k + 1]
        c = bounds[k + 2] if k + 2 < len(bounds) else n
        ahead = slice(b, max(c, b + 1))
        to_x, to_y = x[ahead].mean(), value[ahead].mean()
        at = kept[-1]
        area = np.abs((x[at] - to_x) * (value[a:b] - value[at]) - (x[at] - x[a:b]) * (to_y - value[at]))
        kept.append(int(a + np.argmax(area)))
    return np.array([*kept, n - 1])


PICTURES: Final[Mapping[str, Choose]] = {"lttb": lttb, "minmax": minmax}


def _numbers(readings: Readings) -> NDArray[np.float64]:
    if readings.value.dtype == object:
        return np.full(len(readings), np.nan)
    return readings.value.astype(np.float64)


def _differs(value: NDArray[Any]) -> NDArray[np.bool_]:
    if value.dtype == object:
        pairs = zip(value[1:], value[:-1], strict=True)
        return np.array([not np.array_equal(one, other) for one, other in pairs], bool)
    differs: NDArray[np.bool_] = value[1:] != value[:-1]
    return differs


def _states(value: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """Where each state is; none for floats, and where there are too many values to be states."""
    if value.dtype == np.float64:
        return {}
    told = np.array([str(x) for x in value], object) if value.dtype == object else value
    names, of = np.unique(told, return_inverse=True)
    if len(names) > STATES_MAX:
        return {}
    return {str(name): of == k for k, name in enumerate(names.tolist())}


def _spread(rows: Rollup, bucket: NDArray[np.int64], at: NDArray[np.intp]) -> Rollup:
    """The rows with one for each bucket; those that had none count nothing."""
    m = len(bucket)

    def column(given: NDArray[Any], missing: float) -> NDArray[Any]:
        spread = np.full(m, missing, given.dtype)
        spread[at] = given
        return spread

    return Rollup(
        series=np.zeros(m, np.int64),
        bucket=bucket,
        count=column(rows.count, 0),
        good=column(rows.good, 0),
        minimum=column(rows.minimum, np.nan),
        maximum=column(rows.maximum, np.nan),
        total=column(rows.total, 0.0),
        squares=column(rows.squares, 0.0),
        first=column(rows.first, np.nan),
        first_time=column(rows.first_time, 0),
        last=column(rows.last, np.nan),
        last_time=column(rows.last_time, 0),
        opens=column(rows.opens, 0),
        closes=column(rows.closes, 0),
        unknown=column(rows.unknown, 0),
        area=column(rows.area, 0.0),
    )
