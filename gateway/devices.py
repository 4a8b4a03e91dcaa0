"""The devices that are read, each in a task of its own, so that one can be stopped or started beside the others.

It knows what was planned and who keeps a device running; nothing of why devices come and go.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from gateway.contracts import Clock, Connector
from gateway.hub import Hub
from gateway.latest import Latest
from gateway.ledger import Ledger
from gateway.ledger.account import CHANGED
from gateway.plan import PlannedDevice
from gateway.supervise import Health, keep_device


class Devices(Mapping[str, tuple[PlannedDevice, Health]]):
    """What is planned of each device, and how it does, by name."""

    def __init__(
        self,
        planned: Sequence[PlannedDevice],
        hub: Hub,
        latest: Latest,
        ledger: Ledger,
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self._devices = {device.name: (device, Health(f"device {device.name}")) for device in planned}
        self._hub = hub
        self._latest = latest
        self._ledger = ledger
        self._clock = clock
        self._chance = chance
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._stopping = False

    def __getitem__(self, name: str) -> tuple[PlannedDevice, Health]:
        return self._devices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._devices)

    def __len__(self) -> int:
        return len(self._devices)

    def connector(self, name: str) -> tuple[Connector, Health]:
        """Return what reads and writes a device, and how it does."""
        planned, health = self._devices[name]
        return planned.connector, health

    def profiles(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what the connectors have learned, by name of the device."""
        return {name: planned.connector.learned for name, (planned, _) in self._devices.items()}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read the devices as long as the scope lasts."""
        async with asyncio.TaskGroup() as self._group:
            for name in self:
                self._start(name)
            yield
            self._stopping = True
            for task in self._tasks.values():
                task.cancel()

    async def stop(self, names: Collection[str]) -> None:
        """Stop reading these devices for another configuration; return when their connections are closed."""
        stopping = [self._tasks.pop(name) for name in names if name in self._tasks]
        for name in names:
            self._ledger.accounts[name].leaves = CHANGED
        for task in stopping:
            task.cancel()
        if stopping:
            await asyncio.wait(stopping)

    def replace(self, gone: Collection[str], planned: Sequence[PlannedDevice]) -> None:
        """Forget devices that have been stopped, and read others from now on."""
        for name in gone:
            self._ledger.close(name)
            del self._devices[name]
        for device in planned:
            self._devices[device.name] = (device, Health(f"device {device.name}"))
            self._ledger.open(device.name, device.connector)
            self._start(device.name)

    def _start(self, name: str) -> None:
        if self._group is None or self._stopping:
            return  # the gateway is about to start, or to end
        planned, health = self._devices[name]
        keeping = keep_device(
            planned.connector,
            planned.numbers,
            self._hub,
            self._latest,
            health,
            clock=self._clock,
            chance=self._chance,
            books=self._ledger.accounts[name],
        )
        self._tasks[name] = self._group.create_task(keeping, name=health.name)
