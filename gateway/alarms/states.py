"""The states of an alarm and what leads from one to the next (ISA-18.2, OPC 10000-9), as tables. Pure.

What process and acknowledgement make of an alarm goes on while it is hidden, that is shelved, suppressed by design or
out of service; whoever looks sees the strongest of these. When it is no more hidden, it is what the process dictates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """States of ISA-18.2; the letter of each is in `LETTERS`."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    """Back to normal, and nobody has acknowledged that it was not."""
    LATCHED_UNACKNOWLEDGED = "latched_unacknowledged"
    LATCHED_ACKNOWLEDGED = "latched_acknowledged"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out_of_service"


LETTERS: Final = dict(zip(State, "ABCDEFGHI", strict=True))
ACTIVE: Final = frozenset(
    {State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.LATCHED_UNACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED}
)
ACKED: Final = frozenset({State.NORMAL, State.ACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED})


class Deed(StrEnum):
    """What happens to an alarm: the first two by the process, the others by people."""

    RAISE = "raise"
    CLEAR = "clear"
    ACKNOWLEDGE = "acknowledge"
    RESET = "reset"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    REMOVE = "remove_from_service"
    PLACE = "place_in_service"


MOVES: Final[Mapping[tuple[State, Deed], State]] = {
    (State.NORMAL, Deed.RAISE): State.UNACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Deed.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.UNACKNOWLEDGED, Deed.CLEAR): State.RETURNED,
    (State.ACKNOWLEDGED, Deed.CLEAR): State.NORMAL,
    (State.RETURNED, Deed.ACKNOWLEDGE): State.NORMAL,
    (State.RETURNED, Deed.RAISE): State.UNACKNOWLEDGED,
    (State.LATCHED_UNACKNOWLEDGED, Deed.ACKNOWLEDGE): State.LATCHED_ACKNOWLEDGED,
    (State.LATCHED_UNACKNOWLEDGED, Deed.RAISE): State.UNACKNOWLEDGED,
    (State.LATCHED_UNACKNOWLEDGED, Deed.RESET): State.RETURNED,
    (State.LATCHED_ACKNOWLEDGED, Deed.RAISE): State.UNACKNOWLEDGED,
    (State.LATCHED_ACKNOWLEDGED, Deed.RESET): State.NORMAL,
}
LATCHING: Final[Mapping[tuple[State, Deed], State]] = {
    **MOVES,
    (State.UNACKNOWLEDGED, Deed.CLEAR): State.LATCHED_UNACKNOWLEDGED,
    (State.ACKNOWLEDGED, Deed.CLEAR): State.LATCHED_ACKNOWLEDGED,
}
"""Of an alarm that stays active until somebody resets it."""


class Shelving(StrEnum):
    """As OPC 10000-9, 5.8.10 has it."""

    NOT = "Unshelved"
    TIMED = "TimedShelved"
    ONE_SHOT = "OneShotShelved"
    """Until it is back to normal."""


class Refused(Exception):
    """That cannot be done to an alarm as it is."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How an alarm is. `process` is one of the first six states; `until_ns` is when its shelving ends at the latest."""

    process: State = State.NORMAL
    shelving: Shelving = Shelving.NOT
    until_ns: int = 0
    suppressed: bool = False
    out_of_service: bool = False

    @property
    def state(self) -> State:
        if self.out_of_service:
            return State.OUT_OF_SERVICE
        if self.suppressed:
            return State.SUPPRESSED
        return self.process if self.shelving is Shelving.NOT else State.SHELVED

    @property
    def hidden(self) -> bool:
        """Whether nobody is told when it is raised."""
        return self.state is not self.process

    @property
    def active(self) -> bool:
        return self.process in ACTIVE

    @property
    def acked(self) -> bool:
        return self.process in ACKED

    @property
    def retain(self) -> bool:
        """Whether it is of interest still (OPC 10000-9, 5.5.2)."""
        return self.active or not self.acked

    def after(
        self, deed: Deed, *, latching: bool = False, shelving: Shelving = Shelving.TIMED, until_ns: int = 0
    ) -> "Condition":
        """Return how it is after a deed. Raises Refused, and says why, if that leads nowhere from here.

        `shelving` and `until_ns` are those of SHELVE.
        """
        match deed:
            case Deed.SHELVE | Deed.UNSHELVE:
                shelved = deed is Deed.SHELVE
                _news(self.shelving is not Shelving.NOT, shelved, "shelved")
                following = replace(
                    self, shelving=shelving if shelved else Shelving.NOT, until_ns=until_ns if shelved else 0
                )
            case Deed.SUPPRESS | Deed.UNSUPPRESS:
                _news(self.suppressed, deed is Deed.SUPPRESS, "suppressed")
                following = replace(self, suppressed=deed is Deed.SUPPRESS)
            case Deed.REMOVE | Deed.PLACE:
                _news(self.out_of_service, deed is Deed.REMOVE, "out of service")
                following = replace(self, out_of_service=deed is Deed.REMOVE)
            case _:
                following = self._moved(deed, latching)
        if self.hidden and not following.hidden and following.process is State.RETURNED:
            return replace(following, process=State.NORMAL)
        return following

    def _moved(self, deed: Deed, latching: bool) -> "Condition":
        process = (LATCHING if latching else MOVES).get((self.process, deed))
        if process is None:
            raise Refused(f"it is {self.process}: there is nothing to {deed}")
        over = self.shelving is Shelving.ONE_SHOT and self.active and process not in ACTIVE
        if over:
            return replace(self, process=process, shelving=Shelving.NOT, until_ns=0)
        return replace(self, process=process)


def _news(is_so: bool, becomes_so: bool, what: str) -> None:
    if is_so == becomes_so:
        raise Refused(f"it is {what} already" if is_so else f"it is not {what}")
