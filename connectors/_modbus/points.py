"""Points: what tags need of a device. Pure."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, overload

from connectors._modbus.blocks import FUNCTION, Area, Span
from connectors._modbus.coding import Coding

_AREAS: Final[list[Area]] = list(FUNCTION)


@dataclass(frozen=True, slots=True)
class Point:
    """What a tag needs: its addresses, how they are coded, and its scale-factor register if it has one."""

    name: str
    span: Span
    coding: Coding
    factor: Span | None = None


class Points(Sequence[Point]):
    """Points as columns: each is made when it is asked for, which is when something is planned, or written.

    One takes 22 bytes here and 200 as an object, of which a large plant has 100,000.
    """

    def __init__(self, points: Iterable[Point]) -> None:
        self._name: list[str] = []
        self._area, self._start, self._count = array("B"), array("i"), array("H")
        self._coding: list[Coding] = []
        self._factor: dict[int, Span] = {}
        for row, point in enumerate(points):
            self._name.append(point.name)
            self._area.append(_AREAS.index(point.span.area))
            self._start.append(point.span.start)
            self._count.append(point.span.count)
            self._coding.append(point.coding)
            if point.factor is not None:
                self._factor[row] = point.factor

    def __len__(self) -> int:
        return len(self._name)

    @overload
    def __getitem__(self, row: int) -> Point: ...
    @overload
    def __getitem__(self, row: slice) -> "Points": ...
    def __getitem__(self, row: int | slice) -> "Point | Points":
        if isinstance(row, slice):
            return Points(self[i] for i in range(*row.indices(len(self))))
        span = Span(_AREAS[self._area[row]], self._start[row], self._count[row])
        return Point(self._name[row], span, self._coding[row], self._factor.get(row))
