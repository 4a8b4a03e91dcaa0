"""Events on the bus: CloudEvents that happened once, and alarms as they are."""

import math
from typing import Any

import orjson

from gateway.bus.events import alarm_name, event_messages
from gateway.bus.topics import Topics
from gateway.cloudevents import Events
from gateway.model import Batch, Catalog, Record, Tag
from gateway.model.batch import objects

NS = 1_767_592_800_123_456_000
TIME = "2026-01-05T06:00:00.123456Z"
TOPICS = Topics("uns", "acme/test", "gw1")
CATALOG = Catalog([Tag("acme/test/filler", "alarms", datatype="event"), Tag("acme/test/filler", "recipe")])
ALARM: dict[str, Any] = {
    "Message": "hot",
    "SourceName": "Motor 1",
    "ConditionName": "HighHigh",
    "Retain": True,
    "ActiveState": True,
}


def published(*values: Any, tag: int = 0, quality: int = 0) -> list[tuple[str, Any, bool]]:
    batches = (Batch.of([1], NS, 1.5), Batch.of([tag] * len(values), NS, objects(values), quality))
    record = Record(9, 0, 7, 1234, NS, batches)
    found = event_messages(record, Events(CATALOG), CATALOG, TOPICS)
    return [(message.topic, orjson.loads(message.payload), message.retain) for message in found]


def test_an_event_is_a_cloud_event_that_is_not_retained() -> None:
    event = {"Message": "door open", "SourceName": "Door", "Serial": 2**60, "Level": math.nan}
    data = event | {"Serial": str(2**60), "Level": None}
    identity = {"id": "gw1-7-1234-1", "source": "acme/test/filler/alarms", "type": "ua-event", "specversion": "1.0"}
    told = identity | {"time": TIME, "subject": "Door", "datacontenttype": "application/json", "data": data}
    assert published(event) == [("uns/acme/test/filler/_event", told, False)]


def test_a_name_that_is_no_unicode_stops_nothing() -> None:
    assert published({"SourceName": "Door\ud800"})[0][1]["subject"] == "Door?"


def test_an_event_of_a_condition_is_also_its_state() -> None:
    happened, (topic, state, retained) = published(ALARM)
    assert happened[1]["subject"] == "HighHigh"
    assert (topic, retained) == ("uns/acme/test/filler/_alarm/motor_1/highhigh", True)
    assert state == {"value": True, "timestamp": TIME, "quality": "good", "event": ALARM}


def test_an_alarm_is_active_or_if_it_knows_nothing_of_that_retained() -> None:
    states: list[tuple[dict[str, Any], bool]] = [
        ({"ActiveState": False, "Retain": True}, False),
        ({"ActiveState": True, "Retain": False}, True),
        ({"ActiveState": None, "Retain": True}, False),
    ]
    for said, active in states:
        assert published(ALARM | said)[1][1]["value"] is active
    plain = {name: value for name, value in ALARM.items() if name != "ActiveState"}
    assert published(plain)[1][1]["value"] is True


def test_what_is_inferred_says_so() -> None:
    (_, event, _), (_, state, _) = published(ALARM, quality=0x4095_0000)
    assert event["opcuastatus"] == 0x4095_0000
    assert (state["quality"], state["reason"]) == ("uncertain", "UncertainSubNormal")


def test_a_former_state_that_waits_for_its_acknowledgement_is_not_the_state() -> None:
    assert [topic for topic, *_ in published(ALARM | {"BranchId": "i=7"})] == ["uns/acme/test/filler/_event"]


def test_several_events_have_ids_of_their_own() -> None:
    assert [event["id"] for _, event, _ in published({"Message": "a"}, {"Message": "b"})] == [
        "gw1-7-1234-1",
        "gw1-7-1234-2",
    ]


def test_what_is_no_event_is_none() -> None:
    assert published(None) == []
    assert published(ALARM, tag=1) == []
    assert published(ALARM, quality=0x408F_0000) == [], "told again because the device fell silent"


def test_names_of_alarms_are_topics() -> None:
    assert alarm_name({"SourceName": "Größe/#1+", "ConditionName": ""}) == "gr_sse_1/unnamed"
