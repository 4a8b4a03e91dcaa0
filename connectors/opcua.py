"""OPC UA: one server session, its subscriptions and polls as columns.

    devices:
      filler:
        connect: opc.tcp://192.168.0.9:4840
        asset: packaging/line1/filler
        tags:
          temperature: {node: "nsu=urn:acme:filler;s=Temperature", unit: Cel}

Nodes are written with the URI of their namespace, because its index may be another one after a restart of the
server; an URI that the server does not have makes the tag bad and never reads another node. asyncua has the channel
and the session (_opcua/session.py); what is watched (monitoring.py), publishing (publishing.py), polling (polling.py)
and decoding (decode.py) go under it. asyncua's watchdog is off: a subscription is alive while its publish responses
come, data or keep-alive (OPC 10000-4, 5.14.1). After a lost connection the old session is taken up again, or its
subscriptions by a new one, or all is made anew (5.14.7, 6.7).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import numpy as np
from asyncua import Client, ua

from connectors._opcua import methods, trace, writing
from connectors._opcua.backfill import Backfill, Server
from connectors._opcua.bands import Bands
from connectors._opcua.decode import DecodeError
from connectors._opcua.describing import Describing
from connectors._opcua.discover import discover as discover
from connectors._opcua.events import COUNTS, Events
from connectors._opcua.gaps import Told
from connectors._opcua.monitoring import Item, forget, monitor, queue_size, subscribe
from connectors._opcua.options import DeviceOptions as DeviceOptions
from connectors._opcua.options import TagOptions as TagOptions
from connectors._opcua.polling import Polling
from connectors._opcua.publishing import Publishing, Subscription
from connectors._opcua.rates import rates
from connectors._opcua.reading import read
from connectors._opcua.remarks import Remarks
from connectors._opcua.resolve import resolve
from connectors._opcua.said import Said
from connectors._opcua.session import Session
from connectors._opcua.structures import Structures
from connectors._pace import heed_cancel
from gateway.contracts import Clock, Device, DeviceError, Emit, Step
from gateway.model import Batch, Quality
from gateway.model.method import Called

SCHEMES: Final = ("opc.tcp",)
_COUNTS: Final = (
    "publishes", "keep_alives", "changes", "too_large", "republished", "repeated", "notifications_lost", "resumed",
    "not_ours", "times_ahead", "polls", "polls_skipped", "short_queues", "overflows", "backfilled", "history_refused",
    "history_cut", "gaps_forgotten",
)  # fmt: skip
_WORD_S: Final = 0.5
"""A server that has something left to send does so within the publishing interval, and this time for the way."""
_AGAIN_S: Final = 5.0
_AGAIN_S_MAX: Final = 60.0
"""How long until nodes that are not there are looked for again; longer each time that they are the same."""


def address(options: TagOptions) -> str:
    """Return the node, namespace by URI."""
    return f"events of {options.events}" if options.events else str(options.node)


def connector(device: Device, clock: Clock) -> "OpcUa":
    """Build the connector; nothing of a server can be known before it is asked."""
    return OpcUa(device, clock)


class OpcUa:
    """Subscribe to nodes of one server, and poll others.

    `counts` are those of publishing.py, events.py, polling.py, said.py, gaps.py and backfill.py; how often
    subscriptions were `resumed` after a lost connection; and `short_queues`, items for which the server keeps fewer
    values than asked for.
    A server that is away is asked every 4 s at least (`retry_s`): values are to be there 10 s after it is.
    """

    retry_s = 4.0

    def __init__(self, device: Device, clock: Clock) -> None:
        self._session = Session(device, clock)
        self._options: DeviceOptions = device.options
        self._nodes: Mapping[int, TagOptions] = dict(zip(device.numbers.tolist(), device.tag_options, strict=True))
        self._values = device.numbers[[tag.events is None for tag in device.tag_options]]
        self._clock = clock
        self._stored = device.stored
        self._node_of: dict[int, ua.NodeId] = {}
        self._item_of: dict[int, int] = {}
        self._publishing: Publishing | None = None
        self._types = Structures()
        self.counts: Counter[str] = Counter(dict.fromkeys([*_COUNTS, *COUNTS], 0))
        self._events = Events(device, clock, self.counts)
        self._methods = methods.Methods(self._options.methods, self._events.condition)
        self._learned: dict[str, Any] = {}
        self._refused: dict[int, int] = {}
        self._remarks = Remarks(device, self._learned)
        self._said = Said(device.numbers, self.counts)
        self._told = Told(device.numbers, self.counts)
        self._publishing_s, self._polls = rates(self._options, self._nodes)
        self._polling = Polling(self._polls, device.name, clock, self.counts) if self._polls else None
        self._polled = {number for numbers in self._polls.values() for number in numbers}
        self._bands = Bands(device)
        self._describing = Describing(device)
        self._backfill = Backfill(device, self._told, self._remarks, clock, self.counts)

    @property
    def learned(self) -> Mapping[str, Any]:
        """What people should know, and which conditions are not over."""
        return {**self._learned, **self._events.learned}

    async def run(self, emit: Emit) -> None:
        await self._backfill.recall()
        self._said.begin()
        self._emit = emit
        if self._session.client is None:
            self._publishing = None  # it was closed with its session
        try:
            async with self._session.joined() as client:
                self._remarks.clock(self._session.ahead_s)
                await self._serve(client)
        except (ua.UaError, DecodeError) as error:
            raise DeviceError(f"{type(error).__name__}: {error}", Quality.BAD_COMMUNICATION_ERROR) from error

    async def write(self, number: int, value: float | str | bool) -> Any:
        """Write one tag and return what the server has then (Writer in gateway/contracts)."""
        return await writing.write(self._session.present, self._node_of.get(number), value)

    async def call(self, method: str, arguments: Mapping[str, float | str | bool]) -> Called:
        """Call a method of the configuration (Caller in gateway/contracts)."""
        return await self._methods.call(self._session.present, self._types, method, arguments)

    def trace(self, number: int) -> Sequence[Step]:
        """Return which way the values of a tag come (Traced in gateway/contracts)."""
        gone = int(Quality.BAD_NODE_ID_UNKNOWN) if number in self._said.gone else 0
        node = trace.node(self._nodes[number], self._node_of.get(number), self._refused.get(number, gone))
        rate = trace.rate(number, self._polls, self._publishing_s, self._options.publishing, self._publishing)
        return [node, rate, *trace.way(self._session)]

    # --- the subscription -----------------------------------------------------------------

    async def _serve(self, client: Client) -> None:
        """Publish what the old subscription has, or a new one, and meanwhile make good what was lost."""
        try:
            async with asyncio.TaskGroup() as tasks:
                publishing = await self._resumed(client)
                prepare = self._tell_the_rest if publishing else self._monitor_all
                publishing = publishing or await self._begun(client)
                tasks.create_task(self._describing.run(client))
                tasks.create_task(self._backfill.run(Server(client, self._types, self._node_of, self._emit)))
                if publishing.subscriptions:
                    tasks.create_task(self._tend(client, publishing, prepare, tasks))
                    await publishing.run(client)
                else:
                    await self._tend(client, publishing, prepare, tasks)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    def _live(self, *batches: Batch) -> None:
        self._emit(*map(self._bands, map(self._told.live, self._said.news(batches, self._clock.now_ns()))))

    def _emit_untold(self, *batches: Batch) -> None:
        self._emit(*map(self._told.live, self._said.untold(batches, self._clock.now_ns())))

    def _emit_lacking(self, *batches: Batch) -> None:
        self._emit(*self._said.lacking(batches, self._clock.now_ns()))

    async def _resumed(self, client: Client) -> Publishing | None:
        """The subscription of the last connection if it goes on."""
        publishing = self._publishing
        if publishing is None or publishing.over or self._session.restarted:
            self._publishing = None
            return None
        try:
            if not self._session.reused:
                await publishing.transfer(client)
            await publishing.catch_up(client)
        except ua.UaStatusCodeError:
            self._publishing = None
            return None
        self.counts["resumed"] += 1
        self._told.lost(np.array(sorted(self._polled), np.uint32))
        return publishing

    async def _begun(self, client: Client) -> Publishing:
        """A new subscription; what came between the old one, if there was any, and its first values is lost."""
        self._told.lost(self._values)
        self._item_of.clear()
        self._node_of.clear()
        self._refused.clear()
        self._describing.begin()
        self._bands.begin()
        self._types = Structures(await client.get_namespace_array())
        publishing = Publishing(self._clock, self.counts, self._types)
        self._interval_s = 0.0
        for publishing_s, numbers in self._publishing_s.items():
            number, interval_s, silence_s = await subscribe(client, publishing_s)
            heed_cancel()
            silence_s += self._options.timeout
            self._interval_s = max(self._interval_s, interval_s)
            if publishing_s == self._options.publishing:
                self._events.renew(number)
            lost = partial(self._told.lost, np.array(numbers, np.uint32))
            subscription = Subscription(
                number, silence_s, self._live, self._clock, self.counts, self._stored, lost, self._types, self._events
            )
            publishing.subscriptions.append(subscription)
        return publishing

    async def _tend(
        self,
        client: Client,
        publishing: Publishing,
        prepare: Callable[[Client, Publishing], Awaitable[None]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Prepare; then poll, and look again and again for what is not there."""
        await prepare(client, publishing)
        if self._polling:
            tasks.create_task(self._polling.run(client, self._types, self._node_of, self._live))
        await self._look_again(client, publishing)

    async def _tell_the_rest(self, client: Client, publishing: Publishing) -> None:
        """Read what the subscription that goes on has not told of: those tags were bad meanwhile and did not change."""
        await self._events.resume(client, self._live)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval_s + _WORD_S):
                await publishing.told()
        await asyncio.sleep(2 * self._interval_s)  # the first word may be that it is alive
        nodes = [(number, self._node_of[number]) for number in self._said.left if number in self._node_of]
        await read(client, nodes, self._emit_untold, self._clock, self._types)

    # --- its items ------------------------------------------------------------------------

    async def _monitor_all(self, client: Client, publishing: Publishing) -> None:
        await self._monitor(client, publishing, list(self._nodes))
        self._publishing = publishing  # complete, so it may be resumed

    async def _look_again(self, client: Client, publishing: Publishing) -> None:
        """Look for nodes that the server did not have, or has not any more: programs of PLCs are loaded anew.

        Not every server tells when a node goes, so those that say nothing are read now and then.
        """
        gone: list[int] = []
        wait_s = _AGAIN_S
        while True:
            await asyncio.sleep(wait_s)
            watched = self._node_of.keys() - self._polled
            silent = [(number, self._node_of[number]) for number in self._said.silent() if number in watched]
            await read(client, silent, self._emit_lacking, self._clock, self._types)
            before, gone = gone, self._said.gone
            wait_s = min(2 * wait_s, _AGAIN_S_MAX) if gone == before else _AGAIN_S
            await self._monitor(client, publishing, gone)
            self._remark()

    async def _monitor(self, client: Client, publishing: Publishing, numbers: Sequence[int]) -> None:
        """Find the nodes of these tags and create monitored items; what the server cannot have is emitted as such."""
        if not numbers:
            return
        nodes = await resolve(client, [self._nodes[number].monitored for number in numbers])
        found = {number: node for number, node in zip(numbers, nodes, strict=True) if node is not None}
        if self._polling and any(self._node_of.get(n) != found.get(n) for n in self._polled.intersection(numbers)):
            self._polling.renew()
        for number in numbers:
            self._node_of.pop(number, None)
            self._refused.pop(number, None)
        self._refuse({number: int(Quality.BAD_NODE_ID_UNKNOWN) for number in numbers if number not in found})
        reported = {number: found.pop(number) for number in list(found) if self._nodes[number].events}
        self._node_of |= found
        await self._backfill.look(client, found)
        await self._bands.learn(client, found)
        self._bands.keep(self._polled & found.keys())
        rates = zip(publishing.subscriptions, self._publishing_s.items(), strict=True)
        for subscription, (publishing_s, of_rate) in rates:
            if items := {number: found[number] for number in of_rate if number in found}:
                await self._create(client, subscription.number, publishing_s, items)
        if reported:
            self._refuse(await self._events.begin(client, reported, self._live))
            heed_cancel()
        self._describing.about(found)
        self._remark()

    async def _create(
        self, client: Client, subscription: int, publishing_s: float, nodes: Mapping[int, ua.NodeId]
    ) -> None:
        items = [
            Item(n, node, self._nodes[n].sampling or self._options.sampling, *self._bands.asked(n))
            for n, node in nodes.items()
        ]
        created, unfiltered = await monitor(client, subscription, publishing_s, items)
        self._bands.keep([item.handle for item in unfiltered])
        self.counts["short_queues"] += sum(
            r.StatusCode.is_good() and r.RevisedQueueSize < queue_size(item, publishing_s)
            for item, r in zip(items, created, strict=True)
        )
        results = dict(zip(nodes, created, strict=True))
        made = {number: int(r.MonitoredItemId) for number, r in results.items() if r.StatusCode.is_good()}
        self._refuse({number: int(r.StatusCode.value) for number, r in results.items() if number not in made})
        if old := [self._item_of[number] for number in made if number in self._item_of]:
            await forget(client, subscription, old)
        self._item_of |= made

    def _refuse(self, codes: Mapping[int, int]) -> None:
        """Emit that these tags cannot be had, and why."""
        self._refused |= codes
        if codes:
            self._told.gone(np.array(list(codes), np.uint32))
            self._emit(self._said.refused(list(codes), list(codes.values()), self._clock.now_ns()))

    def _remark(self) -> None:
        """Say which tags cannot be had; of those that are polled only their values tell."""
        polled = self._polled.intersection(self._said.gone)
        self._remarks.refused(dict.fromkeys(sorted(polled), int(Quality.BAD_NODE_ID_UNKNOWN)) | self._refused)
        self._remarks.rangeless(self._bands.rangeless)
