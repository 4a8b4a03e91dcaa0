"""Node ids as people write them, with the namespace by URI. Pure; knows no client.

nsu=urn:acme:filler;s=Temperature     the URI, then i= number, s= text, g= GUID or b= base64 (OPC 10000-6, 5.3.1.10)
i=2258                                the OPC UA namespace itself
ns=2;s=Temperature                    an index: understood, but it may mean another node after a restart
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_NODE: Final = re.compile(r"(?:nsu=(?P<uri>[^;]+);|ns=(?P<index>\d+);)?(?P<identifier>[isgb]=.+)", re.DOTALL)
_OPC_UA: Final = "http://opcfoundation.org/UA/"


@dataclass(frozen=True, slots=True)
class Node:
    """A node whose namespace is known by URI, or only by index if `uri` is empty."""

    uri: str
    index: int
    identifier: str

    def __str__(self) -> str:
        return f"nsu={self.uri};{self.identifier}" if self.uri else f"ns={self.index};{self.identifier}"

    def resolve(self, namespaces: Sequence[str]) -> str:
        """Return the node id for a server with these namespaces. Raises LookupError if it does not have the URI."""
        if not self.uri:
            return f"ns={self.index};{self.identifier}"
        if self.uri not in namespaces:
            raise LookupError(f"the server has no namespace {self.uri}; it has {', '.join(namespaces)}")
        return f"ns={namespaces.index(self.uri)};{self.identifier}"


def parse(text: str) -> Node:
    """Return the node. Raises ValueError naming the text and the form that is understood."""
    match = _NODE.fullmatch(text)
    if match is None or (match["identifier"].startswith("i=") and not match["identifier"][2:].isdecimal()):
        raise ValueError(
            f"{text!r} is not a node id: write nsu=<namespace URI>;s=<name> or nsu=<namespace URI>;i=<number>"
        )
    if match["index"] is not None and int(match["index"]) > 0:
        return Node("", int(match["index"]), match["identifier"])
    return Node(match["uri"] or _OPC_UA, 0, match["identifier"])
