"""Life by trend: the interval holds what it says, nothing is said of nothing, and no clock stops it for ever."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.model import Batch, Catalog, Tag
from gateway.plugins import signal_kinds
from gateway.signals import life_trend
from gateway.signals._prognosis.trend import crossing, student

HOUR = 3600 * 1_000_000_000
ROLES = ("rul", "low", "high", "basis")


def life(**keys: Any) -> life_trend.LifeByTrend:
    options = life_trend.Options(input="plant/pump/wear", **{"limit": 10.0} | keys)
    catalog = Catalog([Tag("plant/pump", "wear")])
    outputs = {role: catalog.add(tag) for role, tag in life_trend.outputs("life", options, "plant/pump").items()}
    return life_trend.signal(options, outputs, catalog)


def hourly(value: NDArray[np.floating[Any]], begin: int = 0) -> Batch:
    return Batch.of([0] * len(value), (begin + np.arange(len(value))) * HOUR, value)


def told(batches: Sequence[Batch]) -> list[tuple[int, str, Any]]:
    """Time, role and value; None for a value that is bad."""
    return [
        (time // HOUR, ROLES[tag - 1], value if quality == 0 else None)
        for b in batches
        for tag, time, value, quality in zip(
            b.tag.tolist(), b.time.tolist(), b.value.tolist(), b.quality.tolist(), strict=True
        )
    ]


def last(batches: Sequence[Batch]) -> dict[str, Any]:
    return {role: value for _, role, value in told(batches)}


def test_a_line_reaches_its_limit_when_it_does() -> None:
    said = last(life().update(hourly(0.1 * np.arange(61))))
    assert (said["rul"], said["low"], said["high"]) == pytest.approx((41, 41, 41))
    assert said["basis"] == "trend"


def test_damage_that_feeds_on_itself_is_an_exponential() -> None:
    said = last(life(shape="exponential").update(hourly(np.exp(np.arange(61) / 40))))
    assert said["rul"] == pytest.approx(40 * np.log(10) - 59)
    assert last(life(shape="exponential").update(hourly(-np.ones(61))))["basis"] == "none"


def test_what_wears_downwards_is_the_same_upside_down() -> None:
    noise = np.random.default_rng(1).normal(0, 0.3, 61)
    up = last(life().update(hourly(0.1 * np.arange(61) + noise)))
    down = last(life(limit=-10.0, side="below").update(hourly(-0.1 * np.arange(61) - noise)))
    assert down == up
    assert up["low"] < up["rul"] < up["high"]


def test_a_limit_that_is_reached_is_said() -> None:
    said = last(life().update(hourly(0.2 * np.arange(61))))
    assert said == {"rul": 0, "low": 0, "high": 0, "basis": "limit"}


@pytest.mark.parametrize(
    "value",
    [
        0.1 * np.arange(24),
        np.full(61, 5.0),
        5 - 0.01 * np.arange(61),
        5 + np.random.default_rng(2).normal(0, 0.3, 61),
        0.01 * np.arange(61),
    ],
    ids=["too few points", "no trend", "away from the limit", "noise", "a limit that is far ahead"],
)
def test_nothing_is_said_of_nothing_and_only_once(value: NDArray[np.float64]) -> None:
    assert [row[1:] for row in told(life().update(hourly(value)))] == [
        ("rul", None), ("low", None), ("high", None), ("basis", "none"),
    ]  # fmt: skip


def test_a_trend_that_ends_is_taken_back() -> None:
    value = np.minimum(0.1 * np.arange(200), 6.0)
    trend = life()
    assert last(trend.update(hourly(value[:60])))["basis"] == "trend"
    assert last(trend.update(hourly(value[60:], begin=60))) == {"rul": None, "low": None, "high": None, "basis": "none"}


def test_what_bends_is_judged_by_its_last_part() -> None:
    hour, chance = np.arange(60.0), np.random.default_rng(5)
    bent = 2 + 0.1 * np.maximum(0, hour - 29)
    said = [crossing(hour, bent + chance.normal(0, 0.2, 60), 8.0) for _ in range(200)]
    inside = [found.low <= 30 <= found.high for found in said if found]
    assert len(inside) > 190
    assert np.mean(inside) > 0.8


@pytest.mark.parametrize(("alike", "least"), [(0.0, 0.87), (0.3, 0.84)])
def test_the_interval_holds_what_it_says(alike: float, least: float) -> None:
    """Lines with noise of which neighbours err together."""
    chance, n, inside = np.random.default_rng(3), 60, []
    for _ in range(600):
        deviation, slope = chance.uniform(0.02, 0.3) * n, 1.0
        noise = chance.normal(0, deviation, n)
        for i in range(1, n):
            noise[i] = alike * noise[i - 1] + (1 - alike**2) ** 0.5 * noise[i]
        at = chance.uniform(1.05, 2) * n
        found = crossing(np.arange(float(n)), slope * np.arange(n) + noise, at)
        if found:
            inside.append(found.low <= at - (n - 1) <= found.high)
    assert len(inside) > 500
    assert least <= np.mean(inside) <= 0.97


def test_noise_has_no_end_of_life() -> None:
    chance = np.random.default_rng(4)
    said = [crossing(np.arange(60.0), chance.normal(0, 1, 60), 4.0) for _ in range(500)]
    assert sum(found is not None for found in said) <= 5


@pytest.mark.parametrize(("freedom", "quantile"), [(3, 2.3534), (4, 2.1318), (10, 1.8125), (58, 1.6716)])
def test_quantiles_of_student(freedom: float, quantile: float) -> None:
    assert student(0.95, freedom) == pytest.approx(quantile, rel=3e-3)


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_any_cut_gives_the_same_answer(data: st.DataObject, seed: int) -> None:
    """Of a trend whose readings come late, twice, badly, and from a clock that is set back or was ahead."""
    chance = np.random.default_rng(seed)
    n = 400
    time = np.cumsum(chance.integers(0, HOUR // 2, n)) + chance.integers(-HOUR, HOUR, n)
    time[chance.integers(n) :] += int(chance.choice([0, -100, 100])) * HOUR
    time[chance.integers(n)] += int(chance.choice([0, 10**4])) * HOUR
    value = 0.05 * np.arange(n) / 2 + chance.normal(0, 0.2, n)
    quality = np.where(chance.random(n) < 0.1, np.uint32(0x808A_0000), np.uint32(0))
    batch = Batch.of([0] * n, time, value, quality)
    cuts = sorted(data.draw(st.sets(st.integers(1, n - 1), max_size=30)))
    cut = life()
    parts = [cut.update(batch.take(rows)) for rows in np.split(np.arange(n), cuts)]
    assert told([b for part in parts for b in part]) == told(life().update(batch))


def test_one_reading_from_the_future_does_not_stop_it_for_ever() -> None:
    ahead = life()
    ahead.update(hourly(np.zeros(1), begin=10**5))
    assert last(ahead.update(hourly(0.05 * np.arange(160))))["rul"] == pytest.approx(200 - 158)


def test_a_clock_that_is_set_back_begins_anew() -> None:
    back = life()
    back.update(hourly(0.05 * np.arange(100), begin=1000))
    assert last(back.update(hourly(0.05 * np.arange(160))))["rul"] == pytest.approx(200 - 158)


def test_points_that_come_late_count_for_nothing() -> None:
    line = hourly(0.1 * np.arange(61))
    order = np.insert(np.arange(61), 40, 20)
    value = line.value[order]
    value[40] = 1e6
    late = Batch.of([0] * 62, line.time[order], value)
    assert told(life().update(late)) == told(life().update(line))


def test_an_exponential_trend_has_a_limit_above_0() -> None:
    with pytest.raises(ValueError, match="write shape: linear"):
        signal_kinds()["life_trend"].Options(input="plant/pump/wear", limit=-1, shape="exponential")
