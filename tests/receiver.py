"""A receiver of webhooks: a real HTTP server on this machine, which does what a test tells it and keeps what it got."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import h11
import orjson
from standardwebhooks import Webhook

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(status: int, *headers: str, body: bytes = b"") -> bytes:
    """Return an answer as it is on the wire."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Got:
    """A request as it came."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, key: bytes = KEY) -> Any:
        """Return what it says, if the standard's own library believes it."""
        Webhook(key).verify(self.body, self.headers)
        return orjson.loads(self.body)


Reply = Callable[[asyncio.StreamWriter, Got], Awaitable[None]]


@dataclass
class Receiver:
    """`answers` are given in turn, the last one for ever; an answer may also be what to do."""

    answers: list[bytes | Reply] = field(default_factory=lambda: [OK])
    got: list[Got] = field(default_factory=list)
    port: int = 0
    names: list[str | None] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def heard(self, n: int) -> list[Got]:
        """Wait until so many requests have come."""
        async with asyncio.timeout(30), self.news:
            await self.news.wait_for(lambda: len(self.got) >= n)
        return self.got

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER)
        head: h11.Request | None = None
        body = b""
        try:
            while True:
                part = http.next_event()
                if part is h11.NEED_DATA:
                    http.receive_data(await reader.read(1 << 16))
                elif isinstance(part, h11.Request):
                    head = part
                elif isinstance(part, h11.Data):
                    body += bytes(part.data)
                else:
                    break
            if head is not None:
                headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                got = Got(head.target.decode(), headers, body)
                now = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                self.got.append(got)
                async with self.news:
                    self.news.notify_all()
                await (_says(now) if isinstance(now, bytes) else now)(writer, got)
        except (ConnectionError, h11.RemoteProtocolError):
            return  # who asks has hung up, or was killed
        finally:
            writer.close()


def _says(text: bytes) -> Reply:
    async def say(writer: asyncio.StreamWriter, got: Got) -> None:
        writer.write(text)
        await writer.drain()

    return say


@asynccontextmanager
async def receiver(
    *answers: bytes | Reply, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Receiver]:
    """A receiver that listens on 127.0.0.1."""
    one = Receiver(list(answers) or [OK])
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: one.names.append(name)
    server = await asyncio.start_server(one._talk, "127.0.0.1", 0, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await server.wait_closed()
