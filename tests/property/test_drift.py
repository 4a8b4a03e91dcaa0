"""Drift against a plain loop; it does not alarm on noise, alarms on a shift, clears, and never latches."""

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Batch, Catalog, Kind, Tag
from gateway.signals._gate import Running
from gateway.signals.drift import Drift, Options

WATCHED, Z, ALARM = 3, 7, 8
OUTPUTS = {"z": Z, "alarm": ALARM, "ratio": 9}

Output = tuple[list[tuple[int, float]], list[tuple[int, bool]]]
"""Time and z of every reading; time and state of every change of the alarm."""


def drift(**keys: Any) -> Drift:
    return watching(Options(input="plant/x", **keys))


def watching(options: Options) -> Drift:
    catalog = Catalog(Tag("plant", f"x{number}") for number in range(WATCHED + 1))
    return Drift(Running("", WATCHED, catalog), options, OUTPUTS)


def told(batches: Sequence[Batch]) -> Output:
    z = [row for b in batches if b.tag[0] == Z for row in zip(b.time.tolist(), b.value.tolist(), strict=True)]
    alarm = [row for b in batches if b.tag[0] == ALARM for row in zip(b.time.tolist(), b.value.tolist(), strict=True)]
    assert all((b.quality == 0).all() for b in batches)
    return z, alarm


def by_hand(x: Sequence[float], quality: Sequence[int], options: Options) -> Output:
    """The formulas of the docstring, one reading at a time."""
    learned: list[float] = []
    z: list[tuple[int, float]] = []
    alarm: list[tuple[int, bool]] = []
    level = sigma = mean = 0.0
    i = beyond = within = 0
    active = False
    for time, (value, code) in enumerate(zip(x, quality, strict=True)):
        if code >= 0x4000_0000 or not math.isfinite(value):
            continue
        if len(learned) < options.warm_up:
            learned.append(value)
            level = statistics.median(learned)
            spread = statistics.median(abs(item - level) for item in learned)
            sigma = max(1.4826 * spread, 0.001 * abs(level), 2.3e-308)
            continue
        i += 1
        deviation = max(-10 * options.limit, min(10 * options.limit, (value - level) / sigma))
        mean = (1 - options.weight) * mean + options.weight * deviation
        size = mean / math.sqrt(options.weight / (2 - options.weight) * (1 - (1 - options.weight) ** (2 * i)))
        z.append((time, size))
        beyond = beyond + 1 if abs(size) > options.limit else 0
        within = within + 1 if abs(size) <= options.limit / 2 else 0
        before = active
        if not active and beyond == options.on:
            active, within = True, 0
        elif active and within == options.off:
            active, beyond = False, 0
        if i == 1 or active != before:
            alarm.append((time, active))
    return z, alarm


LEVELS = st.one_of(st.floats(90, 110), st.sampled_from([0.0, 100.0, 500.0, math.nan]))
QUALITIES = st.sampled_from([0, 0, 0, 0x0030_0000, 0x408F_0000, 0x808A_0000])
OPTIONS = st.builds(
    Options,
    input=st.just("plant/x"),
    warm_up=st.integers(5, 8),
    weight=st.sampled_from([0.05, 0.2, 1.0]),
    limit=st.sampled_from([1.0, 3.0, 6.0]),
    on=st.integers(1, 4),
    off=st.integers(1, 4),
)


