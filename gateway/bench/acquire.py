"""What it costs to read Modbus devices up to the point where a batch is handed over, beside other ways to read them.

All of them read the same devices in the same run, each as fast as it goes: the CPU of a paced reader is mostly that of
waking up, which says nothing of the reader.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from gateway.bench.limit import raw_sockets, raw_sockets_pipelined
from gateway.bench.measured import ROUNDS, Measured, best
from gateway.bench.peers import libmodbus, pymodbus, pymodbus_on_our_loop
from gateway.bench.reader import connector, read
from gateway.clock import loop_factory
from gateway.model import Catalog

IN_FLIGHT: Final[dict[str, dict[str, Any]]] = {
    "connector, 1 in flight": {"in_flight": 1},
    "connector, pipelined": {"in_flight": "auto"},
}
"""The rounds of our connector, by options of the device."""

_POLL_S: Final = 0.001
"""Less than a poll takes, so the next begins at once."""


def measure(ports: Sequence[int], values: int, duration_s: float) -> list[Measured | None]:
    """Return what the least loops in Python, libmodbus, pymodbus, and our connector cost; None: not on this machine."""
    ways: list[Callable[[Sequence[int], int, float], Measured | None]] = [
        raw_sockets,
        raw_sockets_pipelined,
        libmodbus,
        pymodbus,
        pymodbus_on_our_loop,
        *(partial(_ours, name, **options) for name, options in IN_FLIGHT.items()),
    ]
    return best([[way(ports, values, duration_s / ROUNDS) for way in ways] for _ in range(ROUNDS)])


def _ours(name: str, ports: Sequence[int], values: int, duration_s: float, **options: Any) -> Measured:
    catalog = Catalog()
    connectors = [connector(catalog, i, port, values, _POLL_S, **options) for i, port in enumerate(ports)]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(read(name, connectors, duration_s))
