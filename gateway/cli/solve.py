"""`gateway solve`: how to read a register whose value is known, say from the display of the device."""

import argparse
import asyncio
import json
import math
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from connectors._modbus.address import Address, parse
from connectors._modbus.solve import AFTER, BEFORE, Fit, solve

HELP = "find type, order and scale of a Modbus register whose value is known"
EXAMPLES = """  gateway solve modbus://192.168.0.7 --address holding:100 --expect 229.0
  gateway solve 'modbus://192.168.0.7?unit=3' --address 40101 --expect 50.02 --tolerance 0.05
  gateway solve --words '4365 0000' --expect 229.0       # what another program has read, in hexadecimal"""

_WINDOWS: Final = ((-BEFORE, BEFORE + 1 + AFTER), (0, 4), (0, 2), (0, 1), (-1, 2), (1, 2))
"""First register, from the address, and number of registers; a device that refuses all of them may allow a few."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", help="the device, modbus://host[:502][?unit=1]; it is only read")
    parser.add_argument(
        "--address", type=_address, default="holding:0", help="such as holding:100 or 40101; default holding:0"
    )
    parser.add_argument("--expect", type=_number, required=True, metavar="X", help="the value, as the device shows it")
    parser.add_argument("--tolerance", default="1%", metavar="T", help="how far off it may be: 1%% or 0.5; default 1%%")
    parser.add_argument("--words", type=_words, help="registers from the address on, instead of a device")
    parser.add_argument("--timeout", type=float, default=3.0, metavar="S", help="how long to wait for an answer")
    parser.add_argument("--count", type=int, default=10, metavar="N", help="how many ways to show at most; default 10")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        if (args.url is None) == (args.words is None):
            raise ValueError("name a device, such as modbus://192.168.0.7, or the registers with --words")
        tolerance = _tolerance(args.tolerance, args.expect)
        host, port, unit = ("", 0, 0) if args.url is None else _endpoint(args.url)
        words = args.words or asyncio.run(_read(host, port, unit, args.address, args.timeout))
        at = 0 if args.words else BEFORE
        fits = solve(words, at, args.expect, tolerance)
    except ValueError as error:
        print(f"gateway solve: {error}", file=sys.stderr)
        return 2
    start = args.address.start - at
    found = [_facts(fit, args.address) for fit in fits]
    registers = {f"{args.address.area}:{start + i}": word for i, word in enumerate(words) if word is not None}
    if args.json:
        print(json.dumps({"registers": registers, "fits": found}))
    else:
        print(_text(registers, found, args.count))
    return 0 if fits else 1


# --- what is asked ------------------------------------------------------------------------


def _address(text: str) -> Address:
    try:
        address = parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if address.area in ("coil", "discrete") or address.bit is not None:
        raise argparse.ArgumentTypeError(f"{text} is a bit: name a register, such as holding:100 or input:12")
    return address


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error


def _words(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    try:
        found = [int(word, 16) for word in words]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: write registers in hexadecimal, such as '4365 0000'") from error
    if not found or not all(0 <= word <= 0xFFFF for word in found):
        raise argparse.ArgumentTypeError(f"{text!r}: write registers of up to four digits, such as '4365 0000'")
    return found


def _tolerance(text: str, expect: Decimal) -> float:
    """In the unit of the value; a percentage is of what is expected."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"--tolerance {text}: write a percentage such as 1%, or a number such as 0.5")
    return abs(float(expect)) * number / 100 if text.endswith("%") else number


def _endpoint(url: str) -> tuple[str, int, int]:
    """Host, port and unit."""
    where = urlsplit(url)
    unit = parse_qs(where.query).get("unit", ["1"])[-1]
    if where.scheme != "modbus" or not where.hostname:
        raise ValueError(f"{url!r} is not a Modbus TCP device: write modbus://host[:502][?unit=1]")
    if not (unit.isdecimal() and int(unit) <= 255):
        raise ValueError(f"unit={unit}: the unit must be 0..255 (most TCP devices: 1 or 255)")
    return where.hostname, where.port or 502, int(unit)


# --- what is read -------------------------------------------------------------------------


async def _read(host: str, port: int, unit: int, address: Address, timeout_s: float) -> list[int | None]:
    """Return the registers around an address, from BEFORE on, None where there is none. Raises OSError."""
    client = AsyncModbusTcpClient(host, port=port, timeout=timeout_s, retries=0, reconnect_delay=0)
    read = client.read_holding_registers if address.area == "holding" else client.read_input_registers
    words: dict[int, int] = {}
    refused = ""
    try:
        if not await client.connect():
            raise ConnectionError(f"{host}:{port} does not accept a connection")
        for first, count in _WINDOWS:
            wanted = range(max(0, address.start + first), min(65_536, address.start + first + count))
            if words.keys() >= set(wanted):
                continue
            answer = await read(wanted.start, count=len(wanted), device_id=unit)
            if answer.isError() or len(answer.registers) != len(wanted):
                refused = f"exception {answer.exception_code}"
                continue
            words |= zip(wanted, answer.registers, strict=True)
    except ModbusException as error:
        what = f"no answer that makes sense within {timeout_s:g} s"
        raise ConnectionError(f"{host}:{port}, unit {unit}: {what}") from error
    finally:
        client.close()
    if address.start not in words:
        raise ConnectionError(f"{host}:{port}, unit {unit}, refuses {address}: {refused}")
    return [words.get(one) for one in range(address.start - BEFORE, address.start + 1 + AFTER)]


# --- what is said -------------------------------------------------------------------------


def _facts(fit: Fit, address: Address) -> dict[str, Any]:
    return {
        "register": str(Address(address.area, address.start + fit.shift)),
        "type": fit.coding.type,
        "order": fit.coding.order,
        "scale": float(fit.coding.scale),
        "value": fit.value,
    }


def _text(registers: dict[str, int], found: Sequence[dict[str, Any]], count: int) -> str:
    lines = [f"{register:16} {word:04X}  {word}" for register, word in registers.items()]
    if not found:
        return "\n".join(
            [*lines, "", "nothing fits: check the address, the area and the value, or allow more tolerance"]
        )
    lines += ["", f"{'value':>16}  {'register':14}  {'type':16}  {'order':8}  scale"]
    lines += [
        f"{fit['value']:>16.9g}  {fit['register']:14}  {fit['type']:16}  {fit['order']:8}  {fit['scale']:g}"
        for fit in found[:count]
    ]
    lines += [f"... and {len(found) - count} more"] if len(found) > count else []
    return "\n".join([*lines, "", _yaml(found[0])])


def _yaml(fit: dict[str, Any]) -> str:
    """The tag as it is written in a configuration; what has its default is left out."""
    order = f", order: {fit['order']}" if fit["order"] != "ABCD" else ""
    scale = f", scale: {fit['scale']:g}" if fit["scale"] != 1 else ""
    return f'name: {{register: "{fit["register"]}", type: {fit["type"]}{order}{scale}}}'
