"""One request over HTTP/1.1 to one endpoint: to the address that was checked, and nothing is followed.

The name is resolved once, and the connection goes to an address of that answer, so a name that says something else the
next moment (DNS rebinding) leads nowhere. TLS is still told the name, and the certificate has to have it. No proxy of
the environment is asked, no redirect followed, and of an answer no more is read than its head and the first bytes.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import h11

from gateway import __version__
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.guard import refusal
from gateway.webhooks.verdict import Answer

_CONNECT_S: Final = 5.0
"""How long one of several addresses may keep silent before the next is tried."""
_HEAD_MAX: Final = 16 << 10
_BODY_MAX: Final = 1 << 10
"""So much of an answer's body is read: what people want to see when it is a refusal."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Post:
    """Sends to one endpoint. Raises OSError at once if its CA cannot be read."""

    def __init__(self, endpoint: Endpoint, resolve: Resolve | None = None) -> None:
        url = urlsplit(endpoint.url)
        self._endpoint = endpoint
        self._host = (url.hostname or "").encode("idna").decode("ascii")
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        name = f"[{self._host}]" if ":" in self._host else self._host
        self._authority = name if url.port is None else f"{name}:{url.port}"
        self._tls = ssl.create_default_context(cafile=endpoint.ca or None) if url.scheme == "https" else None
        self._resolve = resolve or _resolved

    async def __call__(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send it and return the answer. Raises OSError or TimeoutError, with words for people."""
        whole = {
            "host": self._authority,
            "user-agent": f"itot-gateway/{__version__}",
            "connection": "close",
            "content-length": str(len(body)),
            **self._endpoint.headers,
            **headers,
        }
        request = h11.Request(method="POST", target=self._target, headers=list(whole.items()))
        try:
            async with asyncio.timeout(self._endpoint.timeout_s), self._connected() as streams:
                return await _exchanged(*streams, request, body)
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._endpoint.timeout_s:g} s") from None
        except h11.RemoteProtocolError as error:
            raise ConnectionError(f"what answers does not speak HTTP: {error}") from error

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Streams]:
        reader, writer = await self._connect()
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _connect(self) -> Streams:
        """Connect to the first address that may be asked and answers. Raises OSError."""
        trouble: OSError = ConnectionError(f"{self._host} has no address")
        for address in dict.fromkeys(await self._resolve(self._host, self._port)):
            if refused := refusal(address, self._endpoint):
                trouble = PermissionError(refused)
                continue
            try:
                async with asyncio.timeout(min(_CONNECT_S, self._endpoint.timeout_s)):
                    return await asyncio.open_connection(
                        address, self._port, ssl=self._tls, server_hostname=self._host if self._tls else None
                    )
            except TimeoutError:
                trouble = TimeoutError(f"{address} does not answer")
            except OSError as error:
                trouble = error
        raise trouble


async def _resolved(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def _exchanged(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request, body: bytes
) -> Answer:
    """Write a request and read the answer: no more of it than is wanted."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_MAX)
    for part in (request, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(http.send(part) or b"")
    said: h11.Response | None = None
    text = b""
    while len(text) < _BODY_MAX:
        match http.next_event():
            case h11.NEED_DATA:
                data = await reader.read(_HEAD_MAX)
                if not data and said is None and not http.trailing_data[0]:
                    break
                http.receive_data(data)
            case h11.InformationalResponse():
                continue
            case h11.Response() as said:
                continue
            case h11.Data() as part:
                text += bytes(part.data)
            case _:
                break
    if said is None:
        raise ConnectionError("it hung up without an answer")
    headers = {bytes(name): bytes(value) for name, value in said.headers}
    return Answer(said.status_code, text[:_BODY_MAX], headers.get(b"retry-after", b"").decode("latin-1"))
