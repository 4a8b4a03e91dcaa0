"""Faults: they come and go when they should, and each has its signature in what is measured."""

import pytest

from simulators import faults
from simulators.faults import Appointment, Event, Fault, Faults
from simulators.plant import Plant
from simulators.plantfile import PlantFile

JAM = Fault("jam", "labeller")


def warm(seconds: float = 1_800.0) -> Plant:
    plant = Plant(PlantFile(), seed=5)
    plant.run(seconds)
    return plant


def mean(plant: Plant, sensor: str, seconds: float = 120.0) -> float:
    shown = []
    for _ in range(round(seconds / 10.0)):
        plant.run(10.0)
        shown.append(plant.measure()[sensor])
    return sum(shown) / len(shown)


# --- when ------------------------------------------------------------------------------------


def whats(events: list[Event]) -> list[tuple[str, float]]:
    return [(event.what, event.at_s) for event in events]


def test_an_appointment_comes_lasts_and_returns() -> None:
    known = Faults([Appointment(JAM, at_s=10.0, duration_s=5.0, every_s=100.0)])
    assert whats(known.advance(9.5)) == []
    assert whats(known.advance(10.0)) == [("on", 10.0)]
    assert known.get("jam", "labeller") is not None
    assert whats(known.advance(15.0)) == [("off", 15.0)]
    assert known.get("jam", "labeller") is None
    assert whats(known.advance(1_000.0))[:3] == [("on", 110.0), ("off", 115.0), ("on", 210.0)]


def test_severity_rises_over_the_ramp_and_stays() -> None:
    known = Faults()
    known.on(Fault("fouling", "chiller", severity=0.8, ramp=100.0), 50.0)
    assert [known.severity("fouling", "chiller", at) for at in (50.0, 100.0, 150.0, 900.0)] == [0.0, 0.4, 0.8, 0.8]
    assert known.severity("fouling", "pump", 900.0) == 0.0


def test_the_end_of_a_replaced_fault_does_not_end_the_one_that_replaced_it() -> None:
    known = Faults()
    known.on(JAM, 0.0, duration_s=10.0)
    known.on(JAM, 5.0)
    assert whats(known.advance(20.0)) == []
    assert known.get("jam", "labeller") is not None
    assert whats(known.off("jam", "labeller", 30.0)) == [("off", 30.0)]
    assert known.off("jam", "labeller", 31.0) == []


