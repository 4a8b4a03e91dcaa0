"""Alarms as JSON: how one is, pages of them, and what may be wished of them."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from api.asked import Wish
from api.browse import moment
from gateway.alarms.alarm import Alarm
from gateway.alarms.states import LETTERS

_ALL_AT_ONCE: Final = 500


class AlarmInfo(BaseModel):
    """An alarm as it is."""

    id: str = Field(examples=["packaging/line1/filler/temperature/temperature_high"])
    state: str = Field(description="of ISA-18.2", examples=["unacknowledged"])
    letter: str = Field(description="of that state in the standard", examples=["B"])
    active: bool
    acknowledged: bool
    certain: bool = Field(description="false: its tag is not known now, the alarm is as it was before")
    priority: str = Field(examples=["medium"])
    severity: int = Field(description="1 to 1000 (OPC UA)", examples=[500])
    asset: str = Field(examples=["acme/dresden/packaging/line1/filler"])
    tag: str = Field(description="what it watches, or by what it is told", examples=["acme/dresden/.../temperature"])
    source: str
    name: str
    message: str
    event_id: str = Field(description="of its latest occurrence: what is acknowledged")
    raised: str | None = Field(description="when it was raised last")
    changed: str | None = Field(description="when anything happened to it last")
    shelved_until: str | None
    value: float | None = Field(description="at its last change")
    limit: float | None
    quality: str | None
    response: str = Field(description="what to do")
    consequence: str = Field(description="what happens if nobody does")
    foreign: bool = Field(description="of a server or a signal")


class Alarms(BaseModel):
    """A page of alarms, those raised last first."""

    alarms: list[AlarmInfo]
    next: str | None = Field(description="cursor of the next page")


class Story(BaseModel):
    """An alarm, and what happened to it, the newest first."""

    alarm: AlarmInfo
    transitions: list[dict[str, Any]] = Field(description="events with the names of OPC UA, and Deed, From, To")
    next: str | None = Field(description="cursor of the next page")


class Refusal(BaseModel):
    """An alarm to which it could not be done."""

    id: str
    detail: str


class Done(BaseModel):
    """The alarms as they are now, and those that refused."""

    alarms: list[AlarmInfo]
    refused: list[Refusal]


class Some(Wish):
    """Which alarms, and why."""

    model_config = ConfigDict(extra="forbid")

    alarms: list[Annotated[str, Field(min_length=1, max_length=1_000)]] = Field(
        min_length=1, max_length=_ALL_AT_ONCE, examples=[["packaging/line1/filler/temperature/temperature_high"]]
    )
    comment: str = Field(default="", max_length=1_000)


class Acknowledge(Some):
    event_id: str = Field(default="", max_length=500, description="the occurrence that is meant; by default the latest")


class Reasoned(Some):
    comment: str = Field(min_length=1, max_length=1_000, description="why")


class Shelve(Reasoned):
    minutes: float | None = Field(default=None, gt=0, le=1e6, description="for so long; by default as long as may be")
    one_shot: bool = Field(default=False, description="until it is normal again, but not longer than that")


class Suppress(Reasoned):
    suppressed: bool = True


class Service(Reasoned):
    in_service: bool = Field(description="false takes it out of service")


def info(alarm: Alarm, certain: bool) -> AlarmInfo:
    """Return an alarm as it is; `certain` says whether its readings are known to say so."""
    about, condition, said = alarm.about, alarm.condition, alarm.said
    value = said.get("Value")
    return AlarmInfo(
        id=about.id,
        state=condition.state.value,
        letter=LETTERS[condition.state],
        active=condition.active,
        acknowledged=condition.acked,
        certain=certain,
        priority=about.priority,
        severity=about.severity,
        asset=about.asset,
        tag=about.tag,
        source=about.source,
        name=about.name,
        message=str(said.get("Message") or about.text),
        event_id=alarm.event,
        raised=moment(alarm.raised_ns),
        changed=moment(alarm.changed_ns),
        shelved_until=moment(condition.until_ns),
        value=float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None,
        limit=about.limit,
        quality=_text(said.get("Quality")),
        response=about.response,
        consequence=about.consequence,
        foreign=about.foreign,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
