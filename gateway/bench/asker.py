"""A client of the API's bench in a process of its own, on blocking sockets; prints what it saw as one JSON object.

python -m gateway.bench.asker get PORT N TARGET      ask N times on one connection, one after another
python -m gateway.bench.asker follow PORT N EVENTS   N event streams, so many events of each
"""

import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

_STAMP: Final = b'"value":'
"""A reading of the bench is the time at which it was emitted, in seconds of the monotonic clock that all share."""


def get(port: int, n: int, target: str) -> dict[str, float]:
    """Return the quantiles of the time that an answer takes [ms], and its bytes."""
    request = b"GET %s HTTP/1.1\r\nHost: bench\r\n\r\n" % target.encode()
    took, size = [], 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(n):
            begin = time.perf_counter()
            connection.sendall(request)
            size = _answer(connection)
            took.append(time.perf_counter() - begin)
    return quantiles(took) | {"bytes": size}


def _answer(connection: socket.socket) -> int:
    data = connection.recv(1 << 20)
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 20)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(head.decode())
    length, size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]), len(body)
    while size < length:
        size += len(connection.recv(1 << 20))
    return length


def follow(port: int, streams: int, events: int) -> dict[str, float]:
    """Return the quantiles of the age of a reading when its event arrives [ms], and how many events came."""
    ages: list[float] = []
    seen = dict.fromkeys(range(streams), 0)
    with selectors.DefaultSelector() as selector:
        for k in range(streams):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(b"GET /api/v1/stream?match=*/v1* HTTP/1.1\r\nHost: bench\r\n\r\n")
            selector.register(connection, selectors.EVENT_READ, k)
        print("ready", flush=True)
        while min(seen.values()) < events:
            for key, _ in selector.select():
                data = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]  # all of them are sockets
                if not data:
                    raise ConnectionError("the stream has ended")
                now = time.monotonic()
                seen[key.data] += data.count(b"event: values")
                if _STAMP in data:
                    stamp = data.rpartition(_STAMP)[2].partition(b",")[0]
                    ages += [now - float(stamp)] if stamp != b"null" else []
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # as above
    return quantiles(ages) | {"events": float(sum(seen.values()))}


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.quantile(seconds, (0.5, 0.99)) * 1e3
    return {"p50_ms": float(p50), "p99_ms": float(p99)}


if __name__ == "__main__":
    _, what, port, n, last = sys.argv
    print(json.dumps(get(int(port), int(n), last) if what == "get" else follow(int(port), int(n), int(last))))
