"""Readings that are events, as messages of their own: what happened, and how the alarms are that it happened to. Pure.

An event is an object with the names of OPC UA: `Message`, `Severity`, `SourceName` (OPC 10000-5, 6.4); one of a
condition also has `ConditionName`, `Retain`, and as far as they apply `ActiveState`, `AckedState` (OPC 10000-9, 5.5).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.bus.topics import Topics
from gateway.model import Catalog, Kind, Quality, Record
from gateway.model.quality import name, severity
from gateway.model.tag import EVENT
from gateway.mqtt import Message
from gateway.payload import encoded, timestamps

_SILENT: Final = Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE


def event_tags(catalog: Catalog) -> NDArray[np.bool_]:
    """Return which tags have events as readings, by number."""
    return np.array([tag.datatype == EVENT for tag in catalog.tags], np.bool_)


def event_messages(record: Record, is_event: NDArray[np.bool_], catalog: Catalog, topics: Topics) -> Iterator[Message]:
    """Yield an event for each reading that is one, and behind it the state of the alarm that it tells of, if any.

    `is_event`, shape (number of tags,), is what event_tags says.
    """
    asset = catalog.assets[record.asset]
    for row, (number, time, value, code) in enumerate(_events(record, is_event), 1):
        identity = f"{topics.gateway}-{record.boot}-{record.sequence}-{row}"
        yield Message(topics.event(asset), _event(identity, catalog[number].path, time, value, code))
        if "ConditionName" in value and "BranchId" not in value:
            yield Message(topics.alarm(asset, alarm_name(value)), _state(time, value, code), retain=True)


def alarm_name(value: Mapping[str, Any]) -> str:
    """Return the name of an alarm in topics: that of its source and its own, in `[a-z0-9_-]`."""
    names = (str(value.get(key) or "") for key in ("SourceName", "ConditionName"))
    return "/".join(re.sub(r"[^a-z0-9_-]+", "_", name.casefold()).strip("_") or "unnamed" for name in names)


def _events(record: Record, is_event: NDArray[np.bool_]) -> Iterator[tuple[int, str, dict[str, Any], int]]:
    """Number, time, value and quality of each event.

    None are that there is none yet, and the last one once more because its device fell silent.
    """
    for batch in record.batches:
        if batch.kind is Kind.OBJECT and (chosen := is_event[batch.tag] & (batch.quality != _SILENT)).any():
            rows = batch.where(chosen)
            columns = (rows.tag.tolist(), timestamps(rows.time), rows.value.tolist(), rows.quality.tolist())
            yield from (event for event in zip(*columns, strict=True) if isinstance(event[2], dict))


def _event(identity: str, path: str, time: str, value: Mapping[str, Any], code: int) -> bytes:
    """A CloudEvent 1.0; `type` and `opcuastatus` are those of its OPC UA extension."""
    about = value.get("ConditionName") or value.get("SourceName")
    head: dict[str, Any] = {"specversion": "1.0", "id": identity, "source": path, "type": "ua-event", "time": time}
    head |= {"subject": about} if about else {}
    head |= {"opcuastatus": code} if code else {}
    return _with(head | {"datacontenttype": "application/json"}, "data", value)


def _state(time: str, value: Mapping[str, Any], code: int) -> bytes:
    """The state of an alarm as a tag has it, true if it is active, and the event that told."""
    head: dict[str, Any] = {"value": bool(value.get("ActiveState", value.get("Retain"))), "timestamp": time}
    head |= {"quality": severity(code)} | ({"status": code, "reason": name(code)} if code else {})
    return _with(head, "event", value)


def _with(head: Mapping[str, Any], key: str, value: Mapping[str, Any]) -> bytes:
    """An object with one member more, which is encoded as values are."""
    return b'%s,"%s":%s}' % (orjson.dumps(head)[:-1], key.encode("ascii"), encoded(value))
