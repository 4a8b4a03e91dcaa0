"""Batch messages that nobody read from a device: what broker and subscriber take of the age that a value has there.

The same messages as the gateway's at the same pace, through the same broker to the same subscriber, and nothing else.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.bench.own_broker import own_broker
from gateway.clock import loop_factory
from gateway.model import Batch, Catalog, Record, Tag
from gateway.mqtt import Message, connect
from gateway.payload import batch_message


@dataclass(frozen=True, slots=True)
class Passage:
    """The age of values at a subscriber, in ms."""

    p50_ms: float
    p99_ms: float


def measure(values: int, period_s: float, duration_s: float, folder: Path) -> Passage:
    """Publish a batch of so many values in each period."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_with_broker(values, period_s, duration_s, folder))


async def _with_broker(values: int, period_s: float, duration_s: float, folder: Path) -> Passage:
    async with own_broker(folder) as port, asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(_publish(f"mqtt://127.0.0.1:{port}", values, period_s))
        words = ["-m", "gateway.bench.listener", f"mqtt://127.0.0.1:{port}", "uns/#", str(duration_s)]
        listener = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
        told, _ = await listener.communicate()
        publishing.cancel()
    seen = json.loads(told.splitlines()[-1])
    return Passage(seen["decoded_p50_ms"], seen["decoded_p99_ms"])


async def _publish(url: str, values: int, period_s: float) -> None:
    catalog = Catalog(Tag("bench/here/device", f"v{k}") for k in range(values))
    tags, value = np.arange(values, dtype=np.uint32), np.random.default_rng(1).normal(50, 5, values)
    sequence = 0
    async with connect(url, "gateway-bench") as mqtt:
        while True:
            sequence += 1
            record = Record(sequence, 0, 1, sequence, 0, (Batch.of(tags, time.time_ns(), value),))
            await mqtt.publish([Message("uns/device/_batch", batch_message(record, catalog, "gw1"))])
            await asyncio.sleep(period_s)
