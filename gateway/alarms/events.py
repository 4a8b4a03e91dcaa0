"""Alarms as events with the names of OPC UA (OPC 10000-5, 6.4; OPC 10000-9, 5.5 to 5.8), and such events as alarms.

What is ours besides: `Deed`, `From` and `To` are what happened and the states before and after (ISA-18.2), `Priority`
is the word for the severity, `Value` and `Limit` are what was compared. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.alarms.rule import Kind, Rule
from gateway.alarms.states import Condition, Deed, Shelving, State
from gateway.model.tag import segment

_TEXT_MAX: Final = 1_000
_WITH_LIMIT: Final = (Kind.LIMIT, Kind.DEVIATION, Kind.RATE)


@dataclass(frozen=True, slots=True)
class About:
    """What an alarm is, whoever raises it. `tag` is the path of what is watched, or of what tells of it.

    `foreign` says that it is another's: of a server, or of a signal. `condition` is its ConditionId there.
    """

    id: str
    asset: str
    source: str
    name: str
    tag: str
    type: str
    priority: str
    severity: int
    text: str = ""
    response: str = ""
    consequence: str = ""
    limit: float | None = None
    latching: bool = False
    foreign: bool = False
    condition: str = ""

    @classmethod
    def of(cls, rule: Rule) -> "About":
        return cls(
            id=rule.id,
            asset=rule.asset,
            source=rule.source,
            name=rule.name,
            tag=rule.tag,
            type=rule.kind.value,
            priority=rule.priority,
            severity=rule.severity,
            text=rule.text or f"{rule.source.replace('_', ' ')}: {rule.name.replace('_', ' ')}",
            response=rule.response,
            consequence=rule.consequence,
            limit=rule.limit if rule.kind in _WITH_LIMIT else None,
            latching=rule.latching,
        )


def told(
    about: About, event_id: str, deed: Deed, before: State, after: Condition, more: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the event of a deed; `more` is what else is known of it, and None in it is left out."""
    facts = {
        "EventId": event_id,
        "EventType": about.type,
        "Message": about.text if after.active else f"Over: {about.text}",
        "Severity": about.severity,
        "SourceName": about.source,
        "ConditionName": about.name,
        "ConditionId": about.condition or about.id,
        "Retain": after.retain,
        "ActiveState": after.active,
        "AckedState": after.acked,
        "SuppressedState": after.suppressed,
        "OutOfServiceState": after.out_of_service,
        "ShelvingState": after.shelving.value,
        "SuppressedOrShelved": after.suppressed or after.shelving is not Shelving.NOT,
        "Priority": about.priority,
        "Deed": deed.value,
        "From": before.value,
        "To": after.state.value,
        "Limit": about.limit,
        **more,
    }
    return {name: value for name, value in facts.items() if value is not None}


def about(event: Mapping[str, Any], asset: str, tag: str, site: str, priorities: Mapping[str, int]) -> About | None:
    """Return the alarm that an event of another tells of; None if it tells of none."""
    name = event.get("ConditionName")
    if not isinstance(name, str) or not name or event.get("BranchId"):
        return None
    source = str(event.get("SourceName") or "")
    severity = event.get("Severity")
    level = min(max(int(severity), 1), 1000) if isinstance(severity, (int, float)) else 1
    return About(
        id="/".join([tag.removeprefix(f"{site}/"), segment(source), segment(name)]),
        asset=asset,
        source=source,
        name=name,
        tag=tag,
        type=str(event.get("EventType") or "AlarmConditionType"),
        priority=min(priorities, key=lambda word: abs(priorities[word] - level)),
        severity=level,
        text=str(event.get("Message") or name)[:_TEXT_MAX],
        foreign=True,
        condition=str(event.get("ConditionId") or ""),
    )


def is_active(event: Mapping[str, Any]) -> bool:
    """Whether the alarm that an event tells of is active; a condition without that lasts as long as it is retained."""
    return bool(event.get("ActiveState", event.get("Retain", False)))
