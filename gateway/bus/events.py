"""Events as messages of their own: what happened, and how the alarms are that it happened to. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.bus.topics import Topics
from gateway.cloudevents import Event, events, joined, structured
from gateway.model import Catalog, Record
from gateway.model.quality import name, severity
from gateway.mqtt import Message


def event_messages(record: Record, is_event: NDArray[np.bool_], catalog: Catalog, topics: Topics) -> Iterator[Message]:
    """Yield an event for each reading that is one, and behind it the state of the alarm that it tells of, if any.

    `is_event`, shape (number of tags,), is what event_tags says.
    """
    asset = catalog.assets[record.asset]
    for event in events(record, is_event, catalog, topics.gateway):
        yield Message(topics.event(asset), structured(event.attributes, event.data))
        if "ConditionName" in event.value and "BranchId" not in event.value:
            yield Message(topics.alarm(asset, alarm_name(event.value)), _state(event), retain=True)


def alarm_name(value: Mapping[str, Any]) -> str:
    """Return the name of an alarm in topics: that of its source and its own, in `[a-z0-9_-]`."""
    names = (str(value.get(key) or "") for key in ("SourceName", "ConditionName"))
    return "/".join(re.sub(r"[^a-z0-9_-]+", "_", name.casefold()).strip("_") or "unnamed" for name in names)


def _state(event: Event) -> bytes:
    """The state of an alarm as a tag has it, true if it is active, and the event that told."""
    value, code = event.value, event.status
    head: dict[str, Any] = {"value": bool(value.get("ActiveState", value.get("Retain"))), "timestamp": event.time}
    head |= {"quality": severity(code)} | ({"status": code, "reason": name(code)} if code else {})
    return joined(head, "event", event.data)
