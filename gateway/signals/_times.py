"""Times of readings: as people have them, and whether a clock was set back."""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(time_ns: int) -> str:
    """Return a time in ns since 1970 as RFC 3339 in UTC, to the second."""
    return (_EPOCH + timedelta(seconds=time_ns // 1_000_000_000)).isoformat().replace("+00:00", "Z")


def in_a_row(behind: NDArray[np.bool_], before: int) -> NDArray[np.intp]:
    """Return how many readings in a row, up to each, were behind all others; `before` of them came before the first."""
    row = np.arange(len(behind))
    in_time = np.maximum.accumulate(np.where(behind, -1, row))
    return np.asarray(row - in_time + np.where(in_time < 0, before, 0))
