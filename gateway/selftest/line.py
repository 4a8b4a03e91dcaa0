"""A TCP line to a port of this machine that can be cut, joined, and made to swallow everything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from gateway.ports import listener

_PART_BYTES: Final = 65536


class Line:
    """Carries connections from `port` to another port. What is in it when it is cut is gone."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        with listener("127.0.0.1", 0) as probe:
            self.port: int = probe.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._carrying = asyncio.Event()  # of the connections that there are, and of those that come
        self._carrying.set()

    @property
    def mqtt_url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def join(self) -> None:
        """Accept connections."""
        self.let_go()
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    def cut(self) -> None:
        """Break all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.snap()

    def snap(self) -> None:
        """Break all connections."""
        self.let_go()
        for writer in self._writers:
            writer.transport.abort()

    def swallow(self) -> None:
        """Carry nothing from now on and say so to nobody, as a cable that was pulled out behind a switch."""
        self._carrying.clear()

    def let_go(self) -> None:
        """Carry new connections; those whose bytes were swallowed stay as they are."""
        if not self._carrying.is_set():
            self._carrying = asyncio.Event()
            self._carrying.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        if self._server is None:  # cut meanwhile
            self.snap()
        carrying = self._carrying
        await asyncio.gather(self._pump(reader, far_writer, carrying), self._pump(far_reader, writer, carrying))
        self._writers -= ends

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carrying: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(_PART_BYTES):
                if carrying.is_set():
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def line(to_port: int) -> AsyncIterator[Line]:
    """A line that is joined as long as the scope lasts."""
    one = Line(to_port)
    await one.join()
    try:
        yield one
    finally:
        one.cut()
