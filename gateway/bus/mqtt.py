"""One connection to one MQTT broker: publish and wait for PUBACK, subscribe. MQTT 3.1.1, by paho-mqtt.

paho has a thread of its own that reads and writes the socket; everything it reports is handed to the event loop. A
connection is used once: when it is lost, everything that waits on it fails with ConnectionError, and whoever wants
another makes another. So there is one place that decides what is sent again, and it is not here.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

_WINDOW: Final = 1000
"""Messages in flight. paho walks its whole queue at every PUBACK if it keeps the window, so it is kept here."""
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """What to publish."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 1


class _Group:
    """Messages that are waited for together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.unconfirmed = 0
        self.done: asyncio.Future[None] = loop.create_future()


class Mqtt:
    """An open connection. For the thread of the event loop only."""

    def __init__(self, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop
        self._groups: dict[int, _Group] = {}
        self._acked: deque[int] = deque()
        self._connected: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._receive: Callable[[str, bytes, bool], None] = lambda topic, payload, retained: None
        client.on_connect = lambda _c, _u, _f, code, _p: self._hand(self._opened, code)
        client.on_disconnect = lambda _c, _u, _f, code, _p: self._hand(self._closed, str(code))
        client.on_publish = lambda _c, _u, mid, _r, _p: self._on_publish(mid)
        client.on_message = self._on_message

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the broker has confirmed all of them. Raises ConnectionError when it cannot any more."""
        for start in range(0, len(messages), _WINDOW):
            await self._publish(messages[start : start + _WINDOW])

    async def subscribe(self, topic: str, receive: Callable[[str, bytes, bool], None]) -> None:
        """Call `receive(topic, payload, retained)` for each message, in the event loop."""
        self._receive = receive
        code, _ = self._client.subscribe(topic, qos=1)
        if code != MQTT_ERR_SUCCESS:
            raise ConnectionError(f"cannot subscribe to {topic}")

    async def lost(self) -> None:
        """Wait until the connection is lost. Raises ConnectionError saying why."""
        await asyncio.shield(self._lost)

    async def _publish(self, messages: Sequence[Message]) -> None:
        group = _Group(self._loop)
        for message in messages:
            info = self._client.publish(message.topic, message.payload, message.qos, message.retain)
            if info.rc != MQTT_ERR_SUCCESS:
                raise ConnectionError("connection to the broker is lost")
            self._groups[info.mid] = group
            group.unconfirmed += 1
        await group.done

    # --- from paho's thread to the event loop ---------------------------------------------

    def _hand(self, call: Callable[..., None], *args: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *args)

    def _on_publish(self, mid: int) -> None:
        self._acked.append(mid)
        if len(self._acked) == 1:
            self._hand(self._confirm)

    def _on_message(self, _client: Client, _user: Any, message: MQTTMessage) -> None:
        self._hand(self._receive, message.topic, message.payload, message.retain)

    def _confirm(self) -> None:
        while self._acked:
            group = self._groups.pop(self._acked.popleft(), None)
            if group is not None:
                group.unconfirmed -= 1
                if group.unconfirmed == 0 and not group.done.done():
                    group.done.set_result(None)

    def _opened(self, code: Any) -> None:
        if self._connected.done():
            return
        if code.is_failure:
            self._connected.set_exception(ConnectionRefusedError(f"the broker refused: {code}"))
        else:
            self._connected.set_result(None)

    def _closed(self, reason: str) -> None:
        error = ConnectionResetError(f"connection to the broker is lost: {reason}")
        for future in (self._connected, self._lost, *(group.done for group in self._groups.values())):
            if not future.done():
                future.set_exception(error)
                future.exception()  # nobody has to be listening
        self._groups.clear()


@asynccontextmanager
async def connect(url: str, client_id: str, will: Message | None = None, timeout_s: float = 5.0) -> AsyncIterator[Mqtt]:
    """Connect, and disconnect in an orderly way at the end. Raises OSError, TimeoutError included."""
    where = urlsplit(url)
    client = Client(
        CallbackAPIVersion.VERSION2, client_id, clean_session=True, protocol=MQTTv311, reconnect_on_failure=False
    )
    client.connect_timeout = timeout_s
    client.max_inflight_messages_set(0)
    client.max_queued_messages_set(0)
    client.on_socket_open = _without_delay
    if where.username:
        client.username_pw_set(unquote(where.username), unquote(where.password or ""))
    if where.scheme == "mqtts":
        client.tls_set_context(ssl.create_default_context())
    if will is not None:
        client.will_set(will.topic, will.payload, will.qos, will.retain)
    connection = Mqtt(client, asyncio.get_running_loop())
    host, port = where.hostname or "127.0.0.1", where.port or _PORTS[where.scheme]
    await asyncio.to_thread(client.connect, host, port, 30)
    client.loop_start()
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.shield(connection._connected)
        yield connection
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


def _without_delay(_client: Client, _user: Any, sock: Any) -> None:
    """Small messages go at once: Nagle's algorithm and delayed acknowledgements cost up to 40 ms per hop."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
