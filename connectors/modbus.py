"""Modbus over TCP, TLS, UDP, RTU through TCP, or a serial line: polled in blocks, decoded in columns.

    devices:
      press:
        connect: modbus://192.168.0.7?unit=1
        asset: forming/line2/press
        poll: 1s
        tags:
          speed: {register: "holding:40", type: uint16, scale: 0.1, unit: "{rev}/min"}

What a tag needs (_modbus/options.py) is decided when the connector is built: which block reads it (_modbus/blocks.py),
where its bytes lie in the answers put end to end (_modbus/scan.py), and what becomes of them (_modbus/registers.py).
A poll is then a request per block over a line (_modbus/line.py), one image, and a few numpy calls.
"""

import asyncio
import ssl
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final

from connectors._modbus import endpoint, writing
from connectors._modbus.blocks import Span
from connectors._modbus.coding import TYPES, Coding
from connectors._modbus.depth import Depth
from connectors._modbus.discover import discover as discover
from connectors._modbus.line import Line
from connectors._modbus.options import DeviceOptions as DeviceOptions
from connectors._modbus.options import TagOptions as TagOptions
from connectors._modbus.options import Tls
from connectors._modbus.points import Point, Points
from connectors._modbus.profile import Profile
from connectors._modbus.scan import Scan
from connectors._modbus.trace import trace
from connectors._modbus.unit import Unit
from connectors._modbus.words import Kept, redecoded
from connectors._pace import due
from gateway.contracts import Clock, Device, Emit, Step, Words
from gateway.model import Batch, Quality

SCHEMES: Final = endpoint.SCHEMES
_COUNTS: Final = ("requests", "exceptions", "timeouts", "late", "polls_skipped", "readings_due", "readings_skipped")

_CAUSES: Final[Mapping[int, str]] = {
    Quality.BAD_TIMEOUT: "timeout",
    Quality.BAD_NOT_SUPPORTED: "exception 1",
    Quality.BAD_NODE_ID_UNKNOWN: "exception 2",
    Quality.BAD_OUT_OF_RANGE: "exception 3",
    Quality.BAD_DEVICE_FAILURE: "exception 4 or 5",
    Quality.BAD_RESOURCE_UNAVAILABLE: "exception 6",
    Quality.BAD_NO_COMMUNICATION: "exception 10 or 11",
}
"""What the qualities that _modbus/scan.py gives stand for, for people."""


def address(options: TagOptions) -> str:
    """Return where and how a tag is read, with the wire address: `40041 = holding:40 uint32 CDAB`."""
    order = f" {options.order}" if TYPES[options.wire].registers > 1 or options.order != "ABCD" else ""
    mask = f" mask {options.mask:#x}" if options.mask else ""
    return f"{options.at.explained} {options.wire}{order}{mask}"


def _decoded(options: TagOptions) -> str:
    """How a tag is read and decoded, with all that makes its value."""
    keys = options.model_dump(include={"scale", "offset", "invalid", "rollover"}, exclude_defaults=True)
    return " ".join([address(options), *(f"{key} {value}" for key, value in keys.items())])


def connector(device: Device, clock: Clock) -> "Modbus":
    """Plan the requests of a device. Raises ValueError naming what cannot be read."""
    return Modbus(device, clock)


