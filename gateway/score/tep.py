"""The Tennessee Eastman process: 52 tags of a simulated chemical plant, a row each three minutes.

Files of Russell, Chiang and Braatz: all is learned from `d00.dat`, which is normal running; `dNN_te.dat` have a fault.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.signals._state_detection.monitor import Monitor

COLUMNS: Final = ("file", "row", "is_anomaly")

_TAGS: Final = 52


def predictions(folder: Path) -> Iterator[tuple[str, tuple[str, int, int]]]:
    """Judge each row of each file `d*_te.dat`, also compressed."""
    for path in sorted(folder.glob("d*_te.dat*")):
        monitor = Monitor(_rows(next(folder.glob("d00.dat*"))))
        for i, row in enumerate(_rows(path)):
            monitor.step(row)
            yield "", (path.name.removesuffix(".gz"), i, int(monitor.beyond))


def _rows(path: Path) -> NDArray[np.float64]:
    """The rows of a file, shape (rows, tags); one of them is published on its side."""
    values = np.loadtxt(path)
    return values.T if len(values) == _TAGS else values
