"""A scan: the tags of one device that are read at one rate, the plan for reading them, and what devices teach it.

The plan says which block reads which tag and where its bytes will lie in the image, the answers of all blocks put
end to end. A device that refuses a block is asked for its halves, once, until it is known which addresses it means;
from then on those are read alone and everything else goes on (V1.1b3 section 7: one illegal address fails the
whole request).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from connectors._blocks import BITS_MAX, Area, Block, Span, between, halves, plan
from connectors._mbap import ExceptionAnswer
from connectors._registers import Coding, Column, columns
from gateway.contracts import Clock, Emit
from gateway.model import Batch, Kind, Quality

_ONE_TIME_NS: Final = 20_000_000
"""Readings of a scan that took less share one time stamp: a PLC's own cycle scatters as much."""

_QUALITY: Final = {
    1: Quality.BAD_NOT_SUPPORTED,
    2: Quality.BAD_NODE_ID_UNKNOWN,
    3: Quality.BAD_OUT_OF_RANGE,
    4: Quality.BAD_DEVICE_FAILURE,
    6: Quality.BAD_RESOURCE_UNAVAILABLE,
    10: Quality.BAD_NO_COMMUNICATION,
    11: Quality.BAD_NO_COMMUNICATION,
}
"""What an exception code says of the registers asked for (V1.1b3 section 7); others are BadDeviceFailure."""

_REFUSED: Final = (2, 3)
"""Exception codes that may be due to one register of a block, or to its length."""


class Reader(Protocol):
    """Where a scan gets its bytes from."""

    async def read(self, function: int, start: int, count: int) -> bytes:
        """Return the data bytes of an answer. Raises ExceptionAnswer, TimeoutError, OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Point:
    """What a tag needs: its addresses, how they are coded, and its scale-factor register if it has one."""

    span: Span
    coding: Coding
    factor: Span | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came for one block: its bytes, or the quality that takes their place."""

    data: bytes
    time: int
    quality: int = Quality.GOOD


