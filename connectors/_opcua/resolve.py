"""From nodes as they are configured to the node ids that a server has for them now, anew at every connect."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from asyncua import Client, ua

from connectors._opcua.calls import calls, path, target
from connectors._opcua.node import Name, Node

OBJECTS: Final = ua.NodeId(ua.Int32(ua.ObjectIds.ObjectsFolder))


async def resolve(client: Client, nodes: Sequence[Node]) -> list[ua.NodeId | None]:
    """Return the node ids in order; None where the server has no such namespace or browse path, or several such paths.

    A node id is not looked for, only put together: the server says itself that it does not know one.
    Raises UaError, OSError or TimeoutError if the server cannot be asked.
    """
    namespaces = await client.get_namespace_array()
    found = [None if node.by_path else _node_id(node.names[0], namespaces) for node in nodes]
    paths = {i: names for i, node in enumerate(nodes) if node.by_path and (names := qualified(node, namespaces))}
    if paths:
        results = await (await calls(client)).translate([path(OBJECTS, names) for names in paths.values()])
        for i, result in zip(paths, results, strict=True):
            found[i] = target(result, namespaces)
    return found


def _node_id(name: Name, namespaces: Sequence[str]) -> ua.NodeId | None:
    try:
        index = ua.Int16(name.place(namespaces))
    except LookupError:
        return None
    match name.key:
        case int():
            return ua.NodeId(ua.Int32(name.key), index)
        case UUID():
            return ua.NodeId(ua.Guid(str(name.key)), index)
        case bytes():
            return ua.NodeId(ua.ByteString(name.key), index)
        case _:
            return ua.NodeId(ua.String(name.key), index)


def qualified(node: Node, namespaces: Sequence[str]) -> list[ua.QualifiedName]:
    """The browse names as this server has them, or none if a namespace is not there."""
    try:
        return [ua.QualifiedName(str(name.key), name.place(namespaces)) for name in node.names]
    except LookupError:
        return []
