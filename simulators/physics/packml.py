"""The PackML state machine of one machine (ISA-TR88.00.02): states, commands, transitions.

Everything about the state machine lives here, and nothing else does: which command a machine gives itself, and
why, is decided in `machine`.
"""

from enum import IntEnum
from typing import Final, NamedTuple


class State(IntEnum):
    """States with their PackTag numbers (Status.StateCurrent)."""

    CLEARING = 1
    STOPPED = 2
    STARTING = 3
    IDLE = 4
    SUSPENDED = 5
    EXECUTE = 6
    STOPPING = 7
    ABORTING = 8
    ABORTED = 9
    HOLDING = 10
    HELD = 11
    UNHOLDING = 12
    SUSPENDING = 13
    UNSUSPENDING = 14
    RESETTING = 15
    COMPLETING = 16
    COMPLETE = 17


class Command(IntEnum):
    """Commands with their PackTag numbers (Command.CntrlCmd)."""

    RESET = 1
    START = 2
    STOP = 3
    HOLD = 4
    UNHOLD = 5
    SUSPEND = 6
    UNSUSPEND = 7
    ABORT = 8
    CLEAR = 9
    COMPLETE = 10


class Mode(IntEnum):
    """Unit modes with their PackTag numbers (Status.UnitModeCurrent)."""

    PRODUCING = 1
    MAINTENANCE = 2
    MANUAL = 3


class Unit(NamedTuple):
    """Where a machine is in its state machine, and for how long already [s]."""

    state: State
    time_s: float


# Where an acting state goes by itself (State Complete), and how long it takes [s]. The times are ours, chosen
# like those of a rotary filler; the standard leaves them to the machine.
ACTING: Final = {
    State.CLEARING: (State.STOPPED, 10.0),
    State.STARTING: (State.EXECUTE, 6.0),
    State.STOPPING: (State.STOPPED, 5.0),
    State.ABORTING: (State.ABORTED, 1.0),
    State.HOLDING: (State.HELD, 2.0),
    State.UNHOLDING: (State.EXECUTE, 3.0),
    State.SUSPENDING: (State.SUSPENDED, 1.5),
    State.UNSUSPENDING: (State.EXECUTE, 2.0),
    State.RESETTING: (State.IDLE, 5.0),
    State.COMPLETING: (State.COMPLETE, 4.0),
}

_NOT_STOPPABLE: Final = {State.STOPPED, State.STOPPING, State.CLEARING, State.ABORTING, State.ABORTED}
_NOT_ABORTABLE: Final = {State.ABORTING, State.ABORTED}

# What a command does in a state. A pair that is missing is a command that the state ignores.
TRANSITIONS: Final = {
    **{(state, Command.STOP): State.STOPPING for state in State if state not in _NOT_STOPPABLE},
    **{(state, Command.ABORT): State.ABORTING for state in State if state not in _NOT_ABORTABLE},
    (State.STOPPED, Command.RESET): State.RESETTING,
    (State.COMPLETE, Command.RESET): State.RESETTING,
    (State.IDLE, Command.START): State.STARTING,
    (State.EXECUTE, Command.COMPLETE): State.COMPLETING,
    (State.EXECUTE, Command.SUSPEND): State.SUSPENDING,
    (State.SUSPENDED, Command.UNSUSPEND): State.UNSUSPENDING,
    (State.EXECUTE, Command.HOLD): State.HOLDING,
    (State.STARTING, Command.HOLD): State.HOLDING,
    (State.SUSPENDING, Command.HOLD): State.HOLDING,
    (State.SUSPENDED, Command.HOLD): State.HOLDING,
    (State.UNSUSPENDING, Command.HOLD): State.HOLDING,
    (State.UNHOLDING, Command.HOLD): State.HOLDING,
    (State.HELD, Command.UNHOLD): State.UNHOLDING,
    (State.ABORTED, Command.CLEAR): State.CLEARING,
}


def step(unit: Unit, command: Command | None, dt_s: float) -> Unit:
    """Step the state machine; a command that the state does not know is ignored, as the standard wants it."""
    if command is not None and (unit.state, command) in TRANSITIONS:
        return Unit(TRANSITIONS[unit.state, command], 0.0)
    time_s = unit.time_s + dt_s
    acting = ACTING.get(unit.state)
    if acting is not None and time_s >= acting[1]:
        return Unit(acting[0], 0.0)
    return Unit(unit.state, time_s)


def mode(state: State) -> Mode:
    """Return the mode in which a machine is in a state: repaired when aborted, set up by hand when complete."""
    if state in (State.ABORTING, State.ABORTED, State.CLEARING):
        return Mode.MAINTENANCE
    return Mode.MANUAL if state is State.COMPLETE else Mode.PRODUCING
