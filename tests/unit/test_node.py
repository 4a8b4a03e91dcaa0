"""Node ids as people write them, by the namespace's URI."""

import pytest

from connectors._node import Node, parse

OPC_UA = "http://opcfoundation.org/UA/"
SERVER = [OPC_UA, "urn:server", "urn:acme:filler"]


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("nsu=urn:acme:filler;s=Temperature", "ns=2;s=Temperature"),
        ("nsu=urn:acme:filler;i=42", "ns=2;i=42"),
        ("nsu=urn:acme:filler;g=09087e75-8e5e-499b-954f-f2a9603db28a", "ns=2;g=09087e75-8e5e-499b-954f-f2a9603db28a"),
        ("nsu=urn:acme:filler;b=AQID", "ns=2;b=AQID"),
        ("nsu=urn:acme:filler;s=a;b=c;s=d", "ns=2;s=a;b=c;s=d"),
        ("nsu=urn:acme:filler;s=Grüße 1", "ns=2;s=Grüße 1"),
        ("ns=2;s=Temperature", "ns=2;s=Temperature"),
        ("ns=0;i=2258", "ns=0;i=2258"),
        ("i=2258", "ns=0;i=2258"),
        (f"nsu={OPC_UA};i=2258", "ns=0;i=2258"),
    ],
)
def test_a_node_is_found_by_the_uri_of_its_namespace(text: str, resolved: str) -> None:
    assert parse(text).resolve(SERVER) == resolved


def test_the_same_node_after_namespaces_have_moved() -> None:
    assert parse("nsu=urn:acme:filler;s=x").resolve([OPC_UA, "urn:acme:filler"]) == "ns=1;s=x"


@pytest.mark.parametrize("text", ["nsu=urn:acme:filler;s=x", "ns=2;s=x", f"nsu={OPC_UA};i=2258"])
def test_what_is_shown_can_be_read_again(text: str) -> None:
    assert str(parse(text)) == text
    assert str(parse("i=2258")) == f"nsu={OPC_UA};i=2258"


def test_a_namespace_that_the_server_does_not_have() -> None:
    with pytest.raises(LookupError, match=r"no namespace urn:other; it has http.*urn:acme:filler"):
        Node("urn:other", 0, "s=x").resolve(SERVER)


@pytest.mark.parametrize(
    "text",
    ["", "Temperature", "nsu=urn:a", "nsu=;s=x", "ns=x;s=y", "s=", "i=abc", "nsu=urn:a;x=1", "ns=1;nsu=urn:a;s=x"],
)
def test_what_is_no_node_is_named_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="is not a node id: write nsu=<namespace URI>") as caught:
        parse(text)
    assert repr(text) in str(caught.value)
