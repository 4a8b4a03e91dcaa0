"""Novelty: tail probabilities and distances are those of a plain loop, gaps teach nothing, and no alarm latches."""

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.signals._state_detection.novelty import Novelty, Settings
from gateway.signals._state_detection.tail import Tail
from gateway.signals._state_detection.ways import Ways

Matrix = NDArray[np.float64]

SMALL = Settings(warm_up=300, hold=20, way=8, past=500, near=1)


def day(rows: int, seed: int = 0) -> Matrix:
    """A tag with a profile of 50 ticks and some noise."""
    chance = np.random.default_rng(seed)
    wave: Matrix = 10 * np.sin(2 * np.pi * np.arange(rows) / 50) + chance.normal(0, 0.5, rows)
    return wave


def judged(values: Matrix, settings: Settings = SMALL) -> tuple[Matrix, NDArray[np.bool_]]:
    """Surprise and whether an alarm was raised, after each row of one tag."""
    novelty = Novelty(1, 50, settings)
    found = []
    for i, value in enumerate(values):
        novelty.step(np.array([value]), i % 50)
        found.append((novelty.surprise[0], novelty.raised[0]))
    surprise, raised = zip(*found, strict=True)
    return np.array(surprise), np.array(raised)


def test_a_size_in_the_midst_is_as_seldom_as_it_was_and_one_beyond_follows_the_power_law() -> None:
    sizes = 1 / np.random.default_rng(1).random(4000) ** 0.5  # P(X >= x) = x^-2
    tail = Tail(1)
    for size in sizes:
        tail.add(np.array([size]))
    for size, wanted in ((1.2, 2 * np.log10(1.2)), (3.0, 2 * np.log10(3)), (1000.0, 6.0)):
        assert tail.add(np.array([size]))[0] == pytest.approx(wanted, rel=0.12)


def test_nothing_is_surprising_before_some_are_known_and_what_is_unknown_teaches_nothing() -> None:
    tail, twin = Tail(2), Tail(2)
    for size in range(1, 11):
        assert tail.add(np.array([size, np.nan])).tolist() == [0, 0]
        twin.add(np.array([size, np.nan]))
    twin.add(np.array([np.nan, np.nan]))
    np.testing.assert_array_equal(tail.add(np.array([5.0, 5.0])), twin.add(np.array([5.0, 5.0])))


def test_distances_are_those_of_a_plain_loop_as_far_back_as_the_past_goes() -> None:
    values = np.cumsum(np.random.default_rng(2).normal(size=(700, 2)), axis=0)
    values[350] = 1e12
    size, past = 5, 60
    ways = Ways(2, size, past)
    found = np.array([ways.add(row) for row in values])
    origin, usual = values[0], values[: 2 * size].std(axis=0)
    steps = np.clip(np.rint((values - origin) / usual * 1024), -(2.0**21), 2.0**21) / 1024
    for now in (2 * past, 3 * past, 349, 352, 420, 699):
        way = steps[now - size + 1 : now + 1]
        earlier = [steps[now - lag - size + 1 : now - lag + 1] for lag in range(size, past + 1)]
        nearest = np.min([((way - other) ** 2).sum(axis=0) for other in earlier], axis=0) ** 0.5
        np.testing.assert_allclose(found[now], nearest, atol=1e-9)


def test_a_tag_that_was_not_known_for_long_is_not_judged_at_once() -> None:
    values = day(300)
    values[200:207] = np.nan
    ways = Ways(1, 8, 100)
    found = np.array([ways.add(np.array([value]))[0] for value in values])
    assert np.isnan(found[200:211]).all()
    assert not np.isnan(found[[199, 213]]).any()


def test_what_never_was_at_this_time_of_day_is_found_though_the_value_is_usual() -> None:
    values = day(1200)
    values[1003:1013] = values[1028:1038]  # half a day off
    _, raised = judged(values)
    assert not raised[:1000].any()
    assert raised[1003:1013].any()


def test_a_new_way_of_running_is_learned_and_no_alarm_latches() -> None:
    values = day(4000)
    values[2000:] += 30
    _, raised = judged(values)
    assert raised[2000]
    assert raised[2000:2200].sum() <= 200 / SMALL.hold
    assert not raised[2600:].any()


def test_rows_that_are_not_known_teach_and_say_nothing() -> None:
    values = day(800)
    holes = np.concatenate([values[:600], np.full(50, np.nan), values[600:]])
    whole, _ = judged(values)
    surprise, raised = judged(holes)
    np.testing.assert_array_equal(surprise[:600], whole[:600])
    assert not raised[600:].any()


def test_tags_do_not_know_each_other() -> None:
    both = np.column_stack([day(600, 3), 1e9 * day(600, 4)])
    novelty = Novelty(2, 50, SMALL)
    for i, row in enumerate(both):
        novelty.step(row, i % 50)
    for tag in range(2):
        alone = Novelty(1, 50, SMALL)
        for i, value in enumerate(both[:, tag]):
            alone.step(np.array([value]), i % 50)
        assert alone.surprise[0] == novelty.surprise[tag]
