"""Chunks: readings of one series as bytes and back, bit exact for every kind; damage is an error and no value."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.historian.chunk import Readings, decode, encode
from gateway.model import Batch, Kind
from gateway.model.batch import objects
from tests.property.strategies import BITS, batches, column, rows


def readings(batch: Batch) -> Readings:
    return Readings(batch.time, batch.value, batch.quality)


def batch(readings: Readings) -> Batch:
    return Batch(np.zeros(len(readings), np.uint32), readings.time, readings.value, readings.quality)


def assert_comes_back(given: Batch) -> bytes:
    data = encode(readings(given), given.kind)
    kind, found = decode(data)
    assert kind is given.kind
    assert rows(batch(found)) == rows(batch(readings(given)))
    return data


@settings(deadline=None, max_examples=200)
@given(batches(tags=st.just(0), min_size=1, max_size=30))
def test_any_readings_come_back(given: Batch) -> None:
    assert_comes_back(given)


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


def test_process_values_are_small() -> None:
    """The promise of the design: a few bytes per reading."""
    chance = np.random.default_rng(1)
    value = np.round(72 + np.cumsum(chance.normal(0, 0.05, 3600)), 1)
    time = 1_767_592_800_000_000_000 + np.arange(3600) * 1_000_000_000
    data = assert_comes_back(Batch.of([0] * 3600, time, value))
    assert len(data) < 2 * 3600


def small(kind: Kind) -> Batch:
    value = {Kind.FLOAT: np.array([1.5, 2.25, -3.5]), Kind.OBJECT: objects(["a", [1], np.array([1.0])])}
    return Batch.of([0] * 3, [5, 6, 9], value.get(kind, np.array([1, 0, 1]).astype(kind.dtype)), [0, 0, 1])


@pytest.mark.parametrize("kind", Kind)
def test_a_flipped_bit_is_an_error_or_changes_nothing(kind: Kind) -> None:
    whole = small(kind)
    data = encode(readings(whole), kind)
    for at in range(8 * len(data)):
        wrong = bytearray(data)
        wrong[at // 8] ^= 1 << at % 8
        try:
            found = decode(bytes(wrong))
        except ValueError:
            continue
        assert (found[0], rows(batch(found[1]))) == (kind, rows(whole))


@pytest.mark.parametrize("kind", Kind)
def test_a_missing_byte_is_an_error(kind: Kind) -> None:
    data = encode(readings(small(kind)), kind)
    for length in range(len(data)):
        with pytest.raises(ValueError, match="chunk"):
            decode(data[:length])


def test_a_chunk_of_another_version_is_not_guessed_at() -> None:
    data = encode(readings(small(Kind.FLOAT)), Kind.FLOAT)
    other = b"\x09" + data[5:]
    with pytest.raises(ValueError, match="version 9, this program reads"):
        decode(zlib.crc32(other).to_bytes(4, "little") + other)
