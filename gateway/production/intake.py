"""From batches to edges: what of the readings is kept, and from when on nobody knows. Pure.

An edge is (series, time [ns], value), and None as value says that nobody knows from then on. The edges of a journal do
not depend on how its records are cut into deliveries.

A device that is lost says so in a reading that is not good, and so does a gateway that starts again of the time in
which it did not run. When a device is back, an OPC UA server repeats a value with the time of its last change, before
the loss: then it is known again from the moment of that answer.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Kind, Quality

Edge = tuple[int, int, Any]
_STALE: Final = Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE
_TEXT_MAX: Final = 200
_NEVER: Final = np.iinfo(np.int64).min


class Intake:
    """Remembers of each series when its newest edge was, and whether it is known."""

    def __init__(self) -> None:
        self._newest: NDArray[np.int64] = np.empty(0, np.int64)
        self._known: NDArray[np.bool_] = np.empty(0, np.bool_)

    def begin(self, series: int, newest_ns: int = _NEVER, *, known: bool = True) -> None:
        """Expect a series with this number, whose newest edge is this."""
        more = series + 1 - len(self._newest)
        if more > 0:
            self._newest = np.append(self._newest, np.full(more, _NEVER))
            self._known = np.append(self._known, np.ones(more, np.bool_))
        self._newest[series], self._known[series] = newest_ns, known

    def take(self, batch: Batch, series_of: NDArray[np.int64], received_ns: int) -> list[Edge]:
        """Return the edges of a batch. `series_of` has the series by number of a tag, -1 for what plays no role."""
        rows = np.flatnonzero(series_of[batch.tag] >= 0)
        if len(rows) == 0:
            return []
        batch = batch.take(rows)
        series = series_of[batch.tag]
        values = _values(batch)
        if batch.good.all() and self._known[series].all() and None not in values:
            np.maximum.at(self._newest, series, batch.time)
            return list(zip(series.tolist(), batch.time.tolist(), values, strict=True))
        said = zip(series.tolist(), batch.time.tolist(), values, batch.quality.tolist(), strict=True)
        return [edge for one in said for edge in self._edges(*one, received_ns, batch.historical)]

    def pause(self, since_ns: int) -> list[Edge]:
        """Return that nobody knows anything from a time on, or from the newest edge if that is later."""
        edges = []
        for series in np.flatnonzero(self._known & (self._newest > _NEVER)).tolist():
            time = max(since_ns, int(self._newest[series])) + 1
            self._newest[series], self._known[series] = time, False
            edges.append((series, time, None))
        return edges

    def _edges(
        self, series: int, time: int, value: Any, quality: int, received_ns: int, historical: bool
    ) -> list[Edge]:
        newest, known = int(self._newest[series]), bool(self._known[series])
        good = quality >> 30 == 0 and value is not None
        if historical and not good:
            return []
        if historical:
            self._newest[series], self._known[series] = max(newest, time), known or time > newest
            return [(series, time, value)]
        if good and (known or time > newest):
            self._newest[series], self._known[series] = max(newest, time), True
            return [(series, time, value)]
        if good:
            again = max(received_ns, newest + 1)
            self._newest[series], self._known[series] = again, True
            return [(series, time, value), (series, again, value)]
        time = max(time, received_ns) if quality == _STALE else time
        time += time == newest
        if time > newest:
            self._newest[series], self._known[series] = time, False
        return [(series, time, None)]


def _values(batch: Batch) -> list[Any]:
    """Values as SQLite keeps them exactly: whole numbers of 64 bits, floats, short texts; None for all others."""
    listed = batch.value.tolist()
    if batch.kind is Kind.OBJECT:
        return [value if isinstance(value, str) and len(value) <= _TEXT_MAX else None for value in listed]
    if batch.kind is Kind.UNSIGNED:
        return [value if value < 1 << 63 else None for value in listed]
    if batch.kind is Kind.FLOAT:
        return [value if value - value == 0 else None for value in listed]
    return [int(value) for value in listed]