class Scan:
    """Reads its tags once per `poll`."""

    def __init__(
        self,
        points: Sequence[Point],
        numbers: NDArray[np.uint32],
        *,
        gap: int,
        registers_max: int,
        counts: Counter[str],
    ) -> None:
        self._points = points
        self._numbers = numbers
        self._gap = gap
        self._registers_max = registers_max
        self._bits_max = BITS_MAX
        self._counts = counts
        self._holes: set[tuple[Area, int]] = set()
        self._spans = [point.span for point in points]
        self._factor: dict[int, int] = {}
        for i, point in enumerate(points):
            if point.factor is not None:
                self._factor[i] = len(self._spans)
                self._spans.append(point.factor)
        self._plan()

    async def poll(self, reader: Reader, emit: Emit, clock: Clock) -> None:
        """Read every block once and emit its tags; what the device refuses costs the tags it concerns.

        Raises TimeoutError when the device falls silent; what was read before is emitted, and that the tags of the
        silent request got no answer.
        """
        answers: list[_Answer] = []
        refused: list[Block] = []
        for block in self.blocks:
            try:
                answers.append(_Answer(await self._read(reader, block), clock.now_ns()))
            except ExceptionAnswer as answer:
                quality = _QUALITY.get(answer.code, Quality.BAD_DEVICE_FAILURE)
                answers.append(_Answer(b"", clock.now_ns(), quality))
                if answer.code in _REFUSED and len(block.members) > 1:
                    refused.append(block)
            except TimeoutError:
                answers.append(_Answer(b"", clock.now_ns(), Quality.BAD_TIMEOUT))
                emit(*self._decode(answers))
                raise
        try:
            learned = bool(refused) and await self._learn(reader, refused)
        except TimeoutError:
            emit(*self._decode(answers))
            raise
        if learned:
            await self.poll(reader, emit, clock)
        else:
            emit(*self._decode(answers))

    async def _read(self, reader: Reader, block: Block) -> bytes:
        self._counts["requests"] += 1
        try:
            return await reader.read(block.function, block.start, block.count)
        except ExceptionAnswer:
            self._counts["exceptions"] += 1
            raise

    # --- planning -------------------------------------------------------------------------

    def _plan(self) -> None:
        self.blocks = plan(
            self._spans,
            gap=self._gap,
            registers_max=self._registers_max,
            bits_max=self._bits_max,
            holes=self._holes,
        )
        self._sizes = [block.count if block.bits else 2 * block.count for block in self.blocks]
        starts = [0, *accumulate(self._sizes)]
        at, block_of = [0] * len(self._spans), np.zeros(len(self._spans), np.intp)
        for k, block in enumerate(self.blocks):
            for i in block.members:
                at[i] = starts[k] + (self._spans[i].start - block.start) * (1 if block.bits else 2)
                block_of[i] = k
        factors = [self._factor.get(i) for i in range(len(self._points))]
        self._columns = [
            _Planned(
                column,
                self._numbers[column.rows],
                block_of[column.rows],
                block_of[[i if factors[i] is None else self._factor[i] for i in column.rows]],
            )
            for column in columns(
                [point.coding for point in self._points],
                at[: len(self._points)],
                [None if factor is None else at[factor] for factor in factors],
            )
        ]

    async def _learn(self, reader: Reader, refused: Sequence[Block]) -> bool:
        """Find out by halving what the device does not like about blocks, and plan anew. False if nothing is new."""
        before = self._registers_max, self._bits_max, len(self._holes)
        for block in refused:
            self._holes |= await self._blame(reader, block)
        self._plan()
        return before != (self._registers_max, self._bits_max, len(self._holes))

    async def _blame(self, reader: Reader, block: Block) -> set[tuple[Area, int]]:
        """The addresses because of which a block was refused.

        If both its halves are fine, it was the addresses between them, or else its length.
        """
        if len(block.members) == 1:
            return {(block.area, address) for address in range(block.start, block.start + block.count)}
        first, second = halves(block, self._spans)
        refused = [half for half in (first, second) if not await self._accepts(reader, half)]
        if refused:
            return {address for half in refused for address in await self._blame(reader, half)}
        gap = set(between(first, second))
        longest = max(first.count, second.count, *(span.count for span in self._spans))
        if not gap and block.bits:
            self._bits_max = min(self._bits_max, longest)
        elif not gap:
            self._registers_max = min(self._registers_max, longest)
        return gap

    async def _accepts(self, reader: Reader, block: Block) -> bool:
        try:
            await self._read(reader, block)
        except ExceptionAnswer as answer:
            return answer.code not in _REFUSED
        return True

    # --- decoding -------------------------------------------------------------------------

    def _decode(self, answers: Sequence[_Answer]) -> list[Batch]:
        """Turn the answers, one per block from the first on, into one batch per kind of value."""
        image, time = self._image(answers), _times(answers)
        trouble = np.array([answer.quality for answer in answers], dtype=np.uint32)
        batches = [column.batch(image, time, trouble) for column in self._columns]
        return [batch for batch in batches if len(batch)]

    def _image(self, answers: Sequence[_Answer]) -> NDArray[np.uint8]:
        """All answers end to end: registers as they came, a byte for each bit; zeros where there is none."""
        parts = [
            np.unpackbits(np.frombuffer(answer.data, np.uint8), count=block.count, bitorder="little").tobytes()
            if block.bits and answer.data
            else answer.data or bytes(size)
            for answer, block, size in zip(answers, self.blocks, self._sizes, strict=False)
        ]
        parts.append(bytes(sum(self._sizes[len(answers) :])))
        return np.frombuffer(b"".join(parts), np.uint8)


class _Planned:
    """A column with its tags and the blocks that they, and their scale factors, come from."""

    def __init__(
        self,
        column: Column,
        tags: NDArray[np.uint32],
        block_of: NDArray[np.intp],
        factor_block_of: NDArray[np.intp],
    ) -> None:
        self._column = column
        self._tags = tags
        self._block_of = block_of
        self._factor_block_of = factor_block_of

    def batch(self, image: NDArray[np.uint8], time: NDArray[np.int64], trouble: NDArray[np.uint32]) -> Batch:
        """Decode; `time` and `trouble` are per answered block, rows of blocks without an answer are left out."""
        value, quality = self._column.decode(image)
        if not trouble.any():
            return Batch(self._tags, time[self._block_of], value, quality)
        rows = np.flatnonzero(np.maximum(self._block_of, self._factor_block_of) < len(trouble))
        worst = np.maximum(trouble[self._block_of[rows]], trouble[self._factor_block_of[rows]])
        quality = np.where(worst > 0, worst, quality[rows])
        value = value[rows]
        if self._column.kind is Kind.FLOAT:
            value[worst > 0] = np.nan
        return Batch(self._tags[rows], time[self._block_of[rows]], value, quality)


def _times(answers: Sequence[_Answer]) -> NDArray[np.int64]:
    """The time of each answer; of all of them the last, if the scan was short."""
    time = np.array([answer.time for answer in answers], dtype=np.int64)
    if 0 <= time[-1] - time[0] < _ONE_TIME_NS:
        time[:] = time[-1]
    return time
