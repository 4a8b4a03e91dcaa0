"""Writing one tag: put the value into its registers, then read what the device has now."""

import math
from typing import Any

import numpy as np

from connectors._modbus.blocks import FUNCTION, Span
from connectors._modbus.encoding import encode, keep
from connectors._modbus.pdu import (
    ACKNOWLEDGED,
    ILLEGAL_FUNCTION,
    Answer,
    Request,
    mask_register,
    read,
    write_coil,
    write_registers,
)
from connectors._modbus.points import Point
from connectors._modbus.registers import columns
from connectors._modbus.scan import Ask, asked
from gateway.contracts import DeviceError
from gateway.model import Quality


async def write(ask: Ask, point: Point, value: float | str | bool) -> Any:
    """Write and read back. Raises what Writer.write in gateway/contracts raises."""
    factor = None
    if point.factor is not None:
        factor = int(np.frombuffer(await _read(ask, point.factor), ">i2")[0])
    words = encode(point.coding, value, factor)
    _check_step(point, words, value, factor)
    if point.span.area == "coil":
        await _done(ask, write_coil(point.span.start, on=bool(words[0])))
    elif any(keep(point.coding)):
        await _put_bits(ask, point, words)
    else:
        await _done(ask, write_registers(point.span.start, words))
    return await read_back(ask, point)


async def read_back(ask: Ask, point: Point) -> Any:
    """Return the value of a tag as it is now. Raises DeviceError if it has none."""
    data = await _read(ask, point.span)
    value, quality = _decoded(point, data, b"" if point.factor is None else await _read(ask, point.factor))
    if quality:
        raise DeviceError(f"{point.name} has no value now", Quality(quality))
    return value


def _check_step(point: Point, words: list[int], value: float | str | bool, factor: int | None) -> None:
    """Raise ValueError for a value that would be read back as another one; floats round as they do everywhere."""
    if point.coding.type == "bit" or "float" in point.coding.type:
        return
    nearest, _ = _decoded(
        point, np.array(words, ">u2").tobytes(), b"" if factor is None else np.array([factor], ">i2").tobytes()
    )
    if nearest != value and (isinstance(nearest, str) or not math.isclose(nearest, float(value), rel_tol=1e-9)):
        raise ValueError(f"{value!r} cannot be written as {point.coding.type}; the nearest is {nearest!r}")


def _decoded(point: Point, data: bytes, factor: bytes) -> tuple[Any, int]:
    """The value that these registers are, and its quality."""
    (column,) = columns([point.coding], [0], [len(data) if factor else None])
    value, quality = column.decode(np.frombuffer(data + factor, np.uint8))
    return value.tolist()[0], int(quality[0])


async def _put_bits(ask: Ask, point: Point, words: list[int]) -> None:
    """Write some bits of registers and leave the others; a device without mask write is read and written."""
    for i, (kept, word) in enumerate(zip(keep(point.coding), words, strict=True)):
        address = point.span.start + i
        answer = await asked(ask, mask_register(address, kept, word))
        if answer.code == ILLEGAL_FUNCTION:
            now = int.from_bytes(await _read(ask, Span(point.span.area, address, 1)), "big")
            await _done(ask, write_registers(address, [(now & kept) | word]))
        elif answer.code not in (0, ACKNOWLEDGED):
            raise _refused(answer)


async def _read(ask: Ask, span: Span) -> bytes:
    answer = await asked(ask, read(FUNCTION[span.area], span.start, span.count))
    if answer.code:
        raise _refused(answer)
    return answer.data


async def _done(ask: Ask, request: Request) -> None:
    answer = await asked(ask, request)
    if answer.code not in (0, ACKNOWLEDGED):
        raise _refused(answer)


def _refused(answer: Answer) -> DeviceError:
    names = {1: "illegal function", 2: "illegal address", 3: "illegal value", 4: "device failure", 6: "busy"}
    name = names.get(answer.code, "")
    return DeviceError(f"the device refused with exception {answer.code} {name}".rstrip(), Quality.BAD_NOT_WRITABLE)
