"""What it costs to have values from an OPC UA server, up to the point where a batch is handed over.

Every way has the same server (opcua_server.py, a process of its own) and a session of asyncua, and goes as fast as it
can, because the CPU of a paced reader is mostly that of waking up.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from connectors import opcua
from connectors._opcua.reading import Reading
from connectors._opcua.structures import Structures
from gateway.bench.measured import Measured, meanwhile, source
from gateway.bench.opcua_canned import DOUBLES, MIXED, NAMESPACES
from gateway.bench.opcua_limit import protocol, received
from gateway.clock import SystemClock, loop_factory
from gateway.contracts import Connector, Device
from gateway.model import Batch, Tag

T = TypeVar("T")

_CHANGES: Final = (("doubles", DOUBLES, 1000), ("doubles", DOUBLES, 5000), ("mixed types", MIXED, 5000))
_READS: Final = (("doubles", DOUBLES, 1000), ("mixed types", MIXED, 1000))
_INTERVAL_S: Final = 1e-6
"""Publishing interval: less than a message takes, so the next is always due."""
_NEVER_S: Final = 86_400.0
_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Compared:
    """Ways to do the same: the limit first, asyncua's own last. `server` is what the limit costs the server."""

    title: str
    ways: Sequence[Measured]
    server: Measured


@dataclass(frozen=True, slots=True)
class _Asked:
    """So many nodes of a namespace, of the server with this process id, for so long."""

    pid: int
    port: int
    namespace: int
    n: int
    duration_s: float

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    @property
    def nodes(self) -> list[ua.NodeId]:
        return [ua.NodeId(ua.Int32(i), ua.Int16(self.namespace)) for i in range(self.n)]

    def client(self) -> Client:
        return Client(self.url, watchdog_intervall=_NEVER_S)


def measure(duration_s: float) -> list[Compared]:
    """Compare subscriptions with messages of several sizes, and reads."""
    with source("gateway.bench.opcua_server") as (pid, (port,)):
        return [
            *(_changes(types, _Asked(pid, port, namespace, n, duration_s)) for types, namespace, n in _CHANGES),
            *(_reads(types, _Asked(pid, port, namespace, n, duration_s)) for types, namespace, n in _READS),
        ]


def _changes(types: str, asked: _Asked) -> Compared:
    limit, server = _run(_publish_bytes(asked))
    ways = [limit, _run(_publish(asked)), _run(_connector(asked)), _run(_handler(asked))]
    return Compared(f"{asked.n:,} changes per message, {types}", ways, server)


def _reads(types: str, asked: _Asked) -> Compared:
    limit, server = _run(_read_bytes(asked))
    return Compared(
        f"reads of {asked.n:,} nodes, {types}", [limit, _run(_read_columns(asked)), _run(_read_values(asked))], server
    )


def _run(way: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(way)


# --- subscriptions ------------------------------------------------------------------------


async def _publish_bytes(asked: _Asked) -> tuple[Measured, Measured]:
    async with asked.client() as client:
        await _subscribe(client, asked)
        return received(client, ua.PublishRequest(), asked.n, asked.duration_s, asked.pid)


async def _publish(asked: _Asked) -> Measured:
    """Publish through asyncua's channel, one request at a time, without a look at the answers."""
    changes = 0

    async def publish() -> None:
        nonlocal changes
        while True:
            await protocol(client).send_request(ua.PublishRequest(), timeout=0)
            changes += asked.n

    async with asked.client() as client:
        await _subscribe(client, asked)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(publish())
            measured = await meanwhile("asyncua's channel, not decoded", lambda: changes, asked.duration_s)
            running.cancel()
    return measured


async def _subscribe(client: Client, asked: _Asked) -> None:
    """Create a subscription and its items; asyncua's own way would begin to publish."""
    request = ua.CreateSubscriptionRequest()
    request.Parameters.RequestedPublishingInterval = _INTERVAL_S * 1000
    answer = await protocol(client).send_request(request)
    created = struct_from_binary(ua.CreateSubscriptionResponse, answer)
    await client.uaclient.create_monitored_items(
        ua.CreateMonitoredItemsParameters(
            SubscriptionId=created.Parameters.SubscriptionId,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=[
                ua.MonitoredItemCreateRequest(
                    ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value),
                    MonitoringMode=ua.MonitoringMode.Reporting,
                    RequestedParameters=ua.MonitoringParameters(ClientHandle=ua.UInt32(i)),
                )
                for i, node in enumerate(asked.nodes)
            ],
        )
    )


