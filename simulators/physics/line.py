"""The line: four machines with a conveyor between each two, working off orders.

Bottles are whole and none is lost: what a machine gives, its conveyor holds; what is not given was rejected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from simulators.physics import machine
from simulators.physics.machine import Design, Machine, StopReason, Surroundings
from simulators.physics.noise import Noise
from simulators.physics.packml import State

CONVEYOR_BOTTLES: Final = 420  # that fit between two machines
CONVEYOR_S: Final = 10.0  # from one machine to the next
PLENTY: Final = 1_000_000  # bottles in front of the filler, and room behind the packer

FILLER: Final = Design("filler", 26_000, 1.00, 2_500, 600.0, 0.0025, 2_400.0, 25.0, 1.3)
CAPPER: Final = Design("capper", 29_000, 1.08, 4_000, 360.0, 0.0015, 2_700.0, 20.0, 0.9)
LABELLER: Final = Design("labeller", 31_000, 1.14, 4_000, 420.0, 0.0020, 1_800.0, 30.0, 0.5)
PACKER: Final = Design("packer", 33_000, 1.20, 5_000, 300.0, 0.0008, 2_400.0, 35.0, 2.2)
DESIGNS: Final = (FILLER, CAPPER, LABELLER, PACKER)
MACHINES: Final = tuple(design.name for design in DESIGNS)


@dataclass(frozen=True, slots=True)
class Product:
    """What is filled: volume [ml], speed of the filler [bottles/h], bowl temperature [C] and pressure [bar]."""

    name: str
    recipe: str
    volume: float
    speed: float
    temperature: float
    pressure: float


@dataclass(frozen=True, slots=True)
class Order:
    """So many bottles of a product."""

    product: Product
    bottles: int


class Conveyor(NamedTuple):
    """Bottles between two machines: `travelling`, a count per step of the way, and `waiting` at its end."""

    travelling: tuple[int, ...]
    waiting: int
    total: int


class Line(NamedTuple):
    """The machines and the three conveyors between them, in the direction of flow."""

    machines: tuple[Machine, ...]
    conveyors: tuple[Conveyor, ...]


def new(orders: Sequence[Order], noises: Sequence[Noise], processed: Sequence[int], dt_s: float) -> Line:
    """Return an empty, stopped line; `processed` are the counters of its machines so far."""
    machines = tuple(
        machine.new(design, speed_set=_set_point(design, orders, 0), processed=count, noise=noise)
        for design, noise, count in zip(DESIGNS, noises, processed, strict=True)
    )
    empty = Conveyor((0,) * max(1, round(CONVEYOR_S / dt_s)), 0, 0)
    return Line(machines, (empty,) * (len(DESIGNS) - 1))


def product(orders: Sequence[Order], order: int) -> Product:
    """Return what is filled in an order; the list of orders repeats for ever."""
    return orders[order % len(orders)].product


def step(
    line: Line,
    orders: Sequence[Order],
    *,
    producing: bool,
    faults: Sequence[StopReason],
    holds: Sequence[StopReason],
    noises: Sequence[Noise],
    dt_s: float,
) -> Line:
    """Step all machines and conveyors at once, each seeing the others as they were."""
    machines: list[Machine] = []
    taken: list[int] = []
    given: list[int] = []
    for i, design in enumerate(DESIGNS):
        present = line.machines[i]
        around = Surroundings(
            producing=producing,
            waiting=PLENTY if i == 0 else line.conveyors[i - 1].waiting,
            space=_space(line, i),
            order_done=_order_done(line, orders, i),
            fault=faults[i],
            hold=holds[i],
        )
        stepped, bottles_taken, bottles_given = machine.step(present, design, around, noises[i], dt_s)
        if stepped.order != present.order:
            stepped = stepped._replace(speed_set=_set_point(design, orders, stepped.order))
        machines.append(stepped)
        taken.append(bottles_taken)
        given.append(bottles_given)
    return Line(
        tuple(machines),
        tuple(_move(belt, given[i], taken[i + 1]) for i, belt in enumerate(line.conveyors)),
    )


def _move(belt: Conveyor, put: int, taken: int) -> Conveyor:
    """Move a conveyor by one step, with bottles put on at its start and taken off at its end."""
    return Conveyor(
        travelling=(*belt.travelling[1:], put),
        waiting=belt.waiting + belt.travelling[0] - taken,
        total=belt.total + put - taken,
    )


def _space(line: Line, i: int) -> int:
    """Return the bottles that fit behind a machine; none while the next one is not set up for its order."""
    if i + 1 == len(line.machines):
        return PLENTY
    if line.machines[i + 1].order != line.machines[i].order:
        return 0
    return max(0, CONVEYOR_BOTTLES - line.conveyors[i].total)


def _order_done(line: Line, orders: Sequence[Order], i: int) -> bool:
    """Whether nothing of a machine's order will come any more."""
    present = line.machines[i]
    if i == 0:
        return present.made >= orders[present.order % len(orders)].bottles
    before = line.machines[i - 1]
    emptied = before.order == present.order and before.unit.state is State.COMPLETE
    return (emptied or before.order > present.order) and line.conveyors[i - 1].total == 0


def _set_point(design: Design, orders: Sequence[Order], order: int) -> float:
    """Return the speed set point [bottles/h] of a machine for an order."""
    return min(design.speed_max, product(orders, order).speed * design.overspeed)
