"""The keys that a Modbus device and its tags may have in a configuration."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, InstanceOf, model_validator

from connectors._modbus.address import Address, parse
from connectors._modbus.blocks import REGISTERS_MAX
from connectors._modbus.coding import TYPES, Order, orders
from connectors._modbus.depth import DEPTH_MAX
from connectors._options import Options, Seconds

Register = Annotated[InstanceOf[Address], BeforeValidator(parse, json_schema_input_type=str | int)]


def _in_flight(value: Any) -> Any:
    if value != "auto" and not (type(value) is int and 1 <= value <= DEPTH_MAX):
        raise ValueError(f"{value!r} must be auto, or 1 to {DEPTH_MAX} requests")
    return value


InFlight = Annotated[Literal["auto"] | Annotated[int, Field(ge=1, le=DEPTH_MAX)], BeforeValidator(_in_flight)]


class Tls(Options):
    """Certificates for modbus+tls, as paths of PEM files."""

    ca: str = Field(default="", description="of the authority that signed the device's; default: those of the system")
    cert: str = Field(default="", description="our own, if the device wants to know who asks")
    key: str = Field(default="", description="its private key, if that is in a file of its own")


class DeviceOptions(Options):
    """Keys of a Modbus device."""

    poll: Seconds = Field(default=1.0, description="how often its tags are read")
    timeout: Seconds = Field(default=1.0, description="how long to wait for a connection or an answer")
    gap: int = Field(default=8, ge=0, le=REGISTERS_MAX, description="registers read in vain to save a request")
    registers_max: int = Field(default=REGISTERS_MAX, ge=1, le=REGISTERS_MAX, description="longest request")
    in_flight: InFlight = Field(
        default="auto", description="requests on their way at a time; auto finds out what the device takes"
    )
    budget: float = Field(
        default=0, ge=0, allow_inf_nan=False, description="requests per second at most; 0: any number"
    )
    words: bool = Field(default=False, description="keep its answers as they are, for gateway redecode")
    tls: Tls = Tls()


class TagOptions(Options):
    """Keys of a tag of a Modbus device."""

    at: Register = Field(alias="register", description="holding:40, input:12.3, coil:0, discrete:7, or 40001, HR1, %MW")
    type: str = Field(default="", description=f"one of {', '.join(TYPES)}; default uint16, or bit")
    order: Order = Field(default="ABCD", description="order of the bytes on the wire; ABCD is the standard's")
    length: int = Field(default=0, ge=0, le=REGISTERS_MAX, description="registers of a string")
    mask: int = Field(default=0, ge=0, description="bits of an unsigned type that are the raw value, shifted down")
    scale: float = Field(default=1, allow_inf_nan=False, description="value = raw x scale + offset")
    offset: float = Field(default=0, allow_inf_nan=False, description="value = raw x scale + offset")
    scale_register: Register | None = Field(default=None, description="int16 register sf: value = raw x 10^sf")
    invalid: tuple[int, ...] = Field(default=(), description="raw values that mean: not available")
    rollover: bool = Field(default=False, description="a counter: it goes on over the end of its range")
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
        if len(self.order) == 8 and self.order not in orders(self.wire):
            raise ValueError(f"order {self.order} is for 64 bits, not for {self.wire}")
        return self

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.scale == 0:
            raise ValueError("scale 0 makes all values the same; leave it out or write another")
        for name, number in (("scale", self.scale), ("offset", self.offset)):
            if number and not 1e-100 <= abs(number) <= 1e100:  # exact fractions of them are computed with as floats
                raise ValueError(f"{name} {number} is too small or too large: it must be 1e-100 to 1e100")
        factor = self.scale_register
        if factor is not None and (factor.area in ("coil", "discrete") or factor.bit is not None):
            raise ValueError(f"scale_register {factor} is a single bit: name a holding or input register")
        if self.mask and not self.wire.startswith("uint"):
            raise ValueError(f"mask needs an unsigned type, such as uint16, not {self.wire}")
        if self.mask and self.mask > TYPES[self.wire].limits[1]:
            raise ValueError(f"mask {self.mask:#x} has more bits than {self.wire}")
        if self.rollover and not TYPES[self.wire].countable:
            countable = ", ".join(name for name, one in TYPES.items() if one.countable)
            raise ValueError(f"rollover needs a type that counts from 0, not {self.wire}: {countable}")
        return self

    @property
    def wire(self) -> str:
        """The name of the type in TYPES."""
        return self.type or ("bit" if self.at.bit is not None or self.at.area in ("coil", "discrete") else "uint16")

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers, which are written within limits only."""
        return self.wire not in ("bit", "string")
