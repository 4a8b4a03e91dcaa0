"""A Modbus TCP device: a pymodbus server in front of an image of registers, with the faults of its link.

Unit 1 is the device; any other unit answers with exception 11, like a bridge to a bus where nobody is.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from simulators.faults import Faults
from simulators.physics.vibration import BLOCK, SAMPLE_RATE
from simulators.servers import maps
from simulators.servers.registers import Bit, Image, Register, Value, encode

UNIT: Final = 1
_TABLES: Final = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil", 6: "holding", 15: "coil"}
_INT16_MAX: Final = 32_767


class ModbusDevice:
    """One device, its image and its server.

    `put` is called with the name and value of a set point that a client writes, and raises ValueError if the
    value is out of range.
    """

    def __init__(self, name: str, host: str, port: int, faults: Faults, put: Callable[[str, float], None]) -> None:
        self.name = name
        self.host = host
        self.port = port
        self._faults = faults
        self._put = put
        self._map = maps.MAPS[name]
        self._image = Image(self._map, maps.WAVEFORM_START + BLOCK if name == "pump" else 0)
        self._snapshots = 0
        self._server: ModbusTcpServer | None = None

    @property
    def listening(self) -> bool:
        return self._server is not None

    async def open(self) -> None:
        """Listen; OSError if the port is taken."""
        nobody = SimDevice(0, _blocks({}), action=_nobody_there)
        device = SimDevice(UNIT, _blocks({k: len(v) for k, v in self._image.tables.items()}), action=self._answer)
        server = ModbusTcpServer([device, nobody], address=(self.host, self.port))
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            raise OSError(f"{self.host}:{self.port}: {error}") from error
        self._server = server

    async def close(self) -> None:
        """Drop all clients and refuse new ones."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    def update(self, values: Mapping[str, Value]) -> None:
        """Show new values, by their names within the device."""
        self._image.update(values)

    def show_waveform(self, block: NDArray[np.float64]) -> None:
        """Show a new snapshot of acceleration [m/s2] in the window; the counter changes with it."""
        exponent = int(np.ceil(np.log10(max(float(np.abs(block).max()), 1e-3) / _INT16_MAX)))
        samples = np.rint(block / 10.0**exponent).astype(np.int16).view(np.uint16)
        self._image.put("holding", maps.WAVEFORM_START, samples.tolist())
        self._image.put("holding", maps.WAVEFORM_RATE, encode(SAMPLE_RATE, "uint16"))
        self._image.put("holding", maps.WAVEFORM_SCALE, encode(exponent, "int16"))
        self._image.put("holding", maps.WAVEFORM_SAMPLES, encode(BLOCK, "uint16"))
        self._snapshots += 1
        self._image.put("holding", maps.WAVEFORM_COUNTER, encode(self._snapshots, "uint32"))

    async def _answer(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Answer a request: be late, refuse, accept a set point, or copy the image to where pymodbus reads it."""
        slow = self._faults.get("slow_answers", self.name)
        if slow is not None:
            await self._pause(slow.fault.delay)
        table = _TABLES.get(function, "holding")
        refusal = self._exception(table, address, count)
        if refusal is not None:
            return refusal
        if written is not None:
            return self._write(table, address, [int(value) for value in written])
        words = self._image.tables[table]
        if table in ("coil", "discrete"):
            current[: len(words)] = [word or 0 for word in words]
            return None
        wanted = words[address : address + count]
        if None in wanted:
            return ExcCodes.ILLEGAL_ADDRESS
        current[address - start : address - start + count] = [word or 0 for word in wanted]
        return None

    async def _pause(self, seconds: float) -> None:
        """Wait, and listen to nobody meanwhile: pymodbus would answer with the number of a later request."""
        connections = self._server.active_connections.values() if self._server else ()
        transports = [connection.transport for connection in connections]
        reading = [transport for transport in transports if isinstance(transport, asyncio.Transport)]
        for transport in reading:
            transport.pause_reading()
        await asyncio.sleep(seconds)
        for transport in reading:
            transport.resume_reading()

    def _exception(self, table: str, address: int, count: int) -> ExcCodes | None:
        """Return the exception that a fault gives for a request, or None."""
        active = self._faults.get("exceptions", self.name)
        if active is None:
            return None
        faulty, _, bounds = active.fault.registers.partition(":")
        first, _, last = bounds.partition("-")
        hit = not faulty or (table == faulty and address <= int(last or first) and address + count > int(first))
        return ExcCodes(int(active.fault.code or ExcCodes.DEVICE_FAILURE)) if hit else None

    def _write(self, table: str, address: int, values: list[int]) -> ExcCodes | None:
        """Write set points; all registers written must be one each, and one that a client may write."""
        places: list[Register | Bit] = [*self._map.registers, *self._map.bits]
        targets = {(place.table, place.address): place for place in places}
        for i, value in enumerate(values):
            target = targets.get((table, address + i))
            if target is None or target.name not in self._map.writable:
                return ExcCodes.ILLEGAL_ADDRESS
            try:
                self._put(target.name, _engineering(target, value) if isinstance(target, Register) else value)
            except ValueError:
                return ExcCodes.ILLEGAL_VALUE
        return None


def _engineering(register: Register, word: int) -> float:
    """Return a written word in the unit of its instrument."""
    signed = word - 0x1_0000 if register.type == "int16" and word > _INT16_MAX else word
    return signed * register.scale


def _blocks(sizes: Mapping[str, int]) -> tuple[list[SimData], list[SimData], list[SimData], list[SimData]]:
    """Return memory for pymodbus: coils, discrete inputs, holding and input registers."""
    bits = [
        [SimData(0, values=[False] * 16 * sizes.get(name, 1), datatype=DataType.BITS)] for name in ("coil", "discrete")
    ]
    words = [[SimData(0, count=sizes.get(name, 1), datatype=DataType.REGISTERS)] for name in ("holding", "input")]
    return bits[0], bits[1], words[0], words[1]


async def _nobody_there(*_request: object) -> ExcCodes | None:
    return ExcCodes.GATEWAY_NO_RESPONSE
