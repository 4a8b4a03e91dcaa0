"""OPC UA: one server session, one subscription, its notifications as columns.

    devices:
      filler:
        connect: opc.tcp://192.168.0.9:4840
        asset: packaging/line1/filler
        tags:
          temperature: {node: "nsu=urn:acme:filler;s=Temperature", unit: Cel}

Nodes are written with the URI of their namespace, because its index may be another one after a restart of the
server; an URI that the server does not have makes the tag bad and never reads another node. asyncua has the channel
and the session; publishing (_opcua/publishing.py) and decoding (_opcua/decode.py) go under it. Reconnecting is the
supervisor's business, so asyncua's own is off, and its watchdog too: a subscription is alive while its publish
responses come, data or keep-alive (OPC 10000-4, 5.14.1). After a lost connection the old session is taken up again,
or its subscription by a new one, or all is made anew (5.14.7, 6.7).
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Final

import numpy as np
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary
from pydantic import BeforeValidator, Field, InstanceOf

from connectors._opcua import security, writing
from connectors._opcua.calls import PER_MONITORED_ITEMS, PER_READ, per_call
from connectors._opcua.decode import read_response
from connectors._opcua.discover import discover as discover
from connectors._opcua.endpoints import new_client
from connectors._opcua.node import Node, parse
from connectors._opcua.publishing import Publishing, checked
from connectors._opcua.resolve import resolve
from connectors._opcua.security import SecurityOptions
from connectors._options import Options, Seconds
from connectors._pace import heed_cancel
from gateway.contracts import Clock, Device, DeviceError, Emit
from gateway.model import Batch, Quality

SCHEMES: Final = ("opc.tcp",)
_COUNTS: Final = ("publishes", "keep_alives", "changes", "republished", "notifications_lost", "resumed")
_MARGIN: Final = 2.0
"""Publish responses may be this much later than the keep-alive interval before the server counts as silent."""
_KEEP_ALIVE_S: Final = 2.0
_PER_CALL: Final = 1000
"""Items or nodes per call where the server names no limit, or a higher one."""

NodeId = Annotated[InstanceOf[Node], BeforeValidator(parse, json_schema_input_type=str)]


class DeviceOptions(Options):
    """Keys of an OPC UA server."""

    publishing: Seconds = Field(default=0.25, description="publishing interval: how often changes are sent")
    sampling: Seconds = Field(default=0.25, description="sampling interval: how often the server looks at a node")
    timeout: Seconds = Field(default=4.0, description="how long to wait for an answer")
    security: SecurityOptions = Field(default=SecurityOptions(), description="policy, mode and user of the session")


class TagOptions(Options):
    """Keys of a tag of an OPC UA server."""

    node: NodeId = Field(description="nsu=<namespace URI>;s=<name>, or i=, g=, b=, or a browse path")
    sampling: Seconds | None = Field(default=None, description="sampling interval, if not as the device says")

    @property
    def warning(self) -> str:
        return self.node.warning


def address(options: TagOptions) -> str:
    """Return the node, namespace by URI."""
    return str(options.node)


def connector(device: Device, clock: Clock) -> "OpcUa":
    """Build the connector; nothing of a server can be known before it is asked."""
    return OpcUa(device, clock)


class OpcUa:
    """Subscribe to the nodes of one server.

    `counts` are those of _opcua/publishing.py, and how often a subscription was `resumed` after a lost connection.
    """

    def __init__(self, device: Device, clock: Clock) -> None:
        security.check(device.url, device.options.security)
        self._url = device.url
        self._folder = device.folder
        self._node_of: dict[int, ua.NodeId] = {}
        self._options: DeviceOptions = device.options
        self._nodes: Sequence[TagOptions] = device.tag_options
        self._numbers = device.numbers
        self._clock = clock
        self._stored: Callable[[], Awaitable[None]] = device.stored
        self._client: Client | None = None
        self._publishing: Publishing | None = None
        self._reused = False
        self.counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
        self.learned: dict[str, Any] = {}

    async def run(self, emit: Emit) -> None:
        try:
            async with self._session() as client:
                publishing = await self._resumed(client, emit)
                if publishing is None:
                    await self._begin(client, emit)
                else:
                    await publishing.run(client)
        except ua.UaError as error:
            raise DeviceError(f"{type(error).__name__}: {error}", Quality.BAD_COMMUNICATION_ERROR) from error

    async def write(self, number: int, value: float | str | bool) -> Any:
        """Write one tag and return what the server has then (Writer in gateway/contracts.py)."""
        if self._client is None or number not in self._node_of:
            raise ConnectionError("not connected")
        return await writing.write(self._client, self._node_of[number], value)

    # --- session --------------------------------------------------------------------------

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Client]:
        """A connected client. Who leaves by himself closes the session; one that is lost is kept for the next time."""
        client = self._client = self._client or new_client(self._url, self._options.timeout)
        try:
            await self._connect(client)
            heed_cancel()
            yield client
        except OSError:  # TimeoutError is one
            await client._teardown_transport_only()
            raise
        except BaseException:
            await self._leave(client)
            raise

    async def _connect(self, client: Client) -> None:
        """Open a channel and take the session up again, or create one."""
        timeout_s, options = self._options.timeout, self._options.security
        try:
            async with asyncio.timeout(2 * timeout_s):
                await security.prepare(client, self._url, options, self._folder, self._clock)
                async with security.explained(client, self._url, options, self._folder):
                    self._reused = await client._try_reactivate_existing_session()
        except TimeoutError:
            raise TimeoutError(f"no answer within {timeout_s:g} s") from None

    async def _leave(self, client: Client) -> None:
        """Close the session; whatever the server says, the socket is closed."""
        self._client = self._publishing = None
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.timeout):
                await client.disconnect()
        client.disconnect_socket()

    async def _resumed(self, client: Client, emit: Emit) -> Publishing | None:
        """The subscription of the last connection if it goes on; all values are told anew then."""
        publishing = self._publishing
        if publishing is None:
            return None
        publishing.emit = emit
        try:
            if not self._reused:
                (result,) = await client.uaclient.transfer_subscriptions(
                    ua.TransferSubscriptionsParameters(
                        SubscriptionIds=[publishing.subscription], SendInitialValues=False
                    )
                )
                result.StatusCode.check()
            await publishing.catch_up(client)
        except ua.UaStatusCodeError:
            self._publishing = None
            return None
        self.counts["resumed"] += 1
        await self._refresh(client, emit)
        return publishing

    async def _refresh(self, client: Client, emit: Emit) -> None:
        """Read all values: their tags were bad meanwhile, and what did not change is not sent again by itself."""
        limit = await per_call(client, PER_READ, _PER_CALL)
        found = list(self._node_of.items())
        for start in range(0, len(found), limit):
            part = found[start : start + limit]
            request = ua.ReadRequest()
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.NodesToRead = [
                ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for _, node in part
            ]
            body = await client.uaclient._send_request(request)
            numbers = np.array([number for number, _ in part], np.uint32)
            emit(*read_response(checked(body), numbers, self._clock.now_ns()))

    # --- subscription ---------------------------------------------------------------------

    async def _begin(self, client: Client, emit: Emit) -> None:
        """Create a subscription, publish, and meanwhile create its items, a call after the other."""
        options = self._options
        keep_alive = max(1, math.ceil(_KEEP_ALIVE_S / options.publishing))
        created = await _created(
            client,
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=options.publishing * 1000,
                RequestedLifetimeCount=max(10 * keep_alive, math.ceil(60 / options.publishing)),
                RequestedMaxKeepAliveCount=keep_alive,
                MaxNotificationsPerPublish=0,
                PublishingEnabled=True,
            ),
        )
        interval_s = float(created.RevisedPublishingInterval) / 1000
        silence_s = _MARGIN * interval_s * int(created.RevisedMaxKeepAliveCount) + options.timeout
        heed_cancel()
        publishing = Publishing(int(created.SubscriptionId), silence_s, emit, self._clock, self.counts, self._stored)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._monitor_all(client, publishing, emit))
                await publishing.run(client)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _monitor_all(self, client: Client, publishing: Publishing, emit: Emit) -> None:
        """Create the monitored items; what the server cannot have is emitted as such."""
        found = await self._resolve(client, emit)
        self._node_of = {int(self._numbers[i]): node for i, node in found}
        limit = await per_call(client, PER_MONITORED_ITEMS, _PER_CALL)
        for start in range(0, len(found), limit):
            await self._monitor(client, publishing.subscription, found[start : start + limit], emit)
            heed_cancel()
        self._publishing = publishing  # complete, so it may be resumed

    async def _resolve(self, client: Client, emit: Emit) -> list[tuple[int, ua.NodeId]]:
        """Pairs of position and node id; a node that the server cannot have is bad and left out."""
        nodes = await resolve(client, [options.node for options in self._nodes])
        unknown = [i for i, node in enumerate(nodes) if node is None]
        self._refuse(emit, unknown, [Quality.BAD_NODE_ID_UNKNOWN] * len(unknown))
        return [(i, node) for i, node in enumerate(nodes) if node is not None]

    async def _monitor(
        self, client: Client, subscription: int, nodes: Sequence[tuple[int, ua.NodeId]], emit: Emit
    ) -> None:
        """Create monitored items; the client handle of an item is the number of its tag."""
        results = await client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=subscription,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToCreate=[self._item(i, node) for i, node in nodes],
            )
        )
        refused = [
            (i, r.StatusCode.value) for (i, _), r in zip(nodes, results, strict=True) if not r.StatusCode.is_good()
        ]
        self._refuse(emit, [i for i, _ in refused], [code for _, code in refused])

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

    def _refuse(self, emit: Emit, rows: Sequence[int], codes: Sequence[int]) -> None:
        """Emit that these tags cannot be had, and why."""
        if rows:
            emit(Batch.of(self._numbers[rows], self._clock.now_ns(), math.nan, np.array(codes, np.uint32)))


async def _created(client: Client, parameters: ua.CreateSubscriptionParameters) -> ua.CreateSubscriptionResult:
    """Create a subscription; asyncua's way would start its own publish loop."""
    request = ua.CreateSubscriptionRequest()
    request.Parameters = parameters
    body = await client.uaclient._send_request(request)
    response: ua.CreateSubscriptionResponse = struct_from_binary(ua.CreateSubscriptionResponse, body)
    response.ResponseHeader.ServiceResult.check()
    created: ua.CreateSubscriptionResult = response.Parameters
    return created
