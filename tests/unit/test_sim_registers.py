"""Registers: encoded here by our code, decoded by the dumbest use of struct."""

import struct

import pytest

from simulators.plant import Plant
from simulators.plantfile import PlantFile
from simulators.servers import maps
from simulators.servers.registers import BitField, DeviceMap, Image, Register, Text, encode


def test_the_four_orders_of_the_field() -> None:
    # 123.456 as float32 is 42 F6 E9 79; the table is the usual one.
    assert encode(123.456, "float32", "ABCD") == [0x42F6, 0xE979]
    assert encode(123.456, "float32", "CDAB") == [0xE979, 0x42F6]
    assert encode(123.456, "float32", "BADC") == [0xF642, 0x79E9]
    assert encode(123.456, "float32", "DCBA") == [0x79E9, 0xF642]
    assert encode(0x01020304, "uint32", "CDAB") == [0x0304, 0x0102]


@pytest.mark.parametrize(
    ("value", "type_", "word"),
    [(-12.4, "int16", 0x10000 - 12), (1e9, "int16", 0x7FFF), (-1.0, "uint16", 0), (70_000.0, "uint16", 0xFFFF)],
)
def test_integers_are_rounded_and_clipped(value: float, type_: str, word: int) -> None:
    assert encode(value, type_) == [word]


def test_an_image_has_values_fields_texts_and_holes() -> None:
    image = Image(
        DeviceMap(
            registers=(Register("holding", 0, "a", "int16", 0.1), Register("holding", 4, "b", "uint32", order="CDAB")),
            fields=(BitField("holding", 2, ("on", "", "hot")),),
            texts=(Text("holding", 6, 3, "ABC"),),
        )
    )
    image.update({"a": -1.5, "b": 65_537, "on": True, "hot": True})
    assert image.tables["holding"][:9] == [0xFFF1, None, 0b101, None, 1, 1, 0x4142, 0x4300, 0]


def test_the_meter_has_the_map_of_the_sdm630() -> None:
    plant = Plant(PlantFile())
    plant.run(600.0)
    shown = plant.measure()
    image = Image(maps.ENERGY)
    image.update({name.removeprefix("energy/"): value for name, value in shown.items() if name.startswith("energy/")})

    def read(address: int) -> float:
        high, low = image.tables["input"][address : address + 2]
        assert high is not None
        assert low is not None
        return float(struct.unpack(">f", struct.pack(">HH", high, low))[0])

    for address, sensor in (
        (0, "voltage_l1"),
        (4, "voltage_l3"),
        (8, "current_l2"),
        (12, "power_l1"),
        (22, "apparent_power_l3"),
        (26, "reactive_power_l2"),
        (30, "power_factor_l1"),
        (52, "power_total"),
        (56, "apparent_power_total"),
        (60, "reactive_power_total"),
        (62, "power_factor_total"),
        (66, "phase_angle_total"),
        (70, "frequency"),
        (72, "import_energy"),
        (74, "export_energy"),
        (76, "import_reactive_energy"),
        (234, "thd_voltage_l1"),
        (342, "total_energy"),
        (350, "import_energy_l3"),
    ):
        assert read(address) == pytest.approx(shown[f"energy/{sensor}"], rel=1e-6), sensor


def test_every_map_shows_what_the_plant_has() -> None:
    plant = Plant(PlantFile())
    values = {**plant.measure(), **plant.signals()}
    for device, map_ in maps.MAPS.items():
        Image(map_).update({name.removeprefix(f"{device}/"): value for name, value in values.items()})
        taken: set[tuple[str, int]] = set()
        for register in map_.registers:
            places = {(register.table, register.address + i) for i in range(1 if "16" in register.type else 2)}
            assert not taken & places, f"{device} {register.name} overlaps"
            taken |= places
