"""C-MAPSS, NASA's turbofan engines: what is left of each engine of `test_FD00k` after its last row.

`train_FD00k` are engines that ran until they failed. Columns: unit, cycle, 3 settings, 21 tags. The four sets are
learned and scored one by one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.signals._prognosis.course import features
from gateway.signals._prognosis.fleet import Fleet
from gateway.signals._prognosis.regimes import Regimes

COLUMNS: Final = ("unit", "rul", "lower", "upper")

_SETTINGS: Final = slice(2, 5)
_TAGS: Final = slice(5, 26)
_NAME: Final = slice(len("train_"), len("train_FD001"))

Matrix = NDArray[np.float64]


def predictions(folder: Path) -> Iterator[tuple[str, tuple[int, float, float, float]]]:
    """Predict every unit of every set that is in the folder, also compressed."""
    for path in sorted(folder.glob("train_FD*.txt*")):
        train, test = np.loadtxt(path), np.loadtxt(path.with_name(path.name.replace("train", "test")))
        regimes = Regimes(train[:, _SETTINGS], train[:, _TAGS])
        fleet = Fleet([course for _, course in _courses(train, regimes)], np.random.default_rng(0))
        units, courses = zip(*_courses(test, regimes), strict=True)
        life = fleet.predict(np.array([course[-1] for course in courses]))
        for unit, *lives in zip(units, life.rul.tolist(), life.lower.tolist(), life.upper.tolist(), strict=True):
            rul, lower, upper = (round(rows, 3) for rows in lives)
            yield path.name[_NAME], (unit, rul, lower, upper)


def _courses(rows: Matrix, regimes: Regimes) -> Iterator[tuple[int, Matrix]]:
    """Each unit and its features."""
    for unit in np.unique(rows[:, 0]):
        run = rows[rows[:, 0] == unit]
        yield int(unit), features(regimes.z(run[:, _SETTINGS], run[:, _TAGS]))
