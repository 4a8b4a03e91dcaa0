"""Events of a server as readings, one event one object (OPC 10000-5, 6.4), and the conditions among them.

    alarms: {events: "i=2253", severity_min: 500, fields: [LimitState/CurrentState]}

A tag of this kind is a monitored item for what a node reports, its EventNotifier, with a queue, so that nothing is lost
between two notifications. A condition is an alarm or another state that lasts; its events tell of each change. After
every connect the server is asked for those that are not over (ConditionRefresh, OPC 10000-9, 5.5.7). What it tells then
and is known already, by the id of its event, is no news; what is known and is told no more ended unseen, and an event
of our own says so. What is known is remembered over restarts.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
from asyncua import Client, ua

from connectors._opcua.decode import Event
from connectors._opcua.event_filter import (
    CONDITION,
    EVENT,
    OVERFLOW,
    REFRESH_END,
    REFRESH_REQUIRED,
    REFRESH_START,
    Select,
    event_filter,
    extra,
)
from connectors._opcua.node import parse
from connectors._opcua.options import TagOptions
from connectors._opcua.resolve import qualified, resolve
from gateway.contracts import Clock, Device, Emit
from gateway.model import Batch, Quality
from gateway.model.batch import objects
from gateway.model.quality import BAD

COUNTS: Final = ("events", "events_repeated", "event_overflows")
CONDITIONS_MAX: Final = 2000
"""Conditions of a tag that are remembered; if more are not over, the oldest may be told twice. Our choice."""
_QUEUE: Final = 10_000
"""Events that a server shall keep between two notifications, and while the connection is away; it may keep fewer."""
_CONDITION_TYPE: Final = ua.NodeId(ua.Int32(ua.ObjectIds.ConditionType))
_CONDITION_REFRESH: Final = ua.NodeId(ua.Int32(ua.ObjectIds.ConditionType_ConditionRefresh))
_NO_SUCH_FIELD: Final = {
    0x8033_0000,  # BadNodeIdInvalid
    0x8034_0000,  # BadNodeIdUnknown
    0x8035_0000,  # BadAttributeIdInvalid
    0x8043_0000,  # BadMonitoredItemFilterInvalid
    0x8044_0000,  # BadMonitoredItemFilterUnsupported
    0x8047_0000,  # BadEventFilterInvalid
}
"""What servers without conditions say when they are asked for the fields of conditions."""
_IDENTITY: Final = ("EventId", "ConditionId", "BranchId", "ConditionName", "SourceName")

log: Final = logging.getLogger(__name__)

_TIMES_MAX: Final = 1000
"""Of so many times of a tag it is known that there was an event."""

Known = dict[str, dict[str, Any]]
"""What tells conditions that are not over, by condition and branch."""


class Events:
    """The tags of a device that are events.

    `stale` says that conditions may have changed and nobody told; `learned` are the conditions that are not over, by
    tag, for the next start.
    """

    def __init__(self, device: Device, clock: Clock, counts: Counter[str]) -> None:
        self._device = device.name
        self._keys: dict[int, TagOptions] = {
            int(number): keys
            for number, keys in zip(device.numbers, device.tag_options, strict=True)
            if keys.events is not None
        }
        names = {int(number): tag.name for number, tag in zip(device.numbers, device.tags, strict=True)}
        self._tag_name = names
        remembered = device.learned.get("conditions", {})
        self._name = {number: f"{names[number]}{_narrowed(keys)}" for number, keys in self._keys.items()}
        self._known: dict[int, Known] = {
            number: {_key(one): dict(one) for one in remembered.get(name, [])} for number, name in self._name.items()
        }
        self.learned = self._remembered()
        self._clock = clock
        self._counts = counts
        self._subscription = 0
        self._selects: dict[int, Sequence[Select]] = {}
        self._untold: dict[int, set[str]] = {}
        self._times: dict[int, dict[int, int]] = {}  # by tag and time: how many events came before
        self._has_conditions = True
        self.stale = False

    def renew(self, subscription: int) -> None:
        """Have events sent by this new subscription; nothing is yet."""
        self._subscription = subscription
        self._selects.clear()

    async def begin(self, client: Client, nodes: Mapping[int, ua.NodeId], emit: Emit) -> dict[int, int]:
        """Have what these nodes report sent from now on, by number of the tag; return why some cannot be had."""
        codes = {number: await self._monitor(client, number, node) for number, node in nodes.items()}
        refused = {number: code for number, code in codes.items() if code >= BAD}
        self._heard([number for number in codes if number not in refused], emit)
        await self.refresh(client)
        return refused

    async def resume(self, client: Client, emit: Emit) -> None:
        """Go on after a lost connection, and ask for the conditions that are not over."""
        self._heard(list(self._selects), emit)
        await self.refresh(client)

    def _heard(self, numbers: Sequence[int], emit: Emit) -> None:
        """Emit that somebody listens, which is good and no event."""
        if numbers:
            emit(Batch.of(numbers, self._clock.now_ns(), objects([None] * len(numbers)), Quality.GOOD_NO_DATA))

    def condition(self, tag: str, event_id: str) -> str:
        """Return the ConditionId of a condition that is not over, by its latest event. Raises ValueError."""
        for number, known in self._known.items():
            for one in known.values() if self._tag_name[number] == tag else ():
                if one.get("EventId") == event_id:
                    return str(one["ConditionId"])
        raise ValueError(f"{tag} has no alarm of this EventId that is not over: take that of its latest event")

    async def refresh(self, client: Client) -> None:
        """Ask for the conditions that are not over; their events come as all events do."""
        self.stale = False
        if not self._selects:
            return
        self._untold.clear()
        request = ua.CallMethodRequest(
            ObjectId=_CONDITION_TYPE,
            MethodId=_CONDITION_REFRESH,
            InputArguments=[ua.Variant(self._subscription, ua.VariantType.UInt32)],
        )
        try:
            (result,) = await client.uaclient.call([request])
            result.StatusCode.check()
        except ua.uaerrors.BadRefreshInProgress:
            self.stale = True
        except ua.UaStatusCodeError as error:
            if self._has_conditions:
                log.info("device %s tells no conditions, only events as they happen: %s", self._device, error)
            self._has_conditions = False

    # --- items ------------------------------------------------------------------------------

    async def _monitor(self, client: Client, number: int, node: ua.NodeId) -> int:
        """Create the item of a tag, without fields of conditions if the server knows none; return its status."""
        keys = self._keys[number]
        types = [type_ for type_ in await resolve(client, keys.types) if type_]
        if len(types) < len(keys.types):
            return Quality.BAD_NODE_ID_UNKNOWN
        namespaces = await client.get_namespace_array()
        more = [extra(name, path) for name in keys.fields if (path := qualified(parse(f"/{name}"), namespaces))]
        code = 0
        for selects in ([*EVENT, *CONDITION, *more], [*EVENT, *more]):
            self._selects[number] = selects  # before the first event can come
            wanted = event_filter(selects, types, keys.severity_min)
            (result,) = await client.uaclient.create_monitored_items(_items(self._subscription, number, node, wanted))
            code = int(result.StatusCode.value)
            if code < BAD:
                return code
            if code & 0xFFFF_0000 not in _NO_SUCH_FIELD:
                break
        del self._selects[number]
        return code

    # --- events -----------------------------------------------------------------------------

    def take(self, events: Sequence[Event], now_ns: int) -> list[Batch]:
        """Return events as readings, in order; those that only speak of the stream, or are known, are none."""
        rows = [row for event in events for row in self._rows(event, now_ns)]
        if not rows:
            return []
        self._counts["events"] += len(rows)
        numbers, times, values, codes = zip(*rows, strict=True)
        columns = (np.array(numbers, np.uint32), np.array(times, np.int64), np.array(codes, np.uint32))
        return [Batch(columns[0], columns[1], objects(values), columns[2])]

    def stored(self) -> None:
        """What was taken is stored, so it may be remembered: else a crash between the two would lose it."""
        self.learned = self._remembered()

    def _remembered(self) -> Mapping[str, Any]:
        known = {self._name[number]: list(known.values()) for number, known in self._known.items() if known}
        return {"conditions": known} if known else {}

    def _rows(self, event: Event, now_ns: int) -> Iterator[tuple[int, int, dict[str, Any], int]]:
        """Number, time, value and quality of the readings that an event comes to."""
        number, selects = event.handle, self._selects.get(event.handle)
        if selects is None:
            self._counts["not_ours"] += 1
            return
        value = _named(selects, event.fields)
        type_ = value.get("EventType")
        if type_ == REFRESH_START:
            self._untold[number] = set(self._known[number])
        elif type_ == REFRESH_END:
            for key in self._untold.pop(number, ()):
                yield number, now_ns, _ended(self._known[number].pop(key)), Quality.UNCERTAIN_SUB_NORMAL
        elif type_ == REFRESH_REQUIRED:
            self.stale = True
        elif self._is_news(number, value):
            if type_ == OVERFLOW:
                self.stale = True
                self._counts["event_overflows"] += 1
            time = self._time_of_its_own(number, _time_ns(value, now_ns))
            yield number, time, value, Quality.GOOD if event.sound else Quality.UNCERTAIN_SUB_NORMAL

    def _time_of_its_own(self, number: int, time: int) -> int:
        """The time, or some ns later: history has one reading of a tag at a time, and servers count in 100 ns."""
        times = self._times.setdefault(number, {})
        times[time] = times.get(time, -1) + 1
        if len(times) > _TIMES_MAX:
            del times[next(iter(times))]
        return time + times[time]

    def _is_news(self, number: int, value: Mapping[str, Any]) -> bool:
        """Whether an event is not known already; what it tells of a condition is known then."""
        if "ConditionId" not in value:
            return True
        known, key = self._known[number], _key(value)
        self._untold.get(number, set()).discard(key)
        if key in known and known[key].get("EventId") == value.get("EventId"):
            self._counts["events_repeated"] += 1
            return False
        known.pop(key, None)
        if value.get("Retain"):
            known[key] = {name: value[name] for name in _IDENTITY if name in value}
        if len(known) > CONDITIONS_MAX:
            del known[next(iter(known))]
        return True


def _items(
    subscription: int, number: int, node: ua.NodeId, wanted: ua.EventFilter
) -> ua.CreateMonitoredItemsParameters:
    """The item of a tag; its client handle is the number of the tag."""
    item = ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.EventNotifier),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(
            ClientHandle=number, SamplingInterval=0.0, Filter=wanted, QueueSize=_QUEUE, DiscardOldest=True
        ),
    )
    return ua.CreateMonitoredItemsParameters(
        SubscriptionId=subscription, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToCreate=[item]
    )


def _narrowed(keys: TagOptions) -> str:
    """What narrows a tag down: conditions that another filter let through have not ended because this one does not."""
    severity = [f"severity {keys.severity_min}"] if keys.severity_min > 1 else []
    return "".join(f", {part}" for part in [*map(str, keys.types), *severity])


def _named(selects: Sequence[Select], fields: Sequence[Any]) -> dict[str, Any]:
    """The fields that are there, by name; a bad status is one only where a status belongs."""
    named = {select.name: field for select, field in zip(selects, fields, strict=False) if field is not None}
    status = {name: field for name, field in named.items() if isinstance(field, ua.StatusCode)}
    absent = {name for name, field in status.items() if field.value >= BAD and name != "Quality"}
    named |= {name: int(field.value) for name, field in status.items()}
    return {name: field for name, field in named.items() if name not in absent}


def _key(value: Mapping[str, Any]) -> str:
    """What tells a condition from others, and a branch of it: a former state that waits for its acknowledgement."""
    return f"{value.get('ConditionId')} {value.get('BranchId', '')}"


def _ended(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The end of a condition that nobody saw, in the words of an event; it has no id, for no server sent it."""
    told = {name: text for name, text in identity.items() if name != "EventId"}
    return told | {"Message": "ended while the gateway did not hear it", "Retain": False, "ActiveState": False}


def _time_ns(value: Mapping[str, Any], now_ns: int) -> int:
    """When an event happened, in nanoseconds since 1970, else when it came."""
    try:
        time = datetime.fromisoformat(value["Time"])
    except (KeyError, TypeError, ValueError):
        return now_ns
    return int(np.datetime64(time.replace(tzinfo=None), "ns").astype(np.int64))
