"""The shipped command from end to end: Modbus devices -> `gateway run` -> MQTT subscriber.

The gateway has its journal, its historian, its retained topics and its embedded broker, as anybody would run it. CPU
and memory are read from /proc, so that the broker's are known apart; elsewhere than on Linux they are left out.
"""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.bench.device import FIRST_VALUE
from gateway.bench.measured import cpu_s, memory_mib, source
from gateway.ports import free


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a subscriber saw, and what it cost; nan if unknown.

    Ages are from the moment the device began to answer, and (`decoded`) from when there was all to be decoded.
    CPU is in seconds per million values, memory in MiB: at the end, and at the most.
    """

    name: str
    rate: float
    p50_ms: float
    p99_ms: float
    decoded_p50_ms: float
    decoded_p99_ms: float
    missing: int
    repeated: int
    gateway_cpu: float
    broker_cpu: float
    rss_mib: float
    peak_mib: float

    @property
    def cores(self) -> float:
        """Cores that the gateway used, without its broker."""
        return self.gateway_cpu * self.rate / 1e6

    @property
    def broker_cores(self) -> float:
        return self.broker_cpu * self.rate / 1e6


@contextmanager
def devices(n: int, values: int) -> Iterator[list[int]]:
    """Run devices as a process of their own; give their ports."""
    with source("gateway.bench.device", n, values) as (_, ports):
        yield ports


def measure(name: str, ports: Sequence[int], values: int, poll: str, duration_s: float, folder: Path) -> Arrived:
    """Run a gateway on the devices and count at a subscriber."""
    config = folder / "bench.yaml"
    config.write_text(json.dumps(_config(ports, values, poll, folder)), encoding="utf-8")
    command = [sys.executable, "-m", "gateway", "run", str(config), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        ready = json.loads(gateway.stdout.readline())
        listener = [sys.executable, "-m", "gateway.bench.listener", ready["mqtt"], "uns/+/+/+/_batch"]
        with subprocess.Popen([*listener, str(duration_s)], stdout=subprocess.PIPE, text=True) as subscriber:
            assert subscriber.stdout is not None
            subscriber.stdout.readline()
            before = _usage(gateway.pid)
            seen: dict[str, Any] = json.loads(subscriber.stdout.readline())
            after = _usage(gateway.pid)
        gateway.terminate()
    millions = seen["values"] / 1e6
    return Arrived(
        name=name,
        rate=seen["values"] / max(seen["seconds"], 1e-9),
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
        decoded_p50_ms=seen["decoded_p50_ms"],
        decoded_p99_ms=seen["decoded_p99_ms"],
        missing=seen["missing"],
        repeated=seen["repeated"],
        gateway_cpu=(after.own_s - before.own_s) / max(millions, 1e-9),
        broker_cpu=(after.children_s - before.children_s) / max(millions, 1e-9),
        rss_mib=after.rss_mib,
        peak_mib=after.peak_mib,
    )


def _config(ports: Sequence[int], values: int, poll: str, folder: Path) -> dict[str, Any]:
    tags: dict[str, Any] = {"stamp": {"register": "holding:0", "type": "int64"}}
    tags |= {f"v{k}": {"register": f"holding:{FIRST_VALUE + 2 * k}", "type": "float32"} for k in range(values)}
    return {
        "site": {"enterprise": "bench", "site": "here"},
        "data_dir": str(folder / "data"),
        "bus": {"listen": f"127.0.0.1:{free()}"},
        "api": {"listen": "127.0.0.1:0"},
        "devices": {
            f"device{i}": {
                "connect": f"modbus://127.0.0.1:{port}",
                "asset": f"device{i}",
                "poll": poll,
                "tags": tags,
            }
            for i, port in enumerate(ports)
        },
    }


@dataclass(frozen=True, slots=True)
class _Usage:
    """CPU seconds of a process and of its children, its memory now and at the most."""

    own_s: float
    children_s: float
    rss_mib: float
    peak_mib: float


def _usage(pid: int) -> _Usage:
    if not Path("/proc/self/stat").exists():
        return _Usage(math.nan, math.nan, math.nan, math.nan)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _Usage(cpu_s(pid), sum(cpu_s(int(child)) for child in children), *memory_mib(pid))
