"""One connection to one MQTT broker: publish and wait for PUBACK, subscribe. MQTT 3.1.1, on the event loop.

The packets are in packets.py. A connection is used once: when it is lost, everything that waits on it fails with
ConnectionError, and whoever wants another makes another. So there is one place that decides what is sent again, and
it is not here. Messages that wait together are counted together: a PUBACK is one look into a dictionary.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast
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
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}

Receive = Callable[[str, bytes, bool], None]


@dataclass(frozen=True, slots=True)
class Message:
    """What to publish, with QoS 1."""

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


class Mqtt(asyncio.Protocol):
    """An open connection."""

    def __init__(self, hello: bytes) -> None:
        self._hello = hello
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._splitter = packets.Splitter()
        self._groups: dict[int, _Group] = {}
        self._identifier = 0
        self._turns = asyncio.Semaphore(_PUBLISHERS)
        self._receive: Receive = lambda topic, payload, retained: None
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._reason: Exception | None = None
        self._heard = True
        self._heartbeat: asyncio.TimerHandle | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the broker has confirmed all of them. Raises ConnectionError when it cannot any more."""
        for start in range(0, len(messages), _WINDOW):
            async with self._turns:
                await self._publish(messages[start : start + _WINDOW])

    async def subscribe(self, topic: str, receive: Receive) -> None:
        """Call `receive(topic, payload, retained)` for each message from now on. Raises ConnectionError if refused."""
        self._receive = receive
        group = self._group(1)
        self._open().write(packets.subscribe(self._number(group), topic))
        await group.done

    async def lost(self) -> None:
        """Wait until the connection is lost. Raises ConnectionError saying why."""
        await asyncio.shield(self._lost)

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
        self._transport.write(self._hello)
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
        for future in (self._connected, self._lost, *(group.done for group in self._groups.values())):
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
                self._loop.call_soon(self._receive, topic, payload, retained)
                if number and self._transport is not None:
                    self._transport.write(packets.puback(number))
            case packets.SUBACK:
                if packets.code(body) == packets.FAILURE:
                    self._give_up(ConnectionRefusedError("the broker refused the subscription"))
                else:
                    self._confirm(packets.identifier(body))
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
        if self._transport is not None:
            self._transport.write(packets.PINGREQ)
        self._heartbeat = self._loop.call_later(_KEEP_ALIVE_S / 2, self._beat)

    def _give_up(self, reason: Exception) -> None:
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def connect(url: str, client_id: str, will: Message | None = None, timeout_s: float = 5.0) -> AsyncIterator[Mqtt]:
    """Connect, and disconnect in an orderly way at the end. Raises OSError, TimeoutError included."""
    where = urlsplit(url)
    hello = packets.connect(
        client_id,
        _KEEP_ALIVE_S,
        user=unquote(where.username or ""),
        password=unquote(where.password or ""),
        will=None if will is None else (will.topic, will.payload, will.retain),
    )
    host, port = where.hostname or "127.0.0.1", where.port or _PORTS[where.scheme]
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
