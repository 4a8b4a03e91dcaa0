"""One connection to one MQTT broker: publish and wait for its word, subscribe. MQTT 3.1.1 and 5, on the event loop.

The packets are in packets.py. A connection is used once: when it is lost, everything that waits on it fails with
ConnectionError, and whoever wants another makes another. So there is one place that decides what is sent again, and
it is not here.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, cast

from gateway.mqtt import packets, properties
from gateway.mqtt.flight import Flight, Group
from gateway.mqtt.properties import Properties

_WINDOW: Final = 1000
"""Messages in flight of one call of `publish`."""
_PUBLISHERS: Final = 16
"""Calls of `publish` that have messages in flight; others wait, so that there are always identifiers left."""
KEEP_ALIVE_S: Final = 30
_FAREWELL_S: Final = 1.0
"""How long the end may wait for what is still to be sent."""
_PACKET_BYTES_MAX: Final = (1 << 28) + 4
"""What a length of four bytes can say, and first byte and length."""

T = TypeVar("T")

Receive = Callable[[str, bytes, bool], None]
Watch = Callable[[str, bytes, bool, int], None]
Hear = Callable[[str, bytes, bool, int, Properties], None]
Version = Literal["3.1.1", "5"]


class VersionRefused(ConnectionRefusedError):
    """The broker does not speak this version of MQTT."""


class MessageRefused(ConnectionRefusedError):
    """The broker does not take a message: it says so (MQTT 5), or the message is larger than it said it takes."""


class TooLarge(MessageRefused):
    """A message is larger than the broker takes, so there is no use in sending it again."""


@dataclass(frozen=True, slots=True)
class Message:
    """What to publish; `properties` is an encoded block of them, which goes to brokers with MQTT 5 only."""

    topic: str
    payload: bytes
    retain: bool = False
    properties: bytes = b""


class Mqtt(asyncio.Protocol):
    """An open connection."""

    def __init__(self, hello: Callable[[], bytes], version: Version = "3.1.1") -> None:
        self.version: Final = version
        self._hello = hello
        self._none = properties.NONE if version == "5" else b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._splitter = packets.Splitter()
        self._flight = Flight()
        self._window = _WINDOW
        self._turns = asyncio.Semaphore(_PUBLISHERS)
        self._packet_max = _PACKET_BYTES_MAX
        self._keep_alive_s = float(KEEP_ALIVE_S)
        self._pings: deque[asyncio.Future[None]] = deque()
        self._receive: Hear = lambda topic, payload, retained, qos, told: None
        self._receivers: dict[str, Hear] = {}
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._reason: Exception | None = None
        self._heard = True
        self._heartbeat: asyncio.TimerHandle | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the broker has confirmed all of them (QoS 1).

        Raises MessageRefused if it does not take one of them, and ConnectionError when it cannot any more.
        """
        for start in range(0, len(messages), self._window):
            async with self._turns:
                await self._publish(messages[start : start + self._window])

    def send(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0, at once, and nothing is confirmed; `flush` is for that. Raises ConnectionError."""
        head = packets.publish_head(topic, len(payload), 0, retain=False, properties=self._none)
        self._open().writelines((head, payload))

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
        await self.hear([topic], lambda topic, payload, retained, qos, told: receive(topic, payload, retained, qos))

    async def hear(self, topics: Sequence[str], receive: Hear, *, qos: int = packets.QOS) -> None:
        """Subscribe by `receive(topic, payload, retained, qos, properties)`; one receiver has those with wildcards.

        In MQTT 5, a message that is being retained just now counts as retained, too.
        """
        for topic in topics:
            if "#" in topic or "+" in topic:
                self._receive = receive
            else:
                self._receivers[topic] = receive
        options = qos | (packets.RETAIN_AS_PUBLISHED if self.version == "5" else 0)
        group = Group(1)
        packet = packets.subscribe(self._flight.number(group), *topics, options=options, properties=self._none)
        self._open().write(packet)
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
        if self._packet_max < _PACKET_BYTES_MAX:
            self._check_sizes(messages)
        group = Group(len(messages))
        parts: list[bytes] = []
        none = self._none
        for message in messages:
            head = packets.publish_head(
                message.topic,
                len(message.payload),
                self._flight.number(group),
                retain=message.retain,
                properties=none and (message.properties or none),
            )
            parts += (head, message.payload)
        transport.writelines(parts)
        await group.done

    def _check_sizes(self, messages: Sequence[Message]) -> None:
        for message in messages:
            head = packets.publish_head(message.topic, len(message.payload), 1, retain=False, properties=self._none)
            n = len(head) + len(message.properties) + len(message.payload)
            if n > self._packet_max:
                what = f"a message of {n} bytes to {message.topic}"
                raise TooLarge(f"the broker refused {what}: it takes at most {self._packet_max}")

    def _open(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("connection to the broker is lost")
        return self._transport

    # --- asyncio.Protocol -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.write(self._hello())
        self._heartbeat = self._loop.call_later(self._keep_alive_s / 2, self._beat)

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
        for future in (self._connected, self._lost, *self._flight.fail(), *self._pings):
            if not future.done():
                future.set_exception(error)
                future.exception()  # nobody has to be listening

    def _take(self, first: int, body: bytes) -> None:
        if not self._connected.done() and first != packets.CONNACK:
            raise ValueError("its first packet is no CONNACK (3.2)")
        match first & packets.TYPE:
            case packets.PUBACK:
                self._acknowledged(body)
            case packets.PUBLISH:
                topic, payload, retained, number = packets.published(first, body)
                told, payload = properties.split(payload) if self._none else ({}, payload)
                receive = self._receivers.get(topic, self._receive)
                self._loop.call_soon(receive, topic, payload, retained, packets.QOS if number else 0, told)
                if number and self._transport is not None:
                    self._transport.write(packets.puback(number))
            case packets.SUBACK:
                self._subscribed(body)
            case packets.PINGRESP:
                if self._pings and not (ping := self._pings.popleft()).done():
                    ping.set_result(None)
            case packets.CONNACK:
                self._accepted(packets.code(body[:2]), body[2:])
            case packets.DISCONNECTED:
                code, told = body[0] if body else 0, properties.split(body[1:])[0] if body[1:] else {}
                why = properties.reason(code, told)
                self._give_up(ConnectionResetError(f"connection to the broker is lost: it ended it: {why}"))

    def _acknowledged(self, body: bytes) -> None:
        """Take a PUBACK; in MQTT 5, reason code and properties are left out if there is nothing to say (3.4.2)."""
        if len(body) < 3 or body[2] < properties.FAILURE:
            self._flight.confirm(packets.identifier(body))
            return
        why = properties.reason(body[2], properties.split(body[3:])[0] if body[3:] else {})
        self._flight.refuse(packets.identifier(body), MessageRefused(f"the broker refused a message: {why}"))

    def _subscribed(self, body: bytes) -> None:
        number = packets.identifier(body)
        told, codes = properties.split(body[2:]) if self._none else ({}, body[2:])
        worst = max(codes, default=packets.FAILURE)
        if worst < packets.FAILURE:
            self._flight.confirm(number)
            return
        why = f": {properties.reason(worst, told)}" if self._none else ""
        self._flight.refuse(number, ConnectionRefusedError(f"the broker refused the subscription{why}"))

    def _accepted(self, code: int, block: bytes) -> None:
        told = properties.split(block)[0] if self._none and block else {}
        if code and self.version == "5" and code in properties.VERSION_REFUSED:
            self._give_up(VersionRefused("the broker refused: it does not speak MQTT 5; set bus.version: 3.1.1"))
        elif code:
            why = packets.REFUSED.get(code) or properties.reason(code, told)
            self._give_up(ConnectionRefusedError(f"the broker refused: {why}"))
        elif told.get(properties.MAXIMUM_QOS) == 0:
            self._give_up(ConnectionRefusedError("the broker refused: it takes no QoS 1, so it confirms nothing"))
        elif not self._connected.done():
            self._heed(told)
            self._connected.set_result(None)

    def _heed(self, told: Properties) -> None:
        """Keep to what the broker says that it takes (MQTT 5, 3.2.2.3)."""
        in_flight = told.get(properties.RECEIVE_MAXIMUM)
        if isinstance(in_flight, int) and in_flight > 0:
            self._window = min(_WINDOW, in_flight)
            self._turns = asyncio.Semaphore(min(_PUBLISHERS, in_flight // self._window))
        packet_max = told.get(properties.MAXIMUM_PACKET_SIZE)
        if isinstance(packet_max, int):
            self._packet_max = packet_max
        keep_alive_s = told.get(properties.SERVER_KEEP_ALIVE)
        if isinstance(keep_alive_s, int) and 0 < keep_alive_s < self._keep_alive_s and self._heartbeat is not None:
            self._keep_alive_s = float(keep_alive_s)
            self._heartbeat.cancel()
            self._heartbeat = self._loop.call_later(self._keep_alive_s / 2, self._beat)

    def _beat(self) -> None:
        """Ask for a sign of life twice per keep-alive; a broker that gave none since the last time is gone."""
        if not self._heard:
            self._give_up(ConnectionAbortedError("connection to the broker is lost: it is silent"))
            return
        self._heard = False
        if self._transport is not None and not self._transport.is_closing():
            self._ping()
        self._heartbeat = self._loop.call_later(self._keep_alive_s / 2, self._beat)

    def _ping(self) -> asyncio.Future[None]:
        """Ask for a PINGRESP; they come in the order in which they were asked for."""
        self._open().write(packets.PINGREQ)
        self._pings.append(self._loop.create_future())
        return self._pings[-1]

    def _give_up(self, reason: Exception) -> None:
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()
