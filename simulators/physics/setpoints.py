"""The set points an operator or a client may write, and what writing one does to the world."""

from collections.abc import Callable
from typing import Final, NamedTuple

from simulators.physics.line import DESIGNS, MACHINES
from simulators.physics.world import World


class SetPoint(NamedTuple):
    """A set point: its range in its instrument's unit, and how it is put into the world."""

    low: float
    high: float
    put: Callable[[World, float], World]


def _put_speed(position: int) -> Callable[[World, float], World]:
    def put(world: World, value: float) -> World:
        machines = list(world.line.machines)
        machines[position] = machines[position]._replace(speed_set=value)
        return world._replace(line=world.line._replace(machines=tuple(machines)))

    return put


SET_POINTS: Final = {
    **{
        f"{name}/mach_speed": SetPoint(0.0, design.speed_max, _put_speed(i))
        for i, (name, design) in enumerate(zip(MACHINES, DESIGNS, strict=True))
    },
    "capper/torque_setpoint": SetPoint(
        0.5, 3.5, lambda world, value: world._replace(capper=world.capper._replace(torque_set=value))
    ),
    "labeller/glue_setpoint": SetPoint(
        120.0, 180.0, lambda world, value: world._replace(labeller=world.labeller._replace(glue_set=value))
    ),
    "compressor/pressure_setpoint": SetPoint(
        5.0, 10.0, lambda world, value: world._replace(air=world.air._replace(pressure_set=value))
    ),
    "compressor/enabled": SetPoint(
        0.0, 1.0, lambda world, value: world._replace(air=world.air._replace(enabled=bool(value)))
    ),
    "chiller/supply_setpoint": SetPoint(
        -10.0, 15.0, lambda world, value: world._replace(chiller=world.chiller._replace(supply_set=value))
    ),
    "pump/enabled": SetPoint(
        0.0, 1.0, lambda world, value: world._replace(pump=world.pump._replace(enabled=bool(value)))
    ),
}


def put(world: World, name: str, value: float) -> World:
    """Return the world with a set point changed; ValueError if the value is out of its range."""
    point = SET_POINTS[name]
    if not point.low <= value <= point.high:
        raise ValueError(f"{name}: {value:g} is not between {point.low:g} and {point.high:g}")
    return point.put(world, float(value))
