"""The publish requests of one subscription: several outstanding, every notification accounted for.

A server sends a notification when it has a publish request to answer, so a few of them wait there all the time (a
round trip of 80 ms: 125 ms from change to here with one, 65 with four). Sequence numbers are counted here, because a
keep-alive carries the number of the next notification without using it up (OPC 10000-4, 5.14.5). A gap is asked for
with Republish, and a notification is acknowledged only when its readings are stored: until then the server keeps it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asyncua import Client, ua
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary
from asyncua.ua.uaerrors import BadMessageNotAvailable, BadTooManyPublishRequests

from connectors._opcua.decode import Published, publish_response, republish_response
from gateway.contracts import Clock, Emit

_OUTSTANDING: Final = 4
_LAST_NUMBER: Final = 0xFFFF_FFFF
_FAULT: Final = ua.ObjectIds.ServiceFault_Encoding_DefaultBinary


class Publishing:
    """One subscription, from its creation to its end, over any number of sessions.

    `sequence` is the number of the last notification that came, `emit` who gets what comes next; `lost` is told of
    notifications that are lost for good, before those that follow. `counts` has `publishes`, `keep_alives`, `changes`,
    `republished`, `notifications_lost`.
    """

    def __init__(
        self,
        subscription: int,
        silence_s: float,
        emit: Emit,
        clock: Clock,
        counts: Counter[str],
        stored: Callable[[], Awaitable[None]],
        lost: Callable[[], None],
    ) -> None:
        self.subscription = subscription
        self.sequence = 0
        self._silence_s = silence_s
        self.emit = emit
        self._clock = clock
        self._counts = counts
        self._stored = stored
        self._lost = lost
        self._acknowledge: list[int] = []
        self._limit = _OUTSTANDING

    async def run(self, client: Client) -> None:
        """Publish until the subscription ends. Raises ConnectionError, ua.UaError, TimeoutError after a silence."""
        arrived: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()
        outstanding: set[asyncio.Future[Any]] = set()
        try:
            while True:
                while len(outstanding) < self._limit:
                    request = self._request(client)
                    outstanding.add(request)
                    request.add_done_callback(arrived.put_nowait)
                answered = await self._next(arrived)
                outstanding.discard(answered)
                await self._take(client, answered.result())
        finally:
            for request in outstanding:
                request.cancel()

    async def catch_up(self, client: Client) -> None:
        """After a reconnect: ask for the notifications that were sent meanwhile, until there are no more."""
        while await self._republish(client, _following(self.sequence)):
            pass

    async def _next(self, arrived: "asyncio.Queue[asyncio.Future[Any]]") -> "asyncio.Future[Any]":
        try:
            async with asyncio.timeout(self._silence_s):
                return await arrived.get()
        except TimeoutError:
            raise TimeoutError(f"no publish response for {self._silence_s:.1f} s") from None

    def _request(self, client: Client) -> "asyncio.Future[Any]":
        """Send a publish request; asyncua's own loop has one at a time and makes an object of every value."""
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(SubscriptionId=self.subscription, SequenceNumber=number)
            for number in self._acknowledge
        ]
        self._acknowledge.clear()
        protocol = client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("connection is closed")
        return protocol._send_request(request, timeout=0)

    async def _take(self, client: Client, body: Any) -> None:
        self._counts["publishes"] += 1
        try:
            published = publish_response(checked(body), self._clock.now_ns())
        except BadTooManyPublishRequests:
            self._limit = max(1, self._limit - 1)
            return
        if published.subscription != self.subscription:
            return  # of one that a former session left behind
        await self._fill(client, published.sequence)
        if published.changes or published.events or published.status is not None:
            await self._accept(published)
        else:
            self._counts["keep_alives"] += 1

    async def _fill(self, client: Client, sequence: int) -> None:
        """Ask for the notifications between the last one and this one."""
        while self.sequence and _following(self.sequence) != sequence:
            number = _following(self.sequence)
            if not await self._republish(client, number):
                self._counts["notifications_lost"] += 1
                self._lost()
                self.sequence = number

    async def _republish(self, client: Client, number: int) -> bool:
        """Ask for a notification once more; False if the server does not have it any more."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = self.subscription
        request.Parameters.RetransmitSequenceNumber = number
        try:
            body = await client.uaclient._send_request(request)
        except BadMessageNotAvailable:
            return False
        published = republish_response(checked(body), self._clock.now_ns())
        if published.sequence != number:
            return False  # some servers send an empty one for what they do not have
        self._counts["republished"] += 1
        await self._accept(published)
        return True

    async def _accept(self, published: Published) -> None:
        """Hand over what a notification carries; the server may forget it once it is stored."""
        self.sequence = published.sequence
        self._counts["changes"] += published.changes
        if published.batches:
            self.emit(*published.batches)
            await self._stored()
        self._acknowledge.append(published.sequence)
        if published.status is not None:
            status = ua.StatusCode(ua.UInt32(published.status))
            raise ConnectionError(f"the server ended the subscription: {status.name}")


def _following(sequence: int) -> int:
    return 1 if sequence == _LAST_NUMBER else sequence + 1


def checked(body: Any) -> bytes:
    """The response behind its type. Raises ua.UaStatusCodeError for a fault."""
    if nodeid_from_binary(body) == ua.FourByteNodeId(ua.Int32(_FAULT)):
        struct_from_binary(ua.ResponseHeader, body).ServiceResult.check()
    return bytes(body)
