"""What a round of the bench measures, and the processes that it needs beside the one it measures."""

import asyncio
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final


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


ROUNDS: Final = 3
"""Every way has its turn so often, and the best of them counts: others at work on the machine only make it worse."""


def best(rounds: Sequence[Sequence[Measured | None]]) -> list[Measured | None]:
    """Return what cost the least CPU of each way, of rounds that have the same ways in the same order."""
    return [
        min((one for one in found if one), key=lambda one: one.cpu_per_million, default=None)
        for found in zip(*rounds, strict=True)
    ]


async def meanwhile(name: str, values: Callable[[], int], duration_s: float) -> Measured:
    """Let everything run for so long; `values` tells how many there have been so far."""
    before, cpu, begin = values(), time.process_time(), time.monotonic()
    await asyncio.sleep(duration_s)
    return Measured(name, values() - before, time.monotonic() - begin, time.process_time() - cpu)


@contextmanager
def source(module: str, *words: object) -> Iterator[tuple[int, list[int]]]:
    """Run a module of the bench as a process of its own; give its process id and the ports that it prints."""
    command = [sys.executable, "-m", module, *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, [int(port) for port in process.stdout.readline().split()]
        process.terminate()


def memory_mib(pid: int | str = "self") -> tuple[float, float]:
    """Return the memory of a process, now and at the most; nan where there is no /proc (VmRSS, VmHWM of proc(5))."""
    path = Path(f"/proc/{pid}/status")
    if not path.exists():
        return math.nan, math.nan
    status = dict(line.split(":", 1) for line in path.read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024, int(status["VmHWM"].split()[0]) / 1024


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, nan where there is no /proc.

    utime and stime, fields 14 and 15 of proc_pid_stat(5), counted behind the name in parentheses.
    """
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return math.nan
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
