"""The block planner: which requests read which tags. Pure; knows nothing of types, bytes or sockets.

A request costs a round trip and the device's time whatever its length, so tags that lie close together are read
together, over small gaps, but never across an address that the device refused, never more than the device allows,
and never so that a value comes from two answers (Modbus Application Protocol V1.1b3: 125 registers, 2000 bits).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Area = Literal["coil", "discrete", "input", "holding"]

FUNCTION: Final[dict[Area, int]] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
REGISTERS_MAX: Final = 125
BITS_MAX: Final = 2000


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Addresses that one value needs from one answer: [start, start + count) of an area."""

    area: Area
    start: int
    count: int

    @property
    def stop(self) -> int:
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class Block:
    """One request; `members` are the numbers of the spans that it reads."""

    area: Area
    start: int
    count: int
    members: Sequence[int]

    @property
    def function(self) -> int:
        return FUNCTION[self.area]

    @property
    def bits(self) -> bool:
        return self.area in ("coil", "discrete")


def plan(
    spans: Sequence[Span],
    *,
    gap: int = 8,
    registers_max: int = REGISTERS_MAX,
    bits_max: int = BITS_MAX,
    holes: Collection[tuple[Area, int]] = (),
) -> list[Block]:
    """Return blocks that read every span exactly once, each within one area and at most so long.

    `holes` are addresses that the device refused: a span that needs one is read by itself, and no block of several
    spans touches one. Raises ValueError for a span that no request can hold.
    """
    longest: dict[Area, int] = {
        "coil": bits_max,
        "discrete": bits_max,
        "input": registers_max,
        "holding": registers_max,
    }
    for span in spans:
        if span.start < 0 or span.stop > 65536:
            raise ValueError(f"{span.area}:{span.start} with {span.count} addresses does not fit into 0..65535")
        if span.count > longest[span.area]:
            raise ValueError(f"{span.area}:{span.start} needs {span.count} registers, {longest[span.area]} is the most")
    blocks: list[Block] = []
    for i in sorted(range(len(spans)), key=lambda i: spans[i]):
        joined = _join(blocks[-1], spans[i], i, gap, longest[spans[i].area], holes) if blocks else None
        if joined is None:
            blocks.append(_around((i,), spans))
        else:
            blocks[-1] = joined
    return blocks


def halves(block: Block, spans: Sequence[Span]) -> tuple[Block, Block]:
    """Split a block with two or more members into two, each as short as its members allow."""
    middle = len(block.members) // 2
    return _around(block.members[:middle], spans), _around(block.members[middle:], spans)


def between(first: Block, second: Block) -> range:
    """Return the addresses of the gap between two blocks of one area."""
    return range(first.start + first.count, second.start)


def _join(
    block: Block, span: Span, i: int, gap: int, longest: int, holes: Collection[tuple[Area, int]]
) -> Block | None:
    """The block with the span added, or None if they do not go together."""
    end = block.start + block.count
    stop = max(end, span.stop)
    far = span.start - end > gap * (16 if block.bits else 1)
    if span.area != block.area or far or stop - block.start > longest:
        return None
    if holes and any((block.area, address) in holes for address in range(block.start, stop)):
        return None
    return Block(block.area, block.start, stop - block.start, (*block.members, i))


def _around(members: Sequence[int], spans: Sequence[Span]) -> Block:
    start = min(spans[i].start for i in members)
    stop = max(spans[i].stop for i in members)
    return Block(spans[members[0]].area, start, stop - start, members)
