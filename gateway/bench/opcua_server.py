"""An OPC UA server that answers Publish and Read with messages that were encoded before. A process of its own.

A real channel (policy None) and session, binary over TCP (OPC 10000-6, 7): what is measured with it need not know it
from another. This is the channel; its services are opcua_session.py, its values opcua_canned.py. What is no OPC UA
at all ends the connection, and with it the session.
"""

import asyncio
import itertools
import struct
import sys
from typing import Final, cast

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from gateway.bench.opcua_session import Session
from gateway.clock import loop_factory

_CHUNK_BYTES_MAX: Final = 65_535
_MESSAGE_BYTES_MAX: Final = 16 << 20
_CHUNK: Final = struct.Struct("<3scI")
_SECURE: Final = struct.Struct("<3scIIIII")
"""Kind, whether more follows, size; channel, token; sequence number, request (OPC 10000-6, 6.7.2)."""

_channels = itertools.count(1)


class _Channel(asyncio.Protocol):
    """Chunks to requests, responses to chunks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._channel = next(_channels)
        self._issued = 0
        self._token = 0
        self._sequence = 0
        self._chunk_bytes = _CHUNK_BYTES_MAX
        self._received = bytearray()
        self._parts: list[bytes] = []
        url = f"opc.tcp://127.0.0.1:{transport.get_extra_info('sockname')[1]}"
        self._session = Session(url, self._channel, self._answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._session.end()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= _CHUNK.size:
            kind, final, size = _CHUNK.unpack_from(self._received)
            if not _CHUNK.size <= size <= _CHUNK_BYTES_MAX:
                self._transport.close()
                return
            if len(self._received) < size:
                return
            content = bytes(self._received[_CHUNK.size : size])
            del self._received[:size]
            self._take(kind, final, content)

    def _take(self, kind: bytes, final: bytes, content: bytes) -> None:
        match kind:
            case b"MSG":
                self._gather(final, content)
            case b"HEL":
                self._acknowledge(struct_from_binary(ua.Hello, Buffer(content)))
            case b"OPN":
                self._open(Buffer(content[4:]))
            case _:
                self._transport.close()

    def _gather(self, final: bytes, content: bytes) -> None:
        """Hand on a request that is complete; forget one that is aborted or without end (OPC 10000-6, 6.7.3)."""
        _, self._token, _, request = struct.unpack_from("<IIII", content)
        self._parts.append(content[16:])
        if final == b"C" and sum(map(len, self._parts)) <= _MESSAGE_BYTES_MAX:
            return
        message = b"".join(self._parts)
        self._parts.clear()
        if final == b"F":
            self._session.take(request, message)

    def _acknowledge(self, hello: ua.Hello) -> None:
        self._chunk_bytes = min(hello.ReceiveBufferSize, _CHUNK_BYTES_MAX)
        size = self._chunk_bytes
        self._transport.write(_CHUNK.pack(b"ACK", b"F", 28) + struct.pack("<IIIII", 0, size, size, 0, 0))

    def _open(self, data: Buffer) -> None:
        """Issue or renew the token of the channel (OPC 10000-4, 5.6.2); the client is the first to use it."""
        security = struct_from_binary(ua.AsymmetricAlgorithmHeader, data)
        _, number = struct.unpack("<II", data.read(8))
        request = struct_from_binary(ua.OpenSecureChannelRequest, data)
        self._issued += 1
        self._sequence += 1
        response = ua.OpenSecureChannelResponse()
        response.ResponseHeader.RequestHandle = request.RequestHeader.RequestHandle
        response.Parameters.ServerNonce = b""
        token = response.Parameters.SecurityToken
        token.ChannelId, token.TokenId = ua.UInt32(self._channel), ua.UInt32(self._issued)
        token.RevisedLifetime = request.Parameters.RequestedLifetime
        content = struct.pack("<I", self._channel)
        content += struct_to_binary(ua.AsymmetricAlgorithmHeader(SecurityPolicyURI=security.SecurityPolicyURI))
        content += struct.pack("<II", self._sequence, number) + struct_to_binary(response)
        self._transport.write(_CHUNK.pack(b"OPN", b"F", _CHUNK.size + len(content)) + content)

    def _answer(self, request: int, body: bytes) -> None:
        room = self._chunk_bytes - _SECURE.size
        parts: list[bytes | memoryview] = []
        for start in range(0, len(body), room):
            part = memoryview(body)[start : start + room]
            final = b"F" if start + room >= len(body) else b"C"
            size = _SECURE.size + len(part)
            self._sequence += 1
            parts += (_SECURE.pack(b"MSG", final, size, self._channel, self._token, self._sequence, request), part)
        self._transport.write(b"".join(parts))


async def serve() -> None:
    """Serve on a free port, print it, and go on until standard input ends."""
    server = await asyncio.get_running_loop().create_server(_Channel, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve())
