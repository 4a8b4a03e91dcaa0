"""The section `alarms`: which tags must not be how, for how long, and how urgent that is."""

from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.texts import Keys, Seconds, Segment

LEVELS: Final = ("high_high", "high", "low", "low_low")
SEVERITIES: Final = {"low": 250, "medium": 500, "high": 800}


def _listed(values: Any) -> Any:
    return values if isinstance(values, list) else [values]


def _alike(values: list[float | str]) -> list[float | str]:
    if len({isinstance(value, str) for value in values}) > 1:
        raise ValueError("write numbers or texts, not both; quote texts that look like numbers")
    return values


Number = Annotated[float, Field(allow_inf_nan=False)]
Value = Annotated[float, Field(allow_inf_nan=False, ge=-(2**53), le=2**53)] | Annotated[str, Field(max_length=200)]
Values = Annotated[
    list[Value],
    AfterValidator(_alike),
    BeforeValidator(_listed, json_schema_input_type=list[float | str] | float | str),
    Field(min_length=1, max_length=64),
]


class Limits(Keys):
    """Where a tag is too high or too low; each is an alarm of its own."""

    high_high: Number | None = Field(default=None, description="it must stay below that")
    high: Number | None = Field(default=None, description="it must stay below that")
    low: Number | None = Field(default=None, description="it must stay above that")
    low_low: Number | None = Field(default=None, description="it must stay above that")

    @property
    def given(self) -> dict[str, float]:
        """The limits that there are, by level."""
        return {level: value for level in LEVELS if (value := getattr(self, level)) is not None}

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        values = list(self.given.values())
        if not values or any(higher <= lower for higher, lower in pairwise(values)):
            raise ValueError("give one of high_high, high, low, low_low at least, each above the next")
        return self


class Deviation(Limits):
    """How far a tag may be from where it should be: limits of the difference, below it they are negative."""

    setpoint: Number | str = Field(description="where it should be: a number, or a tag")


class Rate(Keys):
    """How fast a tag may change, from one reading to the next."""

    rise: Number | None = Field(default=None, gt=0, description="it must rise by less than that")
    fall: Number | None = Field(default=None, gt=0, description="it must fall by less than that")
    per: Seconds = Field(default=1.0, gt=0, description="in this time")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.rise is None and self.fall is None:
            raise ValueError("give rise, fall, or both")
        return self


class Comms(Keys):
    """A tag that cannot be read."""

    silent: Seconds = Field(default=0.0, ge=0, description="also if nothing came for so long; 0 if that may be")


Condition = Literal["limits", "deviation", "rate", "normal", "values", "comms"]
CONDITIONS: Final[tuple[Condition, ...]] = ("limits", "deviation", "rate", "normal", "values", "comms")


class AlarmRule(Keys):
    """What must not be of some tags: one of limits, deviation, rate, normal, values, comms."""

    tag: str = Field(description="path of a tag below the site, or a glob over such paths")
    limits: Limits | None = Field(default=None, description="it is too high or too low")
    deviation: Deviation | None = Field(default=None, description="it is too far from its setpoint")
    rate: Rate | None = Field(default=None, description="it changes too fast")
    normal: Values | None = Field(default=None, description="it is none of these numbers or texts")
    values: Values | None = Field(default=None, description="it is one of these numbers or texts")
    comms: Comms | None = Field(default=None, description="it cannot be read")
    deadband: Number = Field(default=0.0, ge=0, description="how far back from a limit it must be to be normal")
    on_delay: Seconds = Field(default=0.0, ge=0, description="how long that must be so until it is an alarm")
    off_delay: Seconds = Field(default=0.0, ge=0, description="how long it must be over until it is none")
    latching: bool = Field(default=False, description="whether it stays active until somebody resets it")
    priority: Segment = Field(default="low", description="one of priorities")
    level_priorities: dict[Literal["high_high", "high", "low", "low_low"], Segment] = Field(
        default={}, description="that of some levels of limits or deviation, where it is another"
    )
    text: str = Field(default="", max_length=500, description="what it is called")
    response: str = Field(default="", max_length=2_000, description="what to do")
    consequence: str = Field(default="", max_length=2_000, description="what happens if nobody does")

    @property
    def condition(self) -> Condition:
        """Which of the conditions it has."""
        return next(name for name in CONDITIONS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, name) is not None for name in CONDITIONS) != 1:
            raise ValueError(f"an alarm has one of {', '.join(CONDITIONS)}")
        return self


class Alarms(Keys):
    """Alarms of tags, and how all alarms are dealt with."""

    rules: dict[Segment, AlarmRule] = Field(default={}, description="what must not be, by the name of the alarm")
    priorities: dict[Segment, Annotated[int, Field(ge=1, le=1000)]] = Field(
        default=SEVERITIES, min_length=1, description="severity of OPC UA, 1 to 1000, by the word for it"
    )
    shelve_max: Seconds = Field(default=8 * 3600.0, gt=0, description="how long an alarm may be shelved at most")
    retention: Seconds = Field(default=400 * 86_400.0, gt=0, description="how long it is kept what happened")

    @model_validator(mode="after")
    def _known_priorities(self) -> Self:
        for name, rule in self.rules.items():
            for word in {rule.priority, *rule.level_priorities.values()} - set(self.priorities):
                raise ValueError(f"rules.{name}: {word} is none of the priorities: {', '.join(self.priorities)}")
        return self
