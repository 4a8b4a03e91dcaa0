"""Rows of the tail: every reading comes back, bit exact, those of a series and kind in the order in which they came."""

from collections.abc import Sequence

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.historian.grid import Grid, decode, encode, gridded, merged
from gateway.model import Batch, Kind, encoding
from tests.property.strategies import batches, rows

SERIES = st.integers(0, 9)
EMITTED = st.lists(batches(tags=SERIES, max_size=6), max_size=6)


@st.composite
def polls(draw: st.DrawFn) -> list[Batch]:
    """The same tags again and again, some of them with times of their own, and now and then others between them."""
    tags = draw(st.lists(SERIES, min_size=1, max_size=4, unique=True))
    found = []
    for scan in range(draw(st.integers(32, 34))):
        own = draw(st.booleans()) if scan % 16 == 0 else False
        time = np.arange(len(tags)) if own else scan
        found.append(Batch.of(tags, time, np.arange(len(tags)) + scan + 0.5, scan // 30))
    return found + draw(st.sampled_from([[], found[:1], [Batch.of([10], 1, [1.0])]]))


def by_series(found: Sequence[Batch]) -> dict[tuple[Kind, int], list[object]]:
    series: dict[tuple[Kind, int], list[object]] = {}
    for batch in found:
        for row in rows(batch):
            series.setdefault(row[:2], []).append(row)
    return series


@given(st.one_of(EMITTED, polls()))
@settings(deadline=None)
def test_what_is_read_is_what_was_written(emitted: list[Batch]) -> None:
    grids = decode(encode(list(gridded(emitted))))
    assert by_series([grid.batch() for grid in grids]) == by_series(emitted)
    for grid in grids:
        assert grid.series.tolist() == sorted(grid.series.tolist())


@given(st.lists(st.one_of(EMITTED, polls()), max_size=3))
@settings(deadline=None)
def test_rows_are_merged_in_their_order(emissions: list[list[Batch]]) -> None:
    by_kind: dict[Kind, list[Grid]] = {}
    for emitted in emissions:
        for grid in decode(encode(list(gridded(emitted)))):
            by_kind.setdefault(grid.kind, []).append(grid)
    found = [grid for same in by_kind.values() for grid in merged(same)]
    assert by_series([grid.batch() for grid in found]) == by_series([one for emitted in emissions for one in emitted])
    for kind in by_kind:
        columns = [series for grid in found if grid.kind is kind for series in set(grid.series.tolist())]
        assert len(columns) == len(set(columns))


@given(EMITTED)
@settings(deadline=None)
def test_a_row_of_the_version_before_is_read(emitted: list[Batch]) -> None:
    old = zstandard.ZstdCompressor().compress(encoding.encode(emitted))
    assert by_series([grid.batch() for grid in decode(old)]) == by_series(emitted)


def test_what_is_polled_has_its_times_and_tags_once() -> None:
    scans = [Batch.of(np.arange(100), scan, np.full(100, 0.5)) for scan in range(10)]
    (grid,) = gridded(scans)
    assert (grid.value.shape, grid.time.shape, grid.quality.shape) == ((10, 100), (10, 1), (10, 1))


@pytest.mark.parametrize(
    "damage", [b"", b"\x02", b"\x03\x00\x00\x00\x00", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd abc"]
)
def test_damage_is_found(damage: bytes) -> None:
    whole = encode(list(gridded([Batch.of([1, 2], 0, [1.0, 2.0])])))
    for data in (damage, whole[:-1], whole[:9] + bytes([whole[9] ^ 1]) + whole[10:]):
        with pytest.raises(ValueError, match=r"damaged|too short|checksum"):
            decode(data)
