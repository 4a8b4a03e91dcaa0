"""The publish requests of a session: several outstanding, every notification of its subscriptions accounted for.

A server sends a notification when it has a publish request to answer, so a few of them wait there all the time (a
round trip of 80 ms: 125 ms from change to here with one, 65 with four). Sequence numbers are counted here, because a
keep-alive carries the number of the next notification without using it up (OPC 10000-4, 5.14.5). A gap is asked for
with Republish, and a notification is acknowledged only when its readings are stored: until then the server keeps it.

What a server says of other subscriptions, or to say no, is no sign of life of this one.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from asyncua import Client, ua
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary
from asyncua.ua.uaerrors import BadMessageNotAvailable

from connectors._opcua.decode import Published, publish_response, republish_response
from connectors._opcua.events import Events
from connectors._opcua.structures import Structures
from gateway.contracts import Clock, DeviceError, Emit
from gateway.model import Batch, Kind, Quality

_OUTSTANDING: Final = 4
_LIMITS: Final = Quality.BAD_ENCODING_LIMITS_EXCEEDED
_NUMBERS: Final = 0xFFFF_FFFF
"""Sequence numbers are 1 to this, and then 1 again."""
_BEHIND_MAX: Final = 1000
"""A notification that is not further back than this came before, one that is further ahead was never sent."""
_REPEATED_MAX: Final = 20
_PAUSE_S: Final = 0.25
"""How long a server is left alone that has no room for a publish request."""
_LATER: Final = (ua.StatusCodes.BadTooManyPublishRequests, ua.StatusCodes.BadTimeout)
"""It says no to a publish request, and means only this one."""
_FAULT: Final = ua.ObjectIds.ServiceFault_Encoding_DefaultBinary


class Publishing:
    """The publish requests of a session, which answer for all its subscriptions, over any number of sessions.

    `counts` has `publishes`.
    """

    def __init__(self, clock: Clock, counts: Counter[str], types: Structures) -> None:
        self.subscriptions: list[Subscription] = []
        self._clock = clock
        self._counts = counts
        self._types = types
        self._limit = _OUTSTANDING
        self._others: set[int] = set()

    @property
    def over(self) -> bool:
        """Whether a subscription cannot be taken up again."""
        return any(subscription.over for subscription in self.subscriptions)

    async def transfer(self, client: Client) -> None:
        """Take the subscriptions into another session (OPC 10000-4, 5.14.7). Raises ua.UaStatusCodeError."""
        numbers = [subscription.number for subscription in self.subscriptions]
        results = await client.uaclient.transfer_subscriptions(
            ua.TransferSubscriptionsParameters(SubscriptionIds=numbers, SendInitialValues=False)
        )
        for result in results:
            result.StatusCode.check()

    async def told(self) -> None:
        """Wait until the server has said all that it had to say in this connection."""
        for subscription in self.subscriptions:
            await subscription.told.wait()

    async def run(self, client: Client) -> None:
        """Publish until a subscription ends. Raises ConnectionError, ua.UaError, TimeoutError after a silence."""
        arrived: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()
        outstanding: set[asyncio.Future[Any]] = set()
        for subscription in self.subscriptions:
            subscription.begin()
        try:
            while True:
                while len(outstanding) < self._limit + len(self.subscriptions) - 1:
                    request = self._request(client)
                    outstanding.add(request)
                    request.add_done_callback(arrived.put_nowait)
                answered = await self._next(arrived)
                outstanding.discard(answered)
                if not await self._take(client, answered.result()) and not outstanding:
                    await asyncio.sleep(_PAUSE_S)
        finally:
            for request in outstanding:
                request.cancel()

    async def catch_up(self, client: Client) -> None:
        """After a reconnect: ask for the notifications that were sent meanwhile, until there are no more."""
        for subscription in self.subscriptions:
            await subscription.catch_up(client)

    async def _next(self, arrived: "asyncio.Queue[asyncio.Future[Any]]") -> "asyncio.Future[Any]":
        first = min(self.subscriptions, key=lambda subscription: subscription.deadline_s)
        try:
            async with asyncio.timeout_at(first.deadline_s):
                return await arrived.get()
        except TimeoutError:
            raise first.silent() from None

    def _request(self, client: Client) -> "asyncio.Future[Any]":
        """Send a publish request; asyncua's own loop has one at a time and makes an object of every value."""
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(SubscriptionId=subscription.number, SequenceNumber=sequence)
            for subscription in self.subscriptions
            for sequence in subscription.acknowledged()
        ]
        protocol = client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("connection is closed")
        return protocol._send_request(request, timeout=0)

    async def _take(self, client: Client, body: Any) -> bool:
        """Take an answer to a publish request; return whether it was a word of a subscription of ours."""
        self._counts["publishes"] += 1
        now_ns, types = self._clock.now_ns(), self._types
        try:
            answer = checked(body)
            published = await types.decoded(client, lambda: publish_response(answer, now_ns, types))
        except ua.UaStatusCodeError as error:
            if error.code not in _LATER:
                raise
            self._limit = max(1, self._limit - (error.code == ua.StatusCodes.BadTooManyPublishRequests))
            return False
        for subscription in self.subscriptions:
            if subscription.number == published.subscription:
                await subscription.take(client, published)
                return True
        await self._end(client, published.subscription)
        return False

    async def _end(self, client: Client, subscription: int) -> None:
        """Delete a subscription that a lost connection left behind in our session, or it would send for ever."""
        if subscription not in self._others and len(self._others) < _BEHIND_MAX:
            self._others.add(subscription)
            with suppress(ua.UaStatusCodeError):  # it is gone
                await client.uaclient.delete_subscriptions([subscription])


