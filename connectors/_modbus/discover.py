"""What answers at a Modbus TCP address: its units, their identification, their SunSpec models. Only reads.

A search may meet a plant that runs, so it is gentle: one connection, one request at a time, a pause before each, and a
unit that leaves a request unanswered is asked nothing more. What every device has an answer to comes first, reading
holding registers; some are silent to a function that they do not know.

Device identification: Modbus Application Protocol V1.1b3 section 6.21 (function 43, MEI type 14).
SunSpec: Device Information Model Specification, sections 3 and 6 (models follow each other as id, length, points).

pymodbus speaks here rather than _modbus/line.py: it knows function 43, and speed does not matter.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse

from connectors._found import Found, Search
from connectors._modbus import endpoint

_PAUSE_S: Final = 0.05
"""Before each request: no device has more than 20 a second from a search. Our choice."""

UNITS: Final = (*range(1, 11), 255, 0)
"""What is asked if nobody says otherwise: the usual ones, and those that stand for the device itself."""

_BASES: Final = (40000, 0, 50000)
_SUNS: Final = [0x5375, 0x6E53]
_END: Final = 0xFFFF
_MODELS_MAX: Final = 40
"""Of a chain; a device that has no end to it is not followed for ever."""

_COMMON: Final = {"vendor": slice(0, 16), "product": slice(16, 32), "revision": slice(40, 48), "serial": slice(48, 64)}
"""Registers of the points Mn, Md, Vr and SN in model 1, from behind its length."""

_OBJECTS: Final = {0: "vendor", 1: "product", 2: "revision"}
_NOBODY: Final = (10, 11)
"""Exception codes with which a bridge says that there is no such unit (V1.1b3 section 7)."""

_EXAMPLE: Final = {"register": "holding:0"}


class _Silent(Exception):
    """No answer, or none that makes sense: this unit is asked nothing more."""


class _Refused(Exception):
    """The unit answered with an exception: it is there."""


async def discover(url: str, *, units: Sequence[int] = UNITS, timeout_s: float = 1.0) -> Search:
    """Ask these units in turn. Raises ValueError for a URL that cannot be searched, OSError if nobody is there."""
    where, _ = endpoint.parse(url)
    if where.scheme != "modbus":
        raise ValueError(f"{where.scheme}:// cannot be searched, only modbus://host:port can")
    client = AsyncModbusTcpClient(where.host, port=where.port, timeout=timeout_s, retries=0, reconnect_delay=0)
    line = _Line(client, str(where))
    try:
        asked = [(unit, await _interview(line, unit)) for unit in units]
    finally:
        client.close()
    at = f"modbus://{urlsplit(url).netloc}"
    found = [Found(f"unit{unit}", f"{at}?unit={unit}", facts, _EXAMPLE) for unit, facts in asked if facts is not None]
    return Search(found, len(units), line.requests)


class _Line:
    """One request at a time, counted; `answers` are those that came from a unit."""

    def __init__(self, client: AsyncModbusTcpClient, where: str) -> None:
        self._client = client
        self._where = where
        self.requests = 0
        self.answers = 0

    async def registers(self, unit: int, start: int, count: int) -> list[int]:
        answer = await self._ask(lambda: self._client.read_holding_registers(start, count=count, device_id=unit))
        if len(answer.registers) != count:
            raise _Silent
        return list(answer.registers)

    async def identification(self, unit: int) -> dict[int, Any]:
        """Return the basic objects, bytes by number."""
        answer = await self._ask(lambda: self._client.read_device_information(device_id=unit))
        return answer.information if isinstance(answer, ReadDeviceInformationResponse) else {}

    async def _ask(self, question: Callable[[], Awaitable[ModbusPDU]]) -> ModbusPDU:
        await asyncio.sleep(_PAUSE_S)
        if not self._client.connected and not await self._client.connect():
            raise ConnectionError(
                f"{self._where} does not accept a connection: check address, port and whether it is on"
            )
        self.requests += 1
        try:
            answer = await question()
        except ModbusException as error:
            raise _Silent from error
        if isinstance(answer, ExceptionResponse) and answer.exception_code in _NOBODY:
            raise _Silent
        self.answers += 1
        if isinstance(answer, ExceptionResponse):
            raise _Refused
        return answer


async def _interview(line: _Line, unit: int) -> dict[str, Any] | None:
    """Return what a unit says of itself, or None if it is not there."""
    facts: dict[str, Any] = {}
    before = line.answers
    try:
        await _sunspec(line, unit, facts)
        await _identification(line, unit, facts)
    except _Silent:
        pass  # what it said before that counts
    return facts if line.answers > before else None


async def _sunspec(line: _Line, unit: int, facts: dict[str, Any]) -> None:
    """Add `sunspec`, the address of each model by its id, and what the common model says."""
    base = await _base(line, unit)
    if base is not None:
        facts["sunspec"] = {}
        with suppress(_Refused):  # some chains have no end but the last register
            await _models(line, unit, base + 2, facts["sunspec"])
        with suppress(_Refused):
            await _common(line, unit, facts)


async def _base(line: _Line, unit: int) -> int | None:
    """Return where the letters SunS are, or None if nowhere."""
    for base in _BASES:
        with suppress(_Refused):
            if await line.registers(unit, base, 2) == _SUNS:
                return base
    return None


async def _models(line: _Line, unit: int, at: int, models: dict[int, int]) -> None:
    for _ in range(_MODELS_MAX):
        model, length = await line.registers(unit, at, 2)
        if model == _END:
            return
        models.setdefault(model, at)
        at += 2 + length
        if at > 65534:
            return


async def _common(line: _Line, unit: int, facts: dict[str, Any]) -> None:
    if 1 in facts["sunspec"]:
        registers = await line.registers(unit, facts["sunspec"][1] + 2, 64)
        raw = b"".join(register.to_bytes(2, "big") for register in registers)
        facts |= {name: _text(raw[2 * part.start : 2 * part.stop]) for name, part in _COMMON.items()}


async def _identification(line: _Line, unit: int, facts: dict[str, Any]) -> None:
    """Add vendor, product and revision, where the unit has them."""
    try:
        objects = await line.identification(unit)
    except _Refused:
        return
    facts |= {name: text for number, name in _OBJECTS.items() if (text := _text(objects.get(number)))}


def _text(raw: Any) -> str:
    """Return a text of a device as one line of printable ASCII, which both standards ask for."""
    text = raw.decode("ascii", "replace").replace("\ufffd", "?") if isinstance(raw, bytes) else ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
