"""Frames: how a PDU travels. Pure.

MBAP (Modbus Messaging on TCP/IP V1.0b section 3.1) numbers every transaction, so several requests may be on their
way, and a late answer is known as such. RTU (Modbus over Serial Line V1.02 section 2.5) has unit, PDU and CRC-16.
"""

import struct
from typing import Final, Protocol

_HEADER: Final = struct.Struct(">HHHB")
_PDU_MAX: Final = 253


Frame = tuple[int | None, int, bytes]
"""Transaction, unit and PDU of an answer; RTU has no transaction, so it is that of whatever is waiting."""


class Framing(Protocol):
    """One way of framing. `numbered` says that transactions have numbers."""

    numbered: bool

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """Return what to send."""
        ...

    def expected(self, transaction: int, unit: int, begin: bytes, length: int) -> tuple[bytes, int]:
        """Return how a frame begins whose PDU begins so and has this length, and how long it is.

        Nothing and 0 where the beginning does not prove that the frame is whole and sound.
        """
        ...

    def split(self, stream: bytes) -> tuple[list[Frame], int]:
        """Return the whole frames at the beginning of a stream, and how many bytes they are.

        Raises ConnectionError for what cannot be a frame.
        """
        ...


class Mbap:
    """Modbus TCP, also within TLS and UDP."""

    numbered = True

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        return _HEADER.pack(transaction, 0, 1 + len(pdu), unit) + pdu

    def expected(self, transaction: int, unit: int, begin: bytes, length: int) -> tuple[bytes, int]:
        return _HEADER.pack(transaction, 0, 1 + length, unit) + begin, _HEADER.size + length

    def split(self, stream: bytes) -> tuple[list[Frame], int]:
        frames: list[Frame] = []
        start, size = 0, len(stream)
        while size - start >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(stream, start)
            if protocol != 0 or not 3 <= length <= 1 + _PDU_MAX:
                raise ConnectionError(f"frame with protocol {protocol} and length {length}")
            if size - start < 6 + length:
                break
            frames.append((transaction, unit, stream[start + 7 : start + 6 + length]))
            start += 6 + length
        return frames, start


class Rtu:
    """Modbus RTU: on a serial line, or tunnelled through TCP."""

    numbered = False

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        body = bytes((unit,)) + pdu
        return body + crc16(body)

    def expected(self, transaction: int, unit: int, begin: bytes, length: int) -> tuple[bytes, int]:
        return b"", 0

    def split(self, stream: bytes) -> tuple[list[Frame], int]:
        frames: list[Frame] = []
        start = 0
        while (length := _rtu_length(stream[start : start + 3])) and len(stream) - start >= length:
            body, crc = stream[start : start + length - 2], stream[start + length - 2 : start + length]
            if crc16(body) != crc:
                raise ConnectionError("frame with a wrong checksum")
            frames.append((None, body[0], body[1:]))
            start += length
        return frames, start


def crc16(data: bytes) -> bytes:
    """Return the CRC of a frame, low byte first: polynomial 0xA001 reflected, preset 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC: Final = [_crc_of(byte) for byte in range(256)]


def _rtu_length(head: bytes) -> int:
    """The length of an answer, known by its first three bytes; 0 if they are not there yet."""
    if len(head) < 3:
        return 0
    function = head[1]
    if function & 0x80:
        return 5
    match function:
        case 1 | 2 | 3 | 4:
            return 5 + head[2]
        case 5 | 6 | 15 | 16:
            return 8
        case 22:
            return 10
        case _:
            raise ConnectionError(f"answer with function {function}")
