"""Switching faults at run time: a line of text over a loopback connection, and the client that sends it.

    on TARGET FAULT [option=value ...]
    off TARGET FAULT
    list [FAULT]

The answer is text; its first word is `ok` or `error`.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from simulators.faults import KINDS, nearest
from simulators.plant import Plant
from simulators.plantfile import FaultSection

LINE_BYTES_MAX: Final = 1_000
ANSWER_BYTES_MAX: Final = 100_000
TIMEOUT_S: Final = 5.0
ALLOWED: Final = "on TARGET FAULT [option=value ...], off TARGET FAULT, list [FAULT]"


def answer(plant: Plant, line: str) -> str:
    """Do what a line asks for; return the answer."""
    match line.split():
        case ["list"]:
            return f"ok {_listing(plant)}"
        case ["list", kind]:
            return f"ok {_targets(kind)}" if kind in KINDS else f"error {kind!r}: {nearest(kind, KINDS)}"
        case ["on", target, kind, *options]:
            return _on(plant, target, kind, options)
        case ["off", target, kind]:
            switched = plant.switch_off(kind, target)
            return f"ok {target} {kind} is off" if switched else f"error {target} {kind} was not on"
        case _:
            return f"error {line.strip()!r} is not understood; allowed: {ALLOWED}"


async def serve(plant: Plant, host: str, port: int) -> asyncio.Server:
    """Listen for lines; OSError if the port is taken."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                line = await reader.readline()
                writer.write(answer(plant, line.decode("utf-8", "replace")).encode("utf-8") + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):  # a silent, gone, or endless client is no fault of ours
            pass
        finally:
            writer.close()

    return await asyncio.start_server(connected, host, port, limit=LINE_BYTES_MAX)


async def ask(host: str, port: int, line: str) -> str:
    """Send a line to a running simulator; return its answer. OSError or TimeoutError if nobody answers."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(line.encode("utf-8") + b"\n")
            return (await reader.read(ANSWER_BYTES_MAX)).decode("utf-8").strip()
        finally:
            writer.close()
            await writer.wait_closed()


def _on(plant: Plant, target: str, kind: str, options: Sequence[str]) -> str:
    try:
        values = dict(option.split("=", 1) for option in options)
        section = FaultSection.model_validate({"fault": kind, "target": target, "at": 0, **values})
    except ValidationError as error:
        return "error " + "; ".join(_reason(item["loc"], item["msg"]) for item in error.errors())
    except ValueError:
        return f"error {' '.join(options)!r}: options are written name=value"
    plant.switch_on(section.to_fault(), section.duration)
    return f"ok {target} {kind} is on"


def _reason(location: Sequence[int | str], message: str) -> str:
    return f"{'.'.join(map(str, location))}: {message.removeprefix('Value error, ')}"


def _listing(plant: Plant) -> str:
    """Return the faults that are on, and those that there are."""
    active = [
        f"{item.fault.target} {item.fault.kind} since {item.since_s:.0f} s (simulated)"
        for item in plant.faults.active()
    ]
    kinds = [f"  {name:14} {kind.text}" for name, kind in KINDS.items()]
    return "\n".join(["on now:", *(f"  {line}" for line in active or ["nothing"]), "there are:", *kinds])


def _targets(kind: str) -> str:
    """Return all targets of a kind of fault, and its options."""
    return "\n".join(
        [f"{kind}: {KINDS[kind].text}", f"options: {', '.join(KINDS[kind].options) or 'none'}", *KINDS[kind].targets]
    )
