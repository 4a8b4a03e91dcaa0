"""The line under any order of troubles: no bottle is lost, no PackML transition is invented."""

from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.faults import Fault
from simulators.physics.line import CONVEYOR_BOTTLES, MACHINES
from simulators.physics.packml import ACTING, TRANSITIONS
from simulators.plant import Plant
from simulators.plantfile import PlantFile

SHORT_ORDERS = {
    "products": {
        "a": {"name": "A", "volume": 500, "speed": 24_000},
        "b": {"name": "B", "volume": 1_000, "speed": 12_000},
    },
    "orders": [{"product": "a", "bottles": 700}, {"product": "b", "bottles": 300}],
    "shifts": [{"days": "monday", "hours": "06:00-14:00", "breaks": ["06:20-06:25"]}],
}
LEGAL = {(start, end) for (start, _), end in TRANSITIONS.items()} | {(state, end) for state, (end, _) in ACTING.items()}

troubles = st.lists(
    st.tuples(
        st.sampled_from(["jam", "drive_trip"]),
        st.sampled_from(MACHINES),
        st.booleans(),
        st.floats(1.0, 300.0),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), troubles)
def test_bottles_are_conserved_and_transitions_are_legal(
    seed: int, changes: list[tuple[str, str, bool, float]]
) -> None:
    plant = Plant(PlantFile.model_validate(SHORT_ORDERS), seed=seed)
    for kind, target, on, seconds in changes:
        if on:
            plant.switch_on(Fault(kind, target))
        else:
            plant.switch_off(kind, target)
        watch(plant, seconds)


def watch(plant: Plant, seconds: float) -> None:
    for _ in range(round(seconds / 0.5)):
        before = plant.world.line
        plant.step()
        after = plant.world.line
        for old, new in zip(before.machines, after.machines, strict=True):
            assert new.unit.state is old.unit.state or (old.unit.state, new.unit.state) in LEGAL
            assert new.processed >= old.processed
            assert new.defective >= old.defective
            assert new.order in (old.order, old.order + 1)
        for first, conveyor, second in zip(after.machines, after.conveyors, after.machines[1:], strict=False):
            assert first.processed - first.defective == conveyor.total + second.processed
            assert 0 <= conveyor.waiting <= conveyor.total <= CONVEYOR_BOTTLES
            assert first.made == 0 or first.order <= second.order, "no bottle of an order the next is not set up for"
