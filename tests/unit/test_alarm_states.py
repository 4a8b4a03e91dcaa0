"""The state machine of ISA-18.2: every transition, every refusal, and what people may do at any time."""

import pytest

from gateway.alarms.states import ACKED, ACTIVE, LATCHING, LETTERS, MOVES, Condition, Deed, Refused, Shelving, State

PROCESS = list(State)[:6]
PEOPLE = (Deed.RAISE, Deed.CLEAR, Deed.ACKNOWLEDGE, Deed.RESET)
PLAIN = "A raise B, B acknowledge C, B clear D, C clear A, D acknowledge A, D raise B"
LATCHED = "A raise B, B acknowledge C, B clear E, C clear F, D acknowledge A, D raise B"
EITHER = ", E acknowledge F, E raise B, E reset D, F raise B, F reset A"
"""The transitions of the standard, by its letters."""


@pytest.mark.parametrize(("latching", "text"), [(False, PLAIN), (True, LATCHED)], ids=["plain", "latching"])
def test_every_transition_of_the_standard_and_no_other(latching: bool, text: str) -> None:
    moves = [one.split() for one in (text + EITHER).split(", ")]
    wanted = {(begin, deed): end for begin, deed, end in moves}
    for state in PROCESS:
        for deed in PEOPLE:
            end = wanted.get((LETTERS[state], deed.value))
            if end is None:
                with pytest.raises(Refused, match=f"it is {state}"):
                    Condition(state).after(deed, latching=latching)
            else:
                assert LETTERS[Condition(state).after(deed, latching=latching).state] == end
    assert len(wanted) == len(LATCHING if latching else MOVES)


@pytest.mark.parametrize("state", PROCESS)
@pytest.mark.parametrize(
    ("hides", "shows", "letter"),
    [(Deed.SHELVE, Deed.UNSHELVE, "G"), (Deed.SUPPRESS, Deed.UNSUPPRESS, "H"), (Deed.REMOVE, Deed.PLACE, "I")],
)
def test_any_state_can_be_hidden_and_comes_back_to_what_the_process_dictates(
    state: State, hides: Deed, shows: Deed, letter: str
) -> None:
    hidden = Condition(state).after(hides, until_ns=5)
    assert LETTERS[hidden.state] == letter
    assert hidden.hidden
    assert (hidden.active, hidden.acked) == (state in ACTIVE, state in ACKED), "it is evaluated still"
    back = hidden.after(shows)
    assert back == Condition(State.NORMAL if state is State.RETURNED else state)
    with pytest.raises(Refused):
        hidden.after(hides)
    with pytest.raises(Refused):
        back.after(shows)


def test_what_is_raised_while_hidden_is_unacknowledged_when_it_shows_and_forgotten_if_it_is_over() -> None:
    shelved = Condition().after(Deed.SHELVE, until_ns=9).after(Deed.RAISE)
    assert shelved.state is State.SHELVED
    assert shelved.after(Deed.UNSHELVE) == Condition(State.UNACKNOWLEDGED)
    assert shelved.after(Deed.CLEAR).after(Deed.UNSHELVE) == Condition()


def test_one_shot_shelving_ends_with_the_next_return_to_normal() -> None:
    shelved = Condition(State.ACKNOWLEDGED).after(Deed.SHELVE, shelving=Shelving.ONE_SHOT, until_ns=9)
    assert shelved.after(Deed.CLEAR) == Condition()
    timed = Condition(State.ACKNOWLEDGED).after(Deed.SHELVE, until_ns=9)
    assert timed.after(Deed.CLEAR).state is State.SHELVED
    latched = shelved.after(Deed.CLEAR, latching=True)
    assert latched.state is State.SHELVED, "it is active still"
    assert latched.after(Deed.RESET) == Condition()


def test_the_strongest_of_what_hides_it_is_its_state() -> None:
    all_three = Condition(State.UNACKNOWLEDGED).after(Deed.SHELVE).after(Deed.SUPPRESS).after(Deed.REMOVE)
    assert all_three.state is State.OUT_OF_SERVICE
    assert all_three.after(Deed.PLACE).state is State.SUPPRESSED
    assert all_three.after(Deed.PLACE).after(Deed.UNSUPPRESS).state is State.SHELVED
