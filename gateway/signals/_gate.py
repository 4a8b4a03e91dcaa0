"""Whether a machine runs: a formula of its tags that the configuration calls `when`."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from gateway.model import Batch, Catalog
from gateway.signals._expression import Expression


def _formula(text: str) -> str:
    if text:
        Expression(text)
    return text


Formula = Annotated[str, AfterValidator(_formula)]
"""A formula, or nothing."""


def named(when: str) -> Sequence[str]:
    """Return the names in a formula; none if there is no formula."""
    return Expression(when).names if when else []


class Gate:
    """Whether a machine runs and has settled, by a formula of columns of a row."""

    def __init__(self, when: str, names: Sequence[str], settle: int) -> None:
        self._expression = Expression(when)
        self._places = [names.index(name) for name in self._expression.names]
        self._settle = settle
        self._up = 0

    @property
    def runs(self) -> bool:
        return self._up > 0

    def open(self, row: NDArray[np.float64]) -> bool:
        values = row[self._places]
        columns = dict(zip(self._expression.names, values[:, None], strict=True))
        runs = not np.isnan(values).any() and bool(self._expression(columns)[0])
        self._up = self._up + 1 if runs else 0
        return self._up > self._settle


class Running:
    """The readings of one tag that came while its machine ran; all of them if nothing says when it does.

    What a tag of the formula was last counts until it says something else; a bad reading says that nobody knows.
    """

    def __init__(self, when: str, tag: int, catalog: Catalog) -> None:
        self._tag = tag
        self._expression = Expression(when) if when else None
        asset = catalog[tag].asset
        self._beside = [catalog.number(f"{asset}/{name}") for name in named(when)]
        self._last = np.full(len(self._beside), np.nan)
        self.inputs = np.unique(np.array([tag, *self._beside], np.uint32))

    def take(self, batch: Batch) -> Batch:
        """Take readings in order of arrival, numbers; return those of the tag that count."""
        if self._expression is None or not len(batch):
            return batch
        seen = [self._held(batch, i) for i in range(len(self._beside))]
        self._last = np.array([column[-1] for column in seen])
        runs = np.asarray(self._expression(dict(zip(self._expression.names, seen, strict=True))), np.bool_)
        return batch.where(runs & ~np.isnan(seen).any(axis=0) & (batch.tag == self._tag))

    def _held(self, batch: Batch, i: int) -> NDArray[np.float64]:
        """What a tag of the formula was when each reading came, shape (n,)."""
        value = np.where(batch.good, batch.value.astype(np.float64), np.nan)
        at = np.maximum.accumulate(np.where(batch.tag == self._beside[i], np.arange(len(batch)), -1))
        return np.where(at < 0, self._last[i], value[at])
