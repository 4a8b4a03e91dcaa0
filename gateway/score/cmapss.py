"""C-MAPSS, NASA's turbofan engines: what is left of each engine of `test_FD00k` after its last row.

`train_FD00k` are engines that ran until they failed. Columns: unit, cycle, 3 settings, 21 tags. The four sets are
learned and scored one by one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.signals._prognosis.course import AGES, features
from gateway.signals._prognosis.directions import Directions
from gateway.signals._prognosis.fleet import Fleet
from gateway.signals._prognosis.regimes import Regimes

COLUMNS: Final = ("unit", "rul", "lower", "upper")

_SETTINGS: Final = slice(2, 5)
_TAGS: Final = slice(5, 26)
_NAME: Final = slice(len("train_"), len("train_FD001"))

Matrix = NDArray[np.float64]


def predictions(folder: Path) -> Iterator[tuple[str, tuple[int, float, float, float]]]:
    """Predict every unit of every set that is in the folder, also compressed; and again without knowing its age."""
    paths = sorted(folder.glob("train_FD*.txt*"))
    for path in paths:
        train, test = np.loadtxt(path), np.loadtxt(path.with_name(path.name.replace("train", "test")))
        regimes = Regimes(train[:, _SETTINGS], train[:, _TAGS])
        runs = [z for _, z in _runs(train, regimes)]
        directions = Directions(runs)
        courses = [features(directions.along(z)) for z in runs]
        units, last = zip(*((unit, features(directions.along(z))[-1]) for unit, z in _runs(test, regimes)), strict=True)
        known = slice(None), slice(None, -AGES)
        part = path.name[_NAME] if len(paths) > 1 else ""
        for name, columns in zip((part, f"{part}_without_age".strip("_")), known, strict=True):
            fleet = Fleet([course[:, columns] for course in courses], np.random.default_rng(0))
            life = fleet.predict(np.array(last)[:, columns])
            for unit, *lives in zip(units, life.rul.tolist(), life.lower.tolist(), life.upper.tolist(), strict=True):
                rul, lower, upper = (round(rows, 3) for rows in lives)
                yield name, (unit, rul, lower, upper)


def _runs(rows: Matrix, regimes: Regimes) -> Iterator[tuple[int, Matrix]]:
    """Each unit and its tags."""
    for unit in np.unique(rows[:, 0]):
        run = rows[rows[:, 0] == unit]
        yield int(unit), regimes.z(run[:, _SETTINGS], run[:, _TAGS])
