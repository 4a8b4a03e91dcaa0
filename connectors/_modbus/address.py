"""Register addresses as people write them. Pure.

holding:40   input:12.3   coil:0   discrete:7      area and wire address, counted from 0; .3 is bit 3
holding:0x0BB7   holding:0BB7h                     the same in hexadecimal
%MW100   %M7                                       words and bits of a PLC (IEC 61131-3): holding and coil, from 0
40001  30003  10001  400001                        the number of the manual, counted from 1; the digit is the area
4x0001  3x0003  1x0001                             the same; 0x is left out, because it looks hexadecimal
HR100  IR5  C3  DI7                                holding, input, coil, discrete, counted from 1

That the short forms count from 1 is what those programs do that have them (Ignition, by default) or count the registers
of an area without naming it (PLC4X): HR1 is 40001. Whoever means the wire address writes holding:100. Off by one is the
classic mistake, so what was written and the wire address are shown side by side: `HR100 = holding:99`.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from connectors._modbus.blocks import Area

_BIT: Final = r"(?:\.(?P<bit>\d+))?"
_FORMS: Final = [
    (re.compile(form + _BIT), base)
    for form, base in (
        (r"(?P<area>coil|discrete|input|holding):(?:(?P<number>\d+)|0x(?P<hex>[0-9a-fA-F]+))", 0),
        (r"(?P<area>coil|discrete|input|holding):(?P<hex>[0-9a-fA-F]+)h", 0),
        (r"(?P<area>%MW?)(?P<number>\d+)", 0),
        (r"(?P<area>[0134])(?P<number>\d{4}|\d{5})", 1),
        (r"(?P<area>[134])[xX](?P<number>\d+)", 1),
        (r"(?P<area>HR|IR|C|DI)(?P<number>\d+)", 1),
    )
]
_AREA: Final[dict[str, Area]] = {
    "coil": "coil", "0": "coil", "C": "coil", "%M": "coil",
    "discrete": "discrete", "1": "discrete", "DI": "discrete",
    "input": "input", "3": "input", "IR": "input",
    "holding": "holding", "4": "holding", "HR": "holding", "%MW": "holding",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a device: area, wire address from 0, and the bit of the register, if one is meant.

    `written` is how somebody wrote it; two addresses are equal if they are the same place.
    """

    area: Area
    start: int
    bit: int | None = None
    written: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.area}:{self.start}" + ("" if self.bit is None else f".{self.bit}")

    @property
    def explained(self) -> str:
        """As it was written and as it is on the wire, `40041 = holding:40`; once if that is the same."""
        return str(self) if self.written in ("", str(self)) else f"{self.written} = {self}"


def parse(text: str | int) -> Address:
    """Return the address. Raises ValueError naming the text and the forms that are understood."""
    written = str(text)
    found = next(((match, base) for form, base in _FORMS if (match := form.fullmatch(written))), None)
    if found is None:
        raise ValueError(
            f"{written!r} is not an address: write area and number from 0, such as holding:40, input:12.3, coil:0,"
            " or the number of the manual, such as 40001, 4x0001 or HR1"
        )
    parts, base = found[0].groupdict(), found[1]
    area = _AREA[parts["area"]]
    start = (int(parts["hex"], 16) if parts.get("hex") else int(parts["number"])) - base
    bit = None if parts["bit"] is None else int(parts["bit"])
    if not 0 <= start <= 65535:
        raise ValueError(f"{written!r}: address {start} is outside 0..65535")
    if bit is not None and (bit > 15 or area in ("coil", "discrete")):
        raise ValueError(f"{written!r}: a bit is 0..15 of an input or holding register")
    return Address(area, start, bit, written)
