"""How values lie in registers: the wire types, the orders of bytes, and what one tag says of them. Pure; knows numpy.

One table for both directions: registers.py decodes by it, encoding.py encodes. Where numpy has a type for the bits,
that is all there is to say. Where it has none (decimal digits, a sign bit of its own), `refine` makes whole numbers of
the bits and `compose` makes the bits again. Modbus Application Protocol V1.1b3 section 4.3 fixes big-endian registers
only; the rest is what vendors do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gateway.model import Kind

Order = Literal["ABCD", "CDAB", "BADC", "DCBA", "CDABGHEF", "EFGHABCD", "DCBAHGFE", "FEHGBADC"]
"""In which order the bytes of a value come, A being its most significant.

Four letters mean values of any length: the most or the least significant register first, the bytes of each register as
they are or swapped; for 64 bits ABCDEFGH, GHEFCDAB, BADCFEHG, HGFEDCBA. Eight letters are for 64 bits: the registers of
each half swapped, or the halves, again with the bytes as they are or swapped (Neuron's #WS is CDABGHEF, #WR EFGHABCD).
"""

FACTOR_MAX: Final = 10
"""SunSpec: a scale factor is -10..10, and 0x8000 where there is none."""

Refined = tuple[NDArray[np.int64], NDArray[np.bool_]]


def _from_bcd(raw: NDArray[Any]) -> Refined:
    """Packed decimal digits, four bits each; wrong where one is above nine."""
    bits = raw.astype(np.int64)
    value, wrong = np.zeros(raw.shape, np.int64), np.zeros(raw.shape, np.bool_)
    for shift in range(8 * raw.dtype.itemsize - 4, -4, -4):
        digit = bits >> shift & 0xF
        value = value * 10 + digit
        wrong |= digit > 9
    return value, wrong


def _to_bcd(value: NDArray[np.int64]) -> NDArray[np.int64]:
    bits = np.zeros(value.shape, np.int64)
    for digit in range(8):
        bits |= value // 10**digit % 10 << 4 * digit
    return bits


def _from_mod10(raw: NDArray[Any]) -> Refined:
    """Registers that count to 9999 each, most significant first; wrong where one is above."""
    words = raw.view(">u2").reshape(len(raw), -1).astype(np.int64)
    value = np.zeros(len(raw), np.int64)
    for word in words.T:
        value = value * 10_000 + word
    return value, np.any(words > 9999, axis=1)


def _to_mod10(value: NDArray[np.int64]) -> NDArray[np.int64]:
    bits = np.zeros(value.shape, np.int64)
    for word in range(4):
        bits |= value // 10_000**word % 10_000 << 16 * word
    return bits


def _from_sign_magnitude(raw: NDArray[Any]) -> Refined:
    """A sign bit and fifteen bits of magnitude."""
    magnitude = (raw & 0x7FFF).astype(np.int64)
    return np.where(raw & 0x8000, -magnitude, magnitude), np.zeros(raw.shape, np.bool_)


def _to_sign_magnitude(value: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(value < 0, 0x8000 - value, value)


@dataclass(frozen=True, slots=True)
class Type:
    """How a value lies in its registers once the bytes are in order ABCD...

    `wire` is the numpy type of these bytes. `refine` makes int64 of it where numpy has no such type, and says where
    the bytes cannot be a value; `compose` is its inverse; `lowest` and `highest` are then the whole numbers that fit.
    """

    wire: str
    refine: Callable[[NDArray[Any]], Refined] | None = None
    compose: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None
    lowest: int = 0
    highest: int = 0

    @property
    def registers(self) -> int:
        return max(1, np.dtype(self.wire).itemsize // 2)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest raw value: int, or float for a float. Not for strings."""
        wire = np.dtype(self.wire)
        if self.refine is not None:
            return self.lowest, self.highest
        if wire.kind == "f":
            return float(np.finfo(wire).min), float(np.finfo(wire).max)
        return (0, 1) if wire.kind == "b" else (int(np.iinfo(wire).min), int(np.iinfo(wire).max))

    @property
    def countable(self) -> bool:
        """Whether a counter may be of this type: whole numbers from 0 whose total int64 can hold."""
        return np.dtype(self.wire).kind == "u" and self.limits[0] == 0 and self.limits[1] < 2**63


TYPES: Final = {
    "bit": Type("?"),
    "int8h": Type(">i1"),
    "int8l": Type(">i1"),
    "uint8h": Type(">u1"),
    "uint8l": Type(">u1"),
    "int16": Type(">i2"),
    "uint16": Type(">u2"),
    "int32": Type(">i4"),
    "uint32": Type(">u4"),
    "int64": Type(">i8"),
    "uint64": Type(">u8"),
    "float16": Type(">f2"),
    "float32": Type(">f4"),
    "float64": Type(">f8"),
    "bcd16": Type(">u2", _from_bcd, _to_bcd, 0, 10**4 - 1),
    "bcd32": Type(">u4", _from_bcd, _to_bcd, 0, 10**8 - 1),
    "mod10_32": Type(">u4", _from_mod10, _to_mod10, 0, 10**8 - 1),
    "mod10_64": Type(">u8", _from_mod10, _to_mod10, 0, 10**16 - 1),
    "sign_magnitude16": Type(">u2", _from_sign_magnitude, _to_sign_magnitude, -0x7FFF, 0x7FFF),
    "string": Type("S"),
}


@dataclass(frozen=True, slots=True)
class Coding:
    """How one tag's value is coded.

    `bit` picks one of a register (0 is the least significant) or is None; `length` counts the registers of a string;
    `mask` picks the bits of an unsigned type that are the raw value, shifted down to its lowest bit (0: all of them);
    `scale` and `offset` are decimals as written; `invalid` are raw values that mean "not available"; `rollover` says
    that it counts on over the end of its range.
    """

    type: str
    order: Order = "ABCD"
    bit: int | None = None
    length: int = 0
    scale: str = "1"
    offset: str = "0"
    invalid: tuple[int, ...] = ()
    mask: int = 0
    rollover: bool = False

    @property
    def registers(self) -> int:
        return self.length or TYPES[self.type].registers

    @property
    def scaled(self) -> bool:
        return float(self.scale) != 1 or float(self.offset) != 0

    @property
    def shift(self) -> int:
        """Where the lowest bit of the mask is."""
        return max(0, (self.mask & -self.mask).bit_length() - 1)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest raw value; not for strings."""
        return (0, self.mask >> self.shift) if self.mask else TYPES[self.type].limits

    @property
    def count_range(self) -> int:
        """How many raw values a counter has before it begins again, or 0 if it is none that rolls over."""
        return int(self.limits[1]) + 1 if self.rollover else 0


def kind(coding: Coding, *, factor: bool = False) -> Kind:
    """Return the kind of value that comes out; `factor` says whether there is a scale-factor register."""
    if coding.type == "string":
        return Kind.OBJECT
    if coding.type == "bit":
        return Kind.BOOLEAN
    if "float" in coding.type or coding.scaled or factor:
        return Kind.FLOAT
    return Kind.UNSIGNED if coding.type == "uint64" else Kind.INTEGER


def orders(type_name: str) -> tuple[Order, ...]:
    """Return the orders that make a difference to a type: two of one register, four of two, eight of four."""
    if type_name == "bit" or "int8" in type_name:
        return ("ABCD",)
    if type_name == "string" or TYPES[type_name].registers == 1:
        return ("ABCD", "BADC")
    every: tuple[Order, ...] = get_args(Order)
    return every if TYPES[type_name].registers == 4 else every[:4]


def positions(coding: Coding, at: int) -> list[int]:
    """Return where in the image the bytes of a value are, most significant first; its first register is at `at`."""
    if coding.type == "bit":
        return [at if coding.bit is None or coding.bit >= 8 else at + 1]
    if coding.type in ("int8h", "uint8h"):
        return [at]
    if coding.type in ("int8l", "uint8l"):
        return [at + 1]
    if len(coding.order) == 8:
        return [at + coding.order.index(byte) for byte in "ABCDEFGH"]
    words = [[at + 2 * i, at + 2 * i + 1] for i in range(coding.registers)]
    if coding.order in ("CDAB", "DCBA") and coding.type != "string":
        words.reverse()
    if coding.order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return [position for word in words for position in word]


def as_written(raw: int, wire: np.dtype[Any]) -> int:
    """A sentinel may be written as bits, 0x8000, also where the type has a sign. Raises ValueError if it is neither."""
    if wire.kind == "f":
        return raw
    bits = 8 * wire.itemsize
    lowest = -(1 << (bits - 1)) if wire.kind == "i" else 0
    if not lowest <= raw < 1 << bits:
        raise ValueError(f"invalid: {raw} cannot be a value of {bits} bits")
    return raw - (1 << bits) if wire.kind == "i" and raw >= 1 << (bits - 1) else raw
