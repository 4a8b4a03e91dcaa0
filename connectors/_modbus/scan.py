"""A scan: the tags of one device that are read at one rate, the plan for reading them, and what devices teach it.

The plan says which block reads which tag and where its bytes will lie in the image, the answers of all blocks put
end to end. A device that refuses a block is asked for its halves, once, until it is known which addresses it means
(profile.py); from then on those are not asked for, but one of them now and then, and everything else goes on
(V1.1b3 section 7: one illegal address fails the whole request).
"""

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from connectors._modbus.blocks import REGISTERS_MAX, Block, Span, between, halves, plan
from connectors._modbus.counters import Counters
from connectors._modbus.pdu import ILLEGAL_FUNCTION, SILENT, UNREACHABLE, Answer, Request, read
from connectors._modbus.planned import UNASKED, Planned
from connectors._modbus.points import Point
from connectors._modbus.profile import Profile
from connectors._modbus.registers import columns
from gateway.contracts import Clock, DeviceError, Emit
from gateway.model import Batch, Quality

_ONE_TIME_NS: Final = 20_000_000
"""Readings of a scan that took less share one time stamp: a PLC's own cycle scatters as much."""

_NO_ANSWER: Final = "no answer within the timeout"
_SEARCH_MAX: Final = 500
"""Requests of one poll, after which no further block is searched for what the device refuses."""
_PROBE_S: Final = 600.0
"""How long until the device is asked again for what it refused."""

_QUALITY: Final = {
    SILENT: Quality.BAD_TIMEOUT,
    1: Quality.BAD_NOT_SUPPORTED,
    2: Quality.BAD_NODE_ID_UNKNOWN,
    3: Quality.BAD_OUT_OF_RANGE,
    4: Quality.BAD_DEVICE_FAILURE,
    6: Quality.BAD_RESOURCE_UNAVAILABLE,
    10: Quality.BAD_NO_COMMUNICATION,
    11: Quality.BAD_NO_COMMUNICATION,
}
"""What an exception code says of what was asked for (V1.1b3 section 7); others are BadDeviceFailure."""

_REFUSED: Final = (1, 2, 3)
"""Exception codes that come again however often one asks: function, address, length."""

Keep = Callable[[Sequence[Block], NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]], None]
"""Takes what was asked for, and for each block when it came, whether it is good, and the answers end to end."""

Ask = Callable[[Sequence[Request]], Awaitable[list[Answer | None]]]
"""Sends requests; see Line.ask."""


async def asked(ask: Ask, request: Request) -> Answer:
    """Return the answer to one request, an exception included. Raises TimeoutError if none comes."""
    (answer,) = await ask([request])
    if answer is None or answer.code == SILENT:
        raise TimeoutError(_NO_ANSWER)
    return answer


