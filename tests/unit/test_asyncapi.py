"""The AsyncAPI document: committed as it is made, and what it says of a batch is what a batch has."""

import json
from pathlib import Path

from gateway.bus.asyncapi import document, text
from gateway.bus.topics import Topics
from gateway.model import Batch, Catalog, Record, Tag
from gateway.payload import batch_message, tag_messages

DOCS = Path(__file__).parents[2] / "docs"


def test_the_document_in_docs_is_the_one_of_the_code() -> None:
    assert (DOCS / "asyncapi.yaml").read_text(encoding="utf-8") == text()


def test_messages_have_the_members_that_it_names() -> None:
    tag = Tag("acme/x", "t", unit="Cel")
    batch = Batch.of([0], 1, [1.5], [0x408F_0000])
    record = Record(1, 0, 1, 1, 0, (batch,))
    ((_, single),) = tag_messages(batch, [tag])
    for name, payload in (("batch", batch_message(record, Catalog([tag]), "gw1")), ("tag", single)):
        schema = document()["components"]["messages"][name]["payload"]
        found = json.loads(payload).keys()
        assert set(schema["required"]) <= found <= set(schema["properties"])


def test_every_topic_of_the_gateway_is_in_it() -> None:
    addresses = {channel["address"] for channel in document()["channels"].values()}
    topics = [name for name in vars(Topics) if not name.startswith("_") and name not in ("root", "site", "gateway")]
    assert len(addresses) == len(topics)


def test_every_level_in_braces_is_a_parameter() -> None:
    for channel in document()["channels"].values():
        assert all(f"{{{name}}}" in channel["address"] for name in channel["parameters"])
