"""A fleet and how sure it is: what `gateway fit` learns, and signals of the kind life_fleet use.

Machines are left out in turn, all is learned from the others, and they are predicted. What predictions near one missed
then are the quantiles of what it will miss, which is the interval (conformal prediction; Lei et al., JASA 113, 2018),
and how well they were predicted is the evidence that a model carries with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from gateway.signals._prognosis.fleet import Fleet, Machines, Settings, left

Matrix = NDArray[np.float64]

RUNS_MIN: Final = 10
"""Of fewer machines nothing can be learned that holds for another one."""
ROWS_MIN: Final = 10
"""Rows of a machine before something is said of it; a slope has little to go by before."""
_FOLDS: Final = 5
_BEYOND: Final = 0.05
"""What may be outside the interval, on each side."""
_NEAR: Final = 8.0
"""Predictions of a life so near to another miss by as much."""
_LEAST: Final = 200
"""Rows that an interval is read off, at least."""
_CAUTION: Final = 1.5
"""How much earlier than likely a life is said to end, because late is worse, in rows."""
_FULL: Final = 0.99
"""An interval that ends at this share of the cap has no end: longer lives are not told apart."""

YOUNG: Final = "too few readings"
ENDLESS: Final = "more is left than this fleet can tell"
_OLD: Final = "older than any machine of the fleet became"
_STRANGE: Final = "run as no machine of the fleet was"


@dataclass(frozen=True, slots=True)
class Life:
    """Remaining rows, shape (k,): most likely, and the ends of the interval."""

    rul: Matrix
    lower: Matrix
    upper: Matrix


@dataclass(frozen=True, slots=True)
class FleetModel:
    """A row is `period_s` long; its columns are `settings`, then `tags`."""

    settings: tuple[str, ...]
    tags: tuple[str, ...]
    period_s: float
    fleet: Fleet
    missed: Matrix
    """What predictions near 0, 1, ... cap rows missed: lower and upper end, shape (2, cap + 1)."""
    evidence: Mapping[str, float]
    """How good it is, by machines that were left out; `told` are the rows in which a signal tells something."""
    source: str = ""
    """What it was learned from."""

    @classmethod
    def learn(
        cls,
        runs: Sequence[Matrix],
        settings: Sequence[str],
        tags: Sequence[str],
        period_s: float,
        chance: np.random.Generator,
        how: Settings | None = None,
    ) -> Self:
        """Learn from runs, each of shape (rows, settings + tags), finite, the last row that of the failure.

        Raises ValueError if they are too few or too short, or nothing in them moves.
        """
        how = how or Settings()
        if len(runs) < RUNS_MIN:
            raise ValueError(f"{len(runs)} runs to failure are too few to learn from: give {RUNS_MIN} at least")
        if (shortest := min(map(len, runs))) < ROWS_MIN:
            raise ValueError(f"a run has {shortest} rows, {ROWS_MIN} are the least: leave it out or shorten the period")
        if not np.ptp(np.vstack(runs)[:, len(settings) :], axis=0).any():
            raise ValueError("no tag changes in any run: there is nothing to learn from")
        fleet = Fleet.of(runs, len(settings), chance, how)
        said, beyond = _said_by_others(runs, len(settings), chance, replace(how, members=1))
        lives = [left(run, how.cap) for run in runs]
        missed = _quantiles(np.concatenate(said), np.concatenate(lives), how.cap)
        model = cls(tuple(settings), tuple(tags), period_s, fleet, missed, {})
        return replace(model, evidence=model._evidence(runs, said, beyond))

    def life(self, known: Matrix) -> Life:
        """Return what is left of machines of which this is known, shape (k, m)."""
        return self._around(self.fleet.say(known))

    def after(self, machine: Machines, row: Matrix) -> tuple[tuple[float, float, float] | None, str]:
        """Take the next row of one machine, shape (settings + tags,), finite.

        Return the hours that are left, likely and as interval, or None and why nothing can be said.
        """
        known, beyond = self.fleet.step(machine, row[None])
        if machine.rows < ROWS_MIN:
            return None, YOUNG
        if beyond.any():
            moving = np.array(self.tags)[self.fleet.regimes.moves].tolist()
            return None, [_OLD, _STRANGE, *(f"{tag} is where it never was in the fleet" for tag in moving)][
                int(beyond[0].argmax())
            ]
        life = self.life(known)
        if life.upper[0] >= _FULL * self.fleet.cap:
            return None, ENDLESS
        hours = self.period_s / 3600
        return (float(life.rul[0]) * hours, float(life.lower[0]) * hours, float(life.upper[0]) * hours), ""

    def _around(self, likely: Matrix) -> Life:
        cap = self.fleet.cap
        at = np.arange(self.missed.shape[1])
        lower, upper = (np.clip(likely + np.interp(likely, at, column), 0, cap) for column in self.missed)
        return Life(np.clip(likely - _CAUTION, lower, upper), lower, upper)

    def _evidence(
        self, runs: Sequence[Matrix], said: Sequence[Matrix], beyond: Sequence[NDArray[np.bool_]]
    ) -> Mapping[str, float]:
        """How well machines were predicted by the others, in all their rows, and in those in which a signal tells."""
        cap = self.fleet.cap
        lives = [self._around(one) for one in said]
        true, capped = (np.concatenate([left(run, most) for run in runs]) for most in (np.inf, cap))
        rul, lower, upper = (
            np.concatenate([getattr(life, end) for life in lives]) for end in ("rul", "lower", "upper")
        )
        row = np.concatenate([np.arange(1, len(run) + 1) for run in runs])
        told = (row >= ROWS_MIN) & ~np.concatenate(beyond) & (upper < _FULL * cap)
        inside = (lower <= true) & (true <= upper)
        found = {
            "runs": len(runs),
            "rows": len(true),
            "rmse": _root_mean_square(rul - capped),
            "rmse_of_the_mean": float(capped.std()),
            "coverage": float(((lower <= capped) & (capped <= upper)).mean()),
            "width": float((upper - lower).mean()),
            "told": float(told.mean()),
        }
        if not told.any():
            return found
        return found | {
            "told_rmse": _root_mean_square((rul - true)[told]),
            "told_coverage": float(inside[told].mean()),
            "told_width": float((upper - lower)[told].mean()),
        }


def _root_mean_square(missed: Matrix) -> float:
    return float(np.sqrt((missed**2).mean()))


def _said_by_others(
    runs: Sequence[Matrix], settings: int, chance: np.random.Generator, how: Settings
) -> tuple[list[Matrix], list[NDArray[np.bool_]]]:
    """What a fleet without it says of each run, row by row, and in which of them it is beyond that fleet."""
    said: dict[int, Matrix] = {}
    beyond: dict[int, NDArray[np.bool_]] = {}
    for fold in range(_FOLDS):
        fleet = Fleet.of([run for i, run in enumerate(runs) if i % _FOLDS != fold], settings, chance, how)
        for i, (known, outside) in zip(range(fold, len(runs), _FOLDS), fleet.follow(runs[fold::_FOLDS]), strict=True):
            said[i], beyond[i] = fleet.say(known), np.asarray(outside.any(axis=1))
    return [said[i] for i in range(len(runs))], [beyond[i] for i in range(len(runs))]


def _quantiles(said: Matrix, life: Matrix, cap: float) -> Matrix:
    """What predictions near 0, 1, ... cap missed: lower and upper end, shape (2, cap + 1)."""
    order = np.argsort(said, kind="stable")
    said, missed = said[order], (life - said)[order]
    found = []
    for near in range(int(cap) + 1):
        begin, end = np.searchsorted(said, (near - _NEAR, near + _NEAR))
        lacking = max(0, min(_LEAST, len(said)) - (end - begin))
        part = missed[max(0, begin - lacking) : end + lacking]
        found.append(np.quantile(part, (_BEYOND, 1 - _BEYOND)))
    return np.array(found).T