@st.composite
def readings(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    n = draw(st.integers(1, 60))
    warm = draw(st.lists(st.floats(95, 105), min_size=8, max_size=8, unique=True))
    x = warm + draw(st.lists(LEVELS, min_size=n, max_size=n))
    return x, draw(st.lists(QUALITIES, min_size=len(x), max_size=len(x)))


@settings(deadline=None, max_examples=200)
@given(readings(), OPTIONS)
def test_matches_a_plain_loop(drawn: tuple[list[float], list[int]], options: Options) -> None:
    x, quality = drawn
    z, alarm = told(watching(options).update(batch(x, quality)))
    wanted_z, wanted_alarm = by_hand(x, quality, options)
    assert [time for time, _ in z] == [time for time, _ in wanted_z]
    assert [size for _, size in z] == pytest.approx([size for _, size in wanted_z], rel=1e-9, abs=1e-9)
    if all(abs(abs(size) - edge) > 1e-6 for _, size in z for edge in (options.limit, options.limit / 2)):
        assert alarm == wanted_alarm


def batch(x: Sequence[float], quality: Sequence[int] | int = 0) -> Batch:
    return Batch.of([WATCHED] * len(x), range(len(x)), np.array(x, np.float64), quality)


@settings(deadline=None, max_examples=100)
@given(readings(), OPTIONS, st.sets(st.integers(1, 60)))
def test_cutting_readings_into_batches_changes_nothing(
    drawn: tuple[list[float], list[int]], options: Options, cuts: set[int]
) -> None:
    whole = batch(*drawn)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    one, other = (watching(options) for _ in range(2))
    pieces = [other.update(whole.take(np.arange(a, b))) for a, b in itertools.pairwise(bounds)]
    assert told([b for piece in pieces for b in piece]) == told(one.update(whole))


@settings(deadline=None, max_examples=100)
@given(readings(), OPTIONS)
def test_what_is_not_good_teaches_raises_and_clears_nothing(
    drawn: tuple[list[float], list[int]], options: Options
) -> None:
    whole = batch(*drawn)
    one, other = (watching(options) for _ in range(2))
    only_good = whole.where(whole.good & np.isfinite(whole.value))
    assert told(one.update(whole)) == told(other.update(only_good))


# --- what somebody at the plant would expect ----------------------------------------------


def noise(n: int, level: float, seed: int = 1, sigma: float = 1.0) -> list[float]:
    values: list[float] = (level + sigma * np.random.default_rng(seed).normal(0, 1, n)).tolist()
    return values


def alarms(x: Sequence[float], **keys: Any) -> list[tuple[int, bool]]:
    return told(drift(**keys).update(batch(x)))[1]


@pytest.mark.parametrize("seed", range(10))
def test_noise_raises_no_alarm(seed: int) -> None:
    assert alarms(noise(20_000, 50.0, seed), warm_up=200) == [(200, False)]


@pytest.mark.parametrize("shift", [10.0, -10.0])
def test_a_shift_raises_the_alarm_and_its_end_clears_it(shift: float) -> None:
    x = noise(200, 50.0) + noise(100, 50.0 + shift) + noise(100, 50.0)
    (_, raised), (at, state), (cleared_at, cleared) = alarms(x, warm_up=100)
    assert (raised, state, cleared) == (False, True, False)
    assert 200 < at <= 210
    assert 300 < cleared_at <= 350


def test_a_single_outlier_raises_nothing() -> None:
    x = noise(100, 50.0)
    x[80] += 12.0
    assert alarms(x, warm_up=50) == [(50, False)]


def test_outliers_while_it_learns_do_not_spoil_the_level() -> None:
    x = noise(100, 50.0)
    x[10] = x[20] = 1e6
    assert alarms([*x, *noise(50, 60.0)], warm_up=60)[-1][1] is True


def test_a_constant_may_change_its_last_digit() -> None:
    assert alarms([20.0] * 60 + [20.001] * 60, warm_up=30) == [(30, False)]


@pytest.mark.parametrize("level", [0.0, 5.0, 1e-9, 1e12])
@pytest.mark.parametrize("jump", [1.0, 100.0, 1e9, 1e300])
def test_an_alarm_does_not_latch_however_far_the_value_was_away(level: float, jump: float) -> None:
    """A machine that stands still is at exactly zero; when it moves that is an alarm, and when it stops none."""
    x = [level] * 60 + [level + jump] * 20 + [level] * 500
    found = alarms(x, warm_up=30)
    assert [state for _, state in found[:1]] == [False]
    assert found[-1][1] is False


def test_text_teaches_nothing() -> None:
    signal = drift(warm_up=5)
    assert signal.update(Batch.of([WATCHED], 0, ["text"])) == ()
    assert signal.update(batch([1.0, 2.0, 3.0, 4.0, 5.0])) == ()


@pytest.mark.parametrize("kind", [Kind.INTEGER, Kind.UNSIGNED, Kind.BOOLEAN])
def test_other_kinds_of_number_are_watched_as_well(kind: Kind) -> None:
    value = np.array([0, 1, 0, 1, 1, 1, 0, 1]).astype(kind.dtype)
    found = drift(warm_up=5).update(Batch.of([WATCHED] * 8, range(8), value))
    wanted = drift(warm_up=5).update(batch(value.astype(np.float64).tolist()))
    assert told(found) == told(wanted)
