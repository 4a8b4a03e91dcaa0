"""The register of alarms, as the application hands it in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gateway.alarms.alarm import Alarm, Answer


class Annunciator(Protocol):
    """All alarms, and what people do to them (gateway/alarms/keeper.py). Raises ConnectionError if the disk fails."""

    async def listed(self, wanted: Callable[[Alarm], bool]) -> Sequence[tuple[Alarm, bool]]:
        """Return the alarms that are wanted, and of each whether its readings are known to say so."""
        ...

    async def one(self, id: str) -> tuple[Alarm, bool]:
        """Return an alarm, and whether its readings are known to say so. Raises KeyError."""
        ...

    async def happened(self, id: str, before: int, most: int) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """Return number and event of what happened to an alarm before a number, the newest first."""
        ...

    async def performance(self, start_ns: int, end_ns: int) -> dict[str, Any]:
        """Return the metrics of a range that is not empty."""
        ...

    async def answer(self, ids: Sequence[str], answer: Answer) -> Sequence[tuple[str, str]]:
        """Do something to alarms; return those that refuse, and why. Raises KeyError."""
        ...

    async def elsewhere(self, id: str) -> tuple[str, str]:
        """Return the method by which its server acknowledges an alarm, '' if it has none, and the EventId for it."""
        ...
