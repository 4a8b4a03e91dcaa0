"""Nodes as people write them: identifiers and browse paths, by the namespace's URI."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._opcua.node import Name, Node, in_opc_ua, parse

OPC_UA = "http://opcfoundation.org/UA/"
DI = "http://opcfoundation.org/UA/DI/"
SERVER = [OPC_UA, "urn:server", "urn:acme:filler"]
GUID = "09087e75-8e5e-499b-954f-f2a9603db28a"


def acme(key: int | str | bytes | UUID) -> Name:
    return Name("urn:acme:filler", 0, key)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nsu=urn:acme:filler;s=Temperature", acme("Temperature")),
        ("nsu=urn:acme:filler;i=42", acme(42)),
        (f"nsu=urn:acme:filler;g={GUID}", acme(UUID(GUID))),
        ("nsu=urn:acme:filler;b=AQID", acme(b"\x01\x02\x03")),
        ("nsu=urn:acme:filler;s=a;b=c;s=d", acme("a;b=c;s=d")),
        ("nsu=urn:acme:filler;s=Grüße 1", acme("Grüße 1")),
        ("nsu=urn:a%3Bb;s=x", Name("urn:a;b", 0, "x")),
        ("ns=2;s=Temperature", Name("", 2, "Temperature")),
        ("ns=0;i=2258", Name(OPC_UA, 0, 2258)),
        ("i=2258", Name(OPC_UA, 0, 2258)),
        ("i=4294967295", Name(OPC_UA, 0, 2**32 - 1)),
        (f"nsu={OPC_UA};i=2258", Name(OPC_UA, 0, 2258)),
    ],
)
def test_a_node_has_an_identifier_in_a_namespace(text: str, name: Name) -> None:
    assert parse(text) == Node((name,))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("/nsu=urn:acme:filler;Line/Temperature", [acme("Line"), acme("Temperature")]),
        ("/Objects/nsu=urn:acme:filler;Line", [acme("Line")]),
        (f"/nsu={DI};DeviceSet/nsu=urn:acme:filler;X 1", [Name(DI, 0, "DeviceSet"), acme("X 1")]),
        ("/nsu=urn:acme:filler;T/0:EURange", [acme("T"), in_opc_ua("EURange")]),
        ("/Objects/2:Line/3:Temperature", [Name("", 2, "Line"), Name("", 3, "Temperature")]),
        ("/2:Line/Temperature", [Name("", 2, "Line"), Name("", 2, "Temperature")]),
        ("/nsu=urn:acme:filler;m&/s/a&&b/&2:x", [acme("m/s"), acme("a&b"), acme("2:x")]),
        ("/Server/ServerStatus", [in_opc_ua("Server"), in_opc_ua("ServerStatus")]),
        ("/nsu=urn:acme:filler;a.b/<c>;d", [acme("a.b"), acme("<c>;d")]),
    ],
)
def test_a_path_has_browse_names_each_in_the_namespace_of_the_one_before(text: str, names: list[Name]) -> None:
    assert parse(text) == Node(tuple(names), by_path=True)


def test_the_same_name_after_namespaces_have_moved() -> None:
    assert acme("x").place(SERVER) == 2
    assert acme("x").place([OPC_UA, "urn:acme:filler"]) == 1
    assert Name("", 7, "x").place(SERVER) == 7


def test_a_namespace_that_the_server_does_not_have() -> None:
    with pytest.raises(LookupError, match=r"no namespace urn:other; it has http.*urn:acme:filler"):
        Name("urn:other", 0, "x").place(SERVER)


@pytest.mark.parametrize(
    "text",
    ["nsu=urn:acme:filler;s=x", "ns=2;s=x", f"nsu={OPC_UA};i=2258", "/nsu=urn:a;Line/T/2:b/c", "/Server/nsu=urn:a;x"],
)
def test_what_is_shown_is_what_was_written(text: str) -> None:
    assert str(parse(text)) == text


def test_what_is_written_short_is_shown_in_full() -> None:
    assert str(parse("i=2258")) == f"nsu={OPC_UA};i=2258"
    assert str(parse("/Objects/Server")) == "/Server"


URIS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1).filter(lambda uri: "%3B" not in uri)
KEYS = st.text(min_size=1) | st.sampled_from(["2:x", "nsu=a;b", "&", "/", "a&/b", "٣:x", "Objects"])
NAMES = st.builds(Name, URIS, st.just(0), KEYS) | st.builds(Name, st.just(""), st.integers(1, 65535), KEYS)
IDENTIFIERS = KEYS | st.integers(0, 2**32 - 1) | st.uuids() | st.binary(min_size=1)


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4))
def test_any_path_is_read_as_it_was_shown(names: list[Name]) -> None:
    node = Node(tuple(names), by_path=True)
    assert parse(str(node)) == node


@settings(deadline=None)
@given(URIS, IDENTIFIERS)
def test_any_identifier_is_read_as_it_was_shown(uri: str, key: int | str | bytes | UUID) -> None:
    node = Node((Name(uri, 0, key),))
    assert parse(str(node)) == node


@pytest.mark.parametrize("text", ["ns=2;s=x", "/nsu=urn:acme:filler;Line/2:Temperature"])
def test_an_index_is_warned_of_with_the_remedy(text: str) -> None:
    assert parse(text).warning == (
        "namespace 2 may be another one after a restart of the server: write nsu= and the URI of the namespace"
    )


@pytest.mark.parametrize("text", ["nsu=urn:acme:filler;s=x", "ns=0;i=2258", "i=2258", "/Server", "/0:Server/0:x"])
def test_the_index_of_opc_ua_itself_is_sure(text: str) -> None:
    assert parse(text).warning == ""


@pytest.mark.parametrize(
    "text",
    [
        *["", "Temperature", "nsu=urn:a", "nsu=;s=x", "ns=x;s=y", "s=", "i=abc", "nsu=urn:a;x=1", "ns=1;nsu=urn:a;s=x"],
        *["i=4294967296", "i=-1", "i=٣", "g=1", "b=?", "b=A", "ns=65536;s=x", "/", "//x", "/x/", "/Objects", "/a&"],
        *["/65536:x", "/nsu=;x"],
    ],
)
def test_what_is_no_node_is_named_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a node.*: write nsu=<namespace URI>;s=<name>") as caught:
        parse(text)
    assert repr(text) in str(caught.value)
