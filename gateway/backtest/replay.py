"""Readings out of history as they would have come, through the signals as they run (gateway/derive.py).

History is in order of time, the journal in order of arrival. Here a second of time comes at once, then what signals
derive from it, then what follows from that, and only then the next second: as it is in a plant that is read once a
second. What came later than signals wait for it, or from the history of a device, live signals have not seen, and here
they do. What signals have derived in the past is not read: it is derived anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from gateway.derive import Wiring, updated
from gateway.historian.history import History
from gateway.historian.order import batch_of
from gateway.model import Batch, Catalog, Kind
from gateway.model.batch import join_kinds
from gateway.recall import Built

_SECOND_NS: Final = 1_000_000_000
_READINGS: Final = 500_000
"""About so many readings are in memory at once, some 50 MB. A text or a waveform counts as _OBJECT of them."""
_OBJECT: Final = 500
_FIRST_NS, _MOST_NS = 60 * _SECOND_NS, 86_400 * _SECOND_NS
"""How much time is read at first, and at the most."""


def replayed(
    signals: Mapping[str, Built], catalog: Catalog, history: History, start_ns: int, end_ns: int
) -> Iterator[list[Batch]]:
    """Yield what signals derive from the readings in [start, end), in order; what follows at once comes together.

    The signals are in the order of what feeds what. Raises SQLAlchemyError if history cannot be read.
    """
    wiring = Wiring([built.signal for built in signals.values()], len(catalog))
    measured = {n: catalog[n].path for n in np.flatnonzero(wiring.wanted).tolist() if catalog[n].device}
    for coming in seconds(history, measured, start_ns, end_ns):
        while coming:
            coming = updated(wiring.work(coming))
            yield coming


def seconds(history: History, paths: Mapping[int, str], start_ns: int, end_ns: int) -> Iterator[list[Batch]]:
    """Yield the readings in [start, end) of tags with these paths, a second at a time; those without any are left out.

    Of a second, numbers come before texts and waveforms.
    """
    span_ns = _FIRST_NS
    while start_ns < end_ns:
        stop_ns = min((start_ns // span_ns + 1) * span_ns, end_ns)
        kinds = [
            batch.take(np.argsort(batch.time, kind="stable"))
            for batch in join_kinds(_all(history, paths, start_ns, stop_ns))
        ]
        kinds.sort(key=lambda batch: batch.kind is Kind.OBJECT)
        yield from _cut(kinds)
        weight = sum(len(batch) * (_OBJECT if batch.kind is Kind.OBJECT else 1) for batch in kinds)
        room = _READINGS * (stop_ns - start_ns) / max(weight, 1)
        start_ns, span_ns = stop_ns, _whole(min(room, 4.0 * span_ns, float(_MOST_NS)))


def _all(history: History, paths: Mapping[int, str], start_ns: int, end_ns: int) -> Iterator[Batch]:
    return (
        batch_of(number, part) for number, path in paths.items() for part in history.readings(path, start_ns, end_ns)
    )


def _cut(kinds: Sequence[Batch]) -> Iterator[list[Batch]]:
    """Batches, each in order of time, second by second."""
    found = [batch.time // _SECOND_NS for batch in kinds]
    each = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
    edges = [np.append(np.searchsorted(second, each), len(second)).tolist() for second in found]
    for i in range(len(each)):
        yield [_rows(batch, at[i], at[i + 1]) for batch, at in zip(kinds, edges, strict=True) if at[i] < at[i + 1]]


def _rows(batch: Batch, first: int, last: int) -> Batch:
    rows = slice(first, last)
    return Batch(batch.tag[rows], batch.time[rows], batch.value[rows], batch.quality[rows])


def _whole(span_ns: float) -> int:
    """A number of seconds, one at least."""
    return max(int(span_ns) // _SECOND_NS, 1) * _SECOND_NS
