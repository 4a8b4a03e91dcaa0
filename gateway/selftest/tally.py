"""What was produced, told on the bus and stored in history, compared number by number. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.payload import Message
from gateway.selftest.device import VALUES, Connection, value_range

UNREAD_S_MAX: Final = 1.0
"""What a device answered so long before its connection was broken, or its reader killed, must not be missing."""
_NAMES: Final = ["number", *(f"v{k}" for k in range(VALUES))]


@dataclass(slots=True)
class Told:
    """What a subscriber was told of one device."""

    numbers: set[int] = field(default_factory=set)
    newest: int = 0
    sequence: int = 0
    identities: dict[tuple[int, int], int] = field(default_factory=dict)
    repeated: int = 0
    duplicated: int = 0
    reordered: int = 0
    wrong: int = 0

    def take(self, message: Message) -> None:
        """Take a batch message; one without a good number says that the device is lost, and counts by identity only.

        The same message again, told by (boot, sequence), is a repetition and no duplicate.
        """
        number = _number(message)
        identity = (message.boot, message.sequence)
        if identity in self.identities:
            self.repeated += 1
            self.wrong += self.identities[identity] != number
            return
        self.identities[identity] = number
        self.reordered += message.sequence <= self.sequence
        self.sequence = max(self.sequence, message.sequence)
        if not number:
            return
        self.duplicated += number in self.numbers
        self.reordered += number < self.newest
        self.wrong += not _belongs(message, number)
        self.numbers.add(number)
        self.newest = max(self.newest, number)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with one device's numbers. `unread` were answered and never read, at most `unread_s` before."""

    produced: int
    lost_bus: int
    lost_history: int
    duplicated: int
    unread: int
    unread_s: float


def judge(connections: Sequence[Connection], told: set[int], stored: Sequence[int]) -> Verdict:
    """Compare what a device answered with what was told and stored of it."""
    kept = told | set(stored)
    unread: dict[int, float] = {}
    for connection in connections:
        if connection.ours:
            unread |= _unread(connection, kept)
    produced = {number for connection in connections for number in connection.numbers}
    wanted = produced - unread.keys()
    return Verdict(
        produced=len(produced),
        lost_bus=len(wanted - told),
        lost_history=len(wanted - set(stored)),
        duplicated=len(stored) - len(set(stored)) + len(kept - produced),
        unread=len(unread),
        unread_s=max(unread.values(), default=0.0),
    )


def _unread(connection: Connection, kept: set[int]) -> dict[int, float]:
    """The numbers at the end of a connection that nobody has, and how long before its end they were answered."""
    unread = {}
    for number, time in zip(reversed(connection.numbers), reversed(connection.times), strict=True):
        if number in kept or connection.ended - time > UNREAD_S_MAX:
            break
        unread[number] = connection.ended - time
    return unread


def _number(message: Message) -> int:
    """The number of a message, 0 if it has no good one."""
    if "number" not in message.tags:
        return 0
    at = message.tags.index("number")
    return int(message.values[at]) if message.status[at] == 0 else 0


def _belongs(message: Message, number: int) -> bool:
    """Whether all values are those of the number, and all are there."""
    values: dict[str, object] = dict(zip(message.tags, message.values, strict=True))
    return [values.get(name) for name in _NAMES] == [number, *value_range(number)]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that is not below a share of them; 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