class Modbus:
    """Poll one unit; devices with the same endpoint share its connection.

    `counts` has what it cost the device: `requests`, `exceptions`, `timeouts`, `late`, `polls_skipped`; and the
    readings that were due or skipped.
    """

    causes = _CAUSES

    def __init__(self, device: Device, clock: Clock) -> None:
        options: DeviceOptions = device.options
        self.counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
        self._clock = clock
        self._room = device.room
        self._timeout_s = options.timeout
        self._phase = zlib.crc32(device.name.encode()) / 2**32
        where, number = endpoint.parse(device.url)
        self._profile = Profile.recalled(f"{where.scheme} {where} {number}", device.learned)
        if options.in_flight != "auto":
            self._profile.depth = Depth(options.in_flight, settled=True)
        self._unit = Unit(number, options.timeout, budget=options.budget, depth=self._profile.depth, counts=self.counts)
        self._line = _line(device, where, clock)
        self._writing: asyncio.Lock = device.shared.setdefault(f"writing {where} {number}", asyncio.Lock())
        self._ask = partial(self._line.ask, self._unit)
        for tag, keys in zip(device.tags, device.tag_options, strict=True):
            if tag.writable and keys.at.area in ("input", "discrete"):
                raise ValueError(f"{tag.name} cannot be written: nothing in {keys.at.area} can")
        polls: list[float] = [keys.poll or options.poll for keys in device.tag_options]
        self._periods_s = sorted(set(polls))
        self.polls = [(period, polls.count(period)) for period in self._periods_s]
        self._scans = [self._scan(device, [i for i, poll in enumerate(polls) if poll == p]) for p in self._periods_s]
        if 0 < options.budget < self.requests_per_s:
            raise ValueError(
                f"its tags need {self.requests_per_s:.3g} requests per second, its budget is {options.budget:g}:"
                " poll less often, or allow a larger gap"
            )

    @property
    def requests_per_s(self) -> float:
        """How many requests per second the plan comes to."""
        return sum(len(scan.blocks) / period for scan, period in zip(self._scans, self._periods_s, strict=True))

    @property
    def learned(self) -> Mapping[str, Any]:
        """The profile of the device, and what it costs: requests per second, and milliseconds that each takes."""
        self._profile.counters = {name: state for scan in self._scans for name, state in scan.counters.items()}
        cost = {"requests_per_s": round(self.requests_per_s, 3), "answer_ms": round(1000 * self._unit.answer_s, 3)}
        return self._profile.kept() | cost

    async def run(self, emit: Emit) -> None:
        async with self._line.joined(self._timeout_s):
            async for turn in due(self._periods_s, self._phase, self.counts, [n for _, n in self.polls]):
                await self._room()
                await self._scans[turn].poll(self._ask, emit, self._clock)

    async def write(self, number: int, value: float | str | bool) -> Any:
        """Write one tag and return what the device has then (Writer in gateway/contracts)."""
        _, point, _ = self._read_by(number)
        async with self._writing:  # two bits of a register, on a device that has no mask write
            return await writing.write(partial(self._ask, first=True), point, value)

    def trace(self, number: int) -> Sequence[Step]:
        """Return which way the values of a tag come (Traced in gateway/contracts)."""
        return trace(*self._read_by(number), self._profile, self._unit, self._line)

    def _read_by(self, number: int) -> tuple[Scan, Point, float]:
        """The scan that reads a tag, what it reads, and how often."""
        scans = zip(self._scans, self._periods_s, strict=True)
        return next((scan, point, period) for scan, period in scans if (point := scan.point(number)))

    def _scan(self, device: Device, rows: Sequence[int]) -> Scan:
        decoded = {device.tags[row].name: _decoded(device.tag_options[row]) for row in rows if device.options.words}
        return Scan(
            Points(_point(device.tags[row].name, device.tag_options[row]) for row in rows),
            device.numbers[rows],
            self._profile,
            gap=device.options.gap,
            registers_max=device.options.registers_max,
            keep=Kept(device.words, decoded) if device.options.words else None,
        )


def redecode(device: Device, words: Words, rows: Sequence[int]) -> Iterator[Batch]:
    """Decode answers that were kept (Redecode in gateway/contracts/words.py). Counters that roll over are left out."""
    points = Points(_point(device.tags[row].name, device.tag_options[row]) for row in rows)
    return redecoded(points, device.numbers[rows], words)


def _line(device: Device, where: endpoint.Endpoint, clock: Clock) -> Line:
    """The line of an endpoint, one for all its units. Raises ValueError if they do not agree on it."""
    key = f"udp {where}" if where.scheme == "modbus+udp" else str(where)
    if key not in device.shared:
        device.shared[key] = Line(where, clock, _context(where, device.options.tls))
    line: Line = device.shared[key]
    tls = device.shared.setdefault(f"tls {key}", device.options.tls)
    if device.options.tls != (tls if where.scheme == "modbus+tls" else Tls()):
        raise ValueError("tls: keys are for modbus+tls, and the same for all devices behind one address")
    if line.endpoint != where:
        raise ValueError(f"another device reaches it as {line.endpoint.explained}, this one as {where.explained}")
    return line


def _context(where: endpoint.Endpoint, tls: Tls) -> ssl.SSLContext | None:
    if where.scheme != "modbus+tls":
        return None
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key or None, password=_no_phrase)
    except OSError as error:
        raise ValueError(f"tls: {error}: name a PEM file that can be read") from error
    return context


def _no_phrase() -> str:
    """Instead of a question on the terminal that nobody may be there to answer."""
    raise ValueError("tls: the key needs a pass phrase: write it to a file without one")


_coding: Final = lru_cache(maxsize=1024)(Coding)
"""Thousands of tags are coded in a few ways."""


def _point(name: str, options: TagOptions) -> Point:
    coding = _coding(
        type=options.wire,
        order=options.order,
        bit=options.at.bit,
        length=options.length,
        scale=repr(options.scale),
        offset=repr(options.offset),
        invalid=options.invalid,
        mask=options.mask,
        rollover=options.rollover,
    )
    factor = options.scale_register
    return Point(
        name,
        Span(options.at.area, options.at.start, coding.registers),
        coding,
        None if factor is None else Span(factor.area, factor.start, 1),
    )
