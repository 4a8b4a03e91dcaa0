"""Modbus devices that answer reads of holding registers from memory, as fast as Python can.

Registers 0-3 are the time of the answer, int64, nanoseconds since 1970; from register 4 on there are float32 values
that are others in every scan. So whoever receives a value knows how old it is, and can tell scans apart. Requests that
arrive together are answered together, in one write.
"""

import asyncio
import struct
import sys
import time
from typing import Final, cast

import numpy as np

from gateway.clock import loop_factory

FIRST_VALUE: Final = 4
_REQUEST: Final = struct.Struct(">HHHBBHH")
_ANSWER: Final = struct.Struct(">HHHBBB")
_STAMP: Final = struct.Struct(">q")
_SCANS: Final = 16


class _Device(asyncio.Protocol):
    def __init__(self, images: list[bytes]) -> None:
        self._images = images
        self._scan = 0
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % _REQUEST.size
        self._rest = data[whole:]
        parts: list[bytes] = []
        for transaction, _, _, unit, function, start, count in _REQUEST.iter_unpack(data[:whole]):
            parts += (_ANSWER.pack(transaction, 0, 3 + 2 * count, unit, function, 2 * count), self._read(start, count))
        self._transport.write(b"".join(parts))

    def _read(self, start: int, count: int) -> bytes:
        if start:
            return self._images[self._scan][2 * start : 2 * (start + count)]
        self._scan = (self._scan + 1) % len(self._images)
        return _STAMP.pack(time.time_ns()) + self._images[self._scan][_STAMP.size : 2 * count]


async def serve(devices: int, values: int) -> None:
    """Serve devices on free ports, print the ports in one line, and go on until standard input ends."""
    chance = np.random.default_rng(1)
    images = [bytes(2 * FIRST_VALUE) + chance.normal(50, 5, values).astype(">f4").tobytes() for _ in range(_SCANS)]
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: _Device(images), "127.0.0.1", 0) for _ in range(devices)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(int(sys.argv[1]), int(sys.argv[2])))
