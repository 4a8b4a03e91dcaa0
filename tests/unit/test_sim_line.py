"""The line: bottles are conserved, stops spread to the neighbours, orders do not mix."""

import pytest

from simulators.faults import Fault
from simulators.physics import world
from simulators.physics.line import CONVEYOR_BOTTLES, MACHINES
from simulators.physics.machine import Machine, StopReason
from simulators.physics.packml import State
from simulators.plant import STEP_S, Plant
from simulators.plantfile import PlantFile

TWO_ORDERS = {
    "products": {
        "small": {"name": "Small", "volume": 500, "speed": 24_000},
        "large": {"name": "Large", "volume": 1_000, "speed": 13_000},
    },
    "orders": [{"product": "small", "bottles": 3_000}, {"product": "large", "bottles": 2_000}],
}


def plant(**sections: object) -> Plant:
    return Plant(PlantFile.model_validate(sections), seed=11)


def running() -> Plant:
    """Return a plant whose machines all produce."""
    made = plant()
    made.run(120.0)
    while not all(machine(made, name).running for name in MACHINES):
        made.run(10.0)
    return made


def machine(of: Plant, name: str) -> Machine:
    return of.world.line.machines[MACHINES.index(name)]


def assert_no_bottle_is_lost(of: Plant) -> None:
    line = of.world.line
    for before, conveyor, after in zip(line.machines, line.conveyors, line.machines[1:], strict=False):
        assert before.processed - before.defective == conveyor.total + after.processed
        assert conveyor.total == conveyor.waiting + sum(conveyor.travelling)
        assert 0 <= conveyor.waiting <= conveyor.total <= CONVEYOR_BOTTLES


def test_bottles_in_are_bottles_out_and_rejects_and_on_the_way() -> None:
    made = plant()
    for _ in range(120):
        made.run(60.0)
        assert_no_bottle_is_lost(made)
    packer = machine(made, "packer")
    assert packer.processed > 30_000
    assert all(machine(made, name).defective > 0 for name in MACHINES)


def test_a_jam_holds_the_machine_blocks_those_before_it_and_starves_those_after_it() -> None:
    made = running()
    made.switch_on(Fault("jam", "labeller"))
    made.run(240.0)
    assert machine(made, "labeller").unit.state is State.HELD
    assert machine(made, "labeller").reason is StopReason.JAM
    for name, reason in (
        ("filler", StopReason.BLOCKED),
        ("capper", StopReason.BLOCKED),
        ("packer", StopReason.STARVED),
    ):
        assert machine(made, name).unit.state is State.SUSPENDED, name
        assert machine(made, name).reason is reason, name
    assert machine(made, "filler").blocked
    assert machine(made, "packer").starved
    made.switch_off("jam", "labeller")
    made.run(120.0)
    assert machine(made, "labeller").running
    assert_no_bottle_is_lost(made)


def test_a_tripped_drive_aborts_the_machine_which_is_cleared_and_restarted_after_repair() -> None:
    made = running()
    made.switch_on(Fault("drive_trip", "capper"))
    made.run(5.0)
    assert machine(made, "capper").unit.state is State.ABORTED
    assert made.signals()["capper/unit_mode_current"] == 2
    made.switch_off("drive_trip", "capper")
    seen: list[str] = []
    for _ in range(80):
        made.step()
        state = machine(made, "capper").unit.state.name
        if not seen or seen[-1] != state:
            seen.append(state)
    assert seen[:6] == ["CLEARING", "STOPPED", "RESETTING", "IDLE", "STARTING", "EXECUTE"]


def test_a_break_stops_the_line_and_the_end_of_the_break_starts_it() -> None:
    made = plant(shifts=[{"days": "monday", "hours": "06:00-14:00", "breaks": ["06:10-06:20"]}])
    made.run(9 * 60.0)
    assert machine(made, "filler").running
    made.run(3 * 60.0)
    assert all(machine(made, name).unit.state is State.STOPPED for name in MACHINES)
    assert machine(made, "filler").reason is StopReason.NO_SHIFT
    made.run(10 * 60.0)
    assert machine(made, "filler").running


def test_every_machine_is_set_up_for_the_next_order() -> None:
    made = plant(**TWO_ORDERS)
    complete: set[str] = set()
    for _ in range(2 * 3600):
        made.step()
        complete |= {name for name in MACHINES if machine(made, name).unit.state is State.COMPLETE}
    assert complete == set(MACHINES)
    assert {made.signals()[f"{name}/recipe"] for name in MACHINES} <= {"small", "large"}
    assert machine(made, "packer").order >= 1
    assert_no_bottle_is_lost(made)


def test_the_filler_waits_for_a_capper_that_is_not_set_up() -> None:
    made = plant(**TWO_ORDERS)
    while machine(made, "filler").unit.state is not State.COMPLETE:
        made.run(1.0)
    made.switch_on(Fault("drive_trip", "capper"))
    made.run(900.0)
    assert machine(made, "filler").order == machine(made, "capper").order + 1
    assert machine(made, "filler").made == 0
    assert machine(made, "filler").reason is StopReason.BLOCKED
    made.switch_off("drive_trip", "capper")
    made.run(600.0)
    assert machine(made, "capper").order == 1
    assert machine(made, "filler").made > 0
    assert_no_bottle_is_lost(made)


def test_the_set_points_follow_the_order() -> None:
    made = plant(**TWO_ORDERS)
    made.run(180.0)
    assert machine(made, "filler").speed_set == 24_000
    made.run(1_500.0)
    assert machine(made, "filler").speed_set == 13_000
    assert machine(made, "packer").speed_set == pytest.approx(1.20 * 13_000)


def test_energy_and_air_follow_the_load() -> None:
    made = plant(shifts=[{"days": "monday", "hours": "06:00-07:00"}])
    made.run(2_400.0)
    busy_kwh = made.measure()["energy/import_energy"]
    made.run(600.0)
    busy_kwh = made.measure()["energy/import_energy"] - busy_kwh
    busy_air = made.measure()["compressor/air_demand"]
    made.run(1_800.0)
    idle_kwh = made.measure()["energy/import_energy"]
    made.run(600.0)
    idle_kwh = made.measure()["energy/import_energy"] - idle_kwh
    idle_air = made.measure()["compressor/air_demand"]
    assert busy_kwh > 2.0 * idle_kwh > 0.0
    assert busy_air > 2.0 * idle_air > 0.0


def test_the_meter_adds_up_the_power_of_all_machines() -> None:
    made = plant()
    before = sum(made.world.meter.import_kwh)
    kwh = 0.0
    for _ in range(1_200):
        kwh += (world.load(made.world) + 14.0) * STEP_S / 3600.0  # 14 kW of light and ventilation
        made.step()
    assert sum(made.world.meter.import_kwh) - before == pytest.approx(kwh, rel=1e-6)


def test_the_filler_stops_when_its_product_is_warm_and_starts_again_when_it_is_cold() -> None:
    made = running()
    made.put("pump/enabled", 0)
    made.run(300.0)
    assert machine(made, "filler").reason is StopReason.PRODUCT_WARM
    assert made.measure()["filler/temperature"] > 9.0
    made.put("pump/enabled", 1)
    made.run(1_800.0)
    assert machine(made, "filler").reason is not StopReason.PRODUCT_WARM
    assert made.measure()["filler/temperature"] == pytest.approx(5.0, abs=1.0)
