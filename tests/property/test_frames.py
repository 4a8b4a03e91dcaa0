"""Frames come out as they were put in, however they are cut; anything else is an error and never a hang."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from connectors._modbus.frames import Frame, Framing, Mbap, Rtu, crc16

BYTES = st.integers(0, 255)
PDUS = st.one_of(
    st.builds(lambda f, data: bytes((f, len(data))) + data, st.integers(1, 4), st.binary(max_size=250)),
    st.builds(lambda f, data: bytes((f,)) + data, st.sampled_from([5, 6, 15, 16]), st.binary(min_size=4, max_size=4)),
    st.builds(lambda data: b"\x16" + data, st.binary(min_size=6, max_size=6)),
    st.builds(lambda f, code: bytes((f | 0x80, code)), st.integers(1, 24), BYTES),
)
FRAMES = st.lists(st.tuples(st.integers(1, 65_535), BYTES, PDUS), max_size=6)


def received(framing: Framing, stream: bytes, cuts: Sequence[int]) -> tuple[list[Frame], bytes]:
    """Hand the stream over in segments; return the frames, and what is left."""
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    rest, all_frames, start = b"", [], 0
    for end in ends:
        rest += stream[start:end]
        frames, used = framing.split(rest)
        all_frames += frames
        rest = rest[used:]
        start = end
    return all_frames, rest


@settings(deadline=None)
@given(FRAMES, st.lists(st.integers(0, 1600)), st.integers(0, 6))
@pytest.mark.parametrize("framing", [Mbap(), Rtu()])
def test_frames_come_out_as_they_went_in(
    framing: Framing, sent: list[tuple[int, int, bytes]], cuts: list[int], missing: int
) -> None:
    stream = b"".join(framing.frame(*frame) for frame in sent)
    last = framing.frame(1, 1, b"\x03\x04\1\2\3\4")[:missing]
    frames, left = received(framing, stream + last, cuts)
    assert left == last
    assert frames == [frame if framing.numbered else (None, *frame[1:]) for frame in sent]


@settings(deadline=None)
@given(st.binary(max_size=2000))
@example(b"HTTP/1.1 400 Bad Request\r\n\r\n")
@pytest.mark.parametrize("framing", [Mbap(), Rtu()])
def test_any_bytes_are_frames_or_one_error(framing: Framing, stream: bytes) -> None:
    try:
        frames, used = framing.split(stream)
    except ConnectionError:
        return
    assert sum(len(pdu) for _, _, pdu in frames) <= used <= len(stream)


@settings(deadline=None)
@given(st.binary(max_size=256))
@example(bytes.fromhex("010300000002"))
def test_the_checksum_is_that_of_pymodbus(data: bytes) -> None:
    assert crc16(data) == FramerRTU.compute_CRC(data).to_bytes(2, "big")


def test_the_checksum_of_the_standard() -> None:
    assert crc16(bytes.fromhex("010300000002")) == bytes.fromhex("C40B")


@given(st.integers(0, 7), st.integers(0, 8))
def test_a_frame_with_a_bit_turned_over_is_no_frame(bit: int, at: int) -> None:
    stream = bytearray(Rtu().frame(0, 1, b"\x03\x04\1\2\3\4"))
    stream[at] ^= 1 << bit
    try:
        frames, _ = Rtu().split(bytes(stream))
    except ConnectionError:
        return
    assert frames == []