class Scan:
    """Reads its tags once per `poll`."""

    def __init__(
        self,
        points: Sequence[Point],
        numbers: NDArray[np.uint32],
        profile: Profile,
        *,
        gap: int = 8,
        registers_max: int = REGISTERS_MAX,
        keep: Keep | None = None,
    ) -> None:
        self._keep = keep
        self._points = points
        self._numbers = numbers
        self._profile = profile
        ranges = [point.coding.count_range for point in points]
        self._counters = Counters([point.name for point in points], ranges, profile.counters) if any(ranges) else None
        self._gap = gap
        self._registers_max = registers_max
        scaled = [i for i, point in enumerate(points) if point.factor is not None]
        self._factor = {i: len(points) + k for k, i in enumerate(scaled)}
        self._longest = max(span.count for span in self._spans())  # whatever is known, a value is asked for whole
        self._probe_at = float("inf")
        self._searched = 0
        self._plan()

    async def poll(self, ask: Ask, emit: Emit, clock: Clock) -> None:
        """Read every block once and emit its tags; what the device refuses costs the tags it concerns.

        Raises TimeoutError when the device falls silent, and DeviceError when a gateway says so; what was read
        before is emitted, and what became of the request that got no answer.
        """
        if self._planned != self._profile.changes:
            self._plan()
        if self._codes:
            await self._probe(ask)
        self._searched = 0
        await self._read(ask, emit, clock)

    async def _read(self, ask: Ask, emit: Emit, clock: Clock) -> None:
        answers = await ask(self._requests)
        codes = {answer.code for answer in answers if answer is not None}
        if codes == {0} and not self._codes:
            emit(*self._sound(answers))
            return
        try:
            if not codes.isdisjoint(_REFUSED) and await self._learn(ask, answers):
                self._plan()
                await self._read(ask, emit, clock)
                return
        except TimeoutError:
            emit(*self._troubled(answers, clock))
            raise
        emit(*self._troubled(answers, clock))
        if SILENT in codes:
            raise TimeoutError(_NO_ANSWER)
        if not codes.isdisjoint(UNREACHABLE):
            raise DeviceError("the gateway in between cannot reach the unit", Quality.BAD_NO_COMMUNICATION)

    def point(self, number: int) -> Point | None:
        """What the tag with this number needs, None if it is not one of this scan's."""
        rows = np.flatnonzero(self._numbers == number)
        return self._points[int(rows[0])] if len(rows) else None

    @property
    def counters(self) -> dict[str, Any]:
        """Where the counters that roll over stand, by name of the tag."""
        return self._counters.state() if self._counters else {}

    # --- planning -------------------------------------------------------------------------

    def _spans(self) -> list[Span]:
        """Those of all tags, and behind them those of their scale factors."""
        points = self._points
        return [point.span for point in points] + [span for i in self._factor if (span := points[i].factor)]

    def _plan(self) -> None:
        profile, spans = self._profile, self._spans()
        self._planned = profile.changes
        refused = [profile.refused.get(span, 0) for span in spans]
        asked = [i for i, code in enumerate(refused) if not code]
        blocks = plan(
            [spans[i] for i in asked],
            gap=self._gap,
            registers_max=min(self._registers_max, max(profile.registers_max, self._longest)),
            bits_max=profile.bits_max,
            holes=profile.holes(),
        )
        self.blocks = [Block(b.area, b.start, b.count, array("I", [asked[i] for i in b.members])) for b in blocks]
        self._requests = [read(block.function, block.start, block.count) for block in self.blocks]
        self._codes = sorted(set(refused) - {0})  # each stands for a block that answers so, without being asked
        self._sizes = [block.count if block.bits else 2 * block.count for block in self.blocks]
        starts = [0, *accumulate(self._sizes)]
        self._packed = [k for k, block in enumerate(self.blocks) if block.bits]
        self._spare = bytes(2 * self._longest)
        at, block_of = [starts[-1]] * len(spans), np.zeros(len(spans), np.intp)
        for k, block in enumerate(self.blocks):
            for i in block.members:
                at[i] = starts[k] + (spans[i].start - block.start) * (1 if block.bits else 2)
                block_of[i] = k
        for i, code in enumerate(refused):
            if code:
                block_of[i] = len(self.blocks) + self._codes.index(code)
        self._columns = self._planned_columns(at, block_of)

    def _planned_columns(self, at: Sequence[int], block_of: NDArray[np.intp]) -> list[Planned]:
        factors = [self._factor.get(i) for i in range(len(self._points))]
        return [
            Planned(
                column,
                self._numbers[column.rows],
                block_of[column.rows],
                block_of[[i if factors[i] is None else self._factor[i] for i in column.rows]],
            )
            for column in columns(
                [point.coding for point in self._points],
                at[: len(self._points)],
                [None if factor is None else at[factor] for factor in factors],
                self._counters,
            )
        ]

    # --- learning -------------------------------------------------------------------------

    async def _learn(self, ask: Ask, answers: Sequence[Answer | None]) -> bool:
        """Find out what the device does not like about the blocks it refused. False if nothing is new.

        Those for which there is no time in this poll are asked for again, and refused again, in the next.
        """
        before, spans = self._profile.changes, self._spans()
        for block, answer in zip(self.blocks, answers, strict=True):
            if answer is not None and answer.code in _REFUSED and self._searched < _SEARCH_MAX:
                await self._blame(ask, block, answer.code, spans)
        self._probe_at = min(self._probe_at, asyncio.get_running_loop().time() + _PROBE_S)
        return before != self._profile.changes

    async def _blame(self, ask: Ask, block: Block, code: int, spans: Sequence[Span]) -> None:
        """Find the addresses because of which a block was refused, by halving.

        If both its halves are fine, it was the addresses between them, or else its length.
        """
        if len(block.members) == 1 or code == ILLEGAL_FUNCTION:
            for i in block.members:
                self._profile.refuse(spans[i], code)
            return
        first, second = halves(block, spans)
        refusals = [(half, refusal) for half in (first, second) if (refusal := await self._refusal(ask, half))]
        for half, refusal in refusals:
            await self._blame(ask, half, refusal, spans)
        gap = between(first, second)
        if not refusals and gap:
            self._profile.avoid(block.area, gap)
        elif not refusals:
            longest = max(first.count, second.count, self._longest)
            self._profile.shorten(bits=block.bits, longest=longest)

    async def _refusal(self, ask: Ask, block: Block) -> int:
        """The exception code with which the device refuses a block, 0 if it does not."""
        self._searched += 1
        answer = await asked(ask, read(block.function, block.start, block.count))
        return answer.code if answer.code in _REFUSED else 0

    async def _probe(self, ask: Ask) -> None:
        """Now and then ask for a tag that was refused: devices get new firmware, and modules are plugged in."""
        loop = asyncio.get_running_loop()
        if self._probe_at > loop.time():
            self._probe_at = min(self._probe_at, loop.time() + _PROBE_S)
            return
        ours = set(self._spans())
        waiting = [span for span in self._profile.refused if span in ours]  # who was asked last is last
        self._probe_at = loop.time() + _PROBE_S / len(waiting)
        span = waiting[0]
        code = await self._refusal(ask, Block(span.area, span.start, span.count, ()))
        self._profile.accept(span)
        if code:
            self._profile.refuse(span, code)
        self._plan()

    # --- decoding -------------------------------------------------------------------------

    def _sound(self, answers: Sequence[Answer | None]) -> list[Batch]:
        """Turn good answers to all that is wanted, one per block, into one batch per kind of value."""
        image, time = self._image(answers), _times(answers)
        self._kept(time, np.zeros(len(time), np.uint32), image)
        return [column.batch(image, time) for column in self._columns]

    def _troubled(self, answers: Sequence[Answer | None], clock: Clock) -> list[Batch]:
        """The same where some answers are not good, or some tags are not asked for."""
        image = self._image(answers)
        silent = any(answer is None or answer.code == SILENT for answer in answers)
        trouble = [_quality(answer) for answer in answers]
        trouble += [UNASKED if silent else _QUALITY[code] for code in self._codes]
        self._kept(_times(answers), np.array(trouble[: len(answers)], np.uint32), image)
        time = np.r_[_times(answers), np.full(len(self._codes), clock.now_ns())]
        batches = [column.troubled(image, time, np.array(trouble, dtype=np.uint32)) for column in self._columns]
        return [batch for batch in batches if len(batch)]

    def _kept(self, time: NDArray[np.int64], quality: NDArray[np.uint32], image: NDArray[np.uint8]) -> None:
        """Have the answers kept as they are, if that is wanted and there is one."""
        if self._keep is not None and not quality.all():
            self._keep(self.blocks, time, quality, image[: len(image) - len(self._spare)])

    def _image(self, answers: Sequence[Answer | None]) -> NDArray[np.uint8]:
        """All answers end to end: registers as they came, a byte for each bit; zeros where there is none."""
        parts = [
            answer.data if answer is not None and answer.data else bytes(size)
            for answer, size in zip(answers, self._sizes, strict=True)
        ]
        for k in self._packed:
            parts[k] = _unpacked(parts[k], self._sizes[k])
        parts.append(self._spare)
        return np.frombuffer(b"".join(parts), np.uint8)


def _unpacked(data: bytes, count: int) -> bytes:
    return np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little").tobytes()


def _quality(answer: Answer | None) -> int:
    if answer is None:
        return UNASKED
    return _QUALITY.get(answer.code, Quality.BAD_DEVICE_FAILURE) if answer.code else 0


def _times(answers: Sequence[Answer | None]) -> NDArray[np.int64]:
    """The time of each answer; of all of them the last, if the scan was short."""
    times = [answer.time for answer in answers if answer is not None]
    first, last = min(times, default=0), max(times, default=0)
    if last - first < _ONE_TIME_NS:
        return np.full(len(answers), last)
    return np.array([0 if answer is None else answer.time for answer in answers], dtype=np.int64)
