"""A method of a device that may be called, and what may be handed to it. What it is on its device is not known here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Argument:
    """What may be handed over: numbers within `limits`, one of the texts `choices`, or true, false and any text."""

    limits: tuple[float, float] | None = None
    choices: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Method:
    """A method, `name` for the connector of its device. Between two calls there are `interval_s` at least."""

    device: str
    name: str
    arguments: Mapping[str, Argument]
    interval_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Called:
    """What a device says of a call: its StatusCode and the name of that, the same per argument if it says so, outputs.

    `outputs` are by name, in what JSON can carry.
    """

    code: int
    status: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
