"""The Tennessee Eastman process: 52 tags of a simulated chemical plant, a row each three minutes.

Files of Russell, Chiang and Braatz: all is learned from `d00.dat`, which is normal running; `dNN_te.dat` have a fault.
Tags have the names of Downs and Vogel (Computers & Chemical Engineering 17, 1993, tables 3 to 5).
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.signals._state_detection.monitor import Monitor

COLUMNS: Final = ("file", "row", "is_anomaly", "causes")

_TAGS: Final = (*(f"XMEAS({i})" for i in range(1, 42)), *(f"XMV({i})" for i in range(1, 12)))
_ON: Final = 5
"""Rows beyond the limit that raise an alarm, as with a signal of the kind monitor."""
_HOUR: Final = 20
_NAMED: Final = 3

Row = tuple[str, int, int, str]


def predictions(folder: Path) -> Iterator[tuple[str, Row]]:
    """Judge each row of each file `d*_te.dat`, also compressed; of one beyond the limit, name what has most of it."""
    for path in sorted(folder.glob("d*_te.dat*")):
        monitor = Monitor(_rows(next(folder.glob("d00.dat*"))))
        for i, row in enumerate(_rows(path)):
            monitor.step(row)
            causes = _named(monitor.shares) if monitor.beyond else ""
            yield "", (path.name.removesuffix(".gz"), i, int(monitor.beyond), causes)


def told(rows: Sequence[Row]) -> Iterator[str]:
    """Say of each file when the first alarm came, and what had most to do with it then and in the hour that follows."""
    for name, group in groupby(rows, lambda row: row[0]):
        mine = list(group)
        beyond = np.array([row[2] for row in mine])
        alarms = np.flatnonzero(np.convolve(beyond, np.ones(_ON))[: len(beyond)] == _ON)
        if not len(alarms):
            yield f"{name}: no alarm"
            continue
        first = int(alarms[0])
        hour = np.sum([_shares(causes) for *_, causes in mine[first : first + _HOUR]], axis=0)
        yield f"{name}: alarm in row {first}, {mine[first][3]}; in its first hour {_named(hour / hour.sum())}"


def _named(shares: NDArray[np.float64]) -> str:
    return " ".join(f"{_TAGS[i]}={shares[i]:.2f}" for i in np.argsort(-shares, kind="stable")[:_NAMED])


def _shares(causes: str) -> NDArray[np.float64]:
    found = np.zeros(len(_TAGS))
    for tag, share in (cause.split("=") for cause in causes.split()):
        found[_TAGS.index(tag)] = float(share)
    return found


def _rows(path: Path) -> NDArray[np.float64]:
    """The rows of a file, shape (rows, tags); one of them is published on its side."""
    values = np.loadtxt(path)
    return values.T if len(values) == len(_TAGS) else values
