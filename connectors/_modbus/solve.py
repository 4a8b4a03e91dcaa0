"""How must registers be read so that a known value comes out? Every type, order and scale is tried, and ranked.

Pure; knows the codec and nothing of devices. What is tried is what goes wrong in practice: the type and the order of
bytes are missing in the manual, the scale is in a footnote, or addresses are counted from 1 and so off by one.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from connectors._modbus.coding import Coding, orders
from connectors._modbus.registers import columns

BEFORE: Final = 1
"""Registers before the address that are worth reading: it may be off by one."""

AFTER: Final = 4
"""Registers after the address that are worth reading: 64 bits, and again off by one."""

_SHIFTS: Final = (0, -1, 1)
_SCALES: Final = ("1", "0.1", "0.01", "0.001", "10", "100", "1000")
_TYPES: Final = (
    *("uint16", "int16", "float32", "uint32", "int32", "float64", "int64", "uint64"),
    *("bcd16", "bcd32", "mod10_32", "mod10_64", "sign_magnitude16", "float16"),
    *("uint8l", "uint8h", "int8l", "int8h"),
)
"""All types that have a number, the most usual first."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One way to read the value: `shift` registers from the address, coded so; `value` is what comes out."""

    shift: int
    coding: Coding
    value: float


def solve(words: Sequence[int | None], at: int, expect: Decimal, tolerance: float) -> list[Fit]:
    """Return the ways to read registers that give what is expected, give or take the tolerance; the best first.

    `words` are registers, None where the device has none, `at` is the place among them of the address in question.
    The closest are first, to half of the last digit of what is expected: who reads 229.0 from a display cannot tell
    229.04 from it. Among those that are equally close the plainest is first, the one with the fewest oddities: the
    address as it is, no scale, the standard's order, a usual type. Raises ValueError where there is nothing to find.
    """
    if not 0 < abs(float(expect)) < math.inf:
        raise ValueError(f"{expect} cannot be looked for: expect a number other than 0, which is 0 in every type")
    places = [
        (shift, coding) for shift in _SHIFTS for coding in _codings() if _there(words, at + shift, coding.registers)
    ]
    fits = [
        Fit(shift, coding, value)
        for (shift, coding), value in zip(places, _values(words, at, places), strict=True)
        if abs(value - float(expect)) <= tolerance
    ]
    step = Decimal(1).scaleb(int(expect.as_tuple().exponent))
    return sorted(fits, key=lambda fit: (round(abs(Decimal(fit.value) - expect) / step), _oddity(fit)))


def _codings() -> list[Coding]:
    return [Coding(name, order, scale=scale) for name in _TYPES for order in orders(name) for scale in _SCALES]


def _there(words: Sequence[int | None], start: int, count: int) -> bool:
    return start >= 0 and start + count <= len(words) and None not in words[start : start + count]


def _values(words: Sequence[int | None], at: int, places: Sequence[tuple[int, Coding]]) -> list[float]:
    """What comes out at each place, NaN where the registers cannot be a value of the type."""
    image = np.frombuffer(struct.pack(f">{len(words)}H", *(word or 0 for word in words)), np.uint8)
    found = np.full(len(places), np.nan)
    planned = columns([coding for _, coding in places], [2 * (at + shift) for shift, _ in places], [None] * len(places))
    for column in planned:
        value, quality = column.decode(image)
        found[column.rows] = np.where(quality == 0, value.astype(np.float64), np.nan)
    return found.tolist()


def _oddity(fit: Fit) -> tuple[int, int]:
    """How far from what one would try first; a wrong address weighs most, then scale and order, then the type."""
    odd = 3 * bool(fit.shift) + (fit.coding.scale != "1") + (fit.coding.order != "ABCD")
    detail = 100 * _TYPES.index(fit.coding.type) + 10 * orders(fit.coding.type).index(fit.coding.order)
    return odd, detail + _SCALES.index(fit.coding.scale)
