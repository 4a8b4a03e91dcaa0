"""A line between an edge node and its broker that is looked at: what only the connection shows. See watch.py.

Packets go both ways unchanged; those of the node are read: CONNECT with its will, SUBSCRIBE, PUBLISH, DISCONNECT. MQTT
3.1.1 and 5; section numbers are those of version 5, whose packets differ by their properties.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from gateway.bus.sparkplug.watch import Watch, bdseq_of
from gateway.mqtt import PORTS
from gateway.mqtt.packets import PUBLISH, TYPE, Splitter, published
from gateway.mqtt.sparkplug import schema
from gateway.mqtt.sparkplug.names import NAMESPACE

_CONNECT, _SUBSCRIBE, _DISCONNECT = 0x10, 0x80, 0xE0
_VERSION_5: Final = 5
_CLEAN, _WILL, _WILL_QOS, _WILL_RETAIN = 0x02, 0x04, 0x18, 0x20
_SESSION_EXPIRY: Final = 0x11
_WITH_WILL: Final = b"\x04"
_READ_BYTES: Final = 65536


class Reader:
    """Reads fields of a packet, one after another. Raises ValueError where it ends too soon."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def take(self, n: int) -> bytes:
        """Return the next bytes."""
        if self.left < n:
            raise ValueError("a packet is shorter than its fields")
        self._at += n
        return self._body[self._at - n : self._at]

    def number(self, n: int) -> int:
        return int.from_bytes(self.take(n))

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def properties(self) -> bytes:
        """Return the properties of a packet of version 5 (2.2.2), as they are."""
        length, shift = 0, 0
        while (digit := self.number(1)) > 0x7F:
            length, shift = length | (digit & 0x7F) << shift, shift + 7
        return self.take(length | digit << shift)


