"""Register values: from the bytes of Modbus answers to columns, in a few numpy calls whatever the tags are.

All byte and word orders are one thing: which byte of the image goes where. So a plan holds, for every wire type, a
table of byte positions (n tags x width), and decoding is one gather and one view per type:

    image (bytes of all answers, in order of blocks) --take(positions)--> n x width --view('>f4')--> n values

The way back, from values to registers, is encoding.py, by the same types and positions (coding.py). Pure but for the
counters that a plan is given; knows numpy and the model.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from connectors._modbus.coding import FACTOR_MAX, TYPES, Coding, as_written, kind, positions
from connectors._modbus.counters import Counters
from gateway.model import Kind, Quality
from gateway.model.batch import objects

_NOTHING: Final = {Kind.FLOAT: math.nan, Kind.OBJECT: None}
"""What a reading without a value has, where it is not 0 or False."""

_Totals = Callable[[NDArray[np.int64], NDArray[np.bool_]], NDArray[np.int64]]


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
        counters: Counters | None = None,
    ) -> None:
        def alike(row: int) -> tuple[str, int, bool, bool, bool]:
            coding = codings[row]
            return coding.type, coding.length, coding.scaled, factor_at[row] is not None, coding.rollover

        self.kind = kind
        self._groups: list[_Group] = []
        self._parts: list[slice] = []
        ordered: list[int] = []
        for _, group in groupby(sorted(rows, key=alike), key=alike):
            members = list(group)
            row = members[0]
            self._parts.append(slice(len(ordered), len(ordered) + len(members)))
            ordered += members
            self._groups.append(
                _Group(
                    kind,
                    [codings[i] for i in members],
                    [at[i] for i in members],
                    [factor_at[i] for i in members],
                    partial(counters.follow, np.array(members))
                    if counters is not None and codings[row].rollover
                    else None,
                )
            )
        self.rows: NDArray[np.intp] = np.array(ordered, dtype=np.intp)

    def decode(
        self, image: NDArray[np.uint8], trouble: NDArray[np.uint32] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        """Return value and quality of each row; a bad row has no value, so NaN, 0, False or None.

        The image must be as long as the plan was made for. `trouble` is a quality per row, not good where the image
        has nothing of it; it stands, and counters do not see the row.
        """
        with np.errstate(all="ignore"):  # NaN with odd bits and sums beyond the largest float are values here
            parts = [
                group.decode(image, None if trouble is None else trouble[part])
                for group, part in zip(self._groups, self._parts, strict=True)
            ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([value for value, _ in parts]), np.concatenate([quality for _, quality in parts])


def columns(
    codings: Sequence[Coding],
    at: Sequence[int],
    factor_at: Sequence[int | None],
    counters: Counters | None = None,
) -> list[Column]:
    """Return one column per kind of value; `at` and `factor_at` are the places in the image, None without a factor.

    `counters` has a row for each coding and outlives the columns; without it what rolls over is left as it is.
    """
    kinds = [kind(coding, factor=factor is not None) for coding, factor in zip(codings, factor_at, strict=True)]
    return [
        Column(one, codings, at, factor_at, [i for i, other in enumerate(kinds) if other is one], counters)
        for one in sorted(set(kinds))
    ]


class _Group:
    """Values of one wire type: one gather, one view, at most one scaling."""

    def __init__(
        self,
        kind: Kind,
        codings: Sequence[Coding],
        at: Sequence[int],
        factor_at: Sequence[int | None],
        totals: _Totals | None,
    ) -> None:
        first = codings[0]
        self._kind = kind
        self._type = TYPES[first.type]
        self._wire = np.dtype(f"S{2 * first.length}" if first.type == "string" else self._type.wire)
        self._good = np.zeros(len(codings), np.uint32)
        self._bytes = _consecutive(np.array([positions(c, start) for c, start in zip(codings, at, strict=True)]))
        self._bits = np.array([(coding.bit or 0) % 8 for coding in codings], dtype=np.uint8)
        self._fields = _Fields(codings, self._wire) if any(coding.mask for coding in codings) else None
        self._sentinels = _Sentinels(codings, self._wire) if any(coding.invalid for coding in codings) else None
        self._totals = totals
        factors = [[start, start + 1] for start in factor_at if start is not None]
        self._factors = np.array(factors, dtype=np.intp) if factors else None
        self._scale = _Scale(codings) if first.scaled else None

    def decode(
        self, image: NDArray[np.uint8], trouble: NDArray[np.uint32] | None
    ) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        raw = image[self._bytes].reshape(-1)
        value: NDArray[Any]
        quality = self._good if trouble is None else trouble
        if self._kind is Kind.BOOLEAN:
            value = ((raw >> self._bits) & 1).astype(np.bool_)
        elif self._kind is Kind.OBJECT:
            value = _texts(raw.view(self._wire))
        else:
            value, quality = self._number(raw.view(self._wire), quality)
            value, quality = self._scaled(value, quality, image)
        if quality is not self._good:
            value[quality > 0] = _NOTHING.get(self._kind, 0)
        return value, quality

    def _number(self, raw: NDArray[Any], quality: NDArray[np.uint32]) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        """The number that the bits are, counted on where it rolled over, and where they are none."""
        value = raw if self._fields is None else self._fields.of(raw)
        if self._sentinels is not None:
            quality = _marked(quality, self._sentinels.found(value), Quality.BAD_NO_DATA_AVAILABLE)
        if self._type.refine is not None:
            value, wrong = self._type.refine(value)
            quality = _marked(quality, wrong, Quality.BAD_DECODING_ERROR)
        if value.dtype.kind == "f":
            quality = _marked(quality, np.isnan(value), Quality.BAD_NO_DATA_AVAILABLE)
        return value if self._totals is None else self._totals(value.astype(np.int64), quality == 0), quality

    def _scaled(
        self, value: NDArray[Any], quality: NDArray[np.uint32], image: NDArray[np.uint8]
    ) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        if self._scale is not None:
            value = self._scale.apply(value)
        if self._factors is not None:
            exponent = image[self._factors].view(">i2")[:, 0]
            absurd = np.abs(exponent.astype(np.int32)) > FACTOR_MAX
            quality = _marked(quality, absurd, Quality.BAD_NO_DATA_AVAILABLE)
            value = _powers(value, exponent)
        return value.astype(self._kind.dtype), quality


def _consecutive(positions: NDArray[np.intp]) -> NDArray[np.intp] | slice:
    """The positions as an index: a slice where they count up, which numpy takes without looking them up."""
    flat = positions.reshape(-1)
    counts_up = (np.diff(flat) == 1).all()
    return slice(int(flat[0]), int(flat[-1]) + 1) if counts_up else flat


def _marked(quality: NDArray[np.uint32], rows: NDArray[np.bool_], code: Quality) -> NDArray[np.uint32]:
    """The quality, with this code in these rows unless something is known to be wrong with them."""
    return np.where(rows & (quality == 0), np.uint32(code), quality) if np.count_nonzero(rows) else quality


class _Fields:
    """Fields within registers: the bits of a mask, shifted down."""

    def __init__(self, codings: Sequence[Coding], wire: np.dtype[Any]) -> None:
        whole = np.iinfo(wire).max
        self._mask = np.array([coding.mask or whole for coding in codings], dtype=wire)
        self._shift = np.array([coding.shift for coding in codings], dtype=wire)

    def of(self, raw: NDArray[Any]) -> NDArray[Any]:
        field: NDArray[Any] = (raw & self._mask) >> self._shift
        return field


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
        self._raw = np.array([as_written(raw, wire) for _, raw in pairs], dtype=wire)

    def found(self, raw: NDArray[Any]) -> NDArray[np.bool_]:
        found = np.zeros(len(raw), np.bool_)
        found[self._rows[raw[self._rows] == self._raw]] = True
        return found


def _texts(raw: NDArray[Any]) -> NDArray[np.object_]:
    return objects(text.rstrip(b"\0 ").decode("utf-8", "replace") for text in raw.tolist())
