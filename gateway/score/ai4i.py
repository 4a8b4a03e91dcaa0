"""AI4I 2020, a milling machine of the UCI repository (601): the three failures that are rules, as derived tags.

HDF heat dissipation, PWF power, OSF overstrain (Matzka, Explainable Artificial Intelligence for Predictive Maintenance
Applications, AI4I 2020, section II). Each row of a file is a moment.
"""

import csv
import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from gateway.model import Batch, Catalog, Tag
from gateway.signals import derived

COLUMNS: Final = ("row", "HDF", "PWF", "OSF")

_RULES: Final[Mapping[str, str]] = {
    "HDF": "process - air < 8.6 and speed < 1380",
    "PWF": "not 3500 <= torque * speed * 2 * pi / 60 <= 9000",
    "OSF": "wear * torque > (11000 if type == 0 else 12000 if type == 1 else 13000)",
}
_TAGS: Final[Mapping[str, str]] = {
    "air": "Air temperature [K]",
    "process": "Process temperature [K]",
    "speed": "Rotational speed [rpm]",
    "torque": "Torque [Nm]",
    "wear": "Tool wear [min]",
}
_TYPES: Final = "LMH"


def predictions(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Derive the failures of each row of the file `ai4i2020.csv`, also compressed."""
    for path in sorted(folder.glob("ai4i2020.csv*")):
        encoded = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = list(csv.DictReader(encoded.decode("utf-8-sig").splitlines()))
        values = np.array([[*(float(row[name]) for name in _TAGS.values()), _TYPES.index(row["Type"])] for row in rows])
        found = [_derived(rule, values) for rule in _RULES.values()]
        for i, failures in enumerate(zip(*found, strict=True)):
            yield "", (i, *(int(failure) for failure in failures))


def _derived(rule: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[bool]:
    """What a derived tag of this rule is at each row, shape (rows, tags)."""
    catalog = Catalog([Tag("mill", name) for name in (*_TAGS, "type")])
    options = derived.Options(asset="mill", formula=rule)
    signal = derived.signal(options, {"value": catalog.add(Tag("mill", "failure"))}, catalog)
    wanted = signal.inputs
    time = np.repeat(np.arange(len(values)), len(wanted))
    batch = Batch.of(np.tile(wanted, len(values)), time, values[:, wanted].ravel())
    return [bool(value) for derived_ in signal.update(batch) for value in derived_.value]
