"""The section `production`: shifts, and the work units with the tags that tell what they do."""

import re
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.texts import AssetPath, Keys, Seconds, Segment, TagName

_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _minutes(text: Any) -> Any:
    """Minutes from midnight of 06:30; YAML itself makes such a number of 14:00."""
    if isinstance(text, int):
        return text
    found = _CLOCK.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no time of day: write 06:00")
    return int(found[1]) * 60 + int(found[2])


def _span(text: str) -> str:
    for clock in text.split("-") if text.count("-") == 1 else [text]:
        _minutes(clock.strip())
    if "-" not in text:
        raise ValueError(f"{text!r} is no break: write 10:00-10:15")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{name!r} is no time zone: write one such as Europe/Berlin") from error
    return name


TimeOfDay = Annotated[int, BeforeValidator(_minutes, json_schema_input_type=str), Field(ge=0, lt=1440)]
Break = Annotated[str, AfterValidator(_span)]
Word = Literal["producing", "setup", "delay", "waiting", "failure", "idle", "down", "planned", "maintenance"]


class Shift(Keys):
    """When the plant means to work, in local time."""

    start: TimeOfDay = Field(description="when it begins, such as 06:00")
    end: TimeOfDay = Field(description="when it ends; not after its start means on the next day")
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        default=list(DAYS[:5]), description="on which days it begins"
    )
    breaks: list[Break] = Field(default=[], description="spans within it, such as 10:00-10:15")

    @property
    def pauses(self) -> list[tuple[int, int]]:
        """The breaks, in minutes from midnight."""
        return [(_minutes(begin.strip()), _minutes(end.strip())) for begin, end in (b.split("-") for b in self.breaks)]


class WorkUnit(Keys):
    """A machine that does work (ISA-95 work unit), and which tags say what it does."""

    asset: AssetPath = Field(description="path of the machine below the site; tags are below it, or whole paths")
    standard: Literal["packml", "machinery", "stacklight", "running", "custom"] = Field(
        default="packml", description="what the numbers or words of state and mode mean"
    )
    state: TagName = Field(description="tag of the state")
    states: dict[int | str, Word] = Field(default={}, description="what values of state mean, where it is otherwise")
    mode: TagName | None = Field(default=None, description="tag of the mode")
    modes: dict[int | str, Literal["processing", "setup", "maintenance"]] = Field(
        default={}, description="what values of mode mean, where it is otherwise"
    )
    produced: TagName | None = Field(default=None, description="counter of all pieces")
    good: TagName | None = Field(default=None, description="counter of good pieces")
    scrap: TagName | None = Field(default=None, description="counter of rejected pieces")
    rework: TagName | None = Field(default=None, description="counter of pieces to be reworked")
    energy: TagName | None = Field(default=None, description="counter of energy")
    rollover: int = Field(default=2**32, ge=0, description="where counters start again from 0; 0 if they do not")
    ideal_cycle: Seconds | None = Field(default=None, gt=0, description="planned run time per piece")
    cycle: TagName | None = Field(default=None, description="tag of the ideal cycle time, in seconds per piece")
    speed: TagName | None = Field(default=None, description="tag of the ideal speed, in pieces per hour")
    order: TagName | None = Field(default=None, description="tag of the order that the machine works on")
    reason: TagName | None = Field(default=None, description="tag of why the machine stands")
    minor_stop: Seconds = Field(default=300.0, ge=0, description="a delay that is longer is a breakdown")
    startup: Seconds = Field(default=300.0, ge=0, description="so long after a setup rejects are those of a startup")

    tell: Seconds = Field(default=60.0, ge=0, description="stops that last so long are told as events")

    @model_validator(mode="after")
    def _once(self) -> Self:
        if sum(key is not None for key in (self.ideal_cycle, self.cycle, self.speed)) > 1:
            raise ValueError("ideal_cycle, cycle and speed say the same: leave one")
        if self.produced and self.good and self.scrap:
            raise ValueError("produced, good and scrap say one thing twice: leave two")
        return self


class Production(Keys):
    """Work units, their shifts and how long what follows from them is kept."""

    zone: Annotated[str, AfterValidator(_zone)] = Field(default="UTC", description="time zone of the shifts")
    shifts: dict[Segment, Shift] = Field(default={}, description="without any, all time is planned")
    units: dict[Segment, WorkUnit] = Field(default={}, description="machines, by name")
    retention: Seconds = Field(default=400 * 86_400.0, gt=0, description="how long orders, states and counts are kept")
    publish: Seconds = Field(default=10.0, ge=1, description="how often KPIs are published on the bus")
