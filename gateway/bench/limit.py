"""The limit: one blocking socket per device in turn, whole answers, no decoding. Nothing in Python reads with less."""

import socket
import struct
import time
from collections.abc import Sequence
from typing import Final

from gateway.bench.device import FIRST_VALUE
from gateway.bench.measured import Measured

REGISTERS: Final = 124
"""Per request; an even number, so that no value is cut."""
_HEAD_BYTES: Final = 9


def blocks(values: int) -> list[tuple[int, int]]:
    """Return first register and number of registers of each request that reads a device."""
    end = FIRST_VALUE + 2 * values
    return [(start, min(REGISTERS, end - start)) for start in range(0, end, REGISTERS)]


def raw_sockets(ports: Sequence[int], values: int, duration_s: float) -> Measured:
    """Read all values of all devices again and again, one request at a time."""
    requests = [(_request(start, count), _HEAD_BYTES + 2 * count) for start, count in blocks(values)]
    return _measure("raw socket loop", ports, requests, values, duration_s)


def raw_sockets_pipelined(ports: Sequence[int], values: int, duration_s: float) -> Measured:
    """Do the same with all requests to a device under way at once."""
    requests = b"".join(_request(start, count) for start, count in blocks(values))
    length = sum(_HEAD_BYTES + 2 * count for _, count in blocks(values))
    return _measure("raw socket loop, pipelined", ports, [(requests, length)], values, duration_s)


def _measure(
    name: str, ports: Sequence[int], requests: Sequence[tuple[bytes, int]], values: int, duration_s: float
) -> Measured:
    """Send bytes, take as many as the answer has, and so on; a device has `values` and its stamp."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for port in ports]
    scans, begin, cpu = 0, time.monotonic(), time.process_time()
    while time.monotonic() - begin < duration_s:
        for connection in sockets:
            for request, length in requests:
                connection.sendall(request)
                while length > 0:
                    length -= len(connection.recv(length))
            scans += 1
    measured = Measured(name, scans * (values + 1), time.monotonic() - begin, time.process_time() - cpu)
    for connection in sockets:
        connection.close()
    return measured


def _request(start: int, count: int) -> bytes:
    return struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, start, count)