async def _connector(asked: _Asked) -> Measured:
    """Run our connector; it counts from when it has had every tag once."""
    changes = 0
    missing = np.ones(asked.n, np.bool_)
    complete = asyncio.Event()

    def count(*batches: Batch) -> None:
        nonlocal changes
        changes += sum(map(len, batches))
        if not complete.is_set():
            for batch in batches:
                missing[batch.tag] = False
            if not missing.any():
                complete.set()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(_device(asked).run(count))
        async with asyncio.timeout(_PATIENCE_S):
            await complete.wait()
        measured = await meanwhile("connector", lambda: changes, asked.duration_s)
        running.cancel()
    return measured


def _device(asked: _Asked) -> Connector:
    nodes = [f"nsu={NAMESPACES[asked.namespace]};i={i}" for i in range(asked.n)]
    intervals = {"publishing": _INTERVAL_S, "sampling": _INTERVAL_S}
    device = Device(
        name="server",
        url=asked.url,
        options=opcua.DeviceOptions.model_validate(intervals),
        tags=[Tag("bench/server", f"v{i}", device="server") for i in range(asked.n)],
        numbers=np.arange(asked.n, dtype=np.uint32),
        tag_options=[opcua.TagOptions.model_validate({"node": node}) for node in nodes],
    )
    return opcua.connector(device, SystemClock())


async def _handler(asked: _Asked) -> Measured:
    """Subscribe as the examples of asyncua do."""
    handler = _Handler()
    async with asked.client() as client:
        subscription = await client.create_subscription(_INTERVAL_S * 1000, handler)
        await subscription.subscribe_data_change([client.get_node(node) for node in asked.nodes])
        return await meanwhile("asyncua, handler", lambda: handler.changes, asked.duration_s)


class _Handler:
    def __init__(self) -> None:
        self.changes = 0

    def datachange_notification(self, node: Any, val: Any, data: Any) -> None:
        self.changes += 1


# --- reads --------------------------------------------------------------------------------


async def _read_bytes(asked: _Asked) -> tuple[Measured, Measured]:
    async with asked.client() as client:
        return received(client, _read_request(asked), asked.n, asked.duration_s, asked.pid)


async def _read_columns(asked: _Asked) -> Measured:
    """Read as the connector polls."""
    values = 0

    def count(*batches: Batch) -> None:
        nonlocal values
        values += sum(map(len, batches))

    async with asked.client() as client:
        reading = Reading(client, list(enumerate(asked.nodes)), SystemClock(), Structures())
        await reading.read(count)  # for this one the requests have to be encoded
        values, begin, cpu = 0, time.monotonic(), time.process_time()
        while time.monotonic() - begin < asked.duration_s:
            await reading.read(count)
        return Measured("columns, request encoded once", values, time.monotonic() - begin, time.process_time() - cpu)


async def _read_values(asked: _Asked) -> Measured:
    """Read as the examples of asyncua do."""
    async with asked.client() as client:
        nodes = [client.get_node(node) for node in asked.nodes]
        values, begin, cpu = 0, time.monotonic(), time.process_time()
        while time.monotonic() - begin < asked.duration_s:
            values += len(await client.read_values(nodes))
        return Measured("asyncua, read_values", values, time.monotonic() - begin, time.process_time() - cpu)


def _read_request(asked: _Asked) -> ua.ReadRequest:
    request = ua.ReadRequest()
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    request.Parameters.NodesToRead = [
        ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for node in asked.nodes
    ]
    return request
