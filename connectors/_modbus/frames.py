"""Frames: how a PDU travels. Pure.

MBAP (Modbus Messaging on TCP/IP V1.0b section 3.1) numbers every transaction, so several requests may be on their
way, and a late answer is known as such. RTU (Modbus over Serial Line V1.02 section 2.5) has unit, PDU and CRC-16.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

_HEADER: Final = struct.Struct(">HHHB")
_PDU_MAX: Final = 253


class Frame(NamedTuple):
    """An answer as it arrived; RTU has no transaction, so it is that of whatever is waiting."""

    transaction: int | None
    unit: int
    pdu: bytes


class Framing(Protocol):
    """One way of framing. `numbered` says that transactions have numbers."""

    numbered: bool

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """Return what to send."""
        ...

    def split(self, buffer: bytearray) -> Iterator[Frame]:
        """Take the whole frames out of the buffer. Raises ConnectionError for what cannot be a frame."""
        ...


class Mbap:
    """Modbus TCP, also within TLS and UDP."""

    numbered = True

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        return _HEADER.pack(transaction, 0, 1 + len(pdu), unit) + pdu

    def split(self, buffer: bytearray) -> Iterator[Frame]:
        start, size = 0, len(buffer)
        while size - start >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(buffer, start)
            if protocol != 0 or not 3 <= length <= 1 + _PDU_MAX:
                raise ConnectionError(f"frame with protocol {protocol} and length {length}")
            if size - start < 6 + length:
                break
            yield Frame(transaction, unit, bytes(buffer[start + 7 : start + 6 + length]))
            start += 6 + length
        del buffer[:start]


class Rtu:
    """Modbus RTU: on a serial line, or tunnelled through TCP."""

    numbered = False

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        body = bytes((unit,)) + pdu
        return body + crc16(body)

    def split(self, buffer: bytearray) -> Iterator[Frame]:
        while (length := _rtu_length(buffer)) and len(buffer) >= length:
            body, crc = bytes(buffer[: length - 2]), bytes(buffer[length - 2 : length])
            if crc16(body) != crc:
                raise ConnectionError("frame with a wrong checksum")
            del buffer[:length]
            yield Frame(None, body[0], body[1:])


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


def _rtu_length(buffer: bytearray) -> int:
    """The length of the answer that begins the buffer, known by its function; 0 if that is not there yet."""
    if len(buffer) < 3:
        return 0
    function = buffer[1]
    if function & 0x80:
        return 5
    match function:
        case 1 | 2 | 3 | 4:
            return 5 + buffer[2]
        case 5 | 6 | 15 | 16:
            return 8
        case 22:
            return 10
        case _:
            raise ConnectionError(f"answer with function {function}")
