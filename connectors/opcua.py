"""OPC UA: one server session, one subscription, its notifications as columns.

    devices:
      filler:
        connect: opc.tcp://192.168.0.9:4840
        asset: packaging/line1/filler
        tags:
          temperature: {node: "nsu=urn:acme:filler;s=Temperature", unit: Cel}

Nodes are written with the URI of their namespace, because its index may be another one after a restart of the
server; an URI that the server does not have makes the tag bad and never reads another node. asyncua has the
channel, the session and the decoding; reconnecting is the supervisor's business, so asyncua's own is off, and its
watchdog too: a subscription is alive while its publish responses come, data or keep-alive (OPC 10000-4, 5.14.1).
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Final

import numpy as np
from asyncua import Client, ua
from pydantic import BeforeValidator, Field, InstanceOf

from connectors._node import Node, parse
from connectors._options import Options, Seconds
from connectors._pace import heed_cancel
from connectors._variants import batches
from gateway.contracts import Clock, Device, DeviceError, Emit
from gateway.model import Batch, Quality

SCHEMES: Final = ("opc.tcp",)
_MARGIN: Final = 2.0
"""Publish responses may be this much later than the keep-alive interval before the server counts as silent."""
_KEEP_ALIVE_S: Final = 2.0
_ITEMS_MAX: Final = 1000
"""Monitored items per call where the server names no limit (OperationLimits, OPC 10000-5, 6.3.11)."""
_MAX_MONITORED_ITEMS_PER_CALL: Final = ua.NodeId(ua.Int32(11714))
_NEVER_S: Final = 86_400.0

NodeId = Annotated[InstanceOf[Node], BeforeValidator(parse, json_schema_input_type=str)]


class DeviceOptions(Options):
    """Keys of an OPC UA server."""

    publishing: Seconds = Field(default=0.25, description="publishing interval: how often changes are sent")
    sampling: Seconds = Field(default=0.25, description="sampling interval: how often the server looks at a node")
    timeout: Seconds = Field(default=4.0, description="how long to wait for an answer")


class TagOptions(Options):
    """Keys of a tag of an OPC UA server."""

    node: NodeId = Field(description="nsu=<namespace URI>;s=<name>, or i=, g=, b=")
    sampling: Seconds | None = Field(default=None, description="sampling interval, if not as the device says")


def address(options: TagOptions) -> str:
    """Return the node, namespace by URI."""
    return str(options.node)


def connector(device: Device, clock: Clock) -> "OpcUa":
    """Build the connector; nothing of a server can be known before it is asked."""
    return OpcUa(device, clock)


class OpcUa:
    """Subscribe to the nodes of one server. `counts` has `publishes` and `keep_alives`."""

    def __init__(self, device: Device, clock: Clock) -> None:
        self._url = device.url
        self._options: DeviceOptions = device.options
        self._nodes: Sequence[TagOptions] = device.tag_options
        self._numbers = device.numbers
        self._clock = clock
        self.counts: Counter[str] = Counter()
        self.learned: dict[str, Any] = {}

    async def run(self, emit: Emit) -> None:
        try:
            async with _session(self._url, self._options.timeout) as client:
                stream = _Stream(emit, self._clock, self.counts)
                client.connection_lost_callback = stream.lost
                silence_s = await self._subscribe(client, stream)
                heed_cancel()
                await stream.last(silence_s)
        except ua.UaError as error:
            raise DeviceError(f"{type(error).__name__}: {error}", Quality.BAD_COMMUNICATION_ERROR) from error

    async def _subscribe(self, client: Client, stream: "_Stream") -> float:
        """Create the subscription and its items; return after how many seconds without a response it is dead."""
        found = await self._resolve(client, stream)
        wanted_ms = self._options.publishing * 1000
        keep_alive = max(1, math.ceil(_KEEP_ALIVE_S / self._options.publishing))
        subscription = await client.uaclient.create_subscription(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=wanted_ms,
                RequestedLifetimeCount=max(10 * keep_alive, math.ceil(60_000 / wanted_ms)),
                RequestedMaxKeepAliveCount=keep_alive,
                MaxNotificationsPerPublish=0,
                PublishingEnabled=True,
            ),
            stream.take,
        )
        limit = await _items_per_call(client)
        for start in range(0, len(found), limit):
            await self._monitor(client, subscription, found[start : start + limit], stream)
        interval_s = float(subscription.RevisedPublishingInterval) / 1000
        return _MARGIN * interval_s * int(subscription.RevisedMaxKeepAliveCount) + self._options.timeout

    async def _resolve(self, client: Client, stream: "_Stream") -> list[tuple[int, ua.NodeId]]:
        """Pairs of position and node id; a node whose namespace is not there is bad and left out."""
        namespaces = await client.get_namespace_array()
        found, unknown = [], []
        for i, options in enumerate(self._nodes):
            try:
                found.append((i, ua.NodeId.from_string(options.node.resolve(namespaces))))
            except (LookupError, ua.UaError):
                unknown.append(i)
        stream.refuse(self._numbers[unknown], [Quality.BAD_NODE_ID_UNKNOWN] * len(unknown))
        return found

    async def _monitor(
        self,
        client: Client,
        subscription: ua.CreateSubscriptionResult,
        nodes: Sequence[tuple[int, ua.NodeId]],
        stream: "_Stream",
    ) -> None:
        """Create monitored items; the client handle of an item is the number of its tag."""
        results = await client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=subscription.SubscriptionId,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToCreate=[self._item(i, node) for i, node in nodes],
            )
        )
        refused = [
            (i, r.StatusCode.value) for (i, _), r in zip(nodes, results, strict=True) if not r.StatusCode.is_good()
        ]
        stream.refuse(self._numbers[[i for i, _ in refused]], [code for _, code in refused])

    def _item(self, i: int, node: ua.NodeId) -> ua.MonitoredItemCreateRequest:
        sampling_s = self._nodes[i].sampling or self._options.sampling
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(
                ClientHandle=int(self._numbers[i]),
                SamplingInterval=sampling_s * 1000,
                QueueSize=2 * math.ceil(self._options.publishing / sampling_s),
                DiscardOldest=True,
            ),
        )


class _Stream:
    """Between asyncua's publish loop, which calls `take`, and the connector, which waits in `last`."""

    def __init__(self, emit: Emit, clock: Clock, counts: Counter[str]) -> None:
        self._emit = emit
        self._clock = clock
        self._counts = counts
        self._heard = asyncio.Event()
        self._failure: Exception | None = None

    def take(self, result: ua.PublishResult) -> None:
        """Emit what a publish response carries."""
        self._counts["publishes"] += 1
        self._heard.set()
        changes = []
        for notification in result.NotificationMessage.NotificationData or ():
            if isinstance(notification, ua.DataChangeNotification):
                changes += [(item.ClientHandle, item.Value) for item in notification.MonitoredItems]
            elif isinstance(notification, ua.StatusChangeNotification):
                self._failure = ConnectionError(f"the server ended the subscription: {notification.Status.name}")
        if changes:
            self._emit(*batches(changes, self._clock.now_ns()))

    def refuse(self, numbers: Any, codes: Sequence[int]) -> None:
        """Emit that these tags cannot be had, and why."""
        if len(numbers):
            self._emit(Batch.of(numbers, self._clock.now_ns(), math.nan, np.array(codes, np.uint32)))

    async def lost(self, error: Exception) -> None:
        self._failure = ConnectionError(f"connection lost: {str(error) or type(error).__name__}")
        self._heard.set()

    async def last(self, silence_s: float) -> None:
        """Wait until the subscription ends. Raises ConnectionError, or TimeoutError after a silence."""
        while self._failure is None:
            self._heard.clear()
            try:
                async with asyncio.timeout(silence_s):
                    await self._heard.wait()
            except TimeoutError:
                raise TimeoutError(f"no publish response for {silence_s:.1f} s") from None
        raise self._failure


@asynccontextmanager
async def _session(url: str, timeout_s: float) -> AsyncIterator[Client]:
    """A connected client; at the end the session is closed, and whatever the server says, the socket is."""
    client = Client(url, timeout=timeout_s, watchdog_intervall=_NEVER_S)
    client.name = client.description = "itot-gateway"
    client.application_uri = "urn:itot-gateway:client"
    try:
        async with asyncio.timeout(2 * timeout_s):
            await client.connect()
    except TimeoutError:
        client.disconnect_socket()
        raise TimeoutError(f"no answer within {timeout_s:g} s") from None
    try:
        yield client
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await client.disconnect()
        client.disconnect_socket()


async def _items_per_call(client: Client) -> int:
    """The server's limit of monitored items per call, or ours if it has none."""
    (value,) = await client.uaclient.read_attributes([_MAX_MONITORED_ITEMS_PER_CALL], ua.AttributeIds.Value)
    stated = value.Value.Value if value.Value is not None else None
    return min(int(stated), _ITEMS_MAX) if stated else _ITEMS_MAX
