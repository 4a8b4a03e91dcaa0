"""What an OPC UA server has: endpoints with their security, and variables as tags of a configuration. Only reads.

It looks at everything below Objects but the server's own object, along hierarchical references and at each node once,
so that loops end. Properties describe something and are not offered as tags. What a server says ends up in a YAML file
in which `${NAME}` stands for a secret: texts lose what would be taken for one, and nodes that have it are left out.
"""

import asyncio
import re
import unicodedata
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from asyncua import Client, ua

from connectors._found import Found, Search
from connectors._opcua.calls import Calls, calls, local
from connectors._opcua.endpoints import choose, new_client, offer, user_token
from connectors._opcua.endpoints import discover as endpoints_of
from connectors._opcua.metadata import Metadata, describe, line, properties
from connectors._opcua.node import Name, Node, in_opc_ua, parse
from connectors._opcua.resolve import OBJECTS
from gateway.contracts import DeviceError

REFERENCES_MAX: Final = 20_000
"""References that are followed in all; a server that has more is not browsed to its end. Our choice."""
_DEPTH: Final = 10
_PORT: Final = 4840

_SERVER: Final = ua.NodeId(ua.Int32(ua.ObjectIds.Server))
_NAMESPACES: Final = ua.NodeId(ua.Int32(ua.ObjectIds.Server_NamespaceArray))
_HAS_PROPERTY: Final = ua.NodeId(ua.Int32(ua.ObjectIds.HasProperty))
_BUILD: Final = {
    "vendor": ua.NodeId(ua.Int32(ua.ObjectIds.Server_ServerStatus_BuildInfo_ManufacturerName)),
    "product": ua.NodeId(ua.Int32(ua.ObjectIds.Server_ServerStatus_BuildInfo_ProductName)),
    "revision": ua.NodeId(ua.Int32(ua.ObjectIds.Server_ServerStatus_BuildInfo_SoftwareVersion)),
}
_WHO: Final = {
    ua.UserTokenType.Anonymous: "anonymous",
    ua.UserTokenType.UserName: "user and password",
    ua.UserTokenType.Certificate: "certificate",
    ua.UserTokenType.IssuedToken: "issued token",
}
_SUBSCRIBE: Final = 1 << 0
"""Bit of EventNotifier (OPC 10000-3, 8.59)."""
_REPORTING_MAX: Final = 20
"""Objects that report events that are told. Our choice."""
_EXAMPLE: Final = {"node": "i=2258"}
"""The clock, which every server has."""


class Spot(NamedTuple):
    """A node and the browse names that lead to it from Objects."""

    node: ua.NodeId
    names: tuple[str, ...]
    is_variable: bool


async def discover(url: str, *, match: str = "*", depth: int = _DEPTH, timeout_s: float = 4.0) -> Search:
    """Ask a server for its endpoints, and for its variables if it lets somebody look who gives no name.

    `match` is a pattern of the browse path, `depth` how many levels below Objects are looked at, `timeout_s` how long
    an answer may take. Raises ValueError for what is no address, OSError or TimeoutError if nobody answers there.
    """
    where, user = _parsed(url)
    try:
        found, requests = await _found(where, match.casefold(), depth, timeout_s)
    except TimeoutError:
        raise TimeoutError(f"{where.netloc} does not answer within {timeout_s:g} s: check address and port") from None
    connect = f"opc.tcp://{user}:${{PASSWORD}}@{where.netloc}{where.path}" if user else where.geturl()
    return Search([replace(found, connect=connect)], 1, requests, "servers")


# --- the server ---------------------------------------------------------------------------


