"""Modbus TCP: one device, polled in blocks, decoded in columns.

    devices:
      press:
        connect: modbus://192.168.0.7?unit=1
        asset: forming/line2/press
        poll: 1s
        tags:
          speed: {register: "holding:40", type: uint16, scale: 0.1, unit: "{rev}/min"}

What a tag needs is decided when the connector is built: which block reads it (_blocks.py), where its bytes lie in
the answers put end to end (_scan.py), and what becomes of them (_registers.py). A poll is then a request per block
over one connection (_mbap.py), one image, and a few numpy calls.
"""

import zlib
from collections import Counter
from typing import Annotated, Final, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import BeforeValidator, Field, InstanceOf, model_validator

from connectors._address import Address, parse
from connectors._blocks import REGISTERS_MAX, Span
from connectors._mbap import connect
from connectors._options import Options, Seconds
from connectors._pace import due
from connectors._registers import TYPES, Coding, Order
from connectors._scan import Point, Scan
from gateway.contracts import Clock, Device, Emit

SCHEMES: Final = ("modbus",)
_PORT: Final = 502

Register = Annotated[InstanceOf[Address], BeforeValidator(parse, json_schema_input_type=str | int)]


class DeviceOptions(Options):
    """Keys of a Modbus device."""

    poll: Seconds = Field(default=1.0, description="how often its tags are read")
    timeout: Seconds = Field(default=1.0, description="how long to wait for a connection or an answer")
    gap: int = Field(default=8, ge=0, le=REGISTERS_MAX, description="registers read in vain to save a request")
    registers_max: int = Field(default=REGISTERS_MAX, ge=1, le=REGISTERS_MAX, description="longest request")


class TagOptions(Options):
    """Keys of a tag of a Modbus device."""

    at: Register = Field(alias="register", description="holding:40, input:12.3, coil:0, discrete:7, or 40001")
    type: str = Field(default="", description=f"one of {', '.join(TYPES)}; default uint16, or bit")
    order: Order = Field(default="ABCD", description="order of the bytes on the wire; ABCD is the standard's")
    length: int = Field(default=0, ge=0, le=REGISTERS_MAX, description="registers of a string")
    scale: float = Field(default=1, allow_inf_nan=False, description="value = raw x scale + offset")
    offset: float = Field(default=0, allow_inf_nan=False, description="value = raw x scale + offset")
    scale_register: Register | None = Field(default=None, description="int16 register sf: value = raw x 10^sf")
    invalid: tuple[int, ...] = Field(default=(), description="raw values that mean: not available")
    poll: Seconds | None = Field(default=None, description="how often it is read, if not as the device says")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        single = self.at.area in ("coil", "discrete") or self.at.bit is not None
        if self.type and self.type not in TYPES:
            raise ValueError(f"type {self.type!r} is not known; it must be one of {', '.join(TYPES)}")
        if self.wire == "bit" and not single:
            raise ValueError(f"type bit needs the bit of the register: {self.at}.0 up to {self.at}.15")
        if self.wire != "bit" and single:
            raise ValueError(f"{self.at} is a single bit and cannot be {self.wire}: leave type out")
        if (self.wire == "string") != (self.length > 0):
            raise ValueError("type string needs length, the number of registers; no other type has it")
        return self

    @property
    def wire(self) -> str:
        """The name of the type in TYPES."""
        return self.type or ("bit" if self.at.bit is not None or self.at.area in ("coil", "discrete") else "uint16")


def address(options: TagOptions) -> str:
    """Return where and how a tag is read, with the wire address: `holding:40 uint32 CDAB`."""
    order = f" {options.order}" if TYPES[options.wire].registers > 1 or options.order != "ABCD" else ""
    return f"{options.at} {options.wire}{order}"


def connector(device: Device, clock: Clock) -> "Modbus":
    """Plan the requests of a device. Raises ValueError naming what cannot be read."""
    return Modbus(device, clock)


class Modbus:
    """Poll one unit behind one TCP connection, one request in flight.

    `counts` has what it cost the device: `requests`, `exceptions`, `polls_skipped`.
    """

    def __init__(self, device: Device, clock: Clock) -> None:
        where = urlsplit(device.url)
        self._host, self._port = where.hostname or "", where.port or _PORT
        self._unit = _unit(where.query)
        self._timeout_s: float = device.options.timeout
        self._phase = zlib.crc32(device.name.encode()) / 2**32
        self._clock = clock
        self.counts: Counter[str] = Counter()
        polls: list[float] = [options.poll or device.options.poll for options in device.tag_options]
        self._periods_s = sorted(set(polls))
        self._scans = [
            Scan(
                [_point(device.tag_options[i]) for i, poll in enumerate(polls) if poll == period],
                device.numbers[[i for i, poll in enumerate(polls) if poll == period]],
                gap=device.options.gap,
                registers_max=device.options.registers_max,
                counts=self.counts,
            )
            for period in self._periods_s
        ]

    async def run(self, emit: Emit) -> None:
        async with connect(self._host, self._port, self._unit, self._timeout_s) as connection:
            async for turn in due(self._periods_s, self._phase, self.counts):
                await self._scans[turn].poll(connection, emit, self._clock)


def _point(options: TagOptions) -> Point:
    coding = Coding(
        type=options.wire,
        order=options.order,
        bit=options.at.bit,
        length=options.length,
        scale=repr(options.scale),
        offset=repr(options.offset),
        invalid=options.invalid,
    )
    factor = options.scale_register
    return Point(
        Span(options.at.area, options.at.start, coding.registers),
        coding,
        None if factor is None else Span(factor.area, factor.start, 1),
    )


def _unit(query: str) -> int:
    text = parse_qs(query).get("unit", ["1"])[-1]
    if not (text.isdecimal() and 0 <= int(text) <= 255):
        raise ValueError(f"unit={text}: the unit must be 0..255 (most TCP devices: 1 or 255)")
    return int(text)