class Subscription:
    """One subscription, from its creation to its end.

    `sequence` is the number of the last notification that came; `lost` is told of those that are lost for good, before
    those that follow. `told` is set when the server has said all that it had to say in this connection, `over` when it
    cannot be taken up again; it is silent at `deadline_s` of the loop's clock. `counts` has `keep_alives`, `changes`,
    `too_large` values, `republished`, `repeated`, `notifications_lost`.
    """

    def __init__(
        self,
        number: int,
        silence_s: float,
        emit: Emit,
        clock: Clock,
        counts: Counter[str],
        stored: Callable[[], Awaitable[None]],
        lost: Callable[[], None],
        types: Structures,
        events: Events,
    ) -> None:
        self.number = number
        self.sequence = 0
        self.over = False
        self.told = asyncio.Event()
        self.deadline_s = 0.0
        self._silence_s = silence_s
        self._emit = emit
        self._clock = clock
        self._counts = counts
        self._stored = stored
        self._lost = lost
        self._types = types
        self._events = events
        self._acknowledge: list[int] = []
        self._alive = False
        self._repeated = 0

    def begin(self) -> None:
        """Begin to wait for a word, in a new connection."""
        self.deadline_s, self._alive = asyncio.get_running_loop().time() + self._silence_s, False

    def silent(self) -> TimeoutError:
        """Return what to raise when no word came in time; one that was taken up again and says nothing never will."""
        self.over = not self._alive
        return TimeoutError(f"no publish response for {self._silence_s:.1f} s")

    def acknowledged(self) -> list[int]:
        """Return the numbers of notifications that the server may forget, once."""
        numbers, self._acknowledge = self._acknowledge, []
        return numbers

    async def catch_up(self, client: Client) -> None:
        """Ask for the notifications that were sent while there was no connection, until there are no more."""
        self.told.clear()
        for _ in range(_BEHIND_MAX):
            if not await self._republish(client, _following(self.sequence)):
                return

    async def take(self, client: Client, published: Published) -> None:
        """Take a notification or a keep-alive."""
        missing = (published.sequence - _following(self.sequence)) % _NUMBERS if self.sequence else 0
        for _ in range(missing if missing <= _BEHIND_MAX else 0):
            await self._ask_again(client)
        if not (published.changes or published.events or published.status is not None):
            self._counts["keep_alives"] += 1
        elif missing <= _BEHIND_MAX:
            self._repeated = 0
            await self._accept(published)
            if self._events.stale:
                await self._events.refresh(client)
        else:
            self._repeat(published.sequence, before=missing >= _NUMBERS - _BEHIND_MAX)
        if not published.more:
            self.told.set()
        self.deadline_s, self._alive = asyncio.get_running_loop().time() + self._silence_s, True

    def _repeat(self, sequence: int, *, before: bool) -> None:
        """Leave out a notification that came before. Raises DeviceError if that is not what it is.

        A server that has lost count tells in a new subscription how things are.
        """
        self._repeated += 1
        if not before or self._repeated > _REPEATED_MAX:
            text = f"the server lost count: notification {sequence} came after {self.sequence}"
            raise DeviceError(text, Quality.BAD_COMMUNICATION_ERROR)
        self._counts["repeated"] += 1
        self._acknowledge.append(sequence)

    async def _ask_again(self, client: Client) -> None:
        number = _following(self.sequence)
        if not await self._republish(client, number):
            self._counts["notifications_lost"] += 1
            self._lost()
            self._events.stale = True
            self.sequence = number

    async def _republish(self, client: Client, number: int) -> bool:
        """Ask for a notification once more; False if the server does not have it any more."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = self.number
        request.Parameters.RetransmitSequenceNumber = number
        try:
            body = await client.uaclient._send_request(request)
        except BadMessageNotAvailable:
            return False
        now_ns, types = self._clock.now_ns(), self._types
        answer = checked(body)
        published = await types.decoded(client, lambda: republish_response(answer, now_ns, types))
        if published.sequence != number:
            return False  # some servers send an empty one for what they do not have
        self._counts["republished"] += 1
        await self._accept(published)
        return True

    async def _accept(self, published: Published) -> None:
        """Hand over what a notification carries; the server may forget it once it is stored."""
        self.sequence = published.sequence
        self._counts["changes"] += published.changes
        self._counts["too_large"] += sum(map(_too_large, published.batches))
        events = self._events.take(published.events, self._clock.now_ns()) if published.events else []
        if published.batches or events:
            self._emit(*published.batches, *events)
            await self._stored()
        if events:
            self._events.stored()
        self._acknowledge.append(published.sequence)
        if published.status is not None:
            self.over = True
            status = ua.StatusCode(ua.UInt32(published.status))
            raise ConnectionError(f"the server ended the subscription: {status.name}")


def _too_large(batch: Batch) -> int:
    """How many values were left out, for what is too large is an object (values.py)."""
    return int((batch.quality == _LIMITS).sum()) if batch.kind is Kind.OBJECT else 0


def _following(sequence: int) -> int:
    return sequence % _NUMBERS + 1


def checked(body: Any) -> bytes:
    """The response behind its type. Raises ua.UaStatusCodeError for a fault."""
    if nodeid_from_binary(body) == ua.FourByteNodeId(ua.Int32(_FAULT)):
        struct_from_binary(ua.ResponseHeader, body).ServiceResult.check()
    return bytes(body)
