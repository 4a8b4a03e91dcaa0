"""What a device has taught: what it refuses, how much it takes at once. It is kept across restarts.

Nothing of it is configured, and none of it is certain for ever: what was refused is asked for again now and then
(scan.py), and another address in the configuration begins a new profile.
"""

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, Field, ValidationError

from connectors._modbus.blocks import BITS_MAX, REGISTERS_MAX, Area, Span
from connectors._modbus.depth import DEPTH_MAX, Depth

_Address = Annotated[int, Field(ge=0, le=65_535)]
_Count = Annotated[int, Field(ge=1, le=BITS_MAX)]
_Count64 = Annotated[int, Field(ge=0, lt=2**63)]
_Code = Annotated[int, Field(ge=1, le=3)]
"""Function, address or length (scan.py): what comes again however often one asks."""

log: Final = logging.getLogger(__name__)


class Profile:
    """One per device. `changes` counts what alters the plan of its requests."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.registers_max = REGISTERS_MAX
        self.bits_max = BITS_MAX
        self.refused: dict[Span, int] = {}
        self.gaps: set[tuple[Area, int]] = set()
        self.depth = Depth()
        self.counters: dict[str, Any] = {}
        self.changes = 0

    @classmethod
    def recalled(cls, where: str, learned: Mapping[str, Any]) -> Self:
        """Return the profile that was kept; a new one if it is that of another device, or damaged."""
        profile = cls(where)
        if learned.get("where") != where:
            return profile
        try:
            kept = _Kept.model_validate(learned)
        except ValidationError:
            log.warning("what was learned about %s cannot be read; it is learned anew", where)
            return profile
        profile.registers_max, profile.bits_max = kept.registers_max, kept.bits_max
        profile.refused = {Span(area, start, count): code for area, start, count, code in kept.refused}
        profile.gaps = {(area, address) for area, start, n in kept.gaps for address in range(start, start + n)}
        profile.depth = Depth(kept.in_flight, settled=kept.in_flight_settled)
        profile.counters = {name: counter.model_dump() for name, counter in kept.counters.items()}
        return profile

    def kept(self) -> dict[str, Any]:
        """Return what to keep, in what JSON can carry."""
        return _Kept(
            where=self.where,
            registers_max=self.registers_max,
            bits_max=self.bits_max,
            refused=[(span.area, span.start, span.count, code) for span, code in sorted(self.refused.items())],
            gaps=[(area, address, 1) for area, address in sorted(self.gaps)],
            in_flight=self.depth.proved,
            in_flight_settled=self.depth.settled,
            counters={name: _Counter.model_validate(state) for name, state in self.counters.items()},
        ).model_dump()

    def refuse(self, span: Span, code: int) -> None:
        """Note that the device answers a request for just this with an exception."""
        self.refused[span] = code
        self.changes += 1

    def accept(self, span: Span) -> None:
        """Note that the device has this after all."""
        del self.refused[span]
        self.changes += 1

    def avoid(self, area: Area, addresses: range) -> None:
        """Note addresses between tags that must not be read along."""
        self.gaps |= {(area, address) for address in addresses}
        self.changes += 1

    def shorten(self, *, bits: bool, longest: int) -> None:
        """Note the longest request that the device answers."""
        if bits:
            self.bits_max = min(self.bits_max, longest)
        else:
            self.registers_max = min(self.registers_max, longest)
        self.changes += 1

    def holes(self) -> set[tuple[Area, int]]:
        """Return all addresses that no request for several tags may touch."""
        of_tags = {(span.area, address) for span in self.refused for address in range(span.start, span.stop)}
        return self.gaps | of_tags


class _Counter(BaseModel):
    last: _Count64
    wraps: _Count64
    range: _Count64


class _Kept(BaseModel):
    where: str
    registers_max: int = Field(ge=1, le=REGISTERS_MAX)
    bits_max: int = Field(ge=1, le=BITS_MAX)
    refused: list[tuple[Area, _Address, _Count, _Code]]
    gaps: list[tuple[Area, _Address, _Count]]
    in_flight: int = Field(ge=1, le=DEPTH_MAX)
    in_flight_settled: bool
    counters: dict[str, _Counter]
