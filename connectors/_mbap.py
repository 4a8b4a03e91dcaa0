"""One Modbus TCP connection: a request out, its answer in, every field of the answer checked.

Frames as in Modbus Messaging on TCP/IP Implementation Guide V1.0b section 3.1: transaction id, protocol id 0,
length, unit, then the PDU. An answer that does not belong to the request that is waiting (transaction, unit,
function, byte count) ends the connection, so that a late answer can never be taken for the next one. pymodbus would
build an object per register and let wrong counts and functions pass; this hands out the bytes.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

_HEADER: Final = struct.Struct(">HHHB")
_READ: Final = struct.Struct(">HHHBBHH")
_ADU_MAX: Final = 260


class ExceptionAnswer(Exception):
    """The device answered with an exception code (V1.1b3 section 7); the connection is fine."""

    def __init__(self, function: int, code: int) -> None:
        super().__init__(f"exception {code} to function {function}")
        self.code = code


class Connection(asyncio.Protocol):
    """Requests go one at a time. Raises OSError when the connection is gone, TimeoutError when no answer comes."""

    def __init__(self, unit: int, timeout_s: float) -> None:
        self._unit = unit
        self._timeout_s = timeout_s
        self._transaction = 0
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._closed: Exception = ConnectionError("not connected")

    async def read(self, function: int, start: int, count: int) -> bytes:
        """Return the data bytes of functions 1-4: two per register, or one per eight bits.

        Raises ExceptionAnswer for an exception answer.
        """
        pdu = await self._request(function, start, count)
        expected = 2 * count if function in (3, 4) else (count + 7) // 8
        if pdu[0] == function | 0x80 and len(pdu) == 2:
            raise ExceptionAnswer(function, pdu[1])
        if pdu[0] != function or len(pdu) != 2 + expected or pdu[1] != expected:
            raise self._broken(
                f"answer to function {function} for {count} has function {pdu[0]} and {len(pdu) - 2} bytes"
            )
        return pdu[2:]

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _request(self, function: int, start: int, count: int) -> bytes:
        if self._transport is None:
            raise self._closed
        self._transaction = self._transaction % 0xFFFF + 1
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(_READ.pack(self._transaction, 0, 6, self._unit, function, start, count))
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._answer
        except TimeoutError:
            self.close()
            raise TimeoutError(f"no answer within {self._timeout_s:g} s") from None
        finally:
            self._answer = None

    # --- asyncio.Protocol -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(self._buffer)
            if protocol != 0 or not 3 <= length <= _ADU_MAX - 6:
                self._broken(f"frame with protocol {protocol} and length {length}")
                return
            if len(self._buffer) < 6 + length:
                return
            pdu = bytes(self._buffer[_HEADER.size : 6 + length])
            del self._buffer[: 6 + length]
            self._deliver(transaction, unit, pdu)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if isinstance(self._closed, ConnectionError) and exc is not None:
            self._closed = exc
        else:
            self._closed = ConnectionResetError("connection closed by the device")
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self._closed)

    def _deliver(self, transaction: int, unit: int, pdu: bytes) -> None:
        if self._answer is None or self._answer.done():
            self._broken("answer that nobody asked for")
        elif transaction != self._transaction or unit != self._unit:
            self._broken(
                f"answer to transaction {transaction} of unit {unit}, expected {self._transaction} of unit {self._unit}"
            )
        else:
            self._answer.set_result(pdu)

    def _broken(self, what: str) -> ConnectionError:
        """Give up a connection on which an answer was wrong: nothing after it can be trusted."""
        error = ConnectionError(what)
        self._closed = error
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.close()
        return error


@asynccontextmanager
async def connect(host: str, port: int, unit: int, timeout_s: float) -> AsyncIterator[Connection]:
    """Open a connection and close it at the end. Raises OSError, or TimeoutError if the host is silent."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(lambda: Connection(unit, timeout_s), host, port)
    except TimeoutError:
        raise TimeoutError(f"{host}:{port} did not accept a connection within {timeout_s:g} s") from None
    try:
        yield connection
    finally:
        connection.close()
