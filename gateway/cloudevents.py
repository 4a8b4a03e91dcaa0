"""Readings that are events, as CloudEvents 1.0: the same on the bus and in webhooks. Pure.

An event is an object with the names of OPC UA: `Message`, `Severity`, `SourceName` (OPC 10000-5, 6.4); one of a
condition also has `ConditionName`, `Retain`, and as far as they apply `ActiveState`, `AckedState` (OPC 10000-9, 5.5).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Catalog, Kind, Quality, Record
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


class Events:
    """The events among readings; which tags have them, a change of the configuration may change."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._generation = -1
        self._is_event: NDArray[np.bool_] = np.empty(0, np.bool_)

    def among(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield those readings that are events, batch by batch.

        No events are that there is none yet, and the last one once more because its device fell silent.
        """
        for batch in batches:
            if batch.kind is Kind.OBJECT:
                chosen = self._tags()[batch.tag] & (batch.quality != _SILENT)
                chosen[chosen] = [isinstance(value, dict) for value in batch.value[chosen]]
                if chosen.any():
                    yield batch.where(chosen)

    def of(self, record: Record, gateway: str) -> Iterator[Event]:
        """Yield the events of a record of a gateway as they are told."""
        row = 0
        for batch in self.among(record.batches):
            columns = (batch.tag.tolist(), timestamps(batch.time), batch.value.tolist(), batch.quality.tolist())
            for number, time, value, code in zip(*columns, strict=True):
                row += 1
                identity = f"{gateway}-{record.boot}-{record.sequence}-{row}"
                yield Event(self._catalog[number].path, identity, time, value, code)

    def _tags(self) -> NDArray[np.bool_]:
        catalog = self._catalog
        if self._generation != catalog.generation or len(self._is_event) < len(catalog):
            self._generation = catalog.generation
            self._is_event = np.array([tag.datatype == EVENT for tag in catalog.tags], np.bool_)
        return self._is_event


def structured(attributes: Mapping[str, Any], data: bytes) -> bytes:
    """Return a CloudEvent as one JSON document, its data as it is."""
    return joined(attributes, "data", data)


def joined(head: Mapping[str, Any], key: str, value: bytes) -> bytes:
    """Return an object with one member more, which is JSON already."""
    return b'%s,"%s":%s}' % (encoded(head)[:-1], key.encode("ascii"), value)
