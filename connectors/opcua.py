"""OPC UA: one server session, one subscription, its notifications as columns.

    devices:
      filler:
        connect: opc.tcp://192.168.0.9:4840
        asset: packaging/line1/filler
        tags:
          temperature: {node: "nsu=urn:acme:filler;s=Temperature", unit: Cel}

Nodes are written with the URI of their namespace, because its index may be another one after a restart of the
server; an URI that the server does not have makes the tag bad and never reads another node. asyncua has the channel
and the session (_opcua/session.py); what is watched (_opcua/monitoring.py), publishing (_opcua/publishing.py) and
decoding (_opcua/decode.py) go under it. asyncua's watchdog is off: a subscription is alive while its publish
responses come, data or keep-alive (OPC 10000-4, 5.14.1). After a lost connection the old session is taken up again,
or its subscription by a new one, or all is made anew (5.14.7, 6.7).
"""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from asyncua import Client, ua

from connectors._opcua import writing
from connectors._opcua.backfill import Backfill, Server
from connectors._opcua.decode import DecodeError
from connectors._opcua.discover import discover as discover
from connectors._opcua.gaps import Told
from connectors._opcua.monitoring import Item, monitor, subscribe
from connectors._opcua.options import DeviceOptions as DeviceOptions
from connectors._opcua.options import TagOptions as TagOptions
from connectors._opcua.publishing import Publishing
from connectors._opcua.reading import read
from connectors._opcua.resolve import resolve
from connectors._opcua.session import Session
from connectors._pace import heed_cancel
from gateway.contracts import Clock, Device, DeviceError, Emit
from gateway.model import Batch, Quality

SCHEMES: Final = ("opc.tcp",)
_COUNTS: Final = (
    "publishes", "keep_alives", "changes", "republished", "notifications_lost", "resumed",
    "overflows", "backfilled", "history_refused", "history_cut", "gaps_forgotten",
)  # fmt: skip


def address(options: TagOptions) -> str:
    """Return the node, namespace by URI."""
    return str(options.node)


def connector(device: Device, clock: Clock) -> "OpcUa":
    """Build the connector; nothing of a server can be known before it is asked."""
    return OpcUa(device, clock)


class OpcUa:
    """Subscribe to the nodes of one server.

    `counts` are those of publishing.py, gaps.py and backfill.py, and how often a subscription was `resumed` after a
    lost connection.
    """

    def __init__(self, device: Device, clock: Clock) -> None:
        self._session = Session(device, clock)
        self._options: DeviceOptions = device.options
        self._nodes: Sequence[TagOptions] = device.tag_options
        self._numbers = device.numbers
        self._clock = clock
        self._stored = device.stored
        self._node_of: dict[int, ua.NodeId] = {}
        self._publishing: Publishing | None = None
        self.counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
        self.learned: dict[str, Any] = {}
        self._told = Told(device.numbers, self.counts)
        self._backfill = Backfill(device, self._told, clock, self.counts)

    async def run(self, emit: Emit) -> None:
        if self._session.client is None:
            self._publishing = None  # it was closed with its session
        try:
            async with self._session.joined() as client:
                await self._serve(client, emit)
        except (ua.UaError, DecodeError) as error:
            raise DeviceError(f"{type(error).__name__}: {error}", Quality.BAD_COMMUNICATION_ERROR) from error

    async def write(self, number: int, value: float | str | bool) -> Any:
        """Write one tag and return what the server has then (Writer in gateway/contracts.py)."""
        if self._session.client is None or number not in self._node_of:
            raise ConnectionError("not connected")
        return await writing.write(self._session.client, self._node_of[number], value)

    async def _serve(self, client: Client, emit: Emit) -> None:
        """Publish what the old subscription has, or a new one, and meanwhile make good what was lost."""

        def live(*batches: Batch) -> None:
            emit(*map(self._told.live, batches))

        try:
            async with asyncio.TaskGroup() as tasks:
                publishing = await self._resumed(client, emit, live)
                if publishing is None:
                    publishing = await self._begun(client, live)
                    tasks.create_task(self._monitor_all(client, publishing, emit))
                tasks.create_task(self._backfill.run(Server(client, self._node_of, emit)))
                await publishing.run(client)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _resumed(self, client: Client, emit: Emit, live: Emit) -> Publishing | None:
        """The subscription of the last connection if it goes on; all values are told anew then.

        Their tags were bad meanwhile, and what did not change is not sent again by itself.
        """
        publishing = self._publishing
        if publishing is None:
            return None
        publishing.emit = live
        try:
            if not self._session.reused:
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
        await read(client, list(self._node_of.items()), emit, self._clock)
        return publishing

    async def _begun(self, client: Client, live: Emit) -> Publishing:
        """A new subscription; what came between the old one, if there was any, and its first values is lost."""
        self._told.lost(self._numbers)
        number, silence_s = await subscribe(client, self._options.publishing)
        heed_cancel()
        silence_s += self._options.timeout
        lost = partial(self._told.lost, self._numbers)
        return Publishing(number, silence_s, live, self._clock, self.counts, self._stored, lost)

    async def _monitor_all(self, client: Client, publishing: Publishing, emit: Emit) -> None:
        """Create the monitored items; what the server cannot have is emitted as such."""
        found = await self._resolve(client, emit)
        self._node_of.clear()
        self._node_of.update((int(self._numbers[i]), node) for i, node in found)
        items = [
            Item(int(self._numbers[i]), node, self._nodes[i].sampling or self._options.sampling) for i, node in found
        ]
        async for refused in monitor(client, publishing.subscription, self._options.publishing, items):
            self._refuse(emit, refused)
        self._publishing = publishing  # complete, so it may be resumed

    async def _resolve(self, client: Client, emit: Emit) -> list[tuple[int, ua.NodeId]]:
        """Pairs of position and node id; a node that the server cannot have is bad and left out."""
        nodes = await resolve(client, [options.node for options in self._nodes])
        unknown = [int(n) for n, node in zip(self._numbers, nodes, strict=True) if node is None]
        self._refuse(emit, [(number, Quality.BAD_NODE_ID_UNKNOWN) for number in unknown])
        return [(i, node) for i, node in enumerate(nodes) if node is not None]

    def _refuse(self, emit: Emit, refused: Sequence[tuple[int, int]]) -> None:
        """Emit that these tags cannot be had, and why."""
        if refused:
            numbers, codes = zip(*refused, strict=True)
            self._told.gone(np.array(numbers, np.uint32))
            emit(Batch.of(numbers, self._clock.now_ns(), math.nan, np.array(codes, np.uint32)))
