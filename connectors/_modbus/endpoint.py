"""Where a device is: the URL of a configuration, taken apart. Pure.

modbus://host:502?unit=1            Modbus TCP
modbus+tls://host:802?unit=1        Modbus/TCP Security
modbus+udp://host:502?unit=1        frames of Modbus TCP as datagrams
modbus+rtu://host:4001?unit=3       RTU frames through TCP: a serial device server
modbus+rtu:///dev/ttyUSB0?unit=3&baud=9600&parity=E&stop=1      a serial line; on Windows modbus+rtu:///COM3
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

SCHEMES: Final = ("modbus", "modbus+tls", "modbus+udp", "modbus+rtu")
_PORT: Final = {"modbus": 502, "modbus+tls": 802, "modbus+udp": 502}
_PARITIES: Final = ("N", "E", "O")


@dataclass(frozen=True, slots=True)
class Serial:
    """A serial line. Modbus asks for even parity and one stop bit; without parity there should be two."""

    device: str
    baud: int = 19_200
    parity: str = "E"
    stop: int = 1

    @property
    def gap_s(self) -> float:
        """The silence between two frames: 3.5 characters of 11 bits, fixed above 19200 Bd (Serial Line V1.02 2.5.1)."""
        return 0.00175 if self.baud > 19_200 else 3.5 * 11 / self.baud

    @property
    def frame_s(self) -> float:
        """How long the longest frame, 256 characters, is on its way."""
        return 256 * 11 / self.baud


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One connection: everything but the unit, which several devices on it do not share."""

    scheme: str
    host: str = ""
    port: int = 0
    serial: Serial | None = None

    def __str__(self) -> str:
        return self.serial.device if self.serial else f"{self.host}:{self.port}"

    @property
    def explained(self) -> str:
        """All of it, for people."""
        if self.serial is None:
            return f"{self.scheme}://{self}"
        return f"{self} with baud={self.serial.baud}, parity={self.serial.parity}, stop={self.serial.stop}"


def parse(url: str) -> tuple[Endpoint, int]:
    """Return endpoint and unit. Raises ValueError naming what is wrong and what is right."""
    where = urlsplit(url)
    keys = dict(parse_qsl(where.query, keep_blank_values=True))
    unit = _number(keys, "unit", 1, 0, 255, "most TCP devices: 1 or 255")
    serial = where.scheme == "modbus+rtu" and not where.netloc
    if serial:
        endpoint = Endpoint(where.scheme, serial=_serial(where.path, keys))
    elif where.hostname is None:
        raise ValueError("the URL names no host: write modbus://192.168.0.7?unit=1")
    else:
        _check_host(where.hostname)
        port = where.port or _PORT.get(where.scheme)
        if port is None:
            raise ValueError("modbus+rtu needs the port of the device server, such as modbus+rtu://192.168.0.7:4001")
        endpoint = Endpoint(where.scheme, where.hostname, port)
    if keys:
        known = "unit, baud, parity and stop" if serial else "unit"
        raise ValueError(f"the URL has ?{next(iter(keys))}=, which nobody knows; known are {known}")
    return endpoint, unit


def _check_host(host: str) -> None:
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise ValueError(f"{host!r} cannot be the name of a host: {error}") from error


def _serial(path: str, keys: dict[str, str]) -> Serial:
    if path.strip("/") == "":
        raise ValueError("the URL names no serial line: write modbus+rtu:///dev/ttyUSB0?unit=1&baud=9600&parity=N")
    device = path if path.startswith("/dev/") else path.removeprefix("/")  # COM3
    parity = keys.pop("parity", "E").upper()
    if parity not in _PARITIES:
        raise ValueError(f"parity={parity}: it must be N, E or O")
    baud = _number(keys, "baud", 19_200, 50, 4_000_000, "as set at the device")
    return Serial(device, baud, parity, _number(keys, "stop", 2 if parity == "N" else 1, 1, 2, "stop bits"))


def _number(keys: dict[str, str], key: str, default: int, low: int, high: int, hint: str) -> int:
    text = keys.pop(key, str(default))
    if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
        raise ValueError(f"{key}={text}: the {key} must be {low}..{high} ({hint})")
    return int(text)
