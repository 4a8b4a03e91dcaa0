"""An MQTT subscriber that counts what arrives, how old it is, and what is missing. A process of its own.

It prints one JSON object: messages, values, seconds from the first message to the last, percentiles of the age of the
values in ms, from the moment the device began to answer and from when the last of its answers was there to be decoded,
and sequence numbers that were missing or came twice.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import orjson

from gateway.clock import loop_factory
from gateway.mqtt import connect

_SETTLE_S = 2.0


@dataclass(slots=True)
class Tally:
    """What has arrived."""

    messages: int = 0
    values: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    ages_ms: list[float] = field(default_factory=list)
    waits_ms: list[float] = field(default_factory=list)
    newest: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    repeated: int = 0

    def take(self, topic: str, payload: bytes) -> None:
        now_ns = time.time_ns()
        message = orjson.loads(payload)
        if "stamp" in message["tags"]:
            stamp = int(message["values"][message["tags"].index("stamp")])
            self.ages_ms.append((now_ns - stamp) / 1e6)
        told_us = message["time"]
        self.waits_ms.append(now_ns / 1e6 - (max(told_us) if isinstance(told_us, list) else told_us) / 1e3)
        sequence, before = message["seq"], self.newest.get(topic)
        if before is not None:
            self.missing += max(0, sequence - before - 1)
            self.repeated += sequence <= before
        self.newest[topic] = sequence
        self.messages += 1
        self.values += len(message["values"])
        self.last_s = time.monotonic()
        self.first_s = self.first_s or self.last_s

    def result(self) -> dict[str, float]:
        p50, p99 = np.percentile(self.ages_ms or [np.nan], [50, 99])
        decoded_p50, decoded_p99 = np.percentile(self.waits_ms or [np.nan], [50, 99])
        return {
            "messages": self.messages,
            "values": self.values,
            "seconds": self.last_s - self.first_s,
            "p50_ms": float(p50),
            "p99_ms": float(p99),
            "decoded_p50_ms": float(decoded_p50),
            "decoded_p99_ms": float(decoded_p99),
            "missing": self.missing,
            "repeated": self.repeated,
        }


async def listen(url: str, topic: str, duration_s: float) -> Tally:
    """Let the backlog of the start pass, say so, and count for so long."""
    tally = Tally()
    async with connect(url, "gateway-bench-listener") as mqtt:
        await mqtt.subscribe(topic, lambda topic, payload, retained: tally.take(topic, payload))
        await asyncio.sleep(_SETTLE_S)
        tally = Tally()
        print("listening", flush=True)
        await asyncio.sleep(duration_s)
        return tally


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        print(json.dumps(runner.run(listen(sys.argv[1], sys.argv[2], float(sys.argv[3]))).result()))