async def _found(where: SplitResult, match: str, depth: int, timeout_s: float) -> tuple[Found, int]:
    """Return the server and how many requests it was asked. One that lets nobody in is found all the same."""
    endpoints = await _endpoints(where, timeout_s)
    facts: dict[str, Any] = {"endpoint": list(dict.fromkeys(map(_shown, endpoints)))}
    tags: dict[str, dict[str, Any]] = {}
    requests = 1
    remark = _closed(endpoints)
    if not remark:
        try:
            async with _session(where, timeout_s) as client:
                ask = await calls(client, most=REFERENCES_MAX)
                said, tags = await _interview(ask, match, depth)
                facts, requests = {**said, **facts}, 1 + ask.requests
        except ua.UaError as error:
            remark = f"not browsed: {_line(str(error)) or type(error).__name__}"
    if remark:
        facts["remark"] = [remark]
    name = next((text for endpoint in endpoints if (text := endpoint.Server.ApplicationName.Text)), "server")
    return Found(_slug(name), where.geturl(), facts, _EXAMPLE, tags), requests


def _parsed(url: str) -> tuple[SplitResult, str]:
    """The URL without a user, for a search comes without a name, and the user."""
    where = urlsplit(url)
    if not where.hostname:
        raise ValueError(f"the URL has no host: write opc.tcp://host:{_PORT}")
    host = where.netloc.rpartition("@")[2].removesuffix(":")
    return where._replace(netloc=host if where.port else f"{host}:{_PORT}"), where.username or ""


async def _endpoints(where: SplitResult, timeout_s: float) -> Sequence[ua.EndpointDescription]:
    try:
        async with asyncio.timeout(2 * timeout_s):
            return await endpoints_of(new_client(where.geturl(), timeout_s), where.geturl())
    except TimeoutError:  # an OSError too, and told by the caller
        raise
    except OSError as error:
        raise ConnectionError(
            f"{where.netloc} does not accept a connection: check address, port and whether it is on"
        ) from error
    except ua.UaError as error:
        raise ConnectionError(f"{where.netloc} does not answer as an OPC UA server does: {error}") from error


@asynccontextmanager
async def _session(where: SplitResult, timeout_s: float) -> AsyncIterator[Client]:
    client = new_client(where.geturl(), timeout_s)
    async with asyncio.timeout(2 * timeout_s):
        await client.connect()
    try:
        yield client
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await client.disconnect()


def _closed(endpoints: Sequence[ua.EndpointDescription]) -> str:
    """Why nobody gets in without security and without a name, or nothing."""
    try:
        user_token(choose(endpoints, "none", ua.MessageSecurityMode.None_), ua.UserTokenType.Anonymous)
    except DeviceError as error:
        return f"not browsed: {_line(str(error))}"
    return ""


def _shown(endpoint: ua.EndpointDescription) -> str:
    """An endpoint for people: policy and mode as the configuration has them, and who may come."""
    who = dict.fromkeys(_WHO[token.TokenType] for token in endpoint.UserIdentityTokens or ())
    return f"{offer(endpoint)}: {', '.join(who) or 'nobody'}"


# --- its variables ------------------------------------------------------------------------


