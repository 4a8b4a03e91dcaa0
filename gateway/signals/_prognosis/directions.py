"""Directions in which machines move slowly, told from tags that mostly tremble.

A combination of tags is worth the more the less it changes from row to row for how far it moves in all: the larger the
autocorrelation of its rows is (min/max autocorrelation factors; Switzer, Green, Stanford Technical Report 6, 1984).
With C the covariance of rows and D that of their differences these are the eigenvectors of C to D/2, each eigenvalue is
1 / (1 - autocorrelation). A fleet has as many of them as there are ways to wear and to be made; the rest is noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_AUTOCORRELATION_MIN: Final = 1 / 3
"""That of pure noise is 0, of what wear does 0.8 to 0.98."""
_RIDGE: Final = 1e-3
"""As a share of the variance of a tag: two tags may be one and the same."""


@dataclass(frozen=True, slots=True)
class Directions:
    """The slow directions of a fleet: `mix` makes them of tags, shape (n, directions), the slowest first."""

    mix: Matrix

    @classmethod
    def of(cls, runs: Sequence[Matrix]) -> Self:
        """Learn from runs of machines, shape (rows, n) each, of tags with a deviation of about 1."""
        rows = np.vstack(runs)
        trembles = np.cov(np.vstack([np.diff(run, axis=0) for run in runs]), rowvar=False) / 2
        whiten = np.linalg.inv(np.linalg.cholesky(np.atleast_2d(trembles) + _RIDGE * np.eye(rows.shape[1])))
        slow, vectors = np.linalg.eigh(whiten @ np.atleast_2d(np.cov(rows, rowvar=False)) @ whiten.T)
        count = max(1, int((slow > 1 / (1 - _AUTOCORRELATION_MIN)).sum()))
        mix = (whiten.T @ vectors)[:, ::-1][:, :count]
        return cls(mix / (rows @ mix).std(axis=0))

    def __len__(self) -> int:
        return len(self.mix.T)

    def along(self, rows: Matrix) -> Matrix:
        """Return where the rows are in each direction, the slowest first, with a deviation of 1 in the fleet."""
        where: Matrix = rows @ self.mix
        return where
