"""C-MAPSS, NASA's turbofan engines: what is left of each engine of `test_FD00k` after its last row.

`train_FD00k` are engines that ran until they failed. Columns: unit, cycle, 3 settings, 21 tags. The four sets are
learned and scored one by one, by what `gateway fit` learns and a signal of the kind life_fleet uses.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.signals._prognosis.fleet import Settings
from gateway.signals._prognosis.model import FleetModel

COLUMNS: Final = ("unit", "rul", "lower", "upper")

SETTINGS: Final = tuple(f"setting{i}" for i in range(1, 4))
TAGS: Final = tuple(f"s{i}" for i in range(1, 22))
_NAME: Final = slice(len("train_"), len("train_FD001"))

Matrix = NDArray[np.float64]


def predictions(folder: Path) -> Iterator[tuple[str, tuple[int, float, float, float]]]:
    """Predict every unit of every set that is in the folder, also compressed; and again without knowing its age."""
    paths = sorted(folder.glob("train_FD*.txt*"))
    for path in paths:
        train, test = units(path), units(path.with_name(path.name.replace("train", "test")))
        part = path.name[_NAME] if len(paths) > 1 else ""
        for name, aged in ((part, True), (f"{part}_without_age".strip("_"), False)):
            chance, how = np.random.default_rng(0), Settings(aged=aged)
            model = FleetModel.learn(list(train.values()), SETTINGS, TAGS, 3600.0, chance, how)
            last = [known[-1] for known, _ in model.fleet.follow(list(test.values()))]
            life = model.life(np.array(last))
            for unit, *lives in zip(test, life.rul.tolist(), life.lower.tolist(), life.upper.tolist(), strict=True):
                rul, lower, upper = (round(rows, 3) for rows in lives)
                yield name, (unit, rul, lower, upper)


def units(path: Path) -> dict[int, Matrix]:
    """Return the rows of each unit of a file, settings and tags."""
    rows = np.loadtxt(path)
    return {int(unit): rows[rows[:, 0] == unit][:, 2:] for unit in np.unique(rows[:, 0])}
