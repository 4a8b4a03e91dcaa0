"""An asyncua server in a process of its own, so that it can be killed and paused. Started by tests/opcua_servers.py.

    {"do": "start", "spaces": {"urn:test:machine": {"Temperature": 20.5}}}      -> {"pid": 4711}
    {"do": "set", "node": ["urn:test:machine", "Temperature"], "values": [21.0, 21.5], "every_s": 0.05}
    {"do": "remove", "node": [...]}, {"do": "add", "node": [...], "values": [1.0]}, {"do": "status"}

Commands and answers are lines of JSON. Making the standard address space takes more than a second, so it is made once;
every start is a fork of that, in some milliseconds, and has the lines until it is killed, which is a line as well.
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import Server, ua


class Plant:
    """Doubles below Objects, by URI of their namespace and name; in the order that the namespaces have."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._nodes: dict[tuple[str, str], Any] = {}

    async def start(self, spaces: dict[str, dict[str, float]], ahead_s: float = 0.0, **_: Any) -> dict[str, Any]:
        for uri, values in spaces.items():
            for name, value in values.items():
                await self.add((uri, name), [value])
        await self._server.start()
        if (clock := self._server.iserver.time_task) is not None and ahead_s:
            clock.cancel()
            wrong = datetime.now(UTC) + timedelta(seconds=ahead_s)
            await self._server.iserver.current_time_node.write_value(wrong)
        return {"pid": os.getpid()}

    async def add(self, node: tuple[str, str], values: list[float], **_: Any) -> dict[str, Any]:
        uri, name = node
        index = await self._server.register_namespace(uri)
        identifier = ua.NodeId(ua.String(name), ua.Int16(index))
        self._nodes[uri, name] = await self._server.nodes.objects.add_variable(identifier, f"{index}:{name}", values[0])
        return {}

    async def remove(self, node: tuple[str, str], **_: Any) -> dict[str, Any]:
        await self._server.delete_nodes([self._nodes.pop((node[0], node[1]))])
        return {}

    async def set(self, node: tuple[str, str], values: list[float], every_s: float = 0.0, **_: Any) -> dict[str, Any]:
        for value in values:
            await self._nodes[node[0], node[1]].write_value(float(value))
            await asyncio.sleep(every_s)
        return {}

    async def status(self, **_: Any) -> dict[str, Any]:
        inner = self._server.iserver
        subscriptions = inner.subscription_service.subscriptions.values()
        items = sum(len(one.monitored_item_srv._monitored_items) for one in subscriptions)
        return {"sessions": len(inner._external_sessions), "subscriptions": len(subscriptions), "items": items}


async def _made(url: str) -> Server:
    server = Server()
    await server.init()
    server.set_endpoint(url)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    return server


async def _serve(server: Server, first: str) -> None:
    plant, line = Plant(server), first
    while line:
        command = json.loads(line)
        _say(await getattr(plant, command["do"])(**command))
        line = await asyncio.to_thread(_line)


def _line() -> str:
    """Read a line, and not a byte more: what follows may be for another process."""
    read = bytearray()
    while not read.endswith(b"\n") and (byte := os.read(0, 1)):
        read += byte
    return read.decode()


def _say(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def main() -> None:
    server = asyncio.run(_made(sys.argv[1]))
    while line := _line():
        pid = os.fork()
        if pid == 0:
            asyncio.run(_serve(server, line))
            os._exit(0)
        os.waitpid(pid, 0)
        _say({"ended": pid})


if __name__ == "__main__":
    main()
