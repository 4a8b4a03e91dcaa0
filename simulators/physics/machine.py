"""What filler, capper, labeller and packer have in common: speed, bottles, and which command comes next.

A machine knows the bottles waiting in front of it and the room behind it, and gives itself PackML commands from
that: starved or blocked suspends it (external cause), a jam or a minor stop holds it (internal cause), a tripped
drive aborts it, the end of an order completes it, a break stops it.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from simulators.physics import packml
from simulators.physics.laws import ramp
from simulators.physics.noise import Noise
from simulators.physics.packml import Command, State, Unit

RESUME_BOTTLES: Final = 60  # waiting, or room, that ends a suspension ...
RESUME_S: Final = 20.0  # ... or the time after which any will do
FULL_SPEED_BOTTLES: Final = 120  # waiting in front of a machine that lets it run at its full set point


class StopReason(IntEnum):
    """Why a machine does not produce (PackTag Admin.StopReason; the numbers are the maker's)."""

    NONE = 0
    STARVED = 1
    BLOCKED = 2
    MINOR_STOP = 3
    JAM = 4
    DRIVE_TRIP = 5
    MATERIAL = 6
    PRODUCT_WARM = 7
    CHANGEOVER = 8
    NO_SHIFT = 9


@dataclass(frozen=True, slots=True)
class Design:
    """What a machine is built for.

    Speeds in bottles/h, times in s; `overspeed` is the set point relative to the filler's (the V of a bottling
    line: machines behind the filler are faster, so that they catch up). `stop_every_s` of running lies between
    two minor stops on average, `stop_s` is how long one takes. `air` is free air at design speed [m3/min].
    """

    name: str
    speed_max: float
    overspeed: float
    acceleration: float
    setup_s: float
    reject_share: float
    stop_every_s: float
    stop_s: float
    air: float


class Machine(NamedTuple):
    """A machine of the line at one moment. Speeds in bottles/h, counters since the machine was new."""

    unit: Unit
    order: int
    speed: float
    speed_set: float
    progress: float
    made: int
    processed: int
    defective: int
    starved: bool
    blocked: bool
    until_reject: float
    until_stop_s: float
    stop_left_s: float
    reason: StopReason

    @property
    def running(self) -> bool:
        return self.unit.state is State.EXECUTE

    def load(self, design: Design) -> float:
        """Return the speed relative to the design speed, 0 to 1."""
        return self.speed / design.speed_max


class Surroundings(NamedTuple):
    """What a machine sees around it in one step.

    `waiting` bottles are at its infeed, its outfeed has `space` for some; `order_done` says that nothing of its
    present order will come any more. `fault` aborts it and `hold` holds it, unless NONE.
    """

    producing: bool
    waiting: int
    space: int
    order_done: bool
    fault: StopReason
    hold: StopReason


def new(design: Design, *, speed_set: float, processed: int, noise: Noise) -> Machine:
    """Return a stopped machine at the beginning of order 0."""
    until_stop_s = design.stop_every_s * noise.exponential()
    unit = Unit(State.STOPPED, 0.0)
    return Machine(
        unit=unit,
        order=0,
        speed=0.0,
        speed_set=speed_set,
        progress=0.0,
        made=0,
        processed=processed,
        defective=0,
        starved=False,
        blocked=False,
        until_reject=noise.exponential(),
        until_stop_s=until_stop_s,
        stop_left_s=0.0,
        reason=StopReason.NO_SHIFT,
    )


def step(machine: Machine, design: Design, around: Surroundings, noise: Noise, dt_s: float) -> tuple[Machine, int, int]:
    """Step a machine; return it, the bottles it took from its infeed and those it gave to its outfeed.

    A machine that was set up goes to its next order, with the speed set point it had: the line knows the recipe.
    """
    unit, order, speed, speed_set, progress, made, processed, defective, *_ = machine
    patient = unit.time_s < RESUME_S
    starved = around.waiting < (RESUME_BOTTLES if machine.starved and patient else 1)
    blocked = around.space < (RESUME_BOTTLES if machine.blocked and patient else 4)
    until_stop_s, stop_left_s = _minor_stops(machine, design, around, noise, dt_s)

    reason = _reason(around, starved, blocked, stop_left_s, unit.state)
    next_unit = packml.step(unit, _command(unit, design, around, reason), dt_s)
    if unit.state is State.COMPLETE and next_unit.state is State.RESETTING:
        order, made = order + 1, 0

    target = speed_set * _catch_up(around.waiting) if next_unit.state is State.EXECUTE else 0.0
    speed = ramp(speed, target, design.acceleration, dt_s)
    progress += speed * dt_s / 3600.0
    taken = min(int(progress), around.waiting, around.space)
    rejected, until_reject = _reject(taken, machine.until_reject, design.reject_share, noise)
    return (
        Machine(
            unit=next_unit,
            order=order,
            speed=speed,
            speed_set=speed_set,
            progress=min(progress - taken, 2.0),
            made=made + taken,
            processed=processed + taken,
            defective=defective + rejected,
            starved=starved,
            blocked=blocked,
            until_reject=until_reject,
            until_stop_s=until_stop_s,
            stop_left_s=stop_left_s,
            reason=reason,
        ),
        taken,
        taken - rejected,
    )


# What a machine does next in a state that has nothing to wait for.
_ONWARD: Final = {
    State.ABORTED: Command.CLEAR,
    State.STOPPED: Command.RESET,
    State.IDLE: Command.START,
    State.HELD: Command.UNHOLD,
    State.SUSPENDED: Command.UNSUSPEND,
}
# What a reason to stop commands, unless the machine is already where the command leads.
_RESPONSE: Final = {
    StopReason.DRIVE_TRIP: Command.ABORT,
    StopReason.NO_SHIFT: Command.STOP,
    StopReason.JAM: Command.HOLD,
    StopReason.MINOR_STOP: Command.HOLD,
    StopReason.MATERIAL: Command.HOLD,
    StopReason.PRODUCT_WARM: Command.HOLD,
    StopReason.STARVED: Command.SUSPEND,
    StopReason.BLOCKED: Command.SUSPEND,
    StopReason.CHANGEOVER: Command.COMPLETE,
}
# Where a machine stays while the reason lasts.
_RESTING: Final = {
    Command.ABORT: State.ABORTED,
    Command.STOP: State.STOPPED,
    Command.HOLD: State.HELD,
    Command.SUSPEND: State.SUSPENDED,
}


def _reason(around: Surroundings, starved: bool, blocked: bool, stop_left_s: float, state: State) -> StopReason:
    """Return the reason to stop that outranks the others."""
    if around.fault:
        return around.fault
    if not around.producing:
        return StopReason.NO_SHIFT
    if around.hold:
        return around.hold
    if stop_left_s > 0.0:
        return StopReason.MINOR_STOP
    if around.order_done or state is State.COMPLETE:
        return StopReason.CHANGEOVER
    if starved:
        return StopReason.STARVED
    return StopReason.BLOCKED if blocked else StopReason.NONE


def _command(unit: Unit, design: Design, around: Surroundings, reason: StopReason) -> Command | None:
    """Return the command a machine gives itself, or None to carry on."""
    state = unit.state
    if state is State.COMPLETE and reason is not StopReason.DRIVE_TRIP:
        return Command.RESET if around.producing and unit.time_s >= design.setup_s else None
    response = _RESPONSE.get(reason)
    if response is None:
        return _ONWARD.get(state)
    if _RESTING.get(response) is state:
        return None
    return response if (state, response) in packml.TRANSITIONS else _ONWARD.get(state)


def _minor_stops(
    machine: Machine, design: Design, around: Surroundings, noise: Noise, dt_s: float
) -> tuple[float, float]:
    """Return the running time until the next minor stop, and how long the present one still takes [s]."""
    until_s, left_s, state = machine.until_stop_s, machine.stop_left_s, machine.unit.state
    if state is State.EXECUTE and left_s <= 0.0:
        until_s -= dt_s
        if until_s <= 0.0:
            return design.stop_every_s * noise.exponential(), design.stop_s * (0.3 + noise.exponential())
    elif state is State.HELD and not around.hold:
        left_s -= dt_s
    return until_s, left_s


def _catch_up(waiting: int) -> float:
    """Return the share of the set point a machine runs at, so that it follows the one before it smoothly."""
    return 1.0 if waiting >= FULL_SPEED_BOTTLES else 0.6 + 0.4 * waiting / FULL_SPEED_BOTTLES


def _reject(bottles: int, until_reject: float, share: float, noise: Noise) -> tuple[int, float]:
    """Return how many of the bottles are bad, and the expected number of bad ones until the next is."""
    rejected = 0
    until_reject -= bottles * share
    while until_reject <= 0.0 and rejected < bottles:
        rejected += 1
        until_reject += noise.exponential()
    return rejected, until_reject
