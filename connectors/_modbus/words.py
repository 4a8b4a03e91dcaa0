"""The words of answers: handed over as they are, and decoded again by another configuration.

A recipe says which addresses lie where in an image (blocks end to end: registers as they came, a byte for each bit),
and how each tag was decoded then, for people. Pure.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from connectors._modbus.blocks import Block, Span
from connectors._modbus.planned import UNASKED, Planned
from connectors._modbus.points import Point
from connectors._modbus.registers import columns
from gateway.contracts import KeepWords, Words
from gateway.model import Batch


class Kept:
    """Hands the answers of one scan over. `decoded` says of its tags, by name, how they are decoded."""

    def __init__(self, keep: KeepWords, decoded: Mapping[str, str]) -> None:
        self._keep = keep
        self._decoded = decoded
        self._blocks: Sequence[Block] = ()
        self._recipe = ""

    def __call__(
        self,
        blocks: Sequence[Block],
        time: NDArray[np.int64],
        quality: NDArray[np.uint32],
        image: NDArray[np.uint8],
    ) -> None:
        if blocks is not self._blocks:
            self._blocks = blocks
            self._recipe = json.dumps({"blocks": [[b.area, b.start, b.count] for b in blocks], "tags": self._decoded})
        self._keep(self._recipe, time, quality, image)


def redecoded(points: Sequence[Point], numbers: NDArray[np.uint32], words: Words) -> Iterator[Batch]:
    """Return the readings of points, one batch per scan and kind of value, as far as their words are there and good."""
    found = _Places(words.recipe)
    rows = [i for i, point in enumerate(points) if found.has(point) and not point.coding.rollover]
    if not rows:
        return
    own = [points[i] for i in rows]
    place = [found.of(point.span) for point in own]
    factor = [found.of(point.factor or point.span) for point in own]
    at, block_of = (np.array(column) for column in zip(*place, strict=True))
    factor_block_of = np.array([block for _, block in factor])
    factor_at = [None if point.factor is None else start for point, (start, _) in zip(own, factor, strict=True)]
    planned = [
        Planned(column, numbers[rows][column.rows], block_of[column.rows], factor_block_of[column.rows])
        for column in columns([point.coding for point in own], at.tolist(), factor_at)
    ]
    for time, quality, image in zip(words.time, words.quality, words.image, strict=True):
        unasked = np.where(quality == 0, np.uint32(0), np.uint32(UNASKED))
        for column in planned:
            batch = column.troubled(image, time, unasked) if quality.any() else column.batch(image, time)
            if len(batch):
                yield batch


class _Places:
    """Where addresses are in an image."""

    def __init__(self, recipe: str) -> None:
        self._blocks = [Block(area, start, count, ()) for area, start, count in json.loads(recipe)["blocks"]]
        self._starts = [0, *accumulate(b.count if b.bits else 2 * b.count for b in self._blocks)]

    def has(self, point: Point) -> bool:
        return all(self._block(span) is not None for span in (point.span, point.factor) if span is not None)

    def of(self, span: Span) -> tuple[int, int]:
        """Return the byte at which a span begins, and the number of its block."""
        k = self._block(span)
        assert k is not None
        return self._starts[k] + (span.start - self._blocks[k].start) * (1 if self._blocks[k].bits else 2), k

    def _block(self, span: Span) -> int | None:
        """The block that has all of a span."""
        for k, block in enumerate(self._blocks):
            if block.area == span.area and block.start <= span.start and span.stop <= block.start + block.count:
                return k
        return None
