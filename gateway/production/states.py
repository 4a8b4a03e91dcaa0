"""What the numbers and words of machines mean for the use of time (ISO 22400-2), by enumeration.

Sources: ISA-TR88.00.02 for PackML, OPC 40001-1 Annex C for Machinery; a stack light is a number whose bits are its
lamps. Where a standard is silent the reading is ours, and the configuration can say otherwise, value by value.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

Value = int | str


class State(IntEnum):
    """How a work unit uses its time."""

    UNKNOWN = 0
    PRODUCING = 1
    SETUP = 2
    DELAY = 3
    """It should produce and does not, by a cause of its own; short ones are minor stops."""
    WAITING = 4
    """It should produce and cannot: nothing in front of it, or no room behind it."""
    FAILURE = 5
    """It has tripped; a breakdown, however short."""
    IDLE = 6
    """It could produce: a delay if it has an order, else nobody wants anything of it."""
    DOWN = 7
    PLANNED = 8
    """It stands because somebody planned that."""
    MAINTENANCE = 9
    """Somebody works on it: corrective if it has an order, else preventive and planned."""


class Mode(IntEnum):
    """What a unit is meant to do: setup and maintenance outrank its state."""

    PROCESSING = 0
    SETUP = 1
    MAINTENANCE = 2


_PACKML: Final[Mapping[Value, State]] = {
    **dict.fromkeys((6, 16), State.PRODUCING),
    **dict.fromkeys((3, 15), State.SETUP),
    **dict.fromkeys((10, 11, 12), State.DELAY),
    **dict.fromkeys((5, 13, 14), State.WAITING),
    **dict.fromkeys((1, 8, 9), State.FAILURE),
    **dict.fromkeys((4, 17), State.IDLE),
    **dict.fromkeys((2, 7), State.DOWN),
}
_STACKLIGHT: Final[Mapping[Value, State]] = {
    lamps: State.FAILURE
    if lamps & 4
    else State.WAITING
    if lamps & 2
    else State.PRODUCING
    if lamps & 1
    else State.DELAY
    if lamps & 8
    else State.DOWN
    for lamps in range(16)
}
STATES: Final[Mapping[str, Mapping[Value, State]]] = {
    "packml": _PACKML,
    "machinery": {
        "executing": State.PRODUCING,
        "notexecuting": State.IDLE,
        "outofservice": State.DOWN,
        "notavailable": State.DOWN,
    },
    "stacklight": _STACKLIGHT,
    "running": {0: State.IDLE, 1: State.PRODUCING},
    "custom": {},
}
"""By enumeration. A stack light has green 1, yellow 2, red 4, blue 8; the most serious lamp counts."""

MODES: Final[Mapping[str, Mapping[Value, Mode]]] = {
    "packml": {1: Mode.PROCESSING, 2: Mode.MAINTENANCE, 3: Mode.PROCESSING},
    "machinery": {
        "processing": Mode.PROCESSING,
        "none": Mode.PROCESSING,
        "setup": Mode.SETUP,
        "maintenance": Mode.MAINTENANCE,
    },
    "stacklight": {},
    "running": {},
    "custom": {},
}


def key(value: object) -> Value:
    """Return a value as the maps have it: a whole number, or a word without case and blanks."""
    if isinstance(value, str):
        word = "".join(value.split()).casefold()
        return int(word) if word.isascii() and word.isdecimal() else word
    return int(value) if isinstance(value, (int, float)) and value == int(value) else str(value)


def combined(state: State, mode: Mode) -> State:
    """Return how time is used in a state and a mode."""
    if state is State.UNKNOWN or mode is Mode.PROCESSING:
        return state
    return State.SETUP if mode is Mode.SETUP else State.MAINTENANCE
