"""Units of UCUM as numbers: what is measured, and how much of the SI unit that is.

A code of The Unified Code for Units of Measure (ucum.org, 2.1) is a product of powers of atoms: `kW.h`, `m/s2`,
`{rev}/min`. What stands in braces is for people. An angle is a ratio, as in SI. What has a scale of its own, as pH and
decibels, can be compared with itself alone. Offsets are those of temperatures that stand alone: in a product they are
differences.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

_PREFIXES: Final = {
    "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "h": 1e2, "da": 1e1, "d": 1e-1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9,
    "p": 1e-12,
}  # fmt: skip
_BASE: Final = ("m", "g", "s", "A", "K", "mol", "cd")
_METRIC: Final[Mapping[str, tuple[float, str]]] = {
    "N": (1, "kg.m/s2"), "Pa": (1, "N/m2"), "J": (1, "N.m"), "W": (1, "J/s"), "Hz": (1, "/s"),
    "C": (1, "A.s"), "V": (1, "W/A"), "Ohm": (1, "V/A"), "S": (1, "A/V"), "F": (1, "C/V"), "Wb": (1, "V.s"),
    "T": (1, "Wb/m2"), "H": (1, "Wb/A"), "lm": (1, "cd"), "lx": (1, "cd/m2"), "rad": (1, ""),
    "L": (1e-3, "m3"), "l": (1e-3, "m3"), "t": (1e3, "kg"), "bar": (1e5, "Pa"), "eV": (1.602176634e-19, "J"),
}  # fmt: skip
_OTHERS: Final[Mapping[str, tuple[float, str]]] = {
    "min": (60, "s"), "h": (3600, "s"), "d": (86_400, "s"), "wk": (604_800, "s"), "deg": (0.017453292519943295, ""),
    "%": (1e-2, ""), "[ppth]": (1e-3, ""), "[ppm]": (1e-6, ""), "[ppb]": (1e-9, ""), "[g]": (9.80665, "m/s2"),
    "[in_i]": (0.0254, "m"), "[ft_i]": (0.3048, "m"), "[lb_av]": (0.45359237, "kg"), "[psi]": (6894.757293168361, "Pa"),
    "[gal_us]": (3.785411784e-3, "m3"), "[HP]": (745.6998715822702, "W"),
}  # fmt: skip
_OFFSETS: Final = {"Cel": (1.0, 273.15), "[degF]": (5 / 9, 459.67 * 5 / 9)}
_OWN_SCALE: Final = ("[pH]", "dB")
_COMPONENT: Final = re.compile(r"(?P<atom>\[[^\]]+\]|%|[A-Za-z]+)?(?P<power>[+-]?\d+)?(?P<remark>\{[^{}]*\})?")


@dataclass(frozen=True, slots=True)
class Unit:
    """`dimension` are powers of base units; a value x is x * factor + offset in these."""

    dimension: frozenset[tuple[str, float]] = frozenset()
    factor: float = 1.0
    offset: float = 0.0

    def __mul__(self, other: "Unit") -> "Unit":
        powers = dict(self.dimension)
        for base, power in other.dimension:
            powers[base] = powers.get(base, 0.0) + power
        return Unit(_dimension(powers), self.factor * other.factor)

    def __pow__(self, power: float) -> "Unit":
        return Unit(_dimension({base: own * power for base, own in self.dimension}), self.factor**power)

    def __truediv__(self, other: "Unit") -> "Unit":
        return self * other**-1

    def to(self, other: "Unit") -> tuple[float, float]:
        """Return factor and offset that make a value in the other unit of one in this. Raises ValueError."""
        if self.dimension != other.dimension:
            raise ValueError("the units do not measure the same")
        return self.factor / other.factor, (self.offset - other.offset) / other.factor


def ratio(code: str, other: str) -> Fraction:
    """Return how many of the other unit one is, exact if both are so many SI units. Raises ValueError."""
    unit(code).to(unit(other))
    return Fraction(unit(code).factor) / Fraction(unit(other).factor)


@lru_cache(maxsize=1024)
def unit(code: str) -> Unit:
    """Return what a UCUM code stands for. Raises ValueError naming the part that is not known here."""
    if code in _OFFSETS:
        return Unit(frozenset({("K", 1.0)}), *_OFFSETS[code])
    found = Unit()
    parts = re.split(r"([./])", re.sub(r"\{[^{}]*\}", "{}", code))
    parts = parts[1:] if not parts[0] and parts[1:2] == ["/"] else [".", *parts]  # one may begin with /, as /min does
    for separator, part in zip(parts[::2], parts[1::2], strict=True):
        match = _COMPONENT.fullmatch(part)
        if match is None or (code and not part):
            raise ValueError(f"{code!r} is no unit that is known here")
        power = float(match["power"] or 1)
        component = _atom(match["atom"], code) ** power if match["atom"] else Unit(factor=power)
        found = found * component if separator == "." else found / component
    return found


def _atom(name: str, code: str) -> Unit:
    """An atom, perhaps with a prefix; an atom of this very name wins."""
    for prefix, factor in ("", 1.0), *_PREFIXES.items():
        known = _known(name.removeprefix(prefix), metric_only=bool(prefix)) if name.startswith(prefix) else None
        if known is not None:
            return Unit(known.dimension, factor * known.factor)
    raise ValueError(f"{name!r} in {code!r} is no unit that is known here")


def _known(name: str, *, metric_only: bool) -> Unit | None:
    if name == "g":
        return Unit(frozenset({("kg", 1.0)}), 1e-3)
    if name in _BASE:
        return Unit(frozenset({(name, 1.0)}))
    if name in _METRIC or (name in _OTHERS and not metric_only):
        factor, defined = _METRIC.get(name) or _OTHERS[name]
        return Unit(factor=factor) * unit(defined)
    if metric_only:
        return None
    if name in _OFFSETS:
        return Unit(frozenset({("K", 1.0)}), _OFFSETS[name][0])
    return Unit(frozenset({(name, 1.0)})) if name in _OWN_SCALE else None


def _dimension(powers: Mapping[str, float]) -> frozenset[tuple[str, float]]:
    return frozenset((base, power) for base, power in powers.items() if power)