async def _interview(ask: Calls, match: str, depth: int) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return what the server says of itself, and its variables as tags."""
    (table,), build = await ask.read([_NAMESPACES]), await ask.read(list(_BUILD.values()))
    namespaces = list(table.Value.Value or ()) if table.Value is not None else []
    words = {name: _line(str(said.Value.Value or "")) for name, said in zip(_BUILD, build, strict=True) if said.Value}
    found = await _browse(ask, namespaces, depth)
    spots = [spot for spot in found if spot.is_variable]
    wanted = sorted((spot for spot in spots if fnmatchcase("/".join(spot.names).casefold(), match)), key=_order)
    nodes = [_written(spot.node, namespaces) for spot in wanted]
    variables = [spot.node for spot in wanted]
    described = await describe(ask, variables, await properties(ask, variables, namespaces))
    tags = _tags(zip(wanted, nodes, described, strict=True))
    words["variables"] = f"{len(tags)} of {len(spots)}"
    remarks = []
    if left_out := nodes.count(""):
        remarks.append(f"{left_out} variables are left out: a configuration cannot have their node ids")
    if ask.exhausted:
        remarks.append(f"not browsed to the end: there are more than {REFERENCES_MAX} references; say less --depth")
    objects = [_SERVER, *(spot.node for spot in found if not spot.is_variable)]
    facts = {"remark": remarks, **words, "events": await _reporting(ask, objects, namespaces)}
    return {name: said for name, said in facts.items() if said}, tags


async def _reporting(ask: Calls, objects: Sequence[ua.NodeId], namespaces: Sequence[str]) -> list[str]:
    """Those that report events, as `events` of a tag has them; the first is the server, which reports all."""
    said = await ask.read(objects, ua.AttributeIds.EventNotifier)
    reporting = [
        _written(node, namespaces)
        for node, notifier in zip(objects, said, strict=True)
        if notifier.Value is not None and isinstance(bits := notifier.Value.Value, int) and bits & _SUBSCRIBE
    ]
    return [node for node in reporting if node and node == _line(node)][:_REPORTING_MAX]


async def _browse(ask: Calls, namespaces: Sequence[str], depth: int) -> list[Spot]:
    """Objects and variables below Objects, each once and by a shortest way."""
    seen = {OBJECTS, _SERVER}
    found: list[Spot] = []
    level = [Spot(OBJECTS, (), False)]
    for _ in range(depth):
        below = await ask.browse([spot.node for spot in level])
        level = [
            spot
            for above, references in zip(level, below, strict=True)
            for spot in _new(references, above, seen, namespaces)
        ]
        found += level
    return found


def _new(
    references: Sequence[ua.ReferenceDescription], above: Spot, seen: set[ua.NodeId], namespaces: Sequence[str]
) -> Iterator[Spot]:
    """Those that were not seen yet; properties, and what is on other servers, are passed over."""
    for reference in references:
        node = local(reference.NodeId, namespaces)
        if node is not None and node not in seen and reference.ReferenceTypeId != _HAS_PROPERTY:
            seen.add(node)
            names = (*above.names, reference.BrowseName.Name or "")
            yield Spot(node, names, reference.NodeClass == ua.NodeClass.Variable)


def _order(spot: Spot) -> list[list[int | str]]:
    """By name, with numbers as such: T2 before T10."""
    return [
        [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", name.casefold()))]
        for name in spot.names
    ]


# --- as tags ------------------------------------------------------------------------------


def _tags(described: Iterable[tuple[Spot, str, Metadata]]) -> dict[str, dict[str, Any]]:
    tags: dict[str, dict[str, Any]] = {}
    for spot, node, metadata in described:
        if node:
            tags[_unused("/".join(map(_slug, spot.names)), tags)] = _keys(node, metadata)
    return tags


def _keys(node: str, metadata: Metadata) -> dict[str, Any]:
    """The keys of a tag; a unit that has no UCUM here is told in the description."""
    keys: dict[str, Any] = {"node": node}
    if metadata.unit:
        keys["unit"] = metadata.unit
    if metadata.range:
        keys["range"] = list(metadata.range)
    unit = "" if metadata.unit or not metadata.shown else f" [{metadata.shown}]"
    if description := _line(metadata.description + unit):
        keys["description"] = description
    return keys


def _written(node: ua.NodeId, namespaces: Sequence[str]) -> str:
    """A node id as the configuration has it, by URI if that is the only namespace with it; else nothing."""
    index = int(node.NamespaceIndex)
    uri = namespaces[index] if index < len(namespaces) and namespaces.index(namespaces[index]) == index else ""
    name = Name(uri, 0 if uri else index, node.Identifier) if index else in_opc_ua(node.Identifier)
    text = str(Node((name,)))
    try:
        return text if parse(text) == Node((name,)) and "${" not in text else ""
    except ValueError:
        return ""


def _slug(name: str) -> str:
    """A name in `[a-z0-9_-]`: `BowlPressure` is `bowl_pressure`, `Größe 1` is `grosse_1`."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", unicodedata.normalize("NFKD", name))
    plain = parts.casefold().encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9-]+", "_", plain).strip("_") or "unnamed"


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _line(text: str) -> str:
    """A text of a server as one line, without what a configuration would take for a secret."""
    return re.sub(r"://[^/@\s]*@", "://", line(text).replace("${", "$ {"))
