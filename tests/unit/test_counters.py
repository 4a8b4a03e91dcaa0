"""Counters that roll over, by hand and against one that never does."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._modbus.counters import Counters

UINT16 = 65_536


def totals(counters: Counters, *counts: int | None) -> list[int | None]:
    """Show the counts of one counter one after another; None is a reading that is not good."""
    found: list[int | None] = []
    for count in counts:
        good = np.array([count is not None])
        total = counters.follow(np.array([0]), np.array([count or 0]), good)
        found.append(int(total[0]) if count is not None else None)
    return found


def test_a_count_goes_on_over_the_end_of_its_range() -> None:
    assert totals(Counters(["energy"], [UINT16], {}), 65_534, 65_535, 0, 1) == [65_534, 65_535, 65_536, 65_537]


def test_it_wraps_again_and_again() -> None:
    assert totals(Counters(["energy"], [100], {}), 90, 10, 60, 99, 5, 4_0, 90, 0) == [
        90,
        110,
        160,
        199,
        205,
        240,
        290,
        300,
    ]


def test_the_first_count_is_the_total_however_high() -> None:
    assert totals(Counters(["energy"], [UINT16], {}), 65_535) == [65_535]


def test_a_small_fall_is_a_reset_and_the_count_starts_anew() -> None:
    assert totals(Counters(["energy"], [UINT16], {}), 65_535, 7, 20_000, 0, 5) == [65_535, 65_543, 85_536, 0, 5]


def test_a_fall_by_just_half_the_range_is_a_reset() -> None:
    assert totals(Counters(["energy"], [100], {}), 60, 10) == [60, 10]
    assert totals(Counters(["energy"], [100], {}), 61, 10) == [61, 110]


def test_bad_readings_do_not_disturb_it() -> None:
    assert totals(Counters(["energy"], [UINT16], {}), 65_000, None, None, 3) == [65_000, None, None, 65_539]


def test_each_row_is_a_counter_of_its_own() -> None:
    counters = Counters(["a", "", "b"], [100, 0, 10_000], {})
    rows, good = np.array([2, 0]), np.array([True, True])
    assert counters.follow(rows, np.array([9_000, 90]), good).tolist() == [9_000, 90]
    assert counters.follow(rows, np.array([10, 95]), good).tolist() == [10_010, 95]
    assert counters.follow(rows, np.array([20, 5]), np.array([False, True])).tolist()[1] == 105
    assert counters.follow(rows, np.array([20, 6]), good).tolist() == [10_020, 106]


def test_it_survives_a_restart_in_what_json_can_carry() -> None:
    before = Counters(["a", "", "b"], [100, 0, 100], {})
    before.follow(np.array([0, 2]), np.array([90, 80]), np.array([True, True]))
    before.follow(np.array([0, 2]), np.array([5, 85]), np.array([True, True]))
    state = json.loads(json.dumps(before.state()))
    assert state == {"a": {"last": 5, "wraps": 1, "range": 100}, "b": {"last": 85, "wraps": 0, "range": 100}}
    after = Counters(["b", "a"], [100, 100], state)
    assert after.follow(np.array([0, 1]), np.array([1, 6]), np.array([True, True])).tolist() == [101, 106]


def test_what_is_configured_otherwise_now_starts_anew() -> None:
    state = {"a": {"last": 5, "wraps": 7, "range": UINT16}, "gone": {"last": 1, "wraps": 1, "range": UINT16}}
    counters = Counters(["a"], [2**32], state)
    assert totals(counters, 6) == [6]
    assert set(counters.state()) == {"a"}


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([16, 100, 9_999 + 1, UINT16, 2**32, 10**16]),
    st.data(),
)
def test_it_is_the_counter_that_never_wraps(size: int, data: st.DataObject) -> None:
    """Less than half the range between two good readings, bad ones and restarts in between."""
    true = data.draw(st.integers(0, size - 1))
    counters = Counters(["energy"], [size], {})
    assert totals(counters, true) == [true]
    for step in data.draw(st.lists(st.integers(0, (size - 1) // 2), max_size=20)):
        true += step
        if data.draw(st.booleans()):
            totals(counters, None)
        if data.draw(st.booleans()):
            counters = Counters(["energy"], [size], json.loads(json.dumps(counters.state())))
        assert totals(counters, true % size) == [true]
