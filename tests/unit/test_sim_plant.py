"""The plant as a whole: the same seed is the same plant, looking changes nothing, set points are obeyed."""

from pathlib import Path

import numpy as np
import pytest

from simulators import panel
from simulators.faults import Fault
from simulators.instruments import INSTRUMENTS, SENSORS, UNITS
from simulators.physics import world
from simulators.physics.calendar import Calendar
from simulators.plant import Plant
from simulators.plantfile import PlantFile
from simulators.yamlfile import load

PUMP = [item.name for item in INSTRUMENTS["pump"]]
DEMO = Path(__file__).parents[2] / "config" / "plants" / "bottling.yaml"


def test_the_same_seed_is_the_same_plant_bit_for_bit() -> None:
    first, second = Plant(load(DEMO), seed=3), Plant(load(DEMO), seed=3)
    first.run(5_000.0)
    second.run(5_000.0)
    assert first.world == second.world
    assert first.measure() == second.measure()
    assert first.signals() == second.signals()
    assert np.array_equal(first.waveform(), second.waveform())


def test_another_seed_is_another_plant() -> None:
    first, second = Plant(PlantFile(), seed=3), Plant(PlantFile(), seed=4)
    first.run(600.0)
    second.run(600.0)
    assert first.world != second.world
    assert first.measure() != second.measure()


def test_looking_at_the_plant_does_not_change_it() -> None:
    watched, left_alone = Plant(PlantFile()), Plant(PlantFile())
    for _ in range(60):
        watched.run(10.0)
        assert watched.measure() == watched.measure()
        assert np.array_equal(watched.waveform(), watched.waveform())
    left_alone.run(600.0)
    assert watched.world == left_alone.world
    assert watched.measure() == left_alone.measure()


def test_hours_are_simulated_without_a_clock() -> None:
    plant = Plant(PlantFile())
    plant.run(4 * 3_600.0)
    assert plant.now_s == 4 * 3_600.0
    assert int(plant.signals()["filler/prod_processed_count"]) > 60_000  # of 96,000 at full speed without a stop


def test_noise_belongs_to_its_moment() -> None:
    plant = Plant(PlantFile())
    truth = world.read(plant.world, PlantFile().production()) | {"pump": dict.fromkeys(PUMP, 1.0)}

    def shown(moment: int) -> dict[str, float]:
        return panel.show(truth, key=7, moment=moment, drifts={}, stuck={})

    assert shown(1) == shown(1)
    differing = [sensor for sensor, value in shown(1).items() if shown(2)[sensor] != value]
    assert "filler/fill_volume" in differing
    assert "filler/mach_speed" not in differing, "a set point has no noise"
    assert "filler/cur_mach_speed" not in differing, "nothing that stands still has noise"


def test_a_constant_scatters_when_it_is_measured() -> None:
    plant = Plant(PlantFile())
    shown = set()
    for _ in range(20):
        plant.step()
        shown.add(plant.measure()["compressor/intake_temperature"])  # indoors: 22 C, with a noise of 0.05 K
    assert len(shown) > 1


def test_every_instrument_shows_a_value_in_its_range_and_on_its_scale() -> None:
    plant = Plant(PlantFile())
    plant.run(1_200.0)
    shown = plant.measure()
    assert list(shown) == list(SENSORS)
    for device, items in INSTRUMENTS.items():
        for item in items:
            value = shown[f"{device}/{item.name}"]
            assert item.low <= value <= item.high, (device, item.name, value)
            assert value / item.resolution == pytest.approx(round(value / item.resolution), abs=1e-4)
            assert item.unit in UNITS


def test_the_plant_runs_in_reasonable_regions() -> None:
    plant = Plant(PlantFile())
    plant.run(3_600.0)
    shown = plant.measure()
    for sensor, low, high in (
        ("filler/temperature", 4.0, 6.0),
        ("filler/fill_volume", 496.0, 504.0),
        ("compressor/network_pressure", 6.4, 7.4),
        ("compressor/dew_point", -40.0, -5.0),
        ("chiller/supply_temperature", -3.0, -1.0),
        ("chiller/cop", 2.0, 6.0),
        ("pump/flow", 35.0, 45.0),
        ("pump/velocity_rms", 0.4, 1.4),
        ("energy/frequency", 49.8, 50.2),
        ("energy/power_total", 80e3, 250e3),
    ):
        assert low <= shown[sensor] <= high, (sensor, shown[sensor])


def test_set_points_are_obeyed_within_their_range() -> None:
    plant = Plant(PlantFile())
    plant.run(300.0)
    plant.put("filler/mach_speed", 12_000.0)
    plant.put("chiller/supply_setpoint", 1.5)
    plant.put("compressor/pressure_setpoint", 8.0)
    plant.put("labeller/glue_setpoint", 165.0)
    plant.put("capper/torque_setpoint", 2.2)
    plant.run(1_800.0)
    shown = plant.measure()
    assert shown["filler/cur_mach_speed"] <= 12_100.0
    assert shown["chiller/supply_temperature"] == pytest.approx(1.5, abs=0.4)
    assert shown["compressor/network_pressure"] > 7.8
    assert shown["labeller/glue_temperature"] == pytest.approx(164.0, abs=2.5)
    assert shown["capper/torque"] == pytest.approx(2.2, abs=0.2)
    with pytest.raises(ValueError, match="26001 is not between 0 and 26000"):
        plant.put("filler/mach_speed", 26_001.0)


def test_the_calendar_knows_shifts_that_pass_midnight_and_the_end_of_the_week() -> None:
    hour = 3_600
    calendar = Calendar(
        shifts=[(22 * hour, 30 * hour), (6 * 24 * hour + 22 * hour, 7 * 24 * hour + 6 * hour)],
        breaks=[(26 * hour, 26 * hour + 1_800)],
    )
    working = {0: True, 5.9: True, 6: False, 21.9: False, 22: True, 26: False, 26.25: False, 26.5: True, 30: False}
    assert {at: calendar.working(at * hour) for at in working} == working
    assert calendar.working((7 * 24 + 5) * hour), "the second week is like the first"


def test_faults_are_noted_for_the_record_with_their_severity() -> None:
    plant = Plant(PlantFile())
    plant.run(10.0)
    plant.switch_on(Fault("bearing_wear", "pump", severity=0.85, life=1_000.0))
    plant.run(400.0)
    plant.switch_off("bearing_wear", "pump")
    events = plant.take_events()
    assert [event.what for event in events] == ["on", "grown", "grown", "failed", "off"]
    assert [event.since_s for event in events] == [10.0] * 5
    assert events[1].severity == pytest.approx(0.85, abs=0.01)
    assert events[3].severity == 1.0
    assert plant.take_events() == []
