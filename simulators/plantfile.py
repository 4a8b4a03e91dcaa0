"""The plant file: which plant is simulated, as the user writes it, checked key by key.

Data and its meaning only; reading the file and saying where a mistake is belongs to `yamlfile`.
"""

import re
from typing import Annotated, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from simulators.faults import (
    KINDS,
    MODBUS_CODES,
    MODBUS_DEVICES,
    OPCUA_CODES,
    SERVERS,
    Appointment,
    Fault,
    nearest,
    problem,
)
from simulators.physics.calendar import DAY_S, WEEK_S, Calendar
from simulators.physics.line import MACHINES, Order, Product

DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNIT_S: Final = {"s": 1, "min": 60, "h": 3600, "d": DAY_S}
_MODBUS_REGISTERS: Final = re.compile(r"(holding|input|coil|discrete):\d+(-\d+)?")


def seconds(value: object) -> float:
    """Return a duration like 90, `45s`, `20min`, `3h` or `2d` in seconds; ValueError if it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)?", str(value).strip())
    if found is None:
        raise ValueError(f"{value!r} is not a duration; write for example 90s, 20min or 3h")
    return float(found[1]) * _UNIT_S[found[2] or "s"]


def clock(value: object) -> int:
    """Return a time of day like `06:30` in seconds since midnight; 24:00 is the end of the day."""
    found = re.fullmatch(r"(\d{1,2}):(\d{2})", str(value).strip())
    if found is None or int(found[2]) > 59 or int(found[1]) * 60 + int(found[2]) > 24 * 60:
        raise ValueError(f"{value!r} is not a time of day; write for example '06:30', with quotes")
    return int(found[1]) * 3600 + int(found[2]) * 60


def interval(value: object) -> tuple[int, int]:
    """Return an interval like `09:00-09:15` in seconds since midnight; one over midnight ends beyond 24 h."""
    parts = str(value).split("-")
    if len(parts) != 2:
        raise ValueError(f"{value!r} is not an interval; write for example '09:00-09:15', with quotes")
    start, end = clock(parts[0]), clock(parts[1])
    return start, end if end > start else end + DAY_S


def week_time(value: object) -> int:
    """Return a time of the week like `monday 06:05` in seconds since Monday 00:00."""
    day, _, time = str(value).strip().partition(" ")
    if day not in DAYS or not time:
        raise ValueError(f"{value!r} is not a time of the week; write for example monday 06:05")
    return DAYS.index(day) * DAY_S + clock(time)


def week_days(value: object) -> tuple[int, ...]:
    """Return days like `monday-friday` or `saturday` as numbers, Monday is 0."""
    ends = str(value).split("-")
    if len(ends) > 2 or any(day not in DAYS for day in ends):
        raise ValueError(f"{value!r} are not days; write for example monday-friday or saturday")
    first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
    return tuple((first + day) % 7 for day in range((last - first) % 7 + 1))


def port_of(address: str) -> int:
    """Return the port of an address like opc.tcp://127.0.0.1:4840 or 127.0.0.1:4841."""
    return int(address.rpartition(":")[2])


def host_of(address: str) -> str:
    """Return the host of an address like opc.tcp://127.0.0.1:4840 or 127.0.0.1:4841."""
    return address.rpartition(":")[0].rpartition("//")[2]


