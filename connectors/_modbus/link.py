"""Links: bytes to an endpoint and frames from it, over TCP, TLS, UDP or a serial line."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from connectors._modbus.endpoint import Endpoint, Serial

_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
"""Linux: acknowledge at once. A device that waits for the acknowledgement of one answer before it sends the next
(Nagle's algorithm; libmodbus) else waits 40 ms for each."""

try:
    import termios
except ImportError:  # Windows
    _UNSETTABLE: tuple[type[Exception], ...] = (ValueError,)
else:
    _UNSETTABLE = (ValueError, termios.error)
"""What pyserial raises for a baud rate that a port does not have, and if a port goes while it is set."""

Received = Callable[[bytes], int]
"""Takes what has been received and not been taken yet; returns how many bytes of it are taken now.

Raises ConnectionError for what cannot be a frame.
"""
Lost = Callable[[Exception], None]


class Link(Protocol):
    """An open link."""

    def send(self, data: bytes) -> None:
        """Send frames."""
        ...

    def hurry(self) -> None:
        """Say at once that an answer has come: more are awaited, and the device may wait for that."""
        ...

    def forget(self) -> None:
        """Drop what has arrived of a frame."""
        ...

    def close(self) -> None:
        """Close; nothing is heard of the link any more."""
        ...


async def open_link(endpoint: Endpoint, tls: ssl.SSLContext | None, received: Received, lost: Lost) -> Link:
    """Open a link. `received` gets what comes, `lost` why the link is gone. Raises OSError."""
    loop = asyncio.get_running_loop()
    wire = _Wire(received, lost, noisy=endpoint.serial is not None)
    if endpoint.serial is not None:
        _open_serial(endpoint, endpoint.serial, wire)
    elif endpoint.scheme == "modbus+udp":
        await loop.create_datagram_endpoint(lambda: wire, remote_addr=(endpoint.host, endpoint.port))
    else:
        await loop.create_connection(lambda: wire, endpoint.host, endpoint.port, ssl=tls)
    if wire.error is not None:  # what came with the connection was its end
        raise ConnectionError(str(wire.error)) from wire.error
    return wire


def _open_serial(endpoint: Endpoint, serial: Serial, wire: "_Wire") -> None:
    from pymodbus.transport.serialtransport import SerialTransport  # some 10 MB that few need

    loop = asyncio.get_running_loop()
    try:
        transport = SerialTransport(loop, wire, serial.device, serial.baud, 8, serial.parity, serial.stop, 0)
    except _UNSETTABLE as error:
        raise ConnectionError(f"{endpoint.explained} cannot be set so: {error}") from error
    wire.connection_made(transport)
    transport.setup()


class _Wire(asyncio.Protocol, asyncio.DatagramProtocol):
    """`noisy`: what is no frame may be a disturbance, and the link is no worse for it. `error` is why it is gone."""

    def __init__(self, received: Received, lost: Lost, *, noisy: bool) -> None:
        self._received = received
        self._lost: Lost | None = lost
        self._noisy = noisy
        self.error: Exception | None = None
        self._rest = b""
        self._transport: Any = None
        self._send: Callable[[bytes], None]
        self._socket: socket.socket | None = None

    def send(self, data: bytes) -> None:
        if not self._transport.is_closing():  # else the loss is on its way
            self._send(data)

    def hurry(self) -> None:
        if self._socket is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, cast(int, _QUICKACK), 1)

    def forget(self) -> None:
        self._rest = b""

    def close(self) -> None:
        self._lost = None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send = getattr(transport, "sendto", None) or self._transport.write
        found = transport.get_extra_info("socket")
        if _QUICKACK is not None and found is not None and found.type == socket.SOCK_STREAM:
            self._socket = cast(socket.socket, found)

    def data_received(self, data: bytes) -> None:
        if self._lost is None:
            return
        stream = self._rest + data if self._rest else data
        try:
            self._rest = stream[self._received(stream) :]
        except ConnectionError as error:
            if self._noisy:
                self.forget()
            else:
                self._give_up(error)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._lost is None:
            return
        with suppress(ConnectionError):  # what is no frame may be anybody's
            self._received(data)

    def error_received(self, exc: Exception) -> None:
        self._give_up(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up(exc or ConnectionResetError("connection closed by the device"))

    def _give_up(self, error: Exception) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            self.error = error
            self._transport.abort()
            lost(error)
