"""Which way a value comes: its registers, the request that reads them, the unit, the link. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from connectors._modbus.line import Line
from connectors._modbus.points import Point
from connectors._modbus.profile import Profile
from connectors._modbus.scan import Scan
from connectors._modbus.unit import Unit
from gateway.contracts import Step

_REFUSALS: Final = {
    1: ("illegal function", "the device does not have this area of registers: compare it with its manual"),
    2: ("illegal data address", "compare the register with the manual of the device; some manuals count from 1"),
    3: ("illegal data value", "lower registers_max, and compare the length of the type with the manual"),
}
"""What exception codes mean that come again however often one asks (V1.1b3 section 7), and the remedy."""


def trace(scan: Scan, point: Point, period_s: float, profile: Profile, unit: Unit, line: Line) -> list[Step]:
    """Return the steps of one tag; of a register that is not asked for there is no request."""
    return [_register(point, profile), *_request(scan, point, period_s), _unit(unit), _link(line)]


def _register(point: Point, profile: Profile) -> Step:
    span = point.span
    refusals = [(part, code) for part in (span, point.factor) if part and (code := profile.refused.get(part, 0))]
    name = f"{span.area}:{span.start}" + (f" to {span.stop - 1}" if span.count > 1 else "")
    if not refusals:
        return Step("register", name, _facts(point))
    part, code = refusals[0]
    meaning, remedy = _REFUSALS[code]
    trouble = f"the device answers a request for just {part.area}:{part.start} with exception {code}, {meaning}"
    return Step("register", name, _facts(point), trouble, remedy)


def _facts(point: Point) -> Mapping[str, Any]:
    span, coding = point.span, point.coding
    facts: dict[str, Any] = {
        "area": span.area,
        "start": span.start,
        "registers": span.count,
        "type": coding.type,
        "order": coding.order,
        "scale": float(coding.scale),
        "offset": float(coding.offset),
    }
    further = {
        "bit": coding.bit,
        "mask": coding.mask or None,
        "invalid": list(coding.invalid) or None,
        "rollover": coding.rollover or None,
        "scale_register": point.factor and f"{point.factor.area}:{point.factor.start}",
    }
    return facts | {name: value for name, value in further.items() if value is not None}


def _request(scan: Scan, point: Point, period_s: float) -> list[Step]:
    span = point.span
    return [
        Step(
            "request",
            f"function {block.function}, {block.area}:{block.start} to {block.start + block.count - 1}",
            {"function": block.function, "start": block.start, "count": block.count, "poll_s": period_s},
        )
        for block in scan.blocks
        if block.area == span.area and block.start <= span.start and span.stop <= block.start + block.count
    ][:1]


def _unit(unit: Unit) -> Step:
    facts = {name: unit.counts[name] for name in ("requests", "exceptions", "timeouts")}
    silent = f"it gives no answer within {unit.timeout_s:g} s" if unit.silent else ""
    remedy = "check its power and its address (unit=), and whether it is slower than timeout" if silent else ""
    return Step("unit", f"unit {unit.number}", facts | {"answer_ms": round(1000 * unit.answer_s, 3)}, silent, remedy)


def _link(line: Line) -> Step:
    if line.connected:
        return Step("link", line.endpoint.explained, {"connected": True})
    remedy = "check address, port and cable, the device's power, and the firewalls on the way"
    return Step("link", line.endpoint.explained, {"connected": False}, "there is no connection", remedy)
