"""Chunks: readings of one series as bytes and back, bit exact for every kind; damage is an error and no value."""

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.historian.chunk import Readings, decode, decode_times, encode, encode_times
from gateway.model import Batch, Kind
from gateway.model.batch import objects
from tests.property.strategies import BITS, batches, column, rows


def batch(readings: Readings) -> Batch:
    return Batch(np.zeros(len(readings), np.uint32), readings.time, readings.value, readings.quality)


def chunk(given: Batch) -> bytes:
    (data,) = encode(given.kind, given.value, given.quality, np.array([0]))
    return data


def assert_comes_back(given: Batch) -> bytes:
    data = chunk(given)
    kind, found = decode(data, decode_times(encode_times(given.time)))
    assert kind is given.kind
    assert rows(batch(found)) == rows(Batch(np.zeros_like(given.tag), given.time, given.value, given.quality))
    return data


@settings(deadline=None, max_examples=200)
@given(batches(tags=st.just(0), min_size=1, max_size=30))
def test_any_readings_come_back(given: Batch) -> None:
    assert_comes_back(given)


@settings(deadline=None, max_examples=200)
@given(st.data(), st.sampled_from(Kind))
def test_series_that_are_encoded_together_are_as_if_each_were_alone(data: st.DataObject, kind: Kind) -> None:
    series = data.draw(st.lists(batches(kinds=[kind], tags=st.just(0), min_size=1, max_size=9), min_size=1, max_size=5))
    starts = np.cumsum([0, *map(len, series[:-1])])
    together = encode(
        kind, np.concatenate([b.value for b in series]), np.concatenate([b.quality for b in series]), starts
    )
    assert together == [chunk(one) for one in series]


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 6),
    st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 59), BITS), max_size=2),
)
def test_decimals_with_an_odd_one_among_them_come_back(
    digits: int, whole: list[int], odd: list[tuple[int, int]]
) -> None:
    """Most process values are decimals; -0.0, NaN, infinity or a float in between must not be rounded to one."""
    bits = (np.array(whole, np.float64) / 10.0**digits).view(np.uint64).tolist()
    for at, pattern in odd:
        bits[at % len(bits)] = pattern
    assert_comes_back(Batch.of([0] * len(bits), np.arange(len(bits)) * 1_000_000_000, column(Kind.FLOAT, bits)))


@pytest.mark.parametrize("digits", range(8))
@pytest.mark.parametrize("edge", [2**53 - 1, 2**53, 2**53 + 2, 2**62])
def test_decimals_at_the_edge_of_whole_numbers_come_back(digits: int, edge: int) -> None:
    value = np.array([edge, -edge, edge - 1, 0, 1]) / 10.0**digits
    assert_comes_back(Batch.of([0] * 5, [1, 2, 3, 4, 5], value))
    assert_comes_back(Batch.of([0] * 5, [1, 2, 3, 4, 5], value.astype(np.float32).astype(np.float64)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_process_values_are_small(dtype: type[np.floating[Any]]) -> None:
    """The promise of the design: at most two bytes per reading, with the times that many tags share."""
    chance = np.random.default_rng(1)
    value = np.round(72 + np.cumsum(chance.normal(0, 0.05, 3600)), 2).astype(dtype).astype(np.float64)
    time = 1_767_592_800_000_000_000 + np.arange(3600) * 1_000_000_000 + chance.integers(0, 10_000_000, 3600)
    data = assert_comes_back(Batch.of([0] * 3600, time, value))
    assert len(data) < 0.8 * 3600
    assert len(encode_times(time)) < 5 * 3600


def small(kind: Kind) -> Batch:
    value = {Kind.FLOAT: np.array([1.5, 2.25, -3.5]), Kind.OBJECT: objects(["a", [1], np.array([1.0])])}
    return Batch.of([0] * 3, [5, 6, 9], value.get(kind, np.array([1, 0, 1]).astype(kind.dtype)), [0, 0, 1])


@pytest.mark.parametrize("kind", Kind)
def test_a_flipped_bit_is_an_error_or_changes_nothing(kind: Kind) -> None:
    whole = small(kind)
    data = chunk(whole)
    for at in range(8 * len(data)):
        wrong = bytearray(data)
        wrong[at // 8] ^= 1 << at % 8
        try:
            found = decode(bytes(wrong), whole.time)
        except ValueError:
            continue
        assert (found[0], rows(batch(found[1]))) == (kind, rows(whole))


@pytest.mark.parametrize("kind", Kind)
def test_a_missing_byte_is_an_error(kind: Kind) -> None:
    data = chunk(small(kind))
    for length in range(len(data)):
        with pytest.raises(ValueError, match="chunk"):
            decode(data[:length], small(kind).time)


def test_times_that_are_not_those_of_the_chunk_are_an_error() -> None:
    with pytest.raises(ValueError, match="chunk has 3 readings, its times are 2"):
        decode(chunk(small(Kind.FLOAT)), np.array([1, 2]))


def test_a_chunk_of_another_version_is_not_guessed_at() -> None:
    data = chunk(small(Kind.FLOAT))
    other = b"\x09" + data[5:]
    with pytest.raises(ValueError, match="version 9, this program reads"):
        decode(zlib.crc32(other).to_bytes(4, "little") + other, small(Kind.FLOAT).time)
