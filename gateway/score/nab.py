"""NAB, the Numenta Anomaly Benchmark: single tags of servers, machines, roads and shops.

The first 15 % of a file, at most 750 rows, are there to learn from; a tick is the distance of rows in them. A score is
that of a row with which an alarm comes, and 0 for all others: one threshold for all files, that of the alarm.
"""

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from gateway.signals._state_detection.novelty import Novelty, Settings

COLUMNS: Final = ("file", "timestamp", "score")

_PROBATION: Final = 0.15
_PROBATION_MAX: Final = 750
_DAY_S: Final = 86_400


def predictions(folder: Path) -> Iterator[tuple[str, tuple[str, str, float]]]:
    """Judge each row of each file `data/*/*.csv`."""
    for path in sorted(folder.glob("data/*/*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        times = [datetime.fromisoformat(timestamp) for timestamp, _ in rows]
        seconds = np.array([time.hour * 3600 + time.minute * 60 + time.second for time in times])
        warm_up = min(int(_PROBATION * len(rows)), _PROBATION_MAX)
        tick_s = float(np.median(np.diff(seconds[:warm_up]) % _DAY_S))
        novelty = Novelty(1, max(1, round(_DAY_S / tick_s)), Settings(warm_up=warm_up))
        for (timestamp, value), second in zip(rows, seconds.tolist(), strict=True):
            novelty.step(np.array([float(value)]), int(second / tick_s))
            score = float(novelty.surprise[0]) if novelty.raised[0] else 0.0
            yield "", (path.relative_to(folder / "data").as_posix(), timestamp, round(score, 3))
