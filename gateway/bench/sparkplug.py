"""CPU of the Sparkplug edge node: records of a device as messages, beside the same records as columnar JSON."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.bus.sparkplug.node import EdgeNode
from gateway.clock import SystemClock
from gateway.latest import Latest
from gateway.model import Batch, Catalog, Record, Tag
from gateway.mqtt.sparkplug.names import Names
from gateway.payload import batch_message

_RECORDS = 200
_CHANCE = 1


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a million values cost, in CPU seconds, and how many bytes one takes; `json_cpu` is that of the bus."""

    name: str
    cpu: float
    bytes_per_value: float
    json_cpu: float


def measure(values: int, seconds: float) -> list[Encoded]:
    """Encode records of so many values again and again: each kind of value, all changed since the last."""
    chance = np.random.default_rng(_CHANCE)
    kinds: dict[str, Callable[[int], NDArray[Any]]] = {
        "float64": lambda n: chance.normal(50, 5, n),
        "int64 below 2^16": lambda n: chance.integers(0, 1 << 16, n),
        "int64": lambda n: chance.integers(-(1 << 62), 1 << 62, n),
        "bool": lambda n: chance.random(n) > 0.5,
    }
    each = seconds / (2 * len(kinds))
    return [_measured(name, draw, values, each) for name, draw in kinds.items()]


def _measured(name: str, draw: Callable[[int], NDArray[Any]], values: int, seconds: float) -> Encoded:
    catalog = Catalog([Tag("bench/device", f"v{i}", device="device") for i in range(values)])
    tags, good = np.arange(values, dtype=np.uint32), np.zeros(values, np.uint32)
    records = []
    for i in range(_RECORDS):
        time_ns = np.full(values, 1_700_000_000_000_000_000 + i * 1_000_000_000)
        records.append(Record(i + 1, 0, 1, i + 1, 0, (Batch(tags, time_ns, draw(values), good),)))
    latest = Latest(values)
    latest.update(records[0].batches[0])
    sizes: list[int] = []
    node = EdgeNode(
        Names("bench", "node"), "bench", catalog, latest, SystemClock(), alive=lambda _: True, newest=lambda: 0
    )
    node.begin(0, lambda topic, payload: sizes.append(len(payload)))
    told = len(sizes)
    cpu = _cpu(lambda: node.publish(records), seconds)
    json_cpu = _cpu(lambda: [batch_message(record, catalog, "bench") for record in records], seconds)
    million = _RECORDS * values / 1e6
    return Encoded(name, cpu / million, float(np.mean(sizes[told:])) / values, json_cpu / million)


def _cpu(work: Callable[[], object], seconds: float) -> float:
    """The least CPU time that the work took within some seconds: other programs only make it more."""
    end, taken = time.monotonic() + seconds, list[float]()
    while not taken or time.monotonic() < end:
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return min(taken)


def table(rows: Sequence[Encoded]) -> list[str]:
    """Return the figures as lines of text."""
    lines = [f"{'Sparkplug, CPU s per million':34}{'CPU':>9}{'bytes':>9}{'JSON':>9}{'ratio':>9}"]
    return lines + [
        f"{row.name:34}{row.cpu:>9.3f}{row.bytes_per_value:>9.1f}{row.json_cpu:>9.3f}{row.cpu / row.json_cpu:>9.2f}"
        for row in rows
    ]
