"""An alarm as the register has it, and what somebody does to it. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from gateway.alarms.events import About
from gateway.alarms.states import Condition, Deed, Shelving, State


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says of all alarms; `priorities` are severities by word, `site` is its path."""

    site: str
    journal: str
    priorities: Mapping[str, int]
    shelve_max_ns: int
    retention_ns: int


@dataclass(frozen=True, slots=True)
class Kept:
    """How an alarm is, as the file has it."""

    id: str
    condition: Condition
    raised_ns: int
    changed_ns: int
    event: str
    about: str
    said: str


@dataclass(slots=True)
class Alarm:
    """One alarm. `event` is the EventId by which it is acknowledged, `said` its last event."""

    about: About
    condition: Condition = field(default_factory=Condition)
    raised_ns: int = 0
    changed_ns: int = 0
    event: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> Kept:
        about, said = (orjson.dumps(part, default=str).decode() for part in (asdict(self.about), self.said))
        return Kept(self.about.id, self.condition, self.raised_ns, self.changed_ns, self.event, about, said)

    @classmethod
    def of(cls, kept: Kept, about: About | None) -> "Alarm":
        """Return an alarm as it was kept; `about` is what the configuration says of it now."""
        about = about or About(**orjson.loads(kept.about))
        return cls(about, kept.condition, kept.raised_ns, kept.changed_ns, kept.event, orjson.loads(kept.said))

    @property
    def holds(self) -> bool:
        """Whether what it watches is not as it should be: one that is only latched is active all the same."""
        return self.condition.process in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED)


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody does to an alarm, who, and why. `event` is the EventId that is meant, '' for the present one.

    `for_ns` is how long it is shelved, None for as long as may be.
    """

    deed: Deed
    who: str
    comment: str = ""
    event: str = ""
    one_shot: bool = False
    for_ns: int | None = None


def way_out(condition: Condition) -> Deed | None:
    """Return what comes next on the way from a condition to normal."""
    hidden = {
        Deed.PLACE: condition.out_of_service,
        Deed.UNSUPPRESS: condition.suppressed,
        Deed.UNSHELVE: condition.shelving is not Shelving.NOT,
    }
    process = {
        Deed.CLEAR: condition.process in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED),
        Deed.RESET: condition.active,
        Deed.ACKNOWLEDGE: not condition.acked,
    }
    return next((deed for deed, leads in (hidden | process).items() if leads), None)
