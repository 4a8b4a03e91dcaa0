"""Prognosis: features know the past alone, regimes are found, and intervals hold what they are said to hold."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.signals._prognosis.course import Course, side_by_side
from gateway.signals._prognosis.directions import Directions
from gateway.signals._prognosis.fleet import Settings
from gateway.signals._prognosis.model import FleetModel
from gateway.signals._prognosis.regimes import Regimes

Matrix = NDArray[np.float64]

SMALL = Settings(members=2, width=100)


def machine(random: np.random.Generator) -> Matrix:
    """A tag that wears until it is at 4, one that follows it late, one that does nothing; shape (rows, 3)."""
    rows = int(random.integers(130, 300))
    wear = 4 * np.exp((np.arange(rows) - rows) / random.uniform(25, 45))
    return np.column_stack([wear, np.maximum(0, wear - 1), np.zeros(rows)]) + 0.3 * random.normal(size=(rows, 3))


def features(*runs: Matrix) -> list[Matrix]:
    return side_by_side(runs, Course(len(runs), runs[0].shape[1]).step)


def test_a_machine_is_the_same_alone_and_beside_others_that_last_longer_or_shorter() -> None:
    random = np.random.default_rng(1)
    runs = [machine(random)[:rows] for rows in (90, 1, 30, 129)]
    for run, found in zip(runs, features(*runs), strict=True):
        np.testing.assert_allclose(found, features(run)[0], rtol=1e-12, atol=1e-12)


def test_features_are_what_they_are_called() -> None:
    z = np.arange(60.0)[:, None]
    found = features(z)[0][-1]
    weights = [(1 - 2 / 6) ** (59 - i) for i in range(60)]
    assert found[0] == pytest.approx(sum(w * i for i, w in enumerate(weights)) / sum(weights))
    assert found[3] == pytest.approx(29.5)
    assert found[4] == pytest.approx(found[1] - 9.5)
    assert found[5:7].tolist() == pytest.approx([20, 50])
    assert found[7:].tolist() == pytest.approx([0.6, math.log(7)])


def test_regimes_are_found_and_leave_nothing_of_themselves() -> None:
    random = np.random.default_rng(2)
    settings = np.array([[0.0, 100.0], [20.0, 100.0], [42.0, 60.0]])[random.integers(3, size=900)]
    tags = settings @ np.array([[1.0, 5.0, 0.0], [2.0, -1.0, 0.0]]) + random.normal(size=(900, 3)) * [1.0, 2.0, 0.0]
    regimes = Regimes.of(settings + 0.01 * random.normal(size=(900, 2)), tags)
    assert (len(regimes), regimes.n) == (3, 2)
    z = regimes.z(settings, tags)
    assert z.std(axis=0).tolist() == pytest.approx([1, 1], abs=0.05)
    assert abs(np.corrcoef(z[:, 0], settings[:, 0])[0, 1]) < 0.05


@pytest.fixture(scope="module")
def fleet() -> FleetModel:
    random = np.random.default_rng(3)
    runs = [machine(random) for _ in range(40)]
    return FleetModel.learn(runs, (), ("worn", "later", "idle"), 3600.0, np.random.default_rng(0), SMALL)


def test_what_is_left_is_in_its_interval_as_often_as_said_and_early_rather_than_late(fleet: FleetModel) -> None:
    random = np.random.default_rng(4)
    rows, left = [], []
    runs = [machine(random) for _ in range(60)]
    for run, (known, _) in zip(runs, fleet.fleet.follow(runs), strict=True):
        for end in random.integers(40, len(run), 5):
            rows.append(known[end - 1])
            left.append(min(SMALL.cap, len(run) - end))
    life, wanted = fleet.life(np.array(rows)), np.array(left)
    inside = (life.lower <= wanted) & (wanted <= life.upper)
    assert 0.85 < inside.mean() < 0.97
    assert np.sqrt(np.mean((life.rul - wanted) ** 2)) < 0.5 * wanted.std()
    assert ((life.lower <= life.rul) & (life.rul <= life.upper)).all()


def test_a_worn_machine_is_told_from_a_new_one_however_odd_it_is(fleet: FleetModel) -> None:
    run = machine(np.random.default_rng(5))
    odd = run.copy()
    odd[-1] = 1e9
    (known, _), (strange, _) = fleet.fleet.follow([run, odd])
    life = fleet.life(np.vstack([known[20], known[-1], strange[-1]]))
    assert life.rul[0] > 60 > 15 > life.rul[1]
    assert 0 <= life.rul[2] <= SMALL.cap


def test_directions_are_those_that_move_slowly_however_the_tags_mix_them() -> None:
    random = np.random.default_rng(6)
    slow = [np.cumsum(random.normal(size=(200, 2)), axis=0) * [1.0, 0.5] for _ in range(30)]
    mix = random.normal(size=(2, 8))
    runs = [part @ mix + 3 * random.normal(size=(200, 8)) for part in slow]
    directions = Directions.of(runs)
    assert len(directions) == 2
    told = np.vstack([directions.along(run) for run in runs])
    for true in np.vstack(slow).T:
        weights = np.linalg.lstsq(told, true - true.mean(), rcond=None)[0]
        assert np.corrcoef(told @ weights, true)[0, 1] > 0.95
    np.testing.assert_allclose(told.std(axis=0), 1)


def test_one_tag_is_a_direction_and_so_is_the_slowest_of_noise() -> None:
    random = np.random.default_rng(7)
    assert len(Directions.of([random.normal(size=(100, 1)) for _ in range(5)])) == 1
    assert len(Directions.of([random.normal(size=(100, 6)) for _ in range(5)])) == 1
