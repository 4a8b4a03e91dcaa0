"""The bank: each chart tells its own trouble, charts are those of a plain loop, and nothing latches."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.signals._state_detection.bank import CHARTS, Bank, Settings

Matrix = NDArray[np.float64]

SMALL = Settings(warm_up=300, memory=300, adopt=400)


def bank(n: int, settings: Settings = SMALL) -> Bank:
    return Bank(np.full(n, 0.0), np.full(n, 100.0), settings)


def run(rows: Matrix, settings: Settings = SMALL) -> tuple[NDArray[np.bool_], list[set[str]], Bank]:
    """Alarms after each row, the charts that told them per tag, and the bank."""
    watched = bank(rows.shape[1], settings)
    alarms, charts = [], [set[str]() for _ in range(rows.shape[1])]
    for row in rows:
        before = watched.alarm
        watched.step(row)
        alarms.append(watched.alarm)
        for tag in np.flatnonzero(watched.alarm & ~before).tolist():
            charts[tag].add(CHARTS[int(watched.chart[tag])])
    return np.array(alarms), charts, watched


def plant(rows: int, n: int, seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(50, 1, (rows, n))


def test_each_trouble_is_told_by_its_own_chart_and_of_its_own_tag() -> None:
    rows = plant(1200, 5)
    rows[600:620, 0] += 12
    rows[600:800, 1] += 2.2
    rows[600:900, 2] = rows[600, 2]
    rows[600:620, 3] = 101
    alarms, charts, _ = run(rows)
    assert alarms[600:900].any(axis=0).tolist() == [True, True, True, True, False]
    assert not alarms[:600].any()
    assert "stuck" in charts[2]
    assert "cusum" in charts[1] or "shift" in charts[1]
    assert charts[3] & {"range", "tail"}
    assert not alarms[-1].any()


def test_normal_running_is_left_alone() -> None:
    alarms, _, _ = run(plant(6000, 50, seed=1))
    assert alarms.mean() < 1e-3


def test_sums_are_those_of_a_plain_loop() -> None:
    rows = plant(500, 1, seed=2)[:, 0]
    watched = bank(1)
    up = down = 0.0
    for i, x in enumerate(rows):
        level, sigma = (
            float(watched._level[0]),
            math.sqrt(float(watched._variance[0])) + 1e-6 * float(watched._level[0]),
        )
        judged = bool(watched._seen[0] >= SMALL.warm_up)
        watched.step(np.array([x]))
        if judged:
            z = (x - level) / sigma
            up, down = max(0.0, up + z - SMALL.slack), max(0.0, down - z - SMALL.slack)
            assert watched._sums[:, 0].tolist() == pytest.approx([up, down]), i
    learned = rows[: 500 - SMALL.lag]
    assert watched._level[0] == pytest.approx(learned.mean(), abs=0.05)
    assert math.sqrt(watched._variance[0]) == pytest.approx(learned.std(), rel=0.1)


def test_a_new_level_is_adopted_and_judged_from_there() -> None:
    rows = plant(2500, 1)
    rows[800:] += 20
    alarms, _, _ = run(rows)
    assert alarms[810:1100].all()
    assert not alarms[1300:].any()
    rows[2200:] -= 20
    alarms, _, _ = run(rows)
    assert alarms[2210]


@pytest.mark.parametrize("absurd", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_not_known_neither_teaches_nor_raises_nor_clears(absurd: float) -> None:
    rows = plant(700, 1)
    holes = np.vstack([rows[:500], np.full((40, 1), absurd), rows[500:]])
    alarms, _, watched = run(holes)
    assert not alarms.any()
    _, _, whole = run(rows)
    assert watched._level[0] == pytest.approx(whole._level[0], abs=0.02)


def test_tags_do_not_know_each_other() -> None:
    rows = plant(900, 3)
    rows[500:, 1] *= 1.5
    together, _, _ = run(rows)
    alone = np.column_stack([run(rows[:, [tag]])[0] for tag in range(3)])
    np.testing.assert_array_equal(together, alone)
