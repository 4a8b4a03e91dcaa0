"""What a fleet teaches of its machines: how many rows one has left, of a kind of which others ran until they failed.

Random tanh features and a ridge regression in closed form (random vector functional link; Pao, Park, Sobajic,
Neurocomputing 6, 1994), the mean of several. The life that counts ends at a cap: a new machine shows nothing of how it
will end. Where no machine of the fleet ever was, nothing is known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from gateway.signals._prognosis.course import AGES, Averages, Course, side_by_side
from gateway.signals._prognosis.directions import Directions
from gateway.signals._prognosis.regimes import Regimes

Matrix = NDArray[np.float64]

_FARTHEST: Final = 5.0
_NEAR: Final = 5
"""Rows over which it is looked whether a tag is where it was in the fleet: one row may be odd."""
_ROOM: Final = 0.2
"""So much farther than in the fleet a tag may be, as a share of how far it went there."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`cap` in rows; `aged` says whether it is known how old machines are."""

    cap: float = 125.0
    members: int = 4
    width: int = 1500
    ridge: float = 30.0
    reach: float = 1.0
    aged: bool = True


@dataclass(frozen=True, slots=True)
class Member:
    """One regression: features of features, and what they say of life."""

    mix: Matrix
    shift: Matrix
    says: Matrix

    @classmethod
    def of(cls, rows: Matrix, life: Matrix, weight: Matrix, chance: np.random.Generator, settings: Settings) -> Self:
        n = rows.shape[1]
        mix = chance.normal(size=(n, settings.width)) * settings.reach / np.sqrt(n)
        shift = chance.uniform(-1, 1, settings.width)
        seen = _seen(rows, mix, shift)
        root = np.sqrt(weight).astype(np.float32)
        seen *= root[:, None]
        squares = (seen.T @ seen).astype(np.float64) + settings.ridge * np.eye(seen.shape[1])
        says = np.linalg.solve(squares, (seen.T @ (root * life.astype(np.float32))).astype(np.float64))
        return cls(mix, shift, says.astype(np.float64))

    def __call__(self, rows: Matrix) -> Matrix:
        life: Matrix = _seen(rows, self.mix, self.shift).astype(np.float64) @ self.says
        return life


def _seen(rows: Matrix, mix: Matrix, shift: Matrix) -> NDArray[np.float32]:
    """Half the digits are enough here, and take half the time."""
    near = rows.astype(np.float32)
    return np.hstack([np.tanh(near @ mix.astype(np.float32) + shift.astype(np.float32)), near])


@dataclass(frozen=True, slots=True)
class Crowd:
    """The mean of several regressions, of standardised features."""

    mean: Matrix
    deviation: Matrix
    level: float
    members: tuple[Member, ...]

    @classmethod
    def of(cls, rows: Matrix, life: Matrix, weight: Matrix, chance: np.random.Generator, settings: Settings) -> Self:
        mean, deviation = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
        standard, level = _standard(rows, mean, deviation), float(life.mean())
        members = [Member.of(standard, life - level, weight, chance, settings) for _ in range(settings.members)]
        return cls(mean, deviation, level, tuple(members))

    def __call__(self, rows: Matrix) -> Matrix:
        standard = _standard(rows, self.mean, self.deviation)
        found: Matrix = np.mean([member(standard) for member in self.members], axis=0) + self.level
        return found


def _standard(rows: Matrix, mean: Matrix, deviation: Matrix) -> Matrix:
    near: Matrix = np.clip((rows - mean) / deviation, -_FARTHEST, _FARTHEST)
    return near


class Machines:
    """Where k machines are, side by side: the course of each, and its tags of late."""

    def __init__(self, k: int, directions: int, tags: int) -> None:
        self.rows = 0
        self.course = Course(k, directions)
        self.near = Averages([_NEAR], (k, tags))


