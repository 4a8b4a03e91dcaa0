"""The shop floor: all servers of a plant, and the clock that drives it. The only place that knows both."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final, Protocol, Self, TextIO

from simulators import truth
from simulators.faults import MODBUS_DEVICES
from simulators.plant import STEP_S, Plant
from simulators.plantfile import Servers, host_of, port_of
from simulators.servers import control
from simulators.servers.modbus import ModbusDevice
from simulators.servers.opcua import OpcUaServer
from simulators.servers.ports import claim
from simulators.servers.registers import Value

TICK_S: Final = 0.5  # between two looks at the instruments ...
SLOW_TICKS: Final = 4  # ... slow ones are looked at every 2 s ...
WAVEFORM_TICKS: Final = 10  # ... and there is a vibration snapshot every 5 s
STEPS_MAX: Final = 4_000  # in a tick; a plant that would need more falls behind instead of blocking its servers

_log = logging.getLogger(__name__)


class Link(Protocol):
    """A server whose communication can be lost."""

    @property
    def name(self) -> str: ...
    @property
    def listening(self) -> bool: ...
    async def open(self) -> None: ...
    async def close(self) -> None: ...


class ShopFloor:
    """The servers in front of a plant; `async with` opens and closes them.

    `addresses` maps the address that the plant file asks for to the one that is bound.
    """

    def __init__(self, plant: Plant, servers: Servers, *, accelerate: float, free_ports: bool) -> None:
        self.addresses: dict[str, str] = {}
        self.control = ""
        self._plant = plant
        self._accelerate = accelerate
        self._asked = servers
        self._free_ports = free_ports
        self._control: asyncio.Server | None = None
        self._opcua = OpcUaServer(*self._claim(servers.opcua), plant.faults, plant.put)
        self._devices = [self._device(name) for name in MODBUS_DEVICES]
        self._links: tuple[Link, ...] = (self._opcua, *self._devices)

    async def __aenter__(self) -> Self:
        """Listen everywhere; OSError naming the address if a port is taken."""
        plant = self._plant
        await self._opcua.create(self._values(), plant.waveform())
        await self._show(datetime.now(UTC), slow_too=True)
        await self._show_waveform(datetime.now(UTC))
        host = host_of(self._asked.control)
        port = claim(host, port_of(self._asked.control), or_any=self._free_ports)
        self.control = f"{host}:{port}"
        try:
            self._control = await control.serve(plant, host, port)
            for link in self._links:
                await link.open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._close()

    async def live(self, record: TextIO | None) -> None:
        """Drive the plant and show it, until cancelled; `record` receives the truth."""
        loop = asyncio.get_running_loop()
        start, behind = loop.time(), 0.0
        async for n in _ticks(TICK_S):
            due = round(((loop.time() - start) * self._accelerate - behind - self._plant.now_s) / STEP_S)
            behind += max(0, due - STEPS_MAX) * STEP_S
            self._plant.run(min(due, STEPS_MAX) * STEP_S)
            now = datetime.now(UTC)
            await self._follow_faults()
            await self._show(now, slow_too=n % SLOW_TICKS == 0)
            if n % WAVEFORM_TICKS == 0:
                await self._show_waveform(now)
            events = self._plant.take_events()
            if record is not None and events:
                truth.write(record, events, now)

    async def _show(self, now: datetime, *, slow_too: bool) -> None:
        """Let every server show what the instruments show."""
        values = self._values()
        await self._opcua.update(values, now, slow_too=slow_too)
        for device in self._devices:
            prefix = f"{device.name}/"
            device.update({name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)})

    def _values(self) -> dict[str, Value]:
        """Return what all instruments, states and counters show, by `device/name`."""
        return {**self._plant.measure(), **self._plant.signals()}

    async def _show_waveform(self, now: datetime) -> None:
        block = self._plant.waveform()
        await self._opcua.show_waveform(block, now)
        for device in self._devices:
            if device.name == "pump":
                device.show_waveform(block)

    async def _follow_faults(self) -> None:
        """Cut links whose communication is lost, and bring back those whose is not."""
        for link in self._links:
            lost = self._plant.faults.get("comms_loss", link.name) is not None
            if lost and link.listening:
                await link.close()
            elif not lost and not link.listening:
                try:
                    await link.open()
                except OSError as error:
                    _log.warning("%s cannot listen again yet: %s", link.name, error)

    async def _close(self) -> None:
        for device in self._devices:
            await device.close()
        await self._opcua.stop()
        if self._control is not None:
            self._control.close()
            await self._control.wait_closed()

    def _device(self, name: str) -> ModbusDevice:
        def put(point: str, value: float) -> None:
            self._plant.put(f"{name}/{point}", value)

        return ModbusDevice(name, *self._claim(getattr(self._asked, name)), self._plant.faults, put)

    def _claim(self, address: str) -> tuple[str, int]:
        """Return host and port to bind for an address of the plant file, and note what became of it."""
        host, asked = host_of(address), port_of(address)
        port = claim(host, asked, or_any=self._free_ports)
        self.addresses[address] = address.removesuffix(str(asked)) + str(port)
        return host, port


async def _ticks(period_s: float) -> AsyncIterator[int]:
    """Yield 0, 1, 2 ... once a period; a tick that is missed is left out, not made up for."""
    loop = asyncio.get_running_loop()
    start, n = loop.time(), 0
    while True:
        yield n
        n = max(n, int((loop.time() - start) / period_s)) + 1
        await asyncio.sleep(start + n * period_s - loop.time())
