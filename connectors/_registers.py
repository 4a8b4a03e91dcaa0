"""Register values: from the bytes of Modbus answers to columns, in a few numpy calls whatever the tags are.

All byte and word orders are one thing: which byte of the image goes where. So a plan holds, for every wire type, a
table of byte positions (n tags x width), and decoding is one gather and one view per type:

    image (bytes of all answers, in order of blocks) --take(positions)--> n x width --view('>f4')--> n values

Pure; knows numpy and the model. Types and orders: Modbus Application Protocol V1.1b3 section 4.3 fixes big-endian
registers only; the rest is what vendors do.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gateway.model import Kind, Quality
from gateway.model.batch import objects

Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]

_FACTOR_MAX: Final = 10
"""SunSpec: a scale factor is -10..10, and 0x8000 where there is none."""

Refined = tuple[NDArray[np.int64], NDArray[np.bool_]]


def _bcd(raw: NDArray[Any]) -> Refined:
    """Packed decimal digits, four bits each; wrong where one is above nine."""
    bits = raw.astype(np.int64)
    value, wrong = np.zeros(raw.shape, np.int64), np.zeros(raw.shape, np.bool_)
    for shift in range(8 * raw.dtype.itemsize - 4, -4, -4):
        digit = bits >> shift & 0xF
        value = value * 10 + digit
        wrong |= digit > 9
    return value, wrong


def _mod10(raw: NDArray[Any]) -> Refined:
    """Registers that count to 9999 each, most significant first; wrong where one is above."""
    words = raw.view(">u2").reshape(len(raw), -1).astype(np.int64)
    value = np.zeros(len(raw), np.int64)
    for word in words.T:
        value = value * 10_000 + word
    return value, np.any(words > 9999, axis=1)


def _sign_magnitude(raw: NDArray[Any]) -> Refined:
    """A sign bit and fifteen bits of magnitude."""
    magnitude = (raw & 0x7FFF).astype(np.int64)
    return np.where(raw & 0x8000, -magnitude, magnitude), np.zeros(raw.shape, np.bool_)


@dataclass(frozen=True, slots=True)
class Type:
    """How a value lies in its registers once the bytes are in order ABCD...

    `wire` is the numpy type of these bytes; `refine` makes int64 of it where numpy has no such type, and says where
    the bytes cannot be a value.
    """

    wire: str
    refine: Callable[[NDArray[Any]], Refined] | None = None

    @property
    def registers(self) -> int:
        return max(1, np.dtype(self.wire).itemsize // 2)


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
    "bcd16": Type(">u2", _bcd),
    "bcd32": Type(">u4", _bcd),
    "mod10_32": Type(">u4", _mod10),
    "mod10_64": Type(">u8", _mod10),
    "sign_magnitude16": Type(">u2", _sign_magnitude),
    "string": Type("S"),
}


@dataclass(frozen=True, slots=True)
class Coding:
    """How one tag's value is coded.

    `bit` picks one of a register (0 is the least significant) or is None; `length` counts the registers of a string;
    `scale` and `offset` are decimals as written; `invalid` are raw values that mean "not available".
    """

    type: str
    order: Order = "ABCD"
    bit: int | None = None
    length: int = 0
    scale: str = "1"
    offset: str = "0"
    invalid: tuple[int, ...] = ()

    @property
    def registers(self) -> int:
        return self.length or TYPES[self.type].registers

    @property
    def scaled(self) -> bool:
        return float(self.scale) != 1 or float(self.offset) != 0


def kind(coding: Coding, *, factor: bool = False) -> Kind:
    """Return the kind of value that comes out; `factor` says whether there is a scale-factor register."""
    if coding.type == "string":
        return Kind.OBJECT
    if coding.type == "bit":
        return Kind.BOOLEAN
    if "float" in coding.type or coding.scaled or factor:
        return Kind.FLOAT
    return Kind.UNSIGNED if coding.type == "uint64" else Kind.INTEGER


def positions(coding: Coding, at: int) -> list[int]:
    """Return where in the image the bytes of a value are, most significant first; its first register is at `at`."""
    if coding.type == "bit":
        return [at if coding.bit is None or coding.bit >= 8 else at + 1]
    if coding.type in ("int8h", "uint8h"):
        return [at]
    if coding.type in ("int8l", "uint8l"):
        return [at + 1]
    words = [[at + 2 * i, at + 2 * i + 1] for i in range(coding.registers)]
    if coding.order in ("CDAB", "DCBA") and coding.type != "string":
        words.reverse()
    if coding.order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return [position for word in words for position in word]


class Column:
    """Values of one kind, decoded together.

    `rows` are the numbers of the codings, in the order in which `decode` returns them.
    """

    def __init__(
        self,
        kind: Kind,
        codings: Sequence[Coding],
        at: Sequence[int],
        factor_at: Sequence[int | None],
        rows: list[int],
    ) -> None:
        def alike(row: int) -> tuple[str, int, bool, bool]:
            coding = codings[row]
            return coding.type, coding.length, coding.scaled, factor_at[row] is not None

        self.kind = kind
        self._groups: list[_Group] = []
        ordered: list[int] = []
        for _, group in groupby(sorted(rows, key=alike), key=alike):
            members = list(group)
            ordered += members
            self._groups.append(
                _Group(
                    kind,
                    [codings[i] for i in members],
                    [at[i] for i in members],
                    [factor_at[i] for i in members],
                )
            )
        self.rows: NDArray[np.intp] = np.array(ordered, dtype=np.intp)

    def decode(self, image: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        """Return value and quality of each row; a bad row has no value, so NaN, 0 or False.

        The image must be as long as the plan was made for.
        """
        with np.errstate(all="ignore"):  # NaN with odd bits and sums beyond the largest float are values here
            parts = [group.decode(image) for group in self._groups]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([value for value, _ in parts]), np.concatenate([quality for _, quality in parts])


def columns(codings: Sequence[Coding], at: Sequence[int], factor_at: Sequence[int | None]) -> list[Column]:
    """Return one column per kind of value; `at` and `factor_at` are the places in the image, None without a factor."""
    kinds = [kind(coding, factor=factor is not None) for coding, factor in zip(codings, factor_at, strict=True)]
    return [
        Column(one, codings, at, factor_at, [i for i, other in enumerate(kinds) if other is one])
        for one in sorted(set(kinds))
    ]


class _Group:
    """Values of one wire type: one gather, one view, at most one scaling."""

    def __init__(
        self, kind: Kind, codings: Sequence[Coding], at: Sequence[int], factor_at: Sequence[int | None]
    ) -> None:
        first = codings[0]
        self._kind = kind
        self._type = TYPES[first.type]
        self._wire = np.dtype(f"S{2 * first.length}" if first.type == "string" else self._type.wire)
        self._positions = np.array([positions(c, start) for c, start in zip(codings, at, strict=True)], dtype=np.intp)
        self._bits = np.array([(coding.bit or 0) % 8 for coding in codings], dtype=np.uint8)
        self._sentinels = _Sentinels(codings, self._wire) if any(coding.invalid for coding in codings) else None
        factors = [[start, start + 1] for start in factor_at if start is not None]
        self._factors = np.array(factors, dtype=np.intp) if factors else None
        self._scale = _Scale(codings) if first.scaled else None

    def decode(self, image: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        raw = image[self._positions]
        quality = np.zeros(len(raw), np.uint32)
        if self._kind is Kind.BOOLEAN:
            return ((raw[:, 0] >> self._bits) & 1).astype(np.bool_), quality
        value: NDArray[Any] = raw.view(self._wire)[:, 0]
        if self._kind is Kind.OBJECT:
            return _texts(value), quality
        absent = None if self._sentinels is None else self._sentinels.rows(value)
        if self._type.refine is not None:
            value, wrong = self._type.refine(value)
            quality[wrong] = Quality.BAD_DECODING_ERROR
        if absent is not None:
            quality[absent] = Quality.BAD_NO_DATA_AVAILABLE
        if value.dtype.kind == "f":
            quality[np.isnan(value)] = Quality.BAD_NO_DATA_AVAILABLE
        if self._scale is not None:
            value = self._scale.apply(value)
        if self._factors is not None:
            exponent = image[self._factors].view(">i2")[:, 0]
            quality[np.abs(exponent.astype(np.int32)) > _FACTOR_MAX] = Quality.BAD_NO_DATA_AVAILABLE
            value = _powers(value, exponent)
        value = value.astype(self._kind.dtype)
        if quality.any():
            value[quality > 0] = np.nan if self._kind is Kind.FLOAT else 0
        return value, quality


class _Scale:
    """value = (raw x a + b) / d with whole numbers: a decimal scale such as 0.1 costs one rounding, not two.

    723 x 0.1 is 72.30000000000001, 723 / 10 is 72.3.
    """

    def __init__(self, codings: Sequence[Coding]) -> None:
        ratios = [(Fraction(coding.scale), Fraction(coding.offset)) for coding in codings]
        common = [math.lcm(scale.denominator, offset.denominator) for scale, offset in ratios]
        self._a = np.array([float(scale * d) for (scale, _), d in zip(ratios, common, strict=True)])
        self._b = np.array([float(offset * d) for (_, offset), d in zip(ratios, common, strict=True)])
        self._d = np.array(common, dtype=np.float64)

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float64]:
        value: NDArray[np.float64] = (raw.astype(np.float64) * self._a + self._b) / self._d
        return value


def _powers(value: NDArray[Any], exponent: NDArray[np.int16]) -> NDArray[np.float64]:
    """value x 10^exponent, dividing where that is the exact way."""
    power = 10.0 ** np.abs(exponent.astype(np.float64))
    return np.where(exponent < 0, value / power, value * power)


class _Sentinels:
    """Raw values that mean "not available": pairs of row and value, compared in one go."""

    def __init__(self, codings: Sequence[Coding], wire: np.dtype[Any]) -> None:
        pairs = [(row, raw) for row, coding in enumerate(codings) for raw in coding.invalid]
        self._rows = np.array([row for row, _ in pairs], dtype=np.intp)
        self._raw = np.array([_as_written(raw, wire) for _, raw in pairs], dtype=wire)

    def rows(self, raw: NDArray[Any]) -> NDArray[np.intp]:
        rows: NDArray[np.intp] = self._rows[raw[self._rows] == self._raw]
        return rows


def _as_written(raw: int, wire: np.dtype[Any]) -> int:
    """A sentinel may be written as bits, 0x8000, also where the type has a sign. Raises ValueError if it is neither."""
    if wire.kind == "f":
        return raw
    bits = 8 * wire.itemsize
    lowest = -(1 << (bits - 1)) if wire.kind == "i" else 0
    if not lowest <= raw < 1 << bits:
        raise ValueError(f"invalid: {raw} cannot be a value of {bits} bits")
    return raw - (1 << bits) if wire.kind == "i" and raw >= 1 << (bits - 1) else raw


def _texts(raw: NDArray[Any]) -> NDArray[np.object_]:
    return objects(text.rstrip(b"\0 ").decode("utf-8", "replace") for text in raw.tolist())
