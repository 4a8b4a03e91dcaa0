"""Monitor: what belongs together and no longer does. Normal running is within its limits, as often as is allowed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.signals._state_detection.changes import Changes
from gateway.signals._state_detection.monitor import Monitor

N = 6


def machine(seed: int, ticks: int, groups: int = 1) -> NDArray[np.float64]:
    """Six tags that follow two loads with a memory, of so many machines; shape (ticks, 6 groups)."""
    if groups > 1:
        return np.hstack([machine(1000 * group + seed, ticks) for group in range(groups)])
    random = np.random.default_rng(seed)
    loads = np.zeros((ticks, 2))
    for i in range(1, ticks):
        loads[i] = 0.9 * loads[i - 1] + random.normal(size=2)
    mix = np.array([[1.0, 0.5, 0.0, 2.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0, -1.0, 0.5]])
    rows: NDArray[np.float64] = 40 + loads @ mix + 0.2 * random.normal(size=(ticks, N))
    return rows


def beyond(monitor: Monitor, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    found = []
    for row in rows:
        monitor.step(row)
        found.append(monitor.beyond)
    return np.array(found)


@pytest.mark.parametrize("seed", range(3))
def test_normal_running_is_seldom_beyond(seed: int) -> None:
    assert beyond(Monitor(machine(seed, 800)), machine(seed + 100, 4000)).mean() < 0.02


def test_a_limit_holds_for_rows_that_it_was_not_learned_from() -> None:
    """48 tags and 300 rows: by a limit read off these rows a third of all others would be beyond."""
    assert beyond(Monitor(machine(1, 300, groups=8)), machine(2, 2000, groups=8)).mean() < 0.04


@pytest.mark.parametrize("tag", range(N))
def test_a_tag_that_leaves_the_others_is_found_and_named(tag: int) -> None:
    monitor, rows = Monitor(machine(1, 800)), machine(2, 600)
    rows[300:, tag] += 1.5  # well within what the tag does anyway
    found = beyond(monitor, rows)
    assert found[330:].mean() > 0.95
    assert int(monitor.shares.argmax()) == tag
    assert monitor.shares.sum() == pytest.approx(1)


def test_a_row_with_a_gap_is_not_judged_and_harms_none_after_it() -> None:
    rows = machine(3, 600)
    whole, gaps = Monitor(rows), Monitor(rows)
    later = machine(4, 200)
    broken = later.copy()
    broken[50, 2] = np.nan
    broken[51, 3] = np.inf
    for row in broken[:52]:
        gaps.step(row)
    assert np.isnan(gaps.ratio)
    assert not gaps.beyond
    ratios = []
    for row in later:
        whole.step(row)
    for row in broken[52:]:
        gaps.step(row)
        ratios.append(gaps.ratio)
    assert np.isnan(ratios[0])
    assert np.isfinite(ratios[1:]).all()
    assert gaps.ratio == pytest.approx(whole.ratio, rel=0.05)  # they have forgotten it


def test_a_constant_and_a_twin_can_be_learned() -> None:
    rows = machine(5, 800)
    rows[:, 0] = 7.0
    rows[:, 5] = rows[:, 4]
    monitor = Monitor(rows)
    assert beyond(monitor, rows).mean() < 0.02
    rows[:, 5] += 3
    assert beyond(monitor, rows)[10:].all()


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="8 rows are too few to learn how 6 tags belong together"):
        Monitor(machine(6, 8))


def test_a_change_is_told_once_and_soon() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(20, 1, (1000, 3))
    rows[600:, 1] += 4
    changes = Changes(3)
    found = []
    for i, row in enumerate(rows):
        changes.step(row)
        found += [i] if changes.changed else []
    assert [i for i in found if 600 <= i < 630]
    assert len([i for i in found if i < 600 or i >= 690]) <= 2  # of 310 looks at noise
    assert len([i for i in found if 600 <= i < 690]) <= 3
