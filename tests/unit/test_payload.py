"""What the bus tells of tags: the `_meta` message."""

import json

from gateway.model import Tag
from gateway.payload import describe, meta_message


def test_what_is_known_of_a_tag_is_told_and_what_is_not_is_left_out() -> None:
    tag = Tag(
        "acme/filler", "temperature", device="filler", address="holding:40 int16", unit="Cel", description="Kühlung",
        deadband=0.1, low=0.0, high=90.0,
    )  # fmt: skip
    assert describe(tag) == {
        "unit": "Cel", "description": "Kühlung", "range": [0.0, 90.0], "deadband": 0.1, "device": "filler",
        "source": "holding:40 int16",
    }  # fmt: skip
    assert describe(Tag("acme/filler", "x")) == {}


def test_a_meta_message_has_the_tags_of_an_asset_by_name() -> None:
    tags = [Tag("acme/filler", "state", labels={0: "stopped", 6: "execute"}), Tag("acme/filler", "a/b", unit="°")]
    assert json.loads(meta_message(tags)) == {
        "v": 1,
        "tags": {"state": {"labels": {"0": "stopped", "6": "execute"}}, "a/b": {"unit": "°"}},
    }
