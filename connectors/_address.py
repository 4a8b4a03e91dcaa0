"""Register addresses as people write them. Pure.

holding:40   input:12.3   coil:0   discrete:7      area and wire address, counted from 0; .3 is bit 3
40001  30003  10001  400001                        the number of the manual, counted from 1; the digit is the area
"""

import re
from dataclasses import dataclass
from typing import Final

from connectors._blocks import Area

_NAMED: Final = re.compile(r"(coil|discrete|input|holding):(\d+|0x[0-9a-fA-F]+)(?:\.(\d+))?")
_NUMBERED: Final = re.compile(r"([0134])(\d{4}|\d{5})(?:\.(\d+))?")
_AREA: Final[dict[str, Area]] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_AREAS: Final[dict[str, Area]] = {area: area for area in _AREA.values()}


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a device: area, wire address from 0, and the bit of the register, if one is meant."""

    area: Area
    start: int
    bit: int | None = None

    def __str__(self) -> str:
        return f"{self.area}:{self.start}" + ("" if self.bit is None else f".{self.bit}")


def parse(text: str | int) -> Address:
    """Return the address. Raises ValueError naming the text and the forms that are understood."""
    written = str(text)
    if match := _NAMED.fullmatch(written):
        area, start = _AREAS[match[1]], int(match[2], 0)
    elif match := _NUMBERED.fullmatch(written):
        area, start = _AREA[match[1]], int(match[2]) - 1
    else:
        raise ValueError(
            f"{written!r} is not an address: write area and number from 0, such as holding:40, input:12.3, coil:0,"
            " or the number of the manual, such as 40001"
        )
    bit = None if match[3] is None else int(match[3])
    if not 0 <= start <= 65535:
        raise ValueError(f"{written!r}: address {start} is outside 0..65535")
    if bit is not None and (bit > 15 or area in ("coil", "discrete")):
        raise ValueError(f"{written!r}: a bit is 0..15 of an input or holding register")
    return Address(area, start, bit)
