"""Other ways to read the same devices: pymodbus with one decode per tag, as its examples do it, and libmodbus in C.

Both have one request in flight per device, for they know no other way.
"""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pymodbus.client import AsyncModbusTcpClient

from gateway.bench.device import FIRST_VALUE
from gateway.bench.limit import REGISTERS, blocks
from gateway.bench.measured import Measured
from gateway.clock import loop_factory

_SOURCE: Final = Path(__file__).with_name("libmodbus.c")


def pymodbus(ports: Sequence[int], values: int, duration_s: float) -> Measured:
    """Read all devices side by side, each as fast as it goes, and convert tag by tag."""
    return asyncio.run(_pymodbus("pymodbus, one decode per tag", ports, values, duration_s))


def pymodbus_on_our_loop(ports: Sequence[int], values: int, duration_s: float) -> Measured:
    """Do the same on the event loop that the gateway runs on, uvloop where there is one."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_pymodbus("pymodbus on the gateway's event loop", ports, values, duration_s))


def libmodbus(ports: Sequence[int], values: int, duration_s: float) -> Measured | None:
    """Compile and run the C program; None where there is no C compiler or no libmodbus."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "libmodbus")
        build = [compiler, "-O2", "-I/usr/include/modbus", str(_SOURCE), "-o", program, "-lmodbus"]
        if subprocess.run(build, capture_output=True, check=False).returncode:
            return None
        numbers = [duration_s, FIRST_VALUE, values, REGISTERS, *ports]
        told = subprocess.run([program, *map(str, numbers)], capture_output=True, text=True, check=True).stdout.split()
    return Measured("libmodbus in C", int(told[0]), float(told[1]), float(told[2]))


async def _pymodbus(name: str, ports: Sequence[int], values: int, duration_s: float) -> Measured:
    scans, begin, cpu = 0, time.monotonic(), time.process_time()

    async def read(port: int) -> None:
        nonlocal scans
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()
        while time.monotonic() - begin < duration_s:
            for start, count in blocks(values):
                answer = await client.read_holding_registers(start, count=count)
                for at in range(FIRST_VALUE if start == 0 else 0, count, 2):
                    client.convert_from_registers(answer.registers[at : at + 2], client.DATATYPE.FLOAT32)
            scans += 1
        client.close()

    async with asyncio.TaskGroup() as tasks:
        for port in ports:
            tasks.create_task(read(port))
    wall, cpu = time.monotonic() - begin, time.process_time() - cpu
    return Measured(name, scans * (values + 1), wall, cpu)
