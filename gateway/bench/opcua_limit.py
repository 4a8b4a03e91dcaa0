"""The limit: a blocking socket in a session of asyncua, whole messages, no decoding. Nothing in Python has less.

It speaks the channel as little as it must: one request, encoded once, whose numbers count up; answers chunk by chunk.
"""

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from asyncua import Client
from asyncua.client.ua_client import UASocketProtocol
from asyncua.ua.ua_binary import struct_to_binary

from gateway.bench.measured import Measured, cpu_s

_CHUNK_BYTES_MAX: Final = 65_535
_HEAD_BYTES: Final = 8
_NUMBERS: Final = struct.Struct("<II")
_NUMBERS_AT: Final = 16
"""Sequence number and request number of a message that is one chunk (OPC 10000-6, 6.7.2)."""
_VALUE_BYTES_MIN: Final = 4


def received(client: Client, request: Any, values: int, duration_s: float, pid: int) -> tuple[Measured, Measured]:
    """Send a request again and again and receive its answers; return what that costs here, and the server.

    An answer has so many `values`, `pid` is the process of the server. The client can only be closed afterwards.
    """
    chunk = _chunk(client, request)
    sequence, number = _NUMBERS.unpack_from(chunk, _NUMBERS_AT)
    buffer = memoryview(bytearray(_CHUNK_BYTES_MAX))

    def exchange(n: int) -> int:
        _NUMBERS.pack_into(chunk, _NUMBERS_AT, sequence + n, number + n)
        line.sendall(chunk)
        return _message_bytes(line, buffer)

    count = messages = 0
    with _blocking(client) as line:
        exchange(0)  # for this one the server still has to encode
        begin, cpu, server_cpu = time.monotonic(), time.process_time(), cpu_s(pid)
        while time.monotonic() - begin < duration_s:
            messages += 1
            count += exchange(messages)
        wall, cpu, server_cpu = time.monotonic() - begin, time.process_time() - cpu, cpu_s(pid) - server_cpu
    assert count > messages * values * _VALUE_BYTES_MIN, "the server answered something else"
    return (
        Measured("bytes received and counted", messages * values, wall, cpu),
        Measured("the server itself", messages * values, wall, server_cpu),
    )


def protocol(client: Client) -> UASocketProtocol:
    """Return the channel of a client that is connected."""
    channel = client.uaclient.protocol
    assert channel is not None
    return channel


def encoded(client: Client, request: Any) -> bytes:
    """Return the request as the session of this client may send it."""
    request.RequestHeader.AuthenticationToken = protocol(client).authentication_token
    return struct_to_binary(request)


def _chunk(client: Client, request: Any) -> bytearray:
    """The request as the next message of the session."""
    channel = protocol(client)
    body = encoded(client, request)
    return bytearray(channel._connection.message_to_binary(body, request_id=channel._request_id + 1))


@contextmanager
def _blocking(client: Client) -> Iterator[socket.socket]:
    """The socket of a session, taken from asyncua for good: it does not know the numbers of the messages any more."""
    transport = protocol(client).transport
    assert transport is not None
    transport.pause_reading()
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as line:
        line.setblocking(True)
        yield line
        line.setblocking(False)
    client.disconnect_socket()


def _message_bytes(line: socket.socket, buffer: memoryview) -> int:
    """Receive a message, chunk by chunk, up to the final one; return its size."""
    count, final = 0, False
    while not final:
        line.recv_into(buffer, _HEAD_BYTES, socket.MSG_WAITALL)
        size, final = int.from_bytes(buffer[4:8], "little"), buffer[3] == ord("F")
        line.recv_into(buffer, size - _HEAD_BYTES, socket.MSG_WAITALL)
        count += size
    return count