@pytest.mark.parametrize(
    ("kind", "target", "hint"),
    [
        ("bearing_waer", "pump", "did you mean 'bearing_wear'?"),
        ("jam", "labeler", "did you mean 'labeller'?"),
        ("stuck_sensor", "filler/temprature", "did you mean 'filler/temperature'?"),
        ("cavitation", "xyz", "allowed: pump"),
        ("cavitation", "pump", ""),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_right_one(kind: str, target: str, hint: str) -> None:
    problem = faults.problem(kind, target)
    assert problem.endswith(hint)
    assert bool(problem) == bool(hint)


# --- what ------------------------------------------------------------------------------------


def test_a_stuck_sensor_holds_what_it_showed_and_the_others_go_on() -> None:
    plant = warm()
    plant.switch_on(Fault("stuck_sensor", "filler/bowl_pressure"))
    held = plant.measure()["filler/bowl_pressure"]
    others = set()
    for _ in range(20):
        plant.run(10.0)
        assert plant.measure()["filler/bowl_pressure"] == held
        others.add(plant.measure()["filler/fill_volume"])
    assert len(others) > 5
    plant.switch_off("stuck_sensor", "filler/bowl_pressure")
    plant.run(10.0)
    assert plant.measure()["filler/bowl_pressure"] != held


def test_a_drifting_sensor_leaves_the_truth_by_its_share_of_the_range() -> None:
    plant, sound = warm(), warm()
    plant.switch_on(Fault("drift", "capper/torque", severity=0.2, ramp=600.0))
    for seconds, expected in ((300.0, 0.5), (300.0, 1.0), (600.0, 1.0)):  # N.m: a fifth of 0 to 5 N.m
        plant.run(seconds)
        sound.run(seconds)
        assert plant.measure()["capper/torque"] - sound.measure()["capper/torque"] == pytest.approx(expected, abs=0.01)
    assert plant.world == sound.world, "only the sensor is wrong"


def test_bearing_wear_is_slow_then_fast_and_ends_in_failure_until_it_is_repaired() -> None:
    plant = warm()
    plant.switch_on(Fault("bearing_wear", "pump", severity=0.0, life=3_600.0))
    wear, warmth = [], []
    for _ in range(6):
        plant.run(600.0)
        wear.append(plant.world.pump.wear)
        warmth.append(plant.measure()["pump/bearing_temperature"])
    assert wear == sorted(wear)
    assert wear[2] < 0.1
    assert wear[4] > 0.3
    assert warmth[-1] > warmth[0] + 15.0
    plant.run(200.0)
    shown = plant.measure()
    assert plant.signals()["pump/tripped"] is True
    assert shown["pump/speed"] == shown["pump/motor_current"] == 0.0
    assert shown["pump/flow"] < 0.5
    plant.run(600.0)
    assert plant.signals()["chiller/flow_ok"] is False, "the failure has consequences"
    assert plant.signals()["filler/stop_reason"] == 7, "the product gets warm"
    plant.switch_off("bearing_wear", "pump")
    plant.run(60.0)
    assert plant.measure()["pump/speed"] > 2_900.0
    assert plant.measure()["pump/velocity_rms"] < 1.4


def test_cavitation_costs_head_and_flow_and_hisses() -> None:
    plant = warm()
    before = {name: mean(plant, f"pump/{name}") for name in ("flow", "discharge_pressure", "acceleration_rms")}
    plant.switch_on(Fault("cavitation", "pump", severity=0.8))
    assert mean(plant, "pump/flow") < 0.95 * before["flow"]
    assert mean(plant, "pump/discharge_pressure") < before["discharge_pressure"]
    assert mean(plant, "pump/acceleration_rms") > 3.0 * before["acceleration_rms"]


def test_a_fouled_strainer_costs_suction_pressure_and_makes_the_pump_cavitate() -> None:
    plant = warm()
    plant.switch_on(Fault("fouling", "pump", severity=0.9))
    plant.run(300.0)
    shown = plant.measure()
    assert shown["pump/suction_pressure"] < 0.7
    assert shown["pump/flow"] < 32.0
    assert plant.world.pump.cavitation > 0.3


def test_a_fouled_condenser_raises_the_condensing_pressure_and_the_power() -> None:
    plant, sound = warm(), warm()
    plant.switch_on(Fault("fouling", "chiller", severity=0.8))
    assert mean(plant, "chiller/condensing_pressure", 600.0) > mean(sound, "chiller/condensing_pressure", 600.0) + 1.0
    assert mean(plant, "chiller/cop", 600.0) < 0.9 * mean(sound, "chiller/cop", 600.0)


def test_a_fouled_filter_raises_its_pressure_drop_and_the_temperature_at_the_screw() -> None:
    plant, sound = warm(), warm()
    plant.switch_on(Fault("fouling", "compressor", severity=0.9))
    assert mean(plant, "compressor/filter_drop", 600.0) > 2.0 * mean(sound, "compressor/filter_drop", 600.0)
    hot, normal = (mean(item, "compressor/discharge_temperature", 600.0) for item in (plant, sound))
    assert hot > normal + 5.0


def test_an_air_leak_raises_the_demand() -> None:
    plant, sound = warm(), warm()
    plant.switch_on(Fault("air_leak", "compressor", severity=0.5))
    leaking, tight = (mean(item, "compressor/air_demand", 300.0) for item in (plant, sound))
    assert leaking == pytest.approx(tight + 2.2, abs=0.3)  # half of 4 m3/min, at 6.6 bar instead of 6
