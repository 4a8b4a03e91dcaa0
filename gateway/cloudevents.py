"""Readings that are events, as CloudEvents 1.0: the same on the bus and in webhooks. Pure.

An event is an object with the names of OPC UA: `Message`, `Severity`, `SourceName` (OPC 10000-5, 6.4); one of a
condition also has `ConditionName`, `Retain`, and as far as they apply `ActiveState`, `AckedState` (OPC 10000-9, 5.5).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import Catalog, Kind, Quality, Record
from gateway.model.tag import EVENT
from gateway.payload import encoded, timestamps

CONTENT_TYPE: Final = "application/json"
"""Of the data of an event."""
_SILENT: Final = Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: an object that the tag at the path `source` had as a reading, with time and status.

    `source` and `id` together are its own for ever: however often it is told, and by whichever way, it has the same.
    """

    source: str
    id: str
    time: str
    value: Mapping[str, Any]
    status: int = 0

    @property
    def attributes(self) -> dict[str, Any]:
        """What a CloudEvent says beside its data; `type` and `opcuastatus` are those of its OPC UA extension."""
        head: dict[str, Any] = {"specversion": "1.0", "id": self.id, "source": self.source, "type": "ua-event"}
        head["time"] = self.time
        about = self.value.get("ConditionName") or self.value.get("SourceName")
        head |= {"subject": str(about).encode("utf-8", "replace").decode()} if about else {}
        head |= {"opcuastatus": self.status} if self.status else {}
        return head | {"datacontenttype": CONTENT_TYPE}

    @property
    def data(self) -> bytes:
        return encoded(self.value)


def event_tags(catalog: Catalog) -> NDArray[np.bool_]:
    """Return which tags have events as readings, by number."""
    return np.array([tag.datatype == EVENT for tag in catalog.tags], np.bool_)


def events(record: Record, is_event: NDArray[np.bool_], catalog: Catalog, gateway: str) -> Iterator[Event]:
    """Yield the events among the readings of a record. `is_event`, shape (number of tags,), is what event_tags says.

    No events are that there is none yet, and the last one once more because its device fell silent.
    """
    row = 0
    for batch in record.batches:
        if batch.kind is Kind.OBJECT and (chosen := is_event[batch.tag] & (batch.quality != _SILENT)).any():
            rows = batch.where(chosen)
            columns = (rows.tag.tolist(), timestamps(rows.time), rows.value.tolist(), rows.quality.tolist())
            for number, time, value, code in zip(*columns, strict=True):
                if isinstance(value, dict):
                    row += 1
                    identity = f"{gateway}-{record.boot}-{record.sequence}-{row}"
                    yield Event(catalog[number].path, identity, time, value, code)


def structured(attributes: Mapping[str, Any], data: bytes) -> bytes:
    """Return a CloudEvent as one JSON document, its data as it is."""
    return joined(attributes, "data", data)


def joined(head: Mapping[str, Any], key: str, value: bytes) -> bytes:
    """Return an object with one member more, which is JSON already."""
    return b'%s,"%s":%s}' % (encoded(head)[:-1], key.encode("ascii"), value)
