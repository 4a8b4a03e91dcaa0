"""Means against numpy's, shift against a plain loop over one tag; tags do not know each other."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.signals._state_detection.means import Mean
from gateway.signals._state_detection.shift import Settings, Shift
from gateway.signals._state_detection.structure import Structure

SETTINGS = Settings(
    warm_up=30, short=3, base=8, lag=5, limit=4.0, on=2, off=4, low=2.0, share=0.2, adopt=25, wary=15, wary_limit=6.0
)


def plant(seed: int, ticks: int, n: int) -> NDArray[np.float64]:
    """Noise, steps, wandering, gaps and things that are not numbers."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(ticks, n)) + np.cumsum(random.normal(scale=0.1, size=(ticks, n)), axis=0)
    for _ in range(4):
        rows[random.integers(ticks) :, random.integers(n)] += random.normal(scale=20)
    rows[random.random(rows.shape) < 0.05] = np.nan
    rows[random.random(rows.shape) < 0.01] = np.inf
    begin = random.integers(ticks)
    rows[begin : begin + random.integers(20), random.integers(n)] = np.nan
    return rows


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.one_of(st.just(math.nan), st.floats(-1e6, 1e6)), max_size=60),
    st.integers(1, 5),
    st.integers(0, 6),
    st.sets(st.integers(0, 59)),
)
def test_a_mean_is_that_of_its_window(values: Sequence[float], size: int, lag: int, forgotten: set[int]) -> None:
    mean = Mean(1, size, lag)
    for i, value in enumerate(values):
        mean.add(np.array([value]))
        if i in forgotten:
            mean.forget(np.array([True]))
        first = max([j + 1 for j in forgotten if j <= i], default=0)
        window = [x for x in values[max(first, i - lag - size + 1) : max(0, i - lag + 1)] if not math.isnan(x)]
        assert mean.count.tolist() == [len(window)]
        if window:
            assert math.isclose(mean.of(1)[0], statistics.fmean(window), rel_tol=1e-9, abs_tol=1e-8)
        assert np.isnan(mean.of(len(window) + 1)).all()


def by_hand(rows: Sequence[float], s: Settings) -> tuple[list[float], list[bool], list[bool]]:
    """z, alarm and adoption of one tag, row by row, as the docstring of shift.py has it."""
    structure = Structure(1, 200)
    learned: list[float] = []
    taught: list[float] = []
    found: tuple[list[float], list[bool], list[bool]] = ([], [], [])
    alarm, level, level_at, streak, peak, since, wary_until = False, math.nan, 0, 0, 0.0, 0, 0
    for tick, value in enumerate(rows):
        x = value if math.isfinite(value) else math.nan
        if len(learned) < s.warm_up and not math.isnan(x):
            learned.append(x)
            if len(learned) == s.warm_up:
                structure.learn(np.array([0]), np.array(learned)[:, None], s.short, s.base)
        taught.append(math.nan if alarm else x)
        base = [y for y in taught[max(0, tick - s.lag - s.base + 1) : max(0, tick - s.lag + 1)] if not math.isnan(y)]
        if not alarm:
            level = statistics.fmean(base) if len(base) >= math.ceil(s.base / 3) else math.nan
            level_at = tick - s.lag
        last = [y for y in rows[max(0, tick - s.short + 1) : tick + 1] if math.isfinite(y)]
        mean = statistics.fmean(last) if len(last) >= math.ceil(s.short / 3) else math.nan
        z = abs(mean - level) / float(structure.at(np.array([tick - level_at]))[0])
        adopted = False
        if alarm:
            if not math.isnan(z):
                streak = streak + 1 if z < max(s.low, s.share * peak) else 0
                peak = max(peak, z)
            adopted = streak < s.off and tick - since >= s.adopt
            if streak >= s.off or adopted:
                alarm, streak, wary_until = False, 0, tick + s.wary
                taught = [math.nan] * len(taught)
        elif not math.isnan(z):
            streak = streak + 1 if z > (s.wary_limit if tick < wary_until else s.limit) else 0
            if streak >= s.on:
                alarm, streak, since, peak = True, 0, tick, z
        found[0].append(z)
        found[1].append(alarm)
        found[2].append(adopted)
    return found


def watched(rows: NDArray[np.float64], s: Settings) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """z, alarm and adoption of all tags at once, shape (ticks, n)."""
    shift = Shift(rows.shape[1], s)
    found = []
    for row in rows:
        shift.step(row)
        found.append((shift.z, shift.alarm, shift.adopted))
    z, alarm, adopted = (np.array(column) for column in zip(*found, strict=True))
    return z, alarm, adopted


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000))
def test_shift_is_what_its_formulas_say(seed: int) -> None:
    rows = plant(seed, 200, 2)
    z, alarm, adopted = watched(rows, SETTINGS)
    for tag in range(2):
        wanted = by_hand(rows[:, tag].tolist(), SETTINGS)
        np.testing.assert_allclose(z[:, tag], wanted[0], rtol=1e-6, atol=1e-9)
        assert alarm[:, tag].tolist() == wanted[1]
        assert adopted[:, tag].tolist() == wanted[2]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_tags_do_not_know_each_other(seed: int) -> None:
    rows = plant(seed, 150, 4)
    together = watched(rows, SETTINGS)
    alone = [watched(rows[:, [tag]], SETTINGS) for tag in range(4)]
    for column, parts in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(column.astype(float), np.hstack(parts), rtol=1e-9, atol=1e-9)


def test_no_alarm_lasts_and_none_is_raised_by_noise_or_by_wandering() -> None:
    random = np.random.default_rng(7)
    noise = random.normal(50, 1, (20_000, 20))
    wandering = np.cumsum(random.normal(0, 0.01, (20_000, 20)), axis=0) + random.normal(0, 0.02, (20_000, 20))
    _, alarm, _ = watched(np.hstack([noise, wandering]), Settings())
    assert alarm[:, :20].mean() < 0.0005
    assert alarm[:, 20:].mean() < 0.02
    stepped = noise.copy()
    stepped[5000:] += 10
    _, alarm, adopted = watched(stepped, Settings())
    raised = [int(np.flatnonzero(column)[0]) for column in alarm.T]
    assert all(5000 < row < 5010 for row in raised)
    assert adopted.sum(axis=0).tolist() == [1] * 20
    assert not alarm[6000:].any()


def test_a_level_that_comes_back_ends_its_alarm_and_a_gap_does_not() -> None:
    rows = np.random.default_rng(3).normal(50, 1, (1500, 1))
    rows[800:900] += 12
    rows[820:850] = np.nan
    z, alarm, adopted = watched(rows, Settings())
    assert alarm[805:900].all()
    assert np.isnan(z[830]).all()
    assert not alarm[:800].any()
    assert not alarm[940:].any()
    assert not adopted.any()
