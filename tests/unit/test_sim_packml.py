"""The PackML state machine against the table of ISA-TR88.00.02, written out by hand."""

import pytest

from simulators.physics import packml
from simulators.physics.packml import ACTING, Command, Mode, State, Unit

STEP_S = 0.25

# The commands of the standard's state diagram, but for Stop and Abort, which are tested for all states below.
TABLE = [
    ("STOPPED", "RESET", "RESETTING"),
    ("COMPLETE", "RESET", "RESETTING"),
    ("IDLE", "START", "STARTING"),
    ("EXECUTE", "COMPLETE", "COMPLETING"),
    ("EXECUTE", "HOLD", "HOLDING"),
    ("STARTING", "HOLD", "HOLDING"),
    ("SUSPENDING", "HOLD", "HOLDING"),
    ("SUSPENDED", "HOLD", "HOLDING"),
    ("UNSUSPENDING", "HOLD", "HOLDING"),
    ("UNHOLDING", "HOLD", "HOLDING"),
    ("HELD", "UNHOLD", "UNHOLDING"),
    ("EXECUTE", "SUSPEND", "SUSPENDING"),
    ("SUSPENDED", "UNSUSPEND", "UNSUSPENDING"),
    ("ABORTED", "CLEAR", "CLEARING"),
]
# Where acting states end by themselves.
FINISH = {
    "RESETTING": "IDLE",
    "STARTING": "EXECUTE",
    "COMPLETING": "COMPLETE",
    "HOLDING": "HELD",
    "UNHOLDING": "EXECUTE",
    "SUSPENDING": "SUSPENDED",
    "UNSUSPENDING": "EXECUTE",
    "STOPPING": "STOPPED",
    "ABORTING": "ABORTED",
    "CLEARING": "STOPPED",
}


def after(state: State, command: Command) -> State:
    return packml.step(Unit(state, 0.0), command, STEP_S).state


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("command", list(Command))
def test_every_command_in_every_state(state: State, command: Command) -> None:
    expected = {(start, cause): end for start, cause, end in TABLE}.get((state.name, command.name), state.name)
    if command is Command.STOP and state.name not in ("STOPPED", "STOPPING", "CLEARING", "ABORTING", "ABORTED"):
        expected = "STOPPING"
    if command is Command.ABORT and state.name not in ("ABORTING", "ABORTED"):
        expected = "ABORTING"
    assert after(state, command).name == expected


@pytest.mark.parametrize("state", list(State))
def test_acting_states_take_time_and_finish_by_themselves(state: State) -> None:
    unit = packml.step(Unit(state, 0.0), None, STEP_S)
    assert unit == Unit(state, STEP_S), "nothing happens at once"
    for _ in range(4 * 60):
        unit = packml.step(unit, None, STEP_S)
    assert unit.state.name == FINISH.get(state.name, state.name)


def test_a_command_restarts_the_time_in_the_state() -> None:
    assert packml.step(Unit(State.EXECUTE, 77.0), Command.HOLD, STEP_S) == Unit(State.HOLDING, 0.0)


def test_the_numbers_are_those_of_the_packtags() -> None:
    assert {state.name: int(state) for state in State} == {
        "CLEARING": 1,
        "STOPPED": 2,
        "STARTING": 3,
        "IDLE": 4,
        "SUSPENDED": 5,
        "EXECUTE": 6,
        "STOPPING": 7,
        "ABORTING": 8,
        "ABORTED": 9,
        "HOLDING": 10,
        "HELD": 11,
        "UNHOLDING": 12,
        "SUSPENDING": 13,
        "UNSUSPENDING": 14,
        "RESETTING": 15,
        "COMPLETING": 16,
        "COMPLETE": 17,
    }
    assert set(FINISH) == {state.name for state in ACTING}


def test_a_machine_is_repaired_when_aborted_and_set_up_by_hand_when_complete() -> None:
    assert packml.mode(State.ABORTED) is Mode.MAINTENANCE
    assert packml.mode(State.COMPLETE) is Mode.MANUAL
    assert packml.mode(State.EXECUTE) is Mode.PRODUCING
