"""Our Modbus connector for the devices of the bench; run as a module, the connectors alone in a process of their own.

It then prints one JSON object, an Alone: what reading costs up to the point where a batch is handed over, without
journal, bus, history and API.
"""

import asyncio
import dataclasses
import gc
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from connectors import modbus
from gateway.bench.device import FIRST_VALUE
from gateway.bench.measured import Measured, meanwhile, memory_mib
from gateway.clock import SystemClock, loop_factory
from gateway.contracts import Connector, Device
from gateway.model import Batch, Catalog, Tag

_SETTLE_S: Final = 2.0
"""Connecting, and finding out how many requests a device takes at a time, are not what is measured."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Connectors without the rest of a gateway: values per second, cores, and MiB at the end."""

    rate: float
    cores: float
    rss_mib: float


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


async def read(name: str, connectors: Sequence[Connector], duration_s: float) -> Measured:
    """Run connectors, and count what they hand over for a while."""
    values = 0

    def count(*batches: Batch) -> None:
        nonlocal values
        values += sum(map(len, batches))

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one.run(count)) for one in connectors]
        await asyncio.sleep(_SETTLE_S)
        measured = await meanwhile(name, lambda: values, duration_s)
        for task in running:
            task.cancel()
    return measured


def alone(ports: Sequence[int], values: int, period_s: float, duration_s: float) -> Alone:
    """Run the connectors of these devices, and nothing else, in a process of their own."""
    words = map(str, (values, period_s, duration_s, *ports))
    ran = subprocess.run([sys.executable, "-m", __name__, *words], stdout=subprocess.PIPE, text=True, check=True)
    return Alone(**json.loads(ran.stdout))


if __name__ == "__main__":
    values, period_s, duration_s, *ports = sys.argv[1:]
    catalog = Catalog()
    connectors = [connector(catalog, i, int(port), int(values), float(period_s)) for i, port in enumerate(ports)]
    gc.collect()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        found = runner.run(read("connectors alone", connectors, float(duration_s)))
    print(json.dumps(dataclasses.asdict(Alone(found.rate, found.cpu_s / found.wall_s, memory_mib()[0]))))
