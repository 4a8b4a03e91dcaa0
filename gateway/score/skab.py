"""SKAB, the Skoltech Anomaly Benchmark: runs of a pump test rig, 8 tags once per second.

Each file is learned from its first 400 rows. The tags are one machine: the alarm is that of any of them.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from gateway.signals._state_detection.changes import Changes
from gateway.signals._state_detection.shift import Shift

COLUMNS: Final = ("file", "timestamp", "is_anomaly", "is_changepoint")

_TAGS: Final = slice(1, 9)
"""Columns of a file: time, tags, and labels where there are some."""


def predictions(folder: Path) -> Iterator[tuple[str, tuple[str, str, int, int]]]:
    """Judge each row of each file `*/*.csv`."""
    for path in sorted(folder.glob("*/*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file, delimiter=";")
        values = np.array([row[_TAGS] for row in rows], np.float64)
        shift, changes = Shift(values.shape[1]), Changes(values.shape[1])
        for (timestamp, *_), row in zip(rows, values, strict=True):
            shift.step(row)
            changes.step(row)
            judged = int(shift.alarm.any()), int(changes.changed)
            yield "", (path.relative_to(folder).as_posix(), timestamp, *judged)
