"""Roll-ups against a plain loop, and the same however the readings were cut into batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.historian.rollup import MINUTE_NS, Rollup, merge, rollup
from gateway.model import Batch, Kind
from tests.property.strategies import column

BUCKETS = [MINUTE_NS, 7 * MINUTE_NS, 3]
TIMES = st.one_of(
    st.integers(-3 * MINUTE_NS, 3 * MINUTE_NS), st.sampled_from([-MINUTE_NS, -1, 0, MINUTE_NS - 1, MINUTE_NS])
)
NUMBER = st.one_of(
    st.integers(-1000, 1000).map(float), st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -0.0])
)
QUALITIES = st.sampled_from([0, 0, 0x0030_0000, 0x408F_0000, 0x808A_0000])


@st.composite
def readings(draw: st.DrawFn) -> Batch:
    """Readings of a few series in order of time, as the loop and the numbers are easiest to compare."""
    n = draw(st.integers(1, 12))
    time = sorted(draw(st.lists(TIMES, min_size=n, max_size=n)))
    kind = draw(st.sampled_from(Kind))
    numbers = draw(st.lists(NUMBER, min_size=n, max_size=n))
    value: Any
    match kind:
        case Kind.FLOAT:
            value = np.array(numbers)
        case Kind.OBJECT:
            value = column(kind, ["text"] * n)
        case _:
            value = np.abs(np.nan_to_num(np.array(numbers), posinf=7)).astype(kind.dtype)
    tag = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    return Batch.of(tag, time, value, draw(st.lists(QUALITIES, min_size=n, max_size=n)))


@dataclass
class Row:
    """A roll-up row as somebody would compute it by hand."""

    count: int
    numbers: list[tuple[int, float]]

    def columns(self) -> tuple[Any, ...]:
        if not self.numbers:
            return self.count, 0, None, None, 0.0, 0.0, None, 0, None, 0
        values = [value for _, value in self.numbers]
        first, last = self.numbers[0][0], self.numbers[-1][0]
        of_first = [value for time, value in self.numbers if time == first][-1]
        mean = math.fsum(values) / len(values)
        squares = math.fsum((value - mean) ** 2 for value in values)
        numbers = (self.count, len(values), min(values), max(values), sum(values), squares)
        return *numbers, of_first, first, values[-1], last


def by_hand(batches: Sequence[Batch], bucket_ns: int) -> dict[tuple[int, int], tuple[Any, ...]]:
    table: dict[tuple[int, int], Row] = {}
    for batch in batches:
        columns = (batch.tag.tolist(), batch.time.tolist(), batch.value.tolist(), batch.quality.tolist())
        for tag, time, value, quality in zip(*columns, strict=True):
            row = table.setdefault((tag, time // bucket_ns * bucket_ns), Row(0, []))
            row.count += 1
            if quality < 0x4000_0000 and not isinstance(value, str) and math.isfinite(value):
                row.numbers.append((time, float(value)))
    return {key: row.columns() for key, row in table.items()}


def told(rows: Rollup) -> dict[tuple[int, int], tuple[Any, ...]]:
    """All columns but those of held.py, which test_held.py looks at."""
    found = {(row.pop("series"), row.pop("bucket")): tuple(row.values())[:10] for row in rows.rows()}
    assert len(found) == len(rows)
    assert list(found) == sorted(found)
    return found


def assert_same(found: dict[tuple[int, int], tuple[Any, ...]], wanted: dict[tuple[int, int], tuple[Any, ...]]) -> None:
    assert found.keys() == wanted.keys()
    for key, row in wanted.items():
        assert found[key][:4] + found[key][6:] == row[:4] + row[6:]
        assert found[key][4] == pytest.approx(row[4], rel=1e-12, abs=1e-9)
        assert found[key][5] == pytest.approx(row[5], rel=1e-9, abs=1e-3)


@settings(deadline=None, max_examples=200)
@given(readings(), st.sampled_from(BUCKETS))
def test_matches_a_plain_loop(batch: Batch, bucket_ns: int) -> None:
    assert_same(told(rollup(batch, bucket_ns)), by_hand([batch], bucket_ns))


@settings(deadline=None, max_examples=200)
@given(readings(), st.sampled_from(BUCKETS), st.data())
def test_the_order_of_rows_within_a_batch_does_not_matter_but_for_equal_times(
    batch: Batch, bucket_ns: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(batch))))
    mixed = batch.take(np.array(sorted(order, key=lambda i: (i % 3, batch.time[i])), np.intp))
    resorted = mixed.take(np.argsort(mixed.time, kind="stable"))
    assert_same(told(rollup(mixed, bucket_ns)), by_hand([resorted], bucket_ns))


@settings(deadline=None, max_examples=200)
@given(readings(), st.integers(0, 12), st.integers(0, 12), st.sampled_from(BUCKETS))
def test_cutting_readings_into_batches_changes_nothing(batch: Batch, one: int, other: int, bucket_ns: int) -> None:
    first, second = sorted((min(one, len(batch)), min(other, len(batch))))
    pieces = [range(first), range(first, second), range(second, len(batch))]
    parts = [rollup(batch.take(np.array(piece, np.intp)), bucket_ns) for piece in pieces if len(piece)]
    merged = reduce(lambda a, b: merge(a, b, bucket_ns), parts)
    assert_same(told(merged), by_hand([batch], bucket_ns))


@settings(deadline=None, max_examples=150)
@given(readings(), readings(), st.sampled_from([1, 2, 7, 60]))
def test_minutes_merge_into_longer_buckets(one: Batch, other: Batch, minutes: int) -> None:
    width = minutes * MINUTE_NS
    merged = told(merge(rollup(one), rollup(other), width))
    wanted = by_hand([one, other], width)
    assert_same({key: row[:6] for key, row in merged.items()}, {key: row[:6] for key, row in wanted.items()})


def test_a_minute_as_one_would_compute_it() -> None:
    batch = Batch.of(
        [3, 3, 3, 3],
        [MINUTE_NS, MINUTE_NS + 5, MINUTE_NS + 9, 2 * MINUTE_NS],
        [2.0, 8.0, 5.0, 1.0],
        [0, 0x808A_0000, 0, 0],
    )
    assert rollup(batch).rows() == [
        {
            "series": 3, "bucket": MINUTE_NS, "count": 3, "good": 2, "minimum": 2.0, "maximum": 5.0, "total": 7.0,
            "squares": 4.5,
            "first": 2.0, "first_time": MINUTE_NS, "last": 5.0, "last_time": MINUTE_NS + 9,
            "opens": 0, "closes": 0, "unknown": 4, "area": 2.0 * 5e-9,
        },
        {
            "series": 3, "bucket": 2 * MINUTE_NS, "count": 1, "good": 1, "minimum": 1.0, "maximum": 1.0, "total": 1.0,
            "squares": 0.0,
            "first": 1.0, "first_time": 2 * MINUTE_NS, "last": 1.0, "last_time": 2 * MINUTE_NS,
            "opens": 0, "closes": 0, "unknown": 0, "area": 0.0,
        },
    ]  # fmt: skip


def test_text_and_bad_readings_are_counted_and_have_no_numbers() -> None:
    (row,) = rollup(Batch.of([1, 1], 0, ["a", "b"])).rows()
    assert (row["count"], row["good"], row["minimum"], row["last"], row["total"]) == (2, 0, None, None, 0.0)
