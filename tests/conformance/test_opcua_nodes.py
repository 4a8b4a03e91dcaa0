"""Nodes are found anew at every connect, by URI and by browse path, and never is another one taken for them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncua import Client, Server, ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import ViewService

from connectors._opcua.node import parse
from connectors._opcua.resolve import resolve
from tests.servers import free_port

LINES = ("urn:acme:line1", "urn:acme:line2")
NODES = [
    "nsu=urn:acme:line1;s=Temperature",
    "nsu=urn:acme:line2;s=Temperature",
    "/nsu=urn:acme:line1;Line/Temperature",
    "/nsu=urn:acme:line2;Line/Temperature",
    "/Objects/nsu=urn:acme:line2;Line/Temperature/0:EURange",
    "/nsu=urn:acme:line1;Line/nsu=urn:acme:line2;Temperature",
    "/nsu=urn:acme:line3;Line/Temperature",
    "nsu=urn:acme:line3;s=Temperature",
    "/nsu=urn:acme:line1;Line/Twice",
    "/Server/ServerStatus/State",
    "i=2258",
]


@asynccontextmanager
async def plant(url: str, uris: Sequence[str]) -> AsyncIterator[Server]:
    """A server whose lines have the same names, each in its namespace, in this order; the value is that of the line."""
    server = Server()
    await server.init()
    server.set_endpoint(url)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    for uri in uris:
        await add_line(server, uri)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def add_line(server: Server, uri: str) -> None:
    index = await server.register_namespace(uri)
    line = await server.nodes.objects.add_object(node("Line", index), ua.QualifiedName("Line", index))
    name = ua.QualifiedName("Temperature", index)
    temperature = await line.add_variable(node("Temperature", index), name, float(uri[-1]))
    await temperature.add_property(node("Range", index), ua.QualifiedName("EURange", 0), uri[-1])
    for identifier in ("A", "B"):
        await line.add_variable(node(identifier, index), ua.QualifiedName("Twice", index), 0.0)


def node(identifier: str, index: int) -> ua.NodeId:
    return ua.NodeId(ua.String(identifier), ua.Int16(index))


async def read(url: str, texts: Sequence[str]) -> list[Any]:
    """What the nodes are now; None for one that is not there."""
    async with Client(url) as client:
        nodes = await resolve(client, [parse(text) for text in texts])
        return [found and await client.get_node(found).read_value() for found in nodes]


async def test_a_restart_with_other_namespaces_reads_the_same_nodes_or_none() -> None:
    url = f"opc.tcp://127.0.0.1:{free_port()}"
    expected = [1.0, 2.0, 1.0, 2.0, "2", None, None, None, None, 0]
    indexed = ["ns=2;s=Temperature", "/2:Line/Temperature"]
    async with plant(url, LINES):
        *values, _clock = await read(url, NODES)
        assert values == expected
        assert await read(url, indexed) == [1.0, 1.0]
    async with plant(url, ["urn:acme:other9", *reversed(LINES)]):
        *values, _clock = await read(url, NODES)
        assert values == expected
        assert await read(url, indexed) == [9.0, 9.0], "what an index is warned of"
    async with plant(url, LINES[1:]):
        *values, _clock = await read(url, NODES)
        assert values == [None, 2.0, None, 2.0, "2", None, None, None, None, 0]


async def test_many_paths_are_asked_in_requests_that_the_server_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that states no limit, or more than it takes."""
    takes = 7
    taken: list[int] = []
    translate = ViewService.translate_browsepaths_to_nodeids

    def limited(self: ViewService, paths: list[ua.BrowsePath]) -> Any:
        if len(paths) > takes:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        taken.append(len(paths))
        return translate(self, paths)

    monkeypatch.setattr(ViewService, "translate_browsepaths_to_nodeids", limited)
    url = f"opc.tcp://127.0.0.1:{free_port()}"
    nodes = [parse(f"/nsu=urn:acme:line{1 + i % 2};Line/Temperature") for i in range(100)]
    async with plant(url, LINES) as server, Client(url) as client:
        for stated, requests in [(7, 15), (0, 17), (100, 17)]:
            limit = server.get_node(ua.NodeId(ua.Int32(11712)))
            await limit.write_value(ua.Variant(stated, ua.VariantType.UInt32))
            taken.clear()
            assert await resolve(client, nodes) == [node("Temperature", 2 + i % 2) for i in range(100)]
            assert (sum(taken), len(taken)) == (100, requests)
