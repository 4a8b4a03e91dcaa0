"""Modbus data as words: how a value becomes registers, and the image of all registers of a device. Pure."""

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

# Format and range of the raw value, by type.
_TYPES: Final = {
    "int16": (">h", -(2**15), 2**15 - 1),
    "uint16": (">H", 0, 2**16 - 1),
    "int32": (">i", -(2**31), 2**31 - 1),
    "uint32": (">I", 0, 2**32 - 1),
    "float32": (">f", 0, 0),
}

Value = float | bool | str


class Register(NamedTuple):
    """One value of a device in a register table.

    `address` is 0-based as on the wire, `name` a sensor or signal of the device. The raw value is the value divided
    by `scale`. `order` names the bytes as they come: ABCD is big-endian, CDAB swaps the words, BADC the bytes in
    each word, DCBA both.
    """

    table: str
    address: int
    name: str
    type: str
    scale: float = 1.0
    order: str = "ABCD"


class BitField(NamedTuple):
    """A register that packs signals, the first in the lowest bit; a name of "" leaves a bit 0."""

    table: str
    address: int
    names: tuple[str, ...]


class Text(NamedTuple):
    """Registers that hold a fixed text, two characters each, padded with NUL."""

    table: str
    address: int
    length: int
    text: str


class Bit(NamedTuple):
    """A coil or discrete input; `name` is a signal of the device."""

    table: str
    address: int
    name: str


class DeviceMap(NamedTuple):
    """The registers of a device, and the names of those set points that a client may write.

    Between its registers a device has holes, which it refuses to read; one that is `dense` reads 0 there.
    """

    registers: tuple[Register, ...]
    fields: tuple[BitField, ...] = ()
    texts: tuple[Text, ...] = ()
    bits: tuple[Bit, ...] = ()
    writable: tuple[str, ...] = ()
    dense: bool = False


def encode(value: float, type_: str, order: str = "ABCD") -> list[int]:
    """Return the words of a raw value; integers are rounded, and clipped to what the type can hold."""
    layout, low, high = _TYPES[type_]
    raw = value if type_ == "float32" else min(max(round(value), low), high)
    return words(struct.pack(layout, raw), order)


def words(data: bytes, order: str = "ABCD") -> list[int]:
    """Return big-endian bytes as 16-bit words in an order."""
    plain = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        plain.reverse()
    if order in ("BADC", "DCBA"):
        plain = [word >> 8 | (word & 0xFF) << 8 for word in plain]
    return plain


def bit_words(bits: Sequence[bool]) -> list[int]:
    """Return bits packed in words, the first in the lowest bit."""
    return [sum(bool(bit) << i for i, bit in enumerate(bits[start : start + 16])) for start in range(0, len(bits), 16)]


class Image:
    """All words of a device; None where the device has no register.

    `holding` and `input` hold a word per address, `coil` and `discrete` one per sixteen addresses.
    """

    def __init__(self, device: DeviceMap, holding_size: int = 0) -> None:
        """Make an image with no value in it yet; `holding_size` makes room for more than the map needs."""
        self._map = device
        hole = 0 if device.dense else None
        self.tables: dict[str, list[int | None]] = {
            "holding": [hole] * max(holding_size, self._size("holding")),
            "input": [hole] * self._size("input"),
            "coil": [0] * (self._size("coil") // 16 + 1),
            "discrete": [0] * (self._size("discrete") // 16 + 1),
        }
        for text in device.texts:
            self.put(text.table, text.address, words(text.text.encode("ascii").ljust(2 * text.length, b"\0")))

    def put(self, table: str, address: int, values: Sequence[int]) -> None:
        """Put words at an address."""
        self.tables[table][address : address + len(values)] = values

    def update(self, values: Mapping[str, Value]) -> None:
        """Put the present values of the device, by name, in their places."""
        for register in self._map.registers:
            raw = float(values[register.name]) / register.scale
            self.put(register.table, register.address, encode(raw, register.type, register.order))
        for field in self._map.fields:
            self.put(field.table, field.address, bit_words([bool(name and values[name]) for name in field.names]))
        for table in ("coil", "discrete"):
            bits = [False] * 16 * len(self.tables[table])
            for bit in self._map.bits:
                if bit.table == table:
                    bits[bit.address] = bool(values[bit.name])
            self.put(table, 0, bit_words(bits))

    def _size(self, table: str) -> int:
        """Return one more than the highest address in use."""
        ends = [register.address + 2 for register in self._map.registers if register.table == table]
        ends += [field.address + 1 for field in self._map.fields if field.table == table]
        ends += [bit.address + 1 for bit in self._map.bits if bit.table == table]
        ends += [text.address + text.length for text in self._map.texts if text.table == table]
        return max(ends, default=0) + 1
