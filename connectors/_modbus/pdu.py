"""Requests and what a good answer to each looks like (Modbus Application Protocol V1.1b3 section 6). Pure."""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

_READ: Final = struct.Struct(">BHH")
_HEAD: Final = struct.Struct(">BHHB")
_MASK: Final = struct.Struct(">BHHH")
_SINGLE: Final = struct.Struct(">BHH")

SILENT: Final = -1
"""In place of an exception code: nothing came."""
ILLEGAL_FUNCTION: Final = 1
ACKNOWLEDGED: Final = 5
"""The device has accepted and is still at it."""
BUSY: Final = 6
UNREACHABLE: Final = (10, 11)
"""What a gateway says in place of the unit behind it."""


class Request(NamedTuple):
    """A PDU to send; a good answer begins with `answer` and has `length` bytes."""

    pdu: bytes
    answer: bytes
    length: int


class Answer(NamedTuple):
    """What came: the bytes behind function and byte count, or an exception code, or SILENT; and when [ns]."""

    data: bytes
    code: int
    time: int


def read(function: int, start: int, count: int) -> Request:
    """Read bits (functions 1, 2) or registers (3, 4)."""
    size = 2 * count if function in (3, 4) else (count + 7) // 8
    return Request(_READ.pack(function, start, count), bytes((function, size)), 2 + size)


def write_coil(address: int, *, on: bool) -> Request:
    """Function 5; the answer is an echo."""
    return _echoed(_SINGLE.pack(5, address, 0xFF00 if on else 0))


def write_registers(start: int, words: Sequence[int]) -> Request:
    """Function 6 for one register, which every device has, or 16 for several, in one request."""
    if len(words) == 1:
        return _echoed(_SINGLE.pack(6, start, words[0]))
    head = _HEAD.pack(16, start, len(words), 2 * len(words))
    return Request(head + struct.pack(f">{len(words)}H", *words), head[:5], 5)


def mask_register(address: int, keep: int, put: int) -> Request:
    """Function 22: the register becomes (register AND keep) OR (put AND NOT keep)."""
    return _echoed(_MASK.pack(22, address, keep, put))


def judge(request: Request, pdu: bytes, time: int) -> Answer | None:
    """Return what a PDU says in answer to a request, or None if it is no answer to it."""
    if len(pdu) == request.length and pdu.startswith(request.answer):
        return Answer(pdu[2:], 0, time)
    if len(pdu) == 2 and pdu[0] == request.pdu[0] | 0x80 and pdu[1]:  # there is no exception 0
        return Answer(b"", pdu[1], time)
    return None


def _echoed(pdu: bytes) -> Request:
    return Request(pdu, pdu, len(pdu))
