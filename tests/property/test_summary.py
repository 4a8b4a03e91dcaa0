"""Summaries against a plain loop over seconds, and pictures against what they must keep."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.historian.chunk import Readings
from gateway.historian.summary import lttb, minmax, summarise
from gateway.model.batch import objects

S = 1_000_000_000
BAD = 0x808A_0000


@st.composite
def stretches(draw: st.DrawFn) -> tuple[Readings, int, int, int]:
    """Readings at whole seconds, the first perhaps before the start; start, end and width in seconds."""
    seconds = sorted(draw(st.sets(st.integers(-20, 59), min_size=1, max_size=12)))
    before = [second for second in seconds if second <= 0][-1:]
    seconds = before + [second for second in seconds if second > 0]
    n = len(seconds)
    kind: Any = draw(st.sampled_from([np.float64, np.int64, np.bool_, object]))
    numbers = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    value = objects([str(x) for x in numbers]) if kind is object else np.array(numbers, kind)
    quality = np.array(draw(st.lists(st.sampled_from([0, 0, BAD]), min_size=n, max_size=n)), np.uint32)
    readings = Readings(np.array(seconds or [1], np.int64)[:n] * S, value, quality)
    return readings, 0, 60, draw(st.sampled_from([7, 20, 60, 100]))


@settings(deadline=None, max_examples=200)
@given(stretches())
def test_it_matches_a_plain_loop_over_seconds(given: tuple[Readings, int, int, int]) -> None:
    readings, start, end, width = given
    found = summarise(readings, start * S, end * S, width * S)
    rows = {bucket // S: k for k, bucket in enumerate(found.rollup.bucket.tolist())}
    listed = list(zip((readings.time // S).tolist(), readings.value.tolist(), readings.quality.tolist(), strict=True))
    for bucket in range(start, end, width):
        seconds = range(bucket, min(bucket + width, end))
        known = [value for second in seconds if (value := holds(listed, second)) is not None]
        inside = [row for row in listed if row[0] in seconds]
        if not known and not inside:
            assert bucket not in rows
            continue
        k = rows[bucket]
        assert found.held[k] == pytest.approx(len(known))
        assert found.rollup.count[k] == len(inside)
        assert found.changes[k] == sum(changed(listed, row) for row in inside)
        if readings.value.dtype != object:
            assert found.time_mean[k] == pytest.approx(np.mean(known) if known else math.nan, nan_ok=True)
        for state, held in found.states.items():
            assert held[k] == pytest.approx(sum(str(value) == state for value in known))


def holds(listed: list[Any], second: int) -> Any:
    """The value that is known in a second, or None."""
    before = [row for row in listed if row[0] <= second]
    return before[-1][1] if before and not before[-1][2] else None


def changed(listed: list[Any], row: Any) -> bool:
    before = [one for one in listed if one[0] < row[0] and not one[2]]
    return bool(not row[2] and before and before[-1][1] != row[1])


VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@settings(deadline=None, max_examples=150)
@given(VALUES, st.integers(2, 20))
def test_a_picture_by_extremes_keeps_the_extremes(values: list[float], points: int) -> None:
    value, time = np.array(values), np.arange(len(values)) * S
    kept = minmax(time, value, points)
    assert len(kept) <= max(points, 2)
    assert (np.diff(kept) > 0).all()
    assert {value[kept].min(), value[kept].max()} == {value.min(), value.max()}


@settings(deadline=None, max_examples=150)
@given(VALUES, st.integers(3, 20))
def test_a_picture_by_triangles_has_the_ends_and_so_many_points(values: list[float], points: int) -> None:
    kept = lttb(np.arange(len(values)) * S, np.array(values), points)
    assert len(kept) == min(points, len(values))
    assert (np.diff(kept) > 0).all()
    assert (kept[0], kept[-1]) == (0, len(values) - 1)


def test_a_picture_by_triangles_keeps_a_spike() -> None:
    value = np.zeros(1000)
    value[321] = 9.0
    assert 321 in lttb(np.arange(1000), value, 20)
