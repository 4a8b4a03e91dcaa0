"""What an alarm is, by the configuration: which tag, what must not be, for how long, and what it means. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a reading is judged; the words are types of OPC 10000-9, 5.8."""

    LIMIT = "NonExclusiveLimitAlarmType"
    DEVIATION = "NonExclusiveDeviationAlarmType"
    RATE = "NonExclusiveRateOfChangeAlarmType"
    OFF_NORMAL = "OffNormalAlarmType"
    DISCRETE = "DiscreteAlarmType"
    COMMS = "InstrumentDiagnosticAlarmType"


@dataclass(frozen=True, slots=True)
class Rule:
    """One alarm of one tag.

    `id` is the path of the tag below the site, and its name. `high` says on which side of `limit` it is; the deadband
    is in the unit of the limit, that of a rate is the unit of the tag per `per_ns`. `setpoint` is a number or the path
    of a tag. `values` are those that are normal (OFF_NORMAL) or not (DISCRETE), all numbers or all texts. A COMMS alarm
    also comes if nothing came for `silent_ns`, unless that is 0. `priority` is a word, `severity` 1 to 1000.
    """

    id: str
    name: str
    tag: str
    asset: str
    kind: Kind
    priority: str
    severity: int
    limit: float = 0.5
    high: bool = True
    deadband: float = 0.0
    on_delay_ns: int = 0
    off_delay_ns: int = 0
    latching: bool = False
    setpoint: float | str | None = None
    per_ns: int = 10**9
    values: tuple[float, ...] | tuple[str, ...] = ()
    silent_ns: int = 0
    text: str = ""
    response: str = ""
    consequence: str = ""

    @property
    def source(self) -> str:
        """The tag below its asset: what OPC UA calls SourceName."""
        return self.tag.removeprefix(f"{self.asset}/")
