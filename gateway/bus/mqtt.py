"""One connection to one MQTT broker: publish and wait for its word, subscribe. MQTT 3.1.1, on the event loop.

The packets are in packets.py. A connection is used once: when it is lost, everything that waits on it fails with
ConnectionError, and whoever wants another makes another. So there is one place that decides what is sent again, and
it is not here. Messages that wait together are counted together: a PUBACK is one look into a dictionary.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast
from urllib.parse import unquote, urlsplit

from gateway.bus import packets

_WINDOW: Final = 1000
"""Messages in flight of one call of `publish`."""
_PUBLISHERS: Final = 16
"""Calls of `publish` that have messages in flight; others wait, so that there are always identifiers left."""
_IDENTIFIERS: Final = 0xFFFF
_KEEP_ALIVE_S: Final = 30
_FAREWELL_S: Final = 1.0
"""How long the end may wait for what is still to be sent."""
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}

T = TypeVar("T")

Receive = Callable[[str, bytes, bool], None]
Watch = Callable[[str, bytes, bool, int], None]


@dataclass(frozen=True, slots=True)
class Message:
    """What to publish."""

    topic: str
    payload: bytes
    retain: bool = False


class _Group:
    """Messages that are waited for together."""

    def __init__(self, unconfirmed: int, done: asyncio.Future[None]) -> None:
        self.unconfirmed = unconfirmed
        self.done = done

    def confirm(self) -> None:
        self.unconfirmed -= 1
        if self.unconfirmed == 0 and not self.done.done():
            self.done.set_result(None)

    def refuse(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Mqtt(asyncio.Protocol):
    """An open connection."""

    def __init__(self, hello: Callable[[], bytes]) -> None:
        self._hello = hello
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._splitter = packets.Splitter()
        self._groups: dict[int, _Group] = {}
        self._identifier = 0
        self._turns = asyncio.Semaphore(_PUBLISHERS)
        self._pings: deque[asyncio.Future[None]] = deque()
        self._receive: Watch = lambda topic, payload, retained, qos: None
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._reason: Exception | None = None
        self._heard = True
        self._heartbeat: asyncio.TimerHandle | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the broker has confirmed all of them (QoS 1). Raises ConnectionError when it cannot any more."""
        for start in range(0, len(messages), _WINDOW):
            async with self._turns:
                await self._publish(messages[start : start + _WINDOW])

    def send(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0, at once, and nothing is confirmed; `flush` is for that. Raises ConnectionError."""
        self._open().writelines((packets.publish_head(topic, len(payload), 0, retain=False), payload))

    async def flush(self) -> None:
        """Return when the broker has taken all that was sent before. Raises ConnectionError when it cannot any more.

        A broker deals with the packets of a connection in order, so its PINGRESP says that those before are dealt with.
        """
        await self._ping()

    async def subscribe(self, topic: str, receive: Receive) -> None:
        """Call `receive(topic, payload, retained)` for each message from now on. Raises ConnectionError if refused."""
        await self.watch(topic, lambda topic, payload, retained, qos: receive(topic, payload, retained))

    async def watch(self, topic: str, receive: Watch) -> None:
        """Subscribe by `receive(topic, payload, retained, qos)`."""
        self._receive = receive
        group = self._group(1)
        self._open().write(packets.subscribe(self._number(group), topic))
        await group.done

    async def lost(self) -> None:
        """Wait until the connection is lost. Raises ConnectionError saying why."""
        await asyncio.shield(self._lost)

    async def until(self, future: "asyncio.Future[T]") -> T:
        """Wait for something else and return it. Raises ConnectionError if the connection is lost before."""
        either: list[asyncio.Future[Any]] = [self._lost, future]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            self._lost.result()
        return future.result()

    async def accepted(self) -> None:
        """Wait until the broker has accepted the connection. Raises ConnectionError if it does not."""
        await asyncio.shield(self._connected)

    async def close(self) -> None:
        """Take leave, so that the will is not published, and wait until the connection is closed."""
        if self._transport is None:
            return
        if not self._transport.is_closing():
            self._transport.write(packets.DISCONNECT)
        self._transport.close()
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await asyncio.wait([self._lost])
        except TimeoutError:
            self._transport.abort()

    async def _publish(self, messages: Sequence[Message]) -> None:
        transport = self._open()
        group = self._group(len(messages))
        parts: list[bytes] = []
        for message in messages:
            number = self._number(group)
            head = packets.publish_head(message.topic, len(message.payload), number, retain=message.retain)
            parts += (head, message.payload)
        transport.writelines(parts)
        await group.done

    def _open(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("connection to the broker is lost")
        return self._transport

    def _group(self, size: int) -> _Group:
        return _Group(size, self._loop.create_future())

    def _number(self, group: _Group) -> int:
        """Give the next packet identifier that is not in use to something that the group waits for (2.3.1)."""
        number = self._identifier % _IDENTIFIERS + 1
        while number in self._groups:
            number = number % _IDENTIFIERS + 1
        self._identifier = number
        self._groups[number] = group
        return number

    # --- asyncio.Protocol -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.write(self._hello())
        self._heartbeat = self._loop.call_later(_KEEP_ALIVE_S / 2, self._beat)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            for first, body in self._splitter.feed(data):
                self._take(first, body)
        except ValueError as error:
            self._give_up(ConnectionResetError(f"connection to the broker is lost: it sent no MQTT: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        reason = exc or "closed by the broker"
        error = self._reason or ConnectionResetError(f"connection to the broker is lost: {reason}")
        waiting = (group.done for group in self._groups.values())
        for future in (self._connected, self._lost, *waiting, *self._pings):
            if not future.done():
                future.set_exception(error)
                future.exception()  # nobody has to be listening
        self._groups.clear()

    def _take(self, first: int, body: bytes) -> None:
        if not self._connected.done() and first != packets.CONNACK:
            raise ValueError("its first packet is no CONNACK (3.2)")
        match first & packets.TYPE:
            case packets.PUBACK:
                self._confirm(packets.identifier(body))
            case packets.PUBLISH:
                topic, payload, retained, number = packets.published(first, body)
                self._loop.call_soon(self._receive, topic, payload, retained, packets.QOS if number else 0)
                if number and self._transport is not None:
                    self._transport.write(packets.puback(number))
            case packets.SUBACK:
                group = self._groups.pop(packets.identifier(body), None)
                if group is not None and packets.code(body) == packets.FAILURE:
                    group.refuse(ConnectionRefusedError("the broker refused the subscription"))
                elif group is not None:
                    group.confirm()
            case packets.PINGRESP:
                if self._pings and not (ping := self._pings.popleft()).done():
                    ping.set_result(None)
            case packets.CONNACK:
                self._accepted(packets.code(body))

    def _confirm(self, number: int) -> None:
        group = self._groups.pop(number, None)
        if group is not None:
            group.confirm()

    def _accepted(self, code: int) -> None:
        if code:
            why = packets.REFUSED.get(code, f"code {code}")
            self._give_up(ConnectionRefusedError(f"the broker refused: {why}"))
        elif not self._connected.done():
            self._connected.set_result(None)

    def _beat(self) -> None:
        """Ask for a sign of life twice per keep-alive; a broker that gave none since the last time is gone."""
        if not self._heard:
            self._give_up(ConnectionResetError("connection to the broker is lost: it is silent"))
            return
        self._heard = False
        if self._transport is not None and not self._transport.is_closing():
            self._ping()
        self._heartbeat = self._loop.call_later(_KEEP_ALIVE_S / 2, self._beat)

    def _ping(self) -> asyncio.Future[None]:
        """Ask for a PINGRESP; they come in the order in which they were asked for."""
        self._open().write(packets.PINGREQ)
        self._pings.append(self._loop.create_future())
        return self._pings[-1]

    def _give_up(self, reason: Exception) -> None:
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def connect(
    url: str, client_id: str, will: Message | Callable[[], Message] | None = None, timeout_s: float = 5.0
) -> AsyncIterator[Mqtt]:
    """Connect, and disconnect in an orderly way at the end. Raises OSError, TimeoutError included.

    A will that is a function is asked for when the broker is about to get it, so only for a connection that is there.
    """
    where = urlsplit(url)

    def hello() -> bytes:
        last = will() if callable(will) else will
        return packets.connect(
            client_id,
            _KEEP_ALIVE_S,
            user=unquote(where.username or ""),
            password=unquote(where.password or ""),
            will=None if last is None else (last.topic, last.payload, last.retain),
        )

    host, port = where.hostname or "127.0.0.1", where.port or PORTS[where.scheme]
    tls = ssl.create_default_context() if where.scheme == "mqtts" else None
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        _, connection = await loop.create_connection(lambda: Mqtt(hello), host, port, ssl=tls)
    try:
        async with asyncio.timeout(timeout_s):
            await connection.accepted()
        yield connection
    finally:
        await connection.close()
