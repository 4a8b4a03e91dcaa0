"""Modbus devices for the selftest: each answer has a number that no other has, and every value is known from it."""

import asyncio
import struct
from dataclasses import dataclass, field
from typing import Final, cast

from gateway.ports import listener

VALUES: Final = 48
"""32-bit integers from register 2 on; the k-th is the number times 100 plus k. Registers 0 and 1 are the number."""
_REQUEST: Final = struct.Struct(">HHHBBHH")
_HEAD: Final = struct.Struct(">HHHBBB")


@dataclass(slots=True)
class Connection:
    """What was answered over one connection: numbers, and when. `ended` is when it ended, and `ours` if we did that."""

    numbers: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    ended: float = float("inf")
    ours: bool = False


class Device:
    """One device on a free port; use it as `async with`."""

    def __init__(self) -> None:
        self.number = 0
        self.frozen = False
        self.connections: list[Connection] = []
        self._open: dict[asyncio.Transport, Connection] = {}
        self._listener = listener("127.0.0.1", 0)
        self.port: int = self._listener.getsockname()[1]
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Device":
        self._server = await asyncio.get_running_loop().create_server(lambda: _Session(self), sock=self._listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()

    def cut(self) -> None:
        """Break all connections; who connects anew is answered."""
        self.excuse()
        for transport in list(self._open):
            transport.abort()

    def excuse(self) -> None:
        """What ends a connection from now on is our doing: what was answered last may never have been read."""
        for connection in self._open.values():
            connection.ours = True

    def opened(self, transport: asyncio.Transport) -> Connection:
        self._open[transport] = connection = Connection()
        self.connections.append(connection)
        return connection

    def closed(self, transport: asyncio.Transport) -> None:
        self._open.pop(transport).ended = asyncio.get_running_loop().time()

    def answer(self, connection: Connection, start: int, count: int) -> bytes:
        """Return registers, with the next number."""
        self.number += 1
        connection.numbers.append(self.number)
        connection.times.append(asyncio.get_running_loop().time())
        image = struct.pack(f">{1 + VALUES}I", self.number, *value_range(self.number))
        return image[2 * start : 2 * (start + count)]


class _Session(asyncio.Protocol):
    def __init__(self, device: Device) -> None:
        self._device = device
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connection = self._device.opened(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._device.closed(self._transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % _REQUEST.size
        self._rest = data[whole:]
        for transaction, _, _, unit, function, start, count in _REQUEST.iter_unpack(data[:whole]):
            if not self._device.frozen:
                head = _HEAD.pack(transaction, 0, 3 + 2 * count, unit, function, 2 * count)
                self._transport.write(head + self._device.answer(self._connection, start, count))


def value_range(number: int) -> range:
    """Return the values that belong to a number."""
    return range(100 * number, 100 * number + VALUES)
