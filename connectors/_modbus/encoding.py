"""The way back: from the value of a tag to the registers that are written. The inverse of registers.py, by one table.

Pure; knows numpy. From value to raw number it works with fractions, one value at a time: a write is rare and has to be
exact, for an int64 beyond 2^53 as well. From raw numbers to registers it is one scatter, however many there are.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors._modbus.coding import FACTOR_MAX, TYPES, Coding, as_written, positions


def encode(coding: Coding, value: float | str | bool, factor: int | None = None) -> list[int]:
    """Return the registers that hold a value, as uint16; for a coil [0] or [1].

    `value` is in the unit of the tag; `factor` is what its scale-factor register has, None if it has none. What lies
    between two steps of the raw number is rounded to the nearer one. Around a bit or a field are zeros: what to leave
    as it is there, `keep` says. Raises ValueError naming what the tag can hold.
    """
    if coding.type == "string":
        raw = np.array([_text(coding, value)], dtype=f"S{2 * coding.length}")
    elif coding.type == "bit":
        raw = np.array([_bit(value)])
    elif TYPES[coding.type].wire.startswith(">f"):
        raw = np.array([_float(coding, value, factor)])
    else:
        raw = np.array([_whole(coding, value, factor)], dtype=np.uint64 if coding.type == "uint64" else np.int64)
    if coding.invalid and _bits(coding, raw)[0] in [as_written(one, _wire(coding)) for one in coding.invalid]:
        raise ValueError(f"{value} is written as the raw value that means: not available")
    return [int(word) for word in words(coding, raw)[0]]


def words(coding: Coding, raw: NDArray[Any]) -> NDArray[np.uint16]:
    """Return the registers of n raw values within the limits of the coding, shape (n, registers).

    `raw` is int64 (uint64 for uint64), float64, bool, or bytes for a string.
    """
    if coding.type == "bit" and coding.bit is None:
        return raw[:, None].astype(np.uint16)
    bits = _bits(coding, raw)
    shift = coding.shift if coding.bit is None else coding.bit % 8
    data = np.ascontiguousarray((bits << bits.dtype.type(shift)).astype(bits.dtype) if shift else bits)
    image = np.zeros((len(raw), 2 * coding.registers), np.uint8)
    image[:, positions(coding, 0)] = data.view(np.uint8).reshape(len(raw), -1)
    return image.view(">u2").astype(np.uint16)


def keep(coding: Coding) -> list[int]:
    """Return for each register which of its bits are not the tag's, as uint16; 0 if it has all of them.

    These are the AND masks of a mask write, what `encode` returns the OR masks (V1.1b3 section 6.16): the device makes
    (current AND keep) OR (word AND NOT keep) of it. A coil is no register: [0].
    """
    if not (coding.mask or coding.bit is not None or "int8" in coding.type):
        return [0] * coding.registers
    every_bit = -1 if coding.type.startswith("int8") else coding.limits[1]
    return [0xFFFF ^ int(own) for own in words(coding, np.array([every_bit]))[0]]


def _wire(coding: Coding) -> np.dtype[Any]:
    wire = {"string": f"S{2 * coding.length}", "bit": ">u1"}.get(coding.type, TYPES[coding.type].wire)
    return np.dtype(wire)


def _bits(coding: Coding, raw: NDArray[Any]) -> NDArray[Any]:
    """The raw values in the type of the wire, not yet shifted to where they are in their register."""
    compose = TYPES[coding.type].compose
    return (raw if compose is None else compose(raw)).astype(_wire(coding))


# --- from the value to the raw number -----------------------------------------------------


def _text(coding: Coding, value: float | str | bool) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text, as type string needs")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{value!r} cannot be written as UTF-8") from error
    if len(data) > 2 * coding.length:
        raise ValueError(f"{value!r} has {len(data)} bytes, {coding.length} registers hold {2 * coding.length}")
    return data


def _bit(value: float | str | bool) -> bool:
    if isinstance(value, str) or value not in (0, 1):
        raise ValueError(f"{value!r} is not true or false, as type bit needs")
    return bool(value)


def _whole(coding: Coding, value: float | str | bool, factor: int | None) -> int:
    raw = round(_unscaled(coding, value, factor))
    lowest, highest = coding.limits
    if not lowest <= raw <= highest:
        raise ValueError(f"{value} is out of range: {_holds(coding, factor)}")
    if coding.mask and raw & ~(coding.mask >> coding.shift):
        raise ValueError(f"{value} has bits that the mask {coding.mask:#x} has not")
    return raw


def _float(coding: Coding, value: float | str | bool, factor: int | None) -> float:
    exact = _unscaled(coding, value, factor)
    try:
        raw = float(exact if coding.scaled or factor is not None else value)  # a fraction has no minus zero
        with np.errstate(over="ignore"):
            fits = bool(np.isfinite(_wire(coding).type(raw)))
    except OverflowError:
        fits, raw = False, math.inf
    if not fits:
        raise ValueError(f"{value} is out of range: {_holds(coding, factor)}")
    return raw


def _unscaled(coding: Coding, value: float | str | bool, factor: int | None) -> Fraction:
    """The exact raw number of value = (raw x scale + offset) x 10^factor."""
    if isinstance(value, str | bool):
        raise ValueError(f"{value!r} is not a number, as type {coding.type} needs")
    if not abs(value) < math.inf:  # NaN is not less either, and an int may be too large for a float
        raise ValueError(f"{value} is not a number that {coding.type} can be set to: {_holds(coding, factor)}")
    if abs(factor or 0) > FACTOR_MAX:
        raise ValueError(f"the scale-factor register has {factor}, which is no factor: it must be -10..10")
    return (Fraction(value) / Fraction(10) ** (factor or 0) - Fraction(coding.offset)) / Fraction(coding.scale)


def _holds(coding: Coding, factor: int | None) -> str:
    """What a tag can hold, for people: `uint16 with scale 0.1 holds 0 to 6553.5`."""
    mask = f" with mask {coding.mask:#x}" if coding.mask else ""
    scale = f" with scale {coding.scale} and offset {coding.offset}" if coding.scaled else ""
    power = Fraction(10) ** (factor or 0)
    ends = [(Fraction(limit) * Fraction(coding.scale) + Fraction(coding.offset)) * power for limit in coding.limits]
    times = f" times 10^{factor}" if factor else ""
    return f"{coding.type}{mask}{scale}{times} holds {_plain(min(ends))} to {_plain(max(ends))}"


def _plain(number: Fraction) -> str:
    return str(number) if number.denominator == 1 and abs(number) < 2**64 else f"{float(number):.12g}"
