"""A line to an OPC UA server on which its answers are changed: real servers, made to lie.

Without security a message is bytes that anybody may rewrite. Answers come whole, one chunk each, as asyncua's server
sends what is small. The chunks are numbered anew, so that the client finds nothing wrong below the services.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, struct_to_binary

Lie = Callable[[Any], Any]
"""Takes an answer and returns what is sent instead: that answer or another, None for nothing, or a list of several."""

_CHUNK: Final = struct.Struct("<3scI")
_SECURE: Final = struct.Struct("<IIII")
_KINDS: Final = {
    kind().TypeId: kind
    for kind in vars(ua).values()
    if isinstance(kind, type) and hasattr(kind, "ResponseHeader") and hasattr(kind, "TypeId")
}


def fault(answer: Any, status: int) -> ua.ServiceFault:
    """Return a refusal in place of an answer."""
    said = ua.ServiceFault()
    said.ResponseHeader.RequestHandle = answer.ResponseHeader.RequestHandle
    said.ResponseHeader.ServiceResult = ua.StatusCode(ua.UInt32(status))
    return said


class Liar:
    """`lies` are what is done to answers, by their kind; a test may change them at any moment."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self.lies: dict[type, Lie] = {}
        self.answers: list[str] = []
        self._to_port = to_port
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._asking(reader, far_writer), self._answering(far_reader, writer))

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _asking(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.transport.abort()

    async def _answering(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(_CHUNK.size)
                kind, final, size = _CHUNK.unpack(head)
                body = await reader.readexactly(size - _CHUNK.size)
                if kind == b"OPN":
                    number = int.from_bytes(body[-len(body) :][self._opening(body) :][:4], "little")
                if kind != b"MSG":
                    writer.write(head + body)
                    continue
                assert final == b"F", "an answer of several chunks"
                channel, token, _, request = _SECURE.unpack_from(body)
                for said in self._said(body[_SECURE.size :]):
                    number += 1
                    part = _SECURE.pack(channel, token, number, request) + said
                    writer.write(_CHUNK.pack(b"MSG", b"F", _CHUNK.size + len(part)) + part)
        writer.transport.abort()

    def _opening(self, body: bytes) -> int:
        """Where the sequence number of an OpenSecureChannel answer stands."""
        at = 4
        for _ in range(3):  # policy, certificate, thumbprint
            (length,) = struct.unpack_from("<i", body, at)
            at += 4 + max(0, length)
        return at

    def _said(self, encoded: bytes) -> Sequence[bytes]:
        kind = _KINDS[nodeid_from_binary(Buffer(encoded))]
        self.answers.append(kind.__name__)
        lie = self.lies.get(kind)
        if lie is None:
            return [encoded]
        said = lie(struct_from_binary(kind, Buffer(encoded)))
        said = said if isinstance(said, list) else [said]
        return [one if isinstance(one, bytes) else struct_to_binary(one) for one in said if one is not None]


@asynccontextmanager
async def liar(to_port: int) -> AsyncIterator[Liar]:
    one = Liar(to_port)
    server = await asyncio.start_server(one.carry, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        one.cut()
