"""What surrounds the gateway in a simulation, and how it fails: devices, far sides, a disk and its thread.

Each fake obeys the contract of what it stands for, and draws everything from the `random.Random` that it is given.
"""

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import DeviceError, Emit
from gateway.journal import JournalFile
from gateway.ledger import LedgerFile
from gateway.ledger.row import Pause
from gateway.model import Batch, Quality, Record
from tests.simulation.loop import LoopClock

P = ParamSpec("P")
T = TypeVar("T")


class Weather:
    """Whether anything fails at the moment."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.bad = True

    def strikes(self, probability: float) -> bool:
        return self.bad and self.chance.random() < probability


class Machine:
    """A Connector: three numbers and a state, polled; `number` is never the same twice."""

    def __init__(self, tags: NDArray[np.uint32], period_s: float, weather: Weather) -> None:
        self.counts: Counter[str] = Counter()
        self.learned: dict[str, Any] = {}
        self.polls = [(period_s, 3)]
        self.tags = tags
        self.period_s = period_s
        self._weather = weather
        self._number = 0.0

    async def run(self, emit: Emit) -> None:
        await self._connect()
        while True:
            if self._weather.strikes(0.02):
                await asyncio.sleep(self._weather.chance.uniform(0.0, 5.0) * self.period_s)  # answers slowly
            readings = self._readings()
            self.counts["readings_due"] += sum(map(len, readings))
            await self._trouble(emit)
            emit(*readings)
            await asyncio.sleep(self.period_s)

    async def _connect(self) -> None:
        if not self._weather.strikes(0.6):
            return
        match self._weather.chance.randrange(4):
            case 0:
                raise ConnectionRefusedError("refused")
            case 1:
                await asyncio.sleep(1.0)
                raise TimeoutError("no connection within 1 s")
            case 2:
                raise DeviceError("no right to read", Quality.BAD_USER_ACCESS_DENIED)
            case _:
                raise KeyError("a bug of ours")

    async def _trouble(self, emit: Emit) -> None:
        if not self._weather.strikes(0.03):
            return
        match self._weather.chance.randrange(4):
            case 0:
                raise ConnectionResetError("gone")
            case 1:
                await asyncio.sleep(1.0)
                emit(Batch.of(self.tags[:2], LoopClock().now_ns(), np.nan, Quality.BAD_TIMEOUT))
                raise TimeoutError("no answer within 1 s")
            case 2:
                raise asyncio.CancelledError  # from within a library
            case _:
                raise ZeroDivisionError("a bug of ours")

    def _readings(self) -> list[Batch]:
        self._number += 1.0
        now = LoopClock().now_ns()
        quality = [Quality.BAD_DEVICE_FAILURE if self._weather.strikes(0.1) else Quality.GOOD for _ in range(3)]
        numbers = np.where(np.array(quality) == Quality.GOOD, self._number, np.nan)
        found = [Batch.of(self.tags[:3], now, numbers, quality)]
        if self._weather.chance.random() < 0.3:
            found.append(Batch.of(self.tags[3:], now, self._number % 2 == 0))
        return found


class FarSide:
    """A Sink: remembers every record once, by its position, in the order in which they came first."""

    def __init__(self, weather: Weather) -> None:
        self.records: dict[int, Record] = {}
        self._weather = weather

    async def write(self, records: Sequence[Record]) -> None:
        chance = self._weather.chance
        if self._weather.strikes(0.05):
            await asyncio.sleep(chance.uniform(0.0, 300.0))
            raise ConnectionRefusedError("away for a while")
        await asyncio.sleep(chance.uniform(0.0, 0.1))
        if self._weather.strikes(0.05):
            self._take(records[: chance.randrange(len(records) + 1)])  # all of them, perhaps, but without a word of it
            raise ConnectionResetError("gone before it had confirmed")
        self._take(records)

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            known = self.records.setdefault(record.position, record)
            assert (known.asset, known.boot, known.sequence) == (record.asset, record.boot, record.sequence)


class Disk(JournalFile):
    """The journal's file on a disk that is full now and then. Waiting for the platter is not simulated."""

    def __init__(self, path: Path, weather: Weather) -> None:
        super().__init__(path)
        self._weather = weather
        self._full_until_s = 0.0

    def commit(self, records: Sequence[Record], cursors: Mapping[str, int]) -> int:
        self._check()
        return super().commit(records, cursors)

    def trim(self, upto: int, received_before: int) -> int:
        self._check()
        return super().trim(upto, received_before)

    def sync(self) -> None:
        self._check()

    def _check(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._weather.strikes(0.002):
            self._full_until_s = now_s + self._weather.chance.uniform(0.0, 60.0)
        if self._weather.bad and now_s < self._full_until_s:
            raise sqlite3.OperationalError("database or disk is full")


class Books(LedgerFile):
    """The ledger's file on such a disk."""

    def __init__(self, path: Path, weather: Weather) -> None:
        super().__init__(path)
        self._weather = weather

    def add(self, *what: Any, pause: Pause | None = None, **more: Any) -> None:
        if pause is None and self._weather.strikes(0.01):
            raise sqlite3.OperationalError("database or disk is full")
        super().add(*what, pause=pause, **more)


class DiskThread:
    """An Offload: one thing at a time, in order, taking some time; a cancel may come too late."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self._turn = asyncio.Lock()

    async def __call__(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._turn:
            stall_s = 3.0 if self._weather.strikes(0.01) else 0.01
            try:
                await asyncio.sleep(self._weather.chance.uniform(0.0, stall_s))
            except asyncio.CancelledError:
                if self._weather.chance.random() < 0.5:
                    with suppress(sqlite3.Error):
                        work(*args, **kwargs)
                raise
            return work(*args, **kwargs)