@dataclass(frozen=True, slots=True)
class Fleet:
    """Learned from machines that failed. A row of one has its settings first, then its tags."""

    settings: int
    aged: bool
    cap: float
    longest: int
    """Rows of the machine that lasted longest."""
    regimes: Regimes
    directions: Directions
    low: Matrix
    high: Matrix
    """Where tags that do something were, in z, with some room."""
    crowd: Crowd

    @classmethod
    def of(cls, runs: Sequence[Matrix], settings: int, chance: np.random.Generator, how: Settings) -> Self:
        """Learn from runs of shape (rows, settings + tags), all finite; the last row of each is that of the failure.

        The same runs and the same chance make the same fleet.
        """
        regimes = Regimes.of(*_parts(np.vstack(runs), settings))
        z = [regimes.z(*_parts(run, settings)) for run in runs]
        directions = Directions.of(z)
        near = Averages([_NEAR], (len(runs), z[0].shape[1]))
        tags = np.vstack(side_by_side(z, lambda rows: near.step(rows)[0]))
        room = _ROOM * np.ptp(tags, axis=0)
        course = Course(len(runs), len(directions))
        rows = np.vstack(side_by_side([directions.along(run) for run in z], course.step))
        life = np.concatenate([left(run, how.cap) for run in runs])
        alike = len(rows) / len(runs)  # a machine teaches as much as any other, however many rows it lasted
        weight = np.concatenate([np.full(len(run), alike / len(run)) for run in runs])
        return cls(
            settings=settings,
            aged=how.aged,
            cap=how.cap,
            longest=max(map(len, runs)),
            regimes=regimes,
            directions=directions,
            low=tags.min(axis=0) - room,
            high=tags.max(axis=0) + room,
            crowd=Crowd.of(_known(rows, aged=how.aged), life, weight, chance, how),
        )

    def begin(self, k: int = 1) -> Machines:
        """Return the state of k machines that are new."""
        return Machines(k, len(self.directions), len(self.low))

    def step(self, machines: Machines, rows: Matrix) -> tuple[Matrix, NDArray[np.bool_]]:
        """Take a row of each machine, shape (k, settings + tags).

        Return what is known after it, shape (k, m), and where it is beyond the fleet, shape (k, 2 + tags that do
        something): too old, in no regime, and tag by tag.
        """
        settings, tags = _parts(rows, self.settings)
        z = self.regimes.z(settings, tags)
        machines.rows += 1
        near = machines.near.step(z)[0]
        known = _known(machines.course.step(self.directions.along(z)), aged=self.aged)
        old = np.full(len(rows), machines.rows > self.longest)
        beyond = np.column_stack([old, self.regimes.strange(settings), (near < self.low) | (near > self.high)])
        return known, beyond

    def say(self, known: Matrix) -> Matrix:
        """Return how many rows are most likely left, shape (k,), from what is known, shape (k, m)."""
        likely: Matrix = np.clip(self.crowd(known), 0, self.cap)
        return likely

    def follow(self, runs: Sequence[Matrix]) -> Iterator[tuple[Matrix, NDArray[np.bool_]]]:
        """Return what is known after each row of each run, shape (rows, m), and which are beyond, shape (rows, ...)."""
        machines = self.begin(len(runs))
        tags = len(self.low) + 2
        for rows in side_by_side(runs, lambda now: np.hstack(self.step(machines, now))):
            yield rows[:, :-tags], rows[:, -tags:] > 0


def left(run: Matrix, cap: float) -> Matrix:
    """Return how many rows are left after each of a run that ends with the failure, at most `cap`."""
    return np.minimum(np.arange(len(run))[::-1], cap).astype(np.float64)


def _parts(rows: Matrix, settings: int) -> tuple[Matrix, Matrix]:
    """Settings and tags; without settings one that is always the same."""
    return (rows[:, :settings] if settings else np.zeros((len(rows), 1))), rows[:, settings:]


def _known(features: Matrix, *, aged: bool) -> Matrix:
    return features if aged else features[:, :-AGES]
