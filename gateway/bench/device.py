"""Modbus devices that answer reads of holding registers from memory, as fast as Python can.

Registers 0-3 are the time of the answer, int64, nanoseconds since 1970; from register 4 on there are float32 values
that are others in every scan. So whoever receives a value knows how old it is, and can tell scans apart.
"""

import asyncio
import struct
import sys
import time
from typing import Final

import numpy as np

FIRST_VALUE: Final = 4
_REQUEST: Final = struct.Struct(">HHHBBHH")
_ANSWER: Final = struct.Struct(">HHHBBB")
_SCANS: Final = 16


class _Device(asyncio.Protocol):
    def __init__(self, images: list[bytes]) -> None:
        self._images = images
        self._scan = 0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers = []
        while len(self._buffer) >= _REQUEST.size:
            transaction, _, _, unit, function, start, count = _REQUEST.unpack_from(self._buffer)
            self._buffer = self._buffer[_REQUEST.size :]
            body = self._read(start, count)
            answers.append(_ANSWER.pack(transaction, 0, 3 + len(body), unit, function, len(body)) + body)
        self._transport.write(b"".join(answers))  # type: ignore[attr-defined]

    def _read(self, start: int, count: int) -> bytes:
        if start == 0:
            self._scan = (self._scan + 1) % len(self._images)
        image = self._images[self._scan]
        body = image[2 * start : 2 * (start + count)]
        return struct.pack(">q", time.time_ns()) + body[8:] if start == 0 else body


async def serve(devices: int, values: int) -> None:
    """Serve devices on free ports, print the ports in one line, and go on until standard input ends."""
    chance = np.random.default_rng(1)
    images = [bytes(2 * FIRST_VALUE) + chance.normal(50, 5, values).astype(">f4").tobytes() for _ in range(_SCANS)]
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: _Device(images), "127.0.0.1", 0) for _ in range(devices)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
