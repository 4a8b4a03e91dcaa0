"""Events as messages of their own: what happened, and how the alarms are that it happened to. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.bus.topics import Topics
from gateway.cloudevents import Event, Events, joined, structured
from gateway.model import Catalog, Record
from gateway.model.quality import name, severity
from gateway.model.tag import segment
from gateway.mqtt import Message


def event_messages(record: Record, events: Events, catalog: Catalog, topics: Topics) -> Iterator[Message]:
    """Yield an event for each reading that is one, and behind it the state of the alarm that it tells of, if any."""
    asset = catalog.assets[record.asset]
    for event in events.of(record, topics.gateway):
        yield Message(topics.event(asset), structured(event.attributes, event.data))
        if "ConditionName" in event.value and "BranchId" not in event.value:
            yield Message(topics.alarm(asset, alarm_name(event.value)), _state(event), retain=True)


def alarm_name(value: Mapping[str, Any]) -> str:
    """Return the name of an alarm in topics: that of its source and its own, in `[a-z0-9_-]`."""
    return "/".join(segment(str(value.get(key) or "")) for key in ("SourceName", "ConditionName"))


def _state(event: Event) -> bytes:
    """The state of an alarm as a tag has it, true if it is active, and the event that told."""
    value, code = event.value, event.status
    head: dict[str, Any] = {"value": bool(value.get("ActiveState", value.get("Retain"))), "timestamp": event.time}
    head |= {"quality": severity(code)} | ({"status": code, "reason": name(code)} if code else {})
    return joined(head, "event", event.data)