class Session:
    """One connection of the node, as far as it has come."""

    def __init__(self, watch: Watch, open_already: bool, last: "Session | None") -> None:
        self._watch = watch
        self._alone = not open_already
        self._last = last
        self._version = 0
        self._subscribed: dict[str, int] = {}
        self._said: list[str] = []
        self._splitter = Splitter()
        self._lost = False
        self.client_id = ""
        self.bdseq: int | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes of the node; what cannot be read is a failure, and nothing after it is looked at."""
        if self._lost:
            return
        try:
            for first, body in self._splitter.feed(data):
                self._take(first, body)
        except ValueError as error:
            self._lost = True
            self._watch.note(1, f"a packet of the node cannot be read: {error}")

    def _take(self, first: int, body: bytes) -> None:
        kind = first & TYPE
        if kind == _CONNECT:
            self._connect(Reader(body))
        elif kind == _SUBSCRIBE:
            self._subscribe(Reader(body))
        elif kind == PUBLISH:
            self._publish(first, body)
        elif kind == _DISCONNECT:
            self._disconnect(body)

    def _connect(self, packet: Reader) -> None:
        watch = self._watch
        packet.binary()
        self._version, flags = packet.number(1), packet.number(1)
        packet.take(2)
        properties = packet.properties() if self._version == _VERSION_5 else b""
        if self._version == _VERSION_5:
            expires = properties[:1] == bytes((_SESSION_EXPIRY,)) and any(properties[1:5])
            watch.expect(6, bool(flags & _CLEAN) and not expires, "CONNECT has no clean start, or keeps its session")
        else:
            watch.expect(5, bool(flags & _CLEAN), "CONNECT has no clean session")
        self.client_id = packet.binary().decode()
        watch.expect(59, self._alone, "two connections at once")
        if self._last is not None:
            one = self._last.client_id == self.client_id
            watch.expect(3, one, f"client {self.client_id!r} after {self._last.client_id!r}")
        watch.expect(7, bool(flags & _WILL), "CONNECT has no will")
        if flags & _WILL:
            self._will(packet, flags)

    def _will(self, packet: Reader, flags: int) -> None:
        watch = self._watch
        if self._version == _VERSION_5:
            packet.properties()
        topic, payload = packet.binary().decode(), packet.binary()
        watch.expect(8, topic == watch.names.topic("NDEATH"), f"the will is for {topic!r}")
        watch.expect(9, flags & _WILL_QOS == 0x08, f"the will has QoS {(flags & _WILL_QOS) >> 3}")
        watch.expect(10, not flags & _WILL_RETAIN, "the will is retained")
        try:
            said = schema.read(payload)
        except ValueError as error:
            watch.note(11, f"the will cannot be read: {error}")
            return
        watch.note_death(said)
        self.bdseq = bdseq_of(said["metrics"])
        if self._last is not None and self._last.bdseq is not None and self.bdseq is not None:
            wrong = f"bdSeq {self.bdseq} after {self._last.bdseq}"
            watch.expect(13, self.bdseq == (self._last.bdseq + 1) % 256, wrong)

    def _subscribe(self, packet: Reader) -> None:
        packet.take(2)
        if self._version == _VERSION_5:
            packet.properties()
        while packet.left:
            topic = packet.binary().decode()
            self._subscribed[topic] = packet.number(1) & 3

    def _publish(self, first: int, body: bytes) -> None:
        topic, payload, _, _ = published(first, body)
        verb = f"{topic}//".split("/")[2]
        if not self._said:
            self._watch.expect(16, verb == "NBIRTH", f"the first message is on {topic!r}")
        if verb == "NBIRTH" and verb not in self._said:
            self._born(payload)
        self._said.append(verb)

    def _born(self, payload: bytes) -> None:
        watch, subscribed = self._watch, self._subscribed
        ncmd, host = watch.names.topic("NCMD"), f"{NAMESPACE}/STATE/"
        watch.expect(14, subscribed.get(ncmd) == 1, f"{ncmd} is subscribed with QoS {subscribed.get(ncmd)}")
        for topic, qos in subscribed.items():
            if "/DCMD/" in topic:
                watch.expect(15, qos == 1, f"{topic} is subscribed with QoS {qos}")
            if topic.startswith(host):
                watch.expect(59, qos == 1, f"{topic} is subscribed with QoS {qos}")
        if self._version == _VERSION_5:
            packet = Reader(payload)
            packet.properties()
            payload = packet.take(packet.left)
        number = bdseq_of(schema.read(payload)["metrics"])
        watch.expect(21, number == self.bdseq, f"NBIRTH has bdSeq {number}, the will {self.bdseq}")

    def _disconnect(self, body: bytes) -> None:
        dead = self._said[-1:] == ["NDEATH"]
        if self._version == _VERSION_5:
            self._watch.expect(50, dead or body[:1] == _WITH_WILL, "DISCONNECT without NDEATH and reason 0x04")
        else:
            self._watch.expect(49, dead, "DISCONNECT without an NDEATH before")
        self._watch.expect(48, dead or body[:1] == _WITH_WILL, "an orderly stop without an NDEATH")


class Line:
    """Carries the connections of one node to its broker, `url`."""

    def __init__(self, url: str, watch: Watch) -> None:
        self._url = urlsplit(url)
        self._watch = watch
        self._open = 0
        self._last: Session | None = None

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Take connections at an address; gives the port."""
        server = await asyncio.start_server(self._carry, host, port)
        async with server:
            yield int(server.sockets[0].getsockname()[1])

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = ssl.create_default_context() if self._url.scheme == "mqtts" else None
        host, port = self._url.hostname or "127.0.0.1", self._url.port or PORTS[self._url.scheme]
        session = Session(self._watch, self._open > 0, self._last)
        self._last = session
        self._open += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port, ssl=tls)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(reader, far_writer, session.feed))
                tasks.create_task(_pump(far_reader, writer, lambda data: None))
        except OSError:
            writer.transport.abort()
        finally:
            self._open -= 1


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Callable[[bytes], None]) -> None:
    """Carry bytes until either side ends; the end of one is that of the other."""
    with suppress(OSError):
        while data := await reader.read(_READ_BYTES):
            look(data)
            writer.write(data)
            await writer.drain()
    writer.close()
