"""What is told of remaining life, by a trend or a fleet (ISO 13381-1): how long, within which bounds, on what basis.

Silence is told as well: the basis is `none` then, and the times are bad.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from gateway.model import Batch, Quality, Tag
from gateway.model.batch import objects

_TIMES: Final = ("rul", "low", "high")
_DESCRIPTIONS: Final = {
    "rul": "remaining useful life",
    "low": "remaining useful life, 5 % of machines have less",
    "high": "remaining useful life, 5 % of machines have more",
}

Life = tuple[float, float, float]
"""Likely, low and high, in hours."""


def outputs(name: str, asset: str) -> Mapping[str, Tag]:
    times = {
        role: Tag(asset, f"_maintenance/{name}_{role}", unit="h", description=_DESCRIPTIONS[role]) for role in _TIMES
    }
    return times | {
        "basis": Tag(asset, f"_maintenance/{name}_basis", description="of remaining life: trend, limit, fleet or none")
    }


class Told:
    """Turns what is known into readings; the basis is told when it changes, and silence once."""

    def __init__(self, outputs: Mapping[str, int]) -> None:
        self._tags = [outputs[role] for role in _TIMES]
        self._basis_tag = outputs["basis"]
        self._basis = ""

    def of(self, time_ns: int, life: Life | None, basis: str) -> list[Batch]:
        """Return the readings of a moment at which this life is known, on this basis; None if nothing can be said."""
        basis = basis if life is not None else "none"
        before, self._basis = self._basis, basis
        found = []
        if life is not None:
            found.append(Batch.of(self._tags, time_ns, np.array(life), Quality.GOOD))
        elif before != basis:
            found.append(Batch.of(self._tags, time_ns, np.full(len(_TIMES), np.nan), Quality.BAD_NO_DATA_AVAILABLE))
        if before != basis:
            found.append(Batch.of([self._basis_tag], time_ns, objects([basis]), Quality.GOOD))
        return found
