"""The keys of OPC UA tags: a value or events, and what belongs to which."""

from typing import Any

import pytest
from pydantic import ValidationError, create_model

from connectors import opcua
from connectors._opcua.options import TagOptions
from gateway.config.schema import TagKeys
from gateway.model.tag import EVENT

Tag: Any = create_model("Tag", __base__=(TagKeys, TagOptions))


def test_a_tag_is_a_value_or_events() -> None:
    value, events = Tag(node="i=2258"), Tag(events="i=2253", severity_min=500, types=["i=2915"])
    assert (str(value.monitored), value.datatype) == (opcua.address(value), "")
    assert opcua.address(events) == f"events of {events.monitored}"
    assert events.datatype == EVENT


def test_a_namespace_by_index_is_warned_of_wherever_it_is() -> None:
    assert "namespace 2" in Tag(events="ns=2;i=1").warning
    assert "namespace 3" in Tag(events="i=2253", types=["i=2041", "ns=3;i=7"]).warning


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "a tag is a value or events"),
        ({"node": "i=2258", "events": "i=2253"}, "a tag is a value or events"),
        ({"node": "i=2258", "severity_min": 500}, "are of events"),
        ({"node": "i=2258", "types": ["i=2915"]}, "are of events"),
        ({"node": "i=2258", "acknowledge": True}, "are of events"),
        ({"events": "i=2253", "sampling": "1s"}, "deadband_percent and write out"),
        ({"events": "i=2253", "poll": 1.0}, "deadband_percent and write out"),
        ({"events": "i=2253", "write": True}, "deadband_percent and write out"),
        ({"events": "i=2253", "severity_min": 1001}, "less than or equal to 1000"),
        ({"events": "i=2253", "fields": ["nsu=urn:x"]}, "is not a node"),
        ({"events": "Server"}, "is not a node"),
    ],
)
def test_what_does_not_belong_together_is_an_error(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Tag(**keys)
