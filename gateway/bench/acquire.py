"""What it costs to read Modbus devices up to the point where a batch is handed over, beside other ways to read them.

All of them read the same devices in the same run, each as fast as it goes: the CPU of a paced reader is mostly that of
waking up, which says nothing of the reader.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from connectors import modbus
from gateway.bench.device import FIRST_VALUE
from gateway.bench.limit import raw_sockets, raw_sockets_pipelined
from gateway.bench.measured import Measured, meanwhile
from gateway.bench.peers import libmodbus, pymodbus, pymodbus_on_our_loop
from gateway.clock import SystemClock, loop_factory
from gateway.contracts import Connector, Device
from gateway.model import Batch, Catalog, Tag

IN_FLIGHT: Final[dict[str, dict[str, Any]]] = {
    "connector, 1 in flight": {"in_flight": 1},
    "connector, pipelined": {"in_flight": "auto"},
}
"""The rounds of our connector, by options of the device."""

_POLL_S: Final = 0.001
"""Less than a poll takes, so the next begins at once."""
_SETTLE_S: Final = 2.0
"""Connecting, and finding out how many requests a device takes at a time, are not what is measured."""


def measure(ports: Sequence[int], values: int, duration_s: float) -> list[Measured | None]:
    """Return what the least loops in Python, libmodbus, pymodbus, and our connector cost; None: not on this machine."""
    return [
        raw_sockets(ports, values, duration_s),
        raw_sockets_pipelined(ports, values, duration_s),
        libmodbus(ports, values, duration_s),
        pymodbus(ports, values, duration_s),
        pymodbus_on_our_loop(ports, values, duration_s),
        *(_ours(name, ports, values, duration_s, **options) for name, options in IN_FLIGHT.items()),
    ]


def connector(catalog: Catalog, i: int, port: int, values: int, period_s: float, **options: Any) -> Connector:
    """Return the connector of one device of the bench, its tags numbered."""
    asset = f"bench/device{i}"
    spans = {"stamp": ("int64", 0)} | {f"v{k}": ("float32", FIRST_VALUE + 2 * k) for k in range(values)}
    tags = [Tag(asset, name, device=asset) for name in spans]
    device = Device(
        name=f"device{i}",
        url=f"modbus://127.0.0.1:{port}",
        options=modbus.DeviceOptions(poll=period_s, **options),
        tags=tags,
        numbers=np.array([catalog.add(tag) for tag in tags], dtype=np.uint32),
        tag_options=[
            modbus.TagOptions.model_validate({"register": f"holding:{at}", "type": kind}) for kind, at in spans.values()
        ],
    )
    return modbus.connector(device, SystemClock())


def _ours(name: str, ports: Sequence[int], values: int, duration_s: float, **options: Any) -> Measured:
    catalog = Catalog()
    connectors = [connector(catalog, i, port, values, _POLL_S, **options) for i, port in enumerate(ports)]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_run(name, connectors, duration_s))


async def _run(name: str, connectors: Sequence[Connector], duration_s: float) -> Measured:
    read = 0

    def count(*batches: Batch) -> None:
        nonlocal read
        read += sum(map(len, batches))

    async with asyncio.TaskGroup() as tasks:
        polls = [tasks.create_task(one.run(count)) for one in connectors]
        await asyncio.sleep(_SETTLE_S)
        measured = await meanwhile(name, lambda: read, duration_s)
        for poll in polls:
            poll.cancel()
    return measured
