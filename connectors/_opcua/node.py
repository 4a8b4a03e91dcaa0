"""Nodes as people write them: by identifier or by browse path, with namespaces by URI. Pure; knows no client.

nsu=urn:acme:filler;s=Temperature          i= number, s= text, g= GUID, b= base64 (OPC 10000-6, 5.1.12)
i=2258                                     the OPC UA namespace itself
/nsu=urn:acme:filler;Line/Temperature      browse names from Objects on; each in the namespace of the one before,
                                           the first in OPC UA's, unless it says another
ns=2;s=Temperature, /2:Line/3:Temperature  an index: understood, but it may mean another namespace after a restart

In a URI `;` is %3B. In a browse name `&` takes its meaning from the letter behind it, as in the standard's relative
paths (OPC 10000-4, A.2): `a&/b` is one name.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

Key = int | str | UUID | bytes
"""What a name is within its namespace: an identifier, or the text of a browse name."""

_ID: Final = re.compile(r"(?:nsu=(?P<uri>[^;]+);|ns=(?P<index>[0-9]{1,5});)?(?P<kind>[isgb])=(?P<key>.+)", re.DOTALL)
_STEP: Final = re.compile(r"/(?:nsu=(?P<uri>[^;]+);|(?P<index>[0-9]{1,5}):|(?!nsu=))(?P<key>(?:[^/&]|&.)+)", re.DOTALL)
_OPC_UA: Final = "http://opcfoundation.org/UA/"
_INDEX_MAX: Final = 0xFFFF
_NUMBER_MAX: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a namespace that is known by its URI, or only by its index if `uri` is empty."""

    uri: str
    index: int
    key: Key

    def place(self, namespaces: Sequence[str]) -> int:
        """Return the index on a server with these namespaces. Raises LookupError if it does not have the URI."""
        if not self.uri:
            return self.index
        if self.uri not in namespaces:
            raise LookupError(f"the server has no namespace {self.uri}; it has {', '.join(namespaces)}")
        return namespaces.index(self.uri)


@dataclass(frozen=True, slots=True)
class Node:
    """A node by its identifier, the only one of `names`, or by the browse names that lead to it from Objects."""

    names: tuple[Name, ...]
    by_path: bool = False

    def __str__(self) -> str:
        return _path(self.names) if self.by_path else _id(self.names[0])

    @property
    def warning(self) -> str:
        """What may go wrong with it, and the remedy; empty if nothing."""
        indices = [name.index for name in self.names if not name.uri]
        if not indices:
            return ""
        return (
            f"namespace {indices[0]} may be another one after a restart of the server:"
            " write nsu= and the URI of the namespace"
        )


def parse(text: str) -> Node:
    """Return the node. Raises ValueError naming the text and the forms that are understood."""
    try:
        return Node(_steps(text), by_path=True) if text.startswith("/") else Node((_identified(text),))
    except ValueError as error:
        detail = f" ({error})" if str(error) else ""
        raise ValueError(
            f"{text!r} is not a node{detail}: write nsu=<namespace URI>;s=<name>, nsu=<namespace URI>;i=<number>"
            " or /nsu=<namespace URI>;<browse name>/<browse name>"
        ) from error


def in_opc_ua(key: Key) -> Name:
    """Return a name in the standard's own namespace, whose index is 0 everywhere."""
    return Name(_OPC_UA, 0, key)


# --- identifiers --------------------------------------------------------------------------


def _identified(text: str) -> Name:
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError
    return _name(match["uri"], match["index"], _key(match["kind"], match["key"]))


def _key(kind: str, text: str) -> Key:
    match kind:
        case "i":
            if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _NUMBER_MAX:
                raise ValueError(f"i= takes a number up to {_NUMBER_MAX}")
            return int(text)
        case "g":
            if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
                raise ValueError("g= takes a GUID")
            return UUID(text)
        case "b":
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error as error:
                raise ValueError("b= takes base64") from error
        case _:
            return text


def _id(name: Name) -> str:
    identifier = identifier_text(name.key)
    return f"nsu={encoded_uri(name.uri)};{identifier}" if name.uri else f"ns={name.index};{identifier}"


def identifier_text(key: Key) -> str:
    """Return an identifier without its namespace: `i=`, `s=`, `g=` or `b=` and what it is."""
    match key:
        case int():
            return f"i={key}"
        case UUID():
            return f"g={key}"
        case bytes():
            return f"b={base64.b64encode(key).decode('ascii')}"
        case _:
            return f"s={key}"


# --- browse paths -------------------------------------------------------------------------


def _steps(text: str) -> tuple[Name, ...]:
    names: list[Name] = []
    last, at = in_opc_ua(""), 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise ValueError(f"no browse name at {text[at:]!r}")
        key = re.sub(r"&(.)", r"\1", match["key"], flags=re.DOTALL)
        said = match["uri"] or match["index"]
        last = _name(match["uri"], match["index"], key) if said else Name(last.uri, last.index, key)
        names.append(last)
        at = match.end()
    if names[0] == in_opc_ua("Objects"):
        del names[0]
    if not names:
        raise ValueError("it ends at Objects")
    return tuple(names)


def _path(names: Sequence[Name]) -> str:
    steps = []
    before = in_opc_ua("")
    for name in names:
        if (name.uri, name.index) == (before.uri, before.index):
            said = ""
        else:
            said = f"nsu={encoded_uri(name.uri)};" if name.uri else f"{name.index}:"
        text = re.sub(r"[/&]", r"&\g<0>", str(name.key))
        steps.append(f"/{said}{text if said else re.sub(r'^(?=nsu=|[0-9]+:)', '&', text)}")
        before = name
    return "".join(steps)


# --- namespaces ---------------------------------------------------------------------------


def _name(uri: str | None, index: str | None, key: Key) -> Name:
    """A name with its namespace as it is written; the index 0 is the OPC UA namespace everywhere, and so is none."""
    if uri:
        return Name(uri.replace("%3B", ";"), 0, key)
    if int(index or 0) > _INDEX_MAX:
        raise ValueError(f"a namespace index is at most {_INDEX_MAX}")
    return Name("", int(index), key) if index and int(index) else in_opc_ua(key)


def encoded_uri(uri: str) -> str:
    """Return a URI as it stands between `nsu=` and `;`."""
    return uri.replace(";", "%3B")