Seconds = Annotated[float, BeforeValidator(seconds)]
Interval = Annotated[tuple[int, int], BeforeValidator(interval)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Weather(_Section):
    """The day: mean temperature [C], and how far afternoon and night are from it [K]."""

    mean: Annotated[float, Field(ge=-30.0, le=45.0)] = 17.0
    swing: Annotated[float, Field(ge=0.0, le=20.0)] = 6.0


class Servers(_Section):
    """Where the servers listen. `opcua` serves the four machines, each of the others one Modbus device, unit 1."""

    opcua: str = "opc.tcp://127.0.0.1:4840"
    energy: str = "modbus://127.0.0.1:5020"
    compressor: str = "modbus://127.0.0.1:5021"
    chiller: str = "modbus://127.0.0.1:5022"
    pump: str = "modbus://127.0.0.1:5023"
    control: str = "127.0.0.1:4841"

    @field_validator("*")
    @classmethod
    def _is_address(cls, value: str, info: ValidationInfo) -> str:
        scheme = {"opcua": "opc.tcp://", "control": ""}.get(info.field_name or "", "modbus://")
        if not re.fullmatch(re.escape(scheme) + r"[\w.\-]+:\d{1,5}", value) or port_of(value) > 65_535:
            raise ValueError(f"{value!r} is not an address; write for example {scheme}127.0.0.1:5020")
        return value

    @model_validator(mode="after")
    def _are_distinct(self) -> Self:
        seen: dict[int, str] = {}
        for name in (*SERVERS, "control"):
            port = port_of(getattr(self, name))
            if port and port in seen:
                raise ValueError(f"{name} and {seen[port]} want the same port {port}")
            seen[port] = name
        return self


class ProductSection(_Section):
    """What is filled: volume [ml], speed of the filler [bottles/h], temperature [C] and pressure [bar] of the bowl."""

    name: str
    volume: Annotated[float, Field(gt=0.0, le=2_000.0)]
    speed: Annotated[float, Field(gt=0.0, le=26_000.0)]
    temperature: Annotated[float, Field(ge=0.0, le=15.0)] = 5.0
    pressure: Annotated[float, Field(ge=0.5, le=5.0)] = 1.2


class OrderSection(_Section):
    """So many bottles of a product; the orders are worked off one after the other, and again from the first."""

    product: str
    bottles: Annotated[int, Field(gt=0)]


class Shift(_Section):
    """A shift on some days of the week, with its breaks."""

    days: Annotated[tuple[int, ...], BeforeValidator(week_days)]
    hours: Interval
    breaks: tuple[Interval, ...] = ()


class FaultSection(_Section):
    """A fault that comes by itself. Times are simulated: `at` counts from the start of the simulation."""

    fault: str
    target: str
    at: Seconds
    duration: Seconds | None = None
    every: Seconds | None = None
    severity: Share = 1.0
    ramp: Seconds = 0.0
    life: Seconds = 9_600.0
    delay: Seconds = 2.0
    code: Annotated[str, Field(coerce_numbers_to_str=True)] = ""
    registers: str = ""

    @field_validator("fault")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in KINDS:
            raise ValueError(problem(value, ""))
        return value

    @field_validator("target")
    @classmethod
    def _can_befall(cls, value: str, info: ValidationInfo) -> str:
        wrong = problem(info.data["fault"], value) if "fault" in info.data else ""
        if wrong:
            raise ValueError(wrong)
        return value

    @field_validator("severity", "ramp", "life", "delay", "code", "registers")
    @classmethod
    def _is_an_option(cls, value: object, info: ValidationInfo) -> object:
        kind, option = info.data.get("fault"), info.field_name
        if kind is not None and option not in KINDS[kind].options:
            allowed = ", ".join(KINDS[kind].options) or "none"
            raise ValueError(f"{kind} has no option {option}; it has: {allowed}")
        return value

    @field_validator("code")
    @classmethod
    def _is_a_code(cls, value: str, info: ValidationInfo) -> str:
        codes = MODBUS_CODES if info.data.get("target") in MODBUS_DEVICES else OPCUA_CODES
        if value and "target" in info.data and value not in codes:
            raise ValueError(f"{value!r} is no code of {info.data['target']}; {nearest(value, codes)}")
        return value

    @field_validator("registers")
    @classmethod
    def _are_registers(cls, value: str) -> str:
        if value and not _MODBUS_REGISTERS.fullmatch(value):
            raise ValueError(f"{value!r} are not registers; write for example holding:10-19")
        return value

    def to_fault(self) -> Fault:
        return Fault(
            self.fault, self.target, self.severity, self.ramp, self.life, self.delay, self.code, self.registers
        )


_WATER: Final = {"still_05": ProductSection(name="Still water 0.5 l", volume=500.0, speed=24_000.0)}
_ENDLESS: Final = (OrderSection(product="still_05", bottles=100_000),)


class PlantFile(_Section):
    """A plant file.

    `accelerate` is simulated seconds per second, `counters` what a machine has made so far; without `shifts` the
    line works around the clock.
    """

    name: str = "Bottling line"
    seed: Annotated[int, Field(ge=0)] = 1
    accelerate: Annotated[float, Field(gt=0.0, le=1_000.0)] = 1.0
    start: Annotated[int, BeforeValidator(week_time)] = 6 * 3600
    weather: Weather = Weather()
    servers: Servers = Servers()
    products: Annotated[dict[str, ProductSection], Field(min_length=1)] = _WATER
    orders: Annotated[tuple[OrderSection, ...], Field(min_length=1)] = _ENDLESS
    shifts: tuple[Shift, ...] = ()
    counters: dict[str, int] = {}
    faults: tuple[FaultSection, ...] = ()

    @field_validator("counters")
    @classmethod
    def _are_machines(cls, value: dict[str, int]) -> dict[str, int]:
        for name in value:
            if name not in MACHINES:
                raise ValueError(f"no machine {name!r}; {nearest(name, MACHINES)}")
        return value

    @field_validator("orders")
    @classmethod
    def _have_products(cls, value: tuple[OrderSection, ...], info: ValidationInfo) -> tuple[OrderSection, ...]:
        products = info.data.get("products", {})
        unknown = [order.product for order in value if products and order.product not in products]
        if unknown:
            raise ValueError("; ".join(f"no product {name!r}, {nearest(name, products)}" for name in unknown))
        return value

    def production(self) -> list[Order]:
        """Return the orders with their products."""
        made = {
            key: Product(item.name, key, item.volume, item.speed, item.temperature, item.pressure)
            for key, item in self.products.items()
        }
        return [Order(made[order.product], order.bottles) for order in self.orders]

    def calendar(self) -> Calendar:
        """Return the shift plan as a weekly calendar."""
        if not self.shifts:
            return Calendar([(0, WEEK_S)], [])
        days = [(day, shift) for shift in self.shifts for day in shift.days]
        return Calendar(
            [_on(day, shift.hours, shift) for day, shift in days],
            [_on(day, pause, shift) for day, shift in days for pause in shift.breaks],
        )

    def appointments(self) -> list[Appointment]:
        """Return the faults that come by themselves."""
        return [Appointment(item.to_fault(), item.at, item.duration, item.every) for item in self.faults]


def _on(day: int, hours: tuple[int, int], shift: Shift) -> tuple[int, int]:
    """Return hours of a shift in seconds since Monday 00:00; those before its start are on the next morning."""
    start = day * DAY_S + (DAY_S if hours[0] < shift.hours[0] else 0)
    return (start + hours[0]) % WEEK_S, (start + hours[0]) % WEEK_S + hours[1] - hours[0]
