"""The limit: one blocking socket per device in turn, whole answers, no decoding. Nothing in Python reads with less."""

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.bench.device import FIRST_VALUE


@dataclass(frozen=True, slots=True)
class Measured:
    """So many values in so many seconds, for so much CPU of the process."""

    name: str
    values: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.values / self.wall_s

    @property
    def cpu_per_million(self) -> float:
        return 1e6 * self.cpu_s / max(1, self.values)


def raw_sockets(ports: Sequence[int], values: int, duration_s: float) -> Measured:
    """Read all values of all devices again and again, in requests of 124 registers."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for port in ports]
    requests = [
        (struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, start, count), 9 + 2 * count)
        for start in range(0, FIRST_VALUE + 2 * values, 124)
        for count in [min(124, FIRST_VALUE + 2 * values - start)]
    ]
    scans, begin, cpu = 0, time.monotonic(), time.process_time()
    while time.monotonic() - begin < duration_s:
        for connection in sockets:
            for request, length in requests:
                connection.sendall(request)
                while length > 0:
                    length -= len(connection.recv(length))
            scans += 1
    measured = Measured("raw socket loop", scans * values, time.monotonic() - begin, time.process_time() - cpu)
    for connection in sockets:
        connection.close()
    return measured
