"""Writing one tag of a device in memory: which requests it takes, and what becomes of refusals."""

import struct
from collections.abc import Sequence

import pytest

from connectors._modbus import pdu
from connectors._modbus.blocks import Area, Span
from connectors._modbus.coding import Coding
from connectors._modbus.pdu import SILENT, Answer, Request
from connectors._modbus.points import Point
from connectors._modbus.writing import write
from gateway.contracts import DeviceError
from tests.simulation.loop import simulate


class Device:
    """Holding registers and coils; `refusals` are exception codes by function, `masks` whether it has function 22."""

    def __init__(self, *, masks: bool = True) -> None:
        self.registers = dict.fromkeys(range(100), 0)
        self.coils = dict.fromkeys(range(100), False)
        self.refusals: dict[int, int] = {} if masks else {22: 1}
        self.functions: list[int] = []

    async def ask(self, requests: Sequence[Request]) -> list[Answer | None]:
        return [self._answer(request.pdu) for request in requests]

    def _answer(self, asked: bytes) -> Answer:
        function, at, count = struct.unpack(">BHH", asked[:5])
        self.functions.append(function)
        if function in self.refusals:
            return Answer(b"", self.refusals[function], 1)
        match function:
            case 1:
                return Answer(bytes((self.coils[at],)), 0, 1)
            case 3:
                return Answer(struct.pack(f">{count}H", *(self.registers[at + n] for n in range(count))), 0, 1)
            case 5:
                self.coils[at] = count == 0xFF00
            case 6:
                self.registers[at] = count
            case 16:
                for n in range(count):
                    (self.registers[at + n],) = struct.unpack_from(">H", asked, 6 + 2 * n)
            case 22:
                keep, put = struct.unpack_from(">HH", asked, 3)
                self.registers[at] = (self.registers[at] & keep) | (put & ~keep)
        return Answer(asked[2:], 0, 1)


def point(coding: Coding, *, area: Area = "holding", factor: int | None = None) -> Point:
    factor_at = None if factor is None else Span("holding", factor, 1)
    return Point("tag", Span(area, 40, coding.registers), coding, factor_at)


@pytest.mark.parametrize(
    ("coding", "value", "functions"),
    [
        (Coding("uint16"), 700, [6, 3]),
        (Coding("int16", scale="0.1"), -4.5, [6, 3]),
        (Coding("float32", order="CDAB"), 1.5, [16, 3]),
        (Coding("int64"), -(2**62) - 1, [16, 3]),
        (Coding("string", length=4), "Grüße", [16, 3]),
        (Coding("bit", bit=9), True, [22, 3]),
        (Coding("uint8l"), 200, [22, 3]),
        (Coding("uint16", mask=0x0FF0), 0xAB, [22, 3]),
    ],
)
def test_a_value_is_written_in_as_few_requests_as_can_be_and_read_back(
    coding: Coding, value: float | str, functions: list[int]
) -> None:
    device = Device()
    assert simulate(write(device.ask, point(coding), value)) == value
    assert device.functions == functions


@pytest.mark.parametrize("on", [True, False])
def test_a_coil_is_written_as_one(on: bool) -> None:
    device = Device()
    device.coils[40] = not on
    assert simulate(write(device.ask, point(Coding("bit"), area="coil"), on)) is on
    assert device.functions == [5, 1]


@pytest.mark.parametrize("masks", [True, False])
def test_bits_beside_those_that_are_written_stay(masks: bool) -> None:
    device = Device(masks=masks)
    device.registers[40] = 0b1010_0000_1111_0101
    simulate(write(device.ask, point(Coding("uint16", mask=0x0FF0)), 0x3C))
    assert device.registers[40] == 0b1010_0011_1100_0101
    assert device.functions == ([22, 3] if masks else [22, 3, 6, 3])


def test_a_scale_factor_register_is_read_first() -> None:
    device = Device()
    device.registers[60] = 65_534  # -2
    assert simulate(write(device.ask, point(Coding("uint16"), factor=60), 1.25)) == 1.25
    assert device.registers[40] == 125


def test_a_value_that_does_not_fit_is_not_sent() -> None:
    device = Device()
    with pytest.raises(ValueError, match="70000 is out of range"):
        simulate(write(device.ask, point(Coding("uint16")), 70_000))
    assert device.functions == []


@pytest.mark.parametrize(
    ("coding", "value", "nearest"),
    [
        (Coding("uint16"), 0.5, 0),
        (Coding("int16", scale="0.1"), 12.34, 12.3),
        (Coding("string", length=4), "mild ", "'mild'"),
    ],
)
def test_a_value_that_would_come_back_as_another_is_not_sent(
    coding: Coding, value: float | str, nearest: object
) -> None:
    device = Device()
    with pytest.raises(ValueError, match=f"the nearest is {nearest}"):
        simulate(write(device.ask, point(coding), value))
    assert device.functions == []


@pytest.mark.parametrize(("code", "words"), [(2, "exception 2 illegal address"), (3, "3 illegal value"), (99, "99")])
def test_a_refusal_says_what_the_device_said(code: int, words: str) -> None:
    device = Device()
    device.refusals = {6: code}
    with pytest.raises(DeviceError, match=words) as refused:
        simulate(write(device.ask, point(Coding("uint16")), 7))
    assert refused.value.quality == 0x803B_0000
    assert device.functions == [6]


def test_what_the_device_acknowledges_is_read_back_and_not_sent_again() -> None:
    device = Device()
    device.refusals = {6: pdu.ACKNOWLEDGED}
    assert simulate(write(device.ask, point(Coding("uint16")), 7)) == 0
    assert device.functions == [6, 3]


def test_silence_is_a_timeout() -> None:
    device = Device()
    device.refusals = {6: SILENT}
    with pytest.raises(TimeoutError):
        simulate(write(device.ask, point(Coding("uint16")), 7))
