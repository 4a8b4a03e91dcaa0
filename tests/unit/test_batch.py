"""Batch: what it refuses, what it promises, and how rows are picked and joined."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.model import Batch, Kind, Quality
from gateway.model.batch import join_kinds, objects


def columns(n: int = 3) -> list[np.ndarray[Any, Any]]:
    return [np.arange(n, dtype=np.uint32), np.arange(n, dtype=np.int64), np.zeros(n), np.zeros(n, np.uint32)]


@pytest.mark.parametrize("short", range(4))
def test_columns_of_different_length_are_refused(short: int) -> None:
    wrong = columns()
    wrong[short] = wrong[short][:2]
    with pytest.raises(ValueError, match=r"one and the same length, not .*\(2,\)"):
        Batch(*wrong)


def test_columns_must_be_flat() -> None:
    with pytest.raises(ValueError, match="one and the same length"):
        Batch(*(column.reshape(3, 1) for column in columns()))


@pytest.mark.parametrize(
    ("at", "dtype"), [(0, np.int64), (0, ">u4"), (1, np.float64), (1, np.uint64), (3, np.int32), (3, np.uint64)]
)
def test_other_types_of_tag_time_and_quality_are_refused(at: int, dtype: Any) -> None:
    wrong = columns()
    wrong[at] = wrong[at].astype(dtype)
    with pytest.raises(TypeError, match="must be uint32, int64, uint32"):
        Batch(*wrong)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8, ">f8", "U4", "S4", "M8[ns]"])
def test_a_value_is_one_of_five_types(dtype: Any) -> None:
    wrong = columns()
    wrong[2] = wrong[2].astype(dtype)
    with pytest.raises(TypeError, match="float64, int64, uint64, bool or object"):
        Batch(*wrong)


@pytest.mark.parametrize("kind", Kind)
def test_the_kind_follows_from_the_values(kind: Kind) -> None:
    tag, time, _, quality = columns()
    assert Batch(tag, time, np.zeros(3, kind.dtype), quality).kind is kind


def test_kinds_have_the_numbers_that_stored_data_has() -> None:
    assert [(kind.value, kind.dtype.name) for kind in Kind] == [
        (0, "float64"), (1, "int64"), (2, "uint64"), (3, "bool"), (4, "object"),
    ]  # fmt: skip


def test_columns_cannot_be_written_any_more() -> None:
    given = columns()
    batch = Batch(*given)
    held: list[np.ndarray[Any, Any]] = [batch.tag, batch.time, batch.value, batch.quality, *given]
    for column in held:
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
    with pytest.raises(AttributeError):
        batch.tag = given[0]  # type: ignore[misc]


def test_picked_and_joined_rows_are_read_only_too() -> None:
    batch = Batch(*columns())
    for made in (batch.take(np.array([2, 0])), batch.where(batch.tag > 0), Batch.join([batch, batch])):
        with pytest.raises(ValueError, match="read-only"):
            made.value[0] = 1.0


def test_good_is_what_needs_no_reservation() -> None:
    quality = [Quality.GOOD, Quality.GOOD_CLAMPED, 0x3FFF_FFFF, 0x4000_0000, Quality.BAD_TIMEOUT, 0xFFFF_FFFF]
    assert Batch.of([0] * 6, 0, 0.0, quality).good.tolist() == [True, True, True, False, False, False]


def test_where_and_take_keep_rows_together() -> None:
    batch = Batch.of([7, 8, 9], [70, 80, 90], [0.7, 0.8, 0.9], [0, 1, 2])
    picked = batch.where(np.array([True, False, True]))
    assert (picked.tag.tolist(), picked.time.tolist(), picked.value.tolist(), picked.quality.tolist()) == (
        [7, 9], [70, 90], [0.7, 0.9], [0, 2],
    )  # fmt: skip
    assert batch.take(np.array([2, 0, 0])).time.tolist() == [90, 70, 70]
    assert batch.where(np.ones(3, np.bool_)) is batch
    assert len(batch.where(np.zeros(3, np.bool_))) == 0


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1.5, Kind.FLOAT),
        ([1.5, 2], Kind.FLOAT),
        (7, Kind.INTEGER),
        (True, Kind.BOOLEAN),
        ("text", Kind.OBJECT),
        ([None, 1.0], Kind.OBJECT),
        ([True, 1], Kind.OBJECT),
        ([[1.0, 2.0], [3.0, 4.0]], Kind.OBJECT),
        (np.array([1, 2], np.uint64), Kind.UNSIGNED),
    ],
)
def test_of_takes_the_kind_from_python_values(value: Any, kind: Kind) -> None:
    batch = Batch.of([1, 2], 5, value)
    assert batch.kind is kind
    assert batch.time.tolist() == [5, 5]
    assert batch.quality.tolist() == [0, 0]
    assert batch.value.tolist() == (list(value) if isinstance(value, list | np.ndarray) else [value, value])


def test_of_takes_a_single_reading_and_none_at_all() -> None:
    assert (Batch.of(3, 5, 1.5).tag.tolist(), len(Batch.of([], [], []))) == ([3], 0)


def test_join_keeps_the_order_of_rows() -> None:
    parts = [Batch.of([1], [10], [0.1]), Batch.of([], [], []), Batch.of([2, 3], [20, 30], [0.2, 0.3], [4, 5])]
    joined = Batch.join(parts)
    assert (joined.tag.tolist(), joined.time.tolist()) == ([1, 2, 3], [10, 20, 30])
    assert (joined.value.tolist(), joined.quality.tolist()) == ([0.1, 0.2, 0.3], [0, 4, 5])


def test_what_is_made_of_a_historical_batch_is_historical() -> None:
    batch = replace(Batch.of([1, 2], 0, 1.5), historical=True)
    made = [batch.take(np.array([0])), batch.where(batch.tag > 1), Batch.join([batch, batch])]
    assert all(one.historical for one in made)
    assert [one.historical for one in join_kinds([batch, Batch.of([3], 0, 1.5), batch])] == [True, False]


def test_join_kinds_makes_one_batch_of_each_kind() -> None:
    parts = [Batch.of([1], 0, [1.5]), Batch.of([2], 0, [True]), Batch.of([3], 0, [2.5]), Batch.of([4], 0, ["x"])]
    joined = join_kinds(parts)
    assert [(batch.kind, batch.tag.tolist()) for batch in joined] == [
        (Kind.FLOAT, [1, 3]), (Kind.BOOLEAN, [2]), (Kind.OBJECT, [4]),
    ]  # fmt: skip
    assert join_kinds([]) == []


def test_objects_are_kept_as_they_are_given() -> None:
    given = [[1, 2], [3, 4], "x", None, {"a": 1}]
    column = objects(given)
    assert column.shape == (5,)
    assert all(kept is item for kept, item in zip(column, given, strict=True))
