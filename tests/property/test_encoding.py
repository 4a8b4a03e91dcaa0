"""Records as bytes and back: bit exact, and damage of any byte is noticed."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Batch, Kind
from gateway.model.batch import objects
from gateway.model.encoding import Damaged, decode, encode, pack, unpack
from tests.property.strategies import FLOATS, JSON, TEXT, batches, exact, rows

RECORDS = st.lists(batches(historical=st.booleans()), max_size=4)


@settings(deadline=None, max_examples=300)
@given(RECORDS)
def test_what_is_decoded_is_what_was_encoded(record: list[Batch]) -> None:
    decoded = decode(encode(record))
    assert [rows(batch) for batch in decoded] == [rows(batch) for batch in record]
    assert [(b.kind, b.historical) for b in decoded] == [(b.kind, b.historical) for b in record]


@pytest.mark.parametrize(
    "bits",
    [0x8000_0000_0000_0000, 0x7FF8_0000_0000_0001, 0x7FF0_0000_0000_0001, 0xFFFF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000],
)
def test_odd_floats_keep_their_bits(bits: int) -> None:
    value = np.array([bits], np.uint64).view(np.float64)
    batch = Batch.of([1], 0, value)
    waveform = Batch.of([1], 0, objects([value]))
    (back,), (wave,) = decode(encode([batch])), decode(encode([waveform]))
    assert back.value.view(np.uint64).tolist() == [bits]
    assert wave.value[0].view(np.uint64).tolist() == [bits]


@pytest.mark.parametrize("text", ["", "Grüße", "温度 🌡", "\ud800", "a\0b", '"\\', "\u2028"])
def test_any_text_comes_back(text: str) -> None:
    (back,) = decode(encode([Batch.of([1, 2], 0, [text, {text: [text]}])]))
    assert back.value.tolist() == [text, {text: [text]}]


def test_numbers_at_the_edges_of_64_bits_come_back() -> None:
    signed = Batch.of([1, 2], [-(2**63), 2**63 - 1], np.array([-(2**63), 2**63 - 1]))
    unsigned = Batch.of([0, 2**32 - 1], 0, np.array([0, 2**64 - 1], np.uint64))
    back = decode(encode([signed, unsigned]))
    assert [rows(batch) for batch in back] == [rows(signed), rows(unsigned)]


def test_columns_that_count_round_the_end_of_their_type_come_back() -> None:
    tag = np.array([2**32 - 2, 2**32 - 1, 0, 1], np.uint32)
    time = np.array([2**63 - 2, 2**63 - 1, -(2**63), -(2**63) + 1], np.int64)
    batch = Batch(tag, time, np.zeros(4), np.zeros(4, np.uint32))
    assert rows(decode(encode([batch]))[0]) == rows(batch)


@pytest.mark.parametrize("tags", [[1, 2, 5], [1, 2, 3, 3], [7, 7, 8], [5, 6, 4], [0, 1, 2, 3]])
def test_columns_that_count_or_stay_only_at_their_beginning_come_back(tags: list[int]) -> None:
    (back,) = decode(encode([Batch.of(tags, tags, [1.0] * len(tags), tags)]))
    assert (back.tag.tolist(), back.time.tolist(), back.quality.tolist()) == (tags, tags, tags)


def test_the_usual_poll_is_small() -> None:
    """The docstring's promise: eight bytes per reading and some thirty more per batch."""
    batch = Batch.of(np.arange(1000), 1_767_592_800_000_000_000, np.linspace(0, 1, 1000))
    assert len(encode([batch])) <= 8 * 1000 + 40


@settings(deadline=None, max_examples=40)
@given(st.lists(batches(max_size=3), max_size=2))
def test_every_flipped_bit_is_noticed(record: list[Batch]) -> None:
    data = encode(record)
    for at in range(len(data)):
        for bit in range(8):
            with pytest.raises(Damaged):
                decode(data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :])


@settings(deadline=None, max_examples=60)
@given(RECORDS, st.binary(min_size=1, max_size=4))
def test_every_missing_and_added_byte_is_noticed(record: list[Batch], more: bytes) -> None:
    data = encode(record)
    for wrong in [*(data[:length] for length in range(len(data))), data + more]:
        with pytest.raises(Damaged):
            decode(wrong)


def test_a_record_of_another_version_is_not_guessed_at() -> None:
    body = bytes((2, 0))
    with pytest.raises(Damaged, match="version 2, this program reads 1"):
        decode(zlib.crc32(body).to_bytes(4, "little") + body)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(TEXT, JSON, FLOATS), max_size=6), st.binary(max_size=5))
def test_items_are_packed_one_after_another(items: list[object], before: bytes) -> None:
    data = before + pack(items)
    unpacked, end = unpack(data, len(items), len(before))
    assert [exact(item) for item in unpacked] == [exact(item) for item in items]
    assert end == len(data)


def test_what_json_cannot_carry_is_kept_as_its_text() -> None:
    assert unpack(pack([1 + 2j]), 1)[0].tolist() == ["(1+2j)"]


@pytest.mark.parametrize("kind", Kind)
def test_an_empty_batch_keeps_its_kind(kind: Kind) -> None:
    empty = Batch.of([], [], np.array([], kind.dtype))
    (back,) = decode(encode([empty]))
    assert (len(back), back.kind) == (0, kind)
