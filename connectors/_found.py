"""What a search of a protocol gives back: devices that answered, and what they say of themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """A device that answered.

    `connect` is its URL for the configuration and `name` a name for it. `facts` is what it says of itself, in what JSON
    can carry; the key `identify` of a template is compared with them. `example` is a tag as this protocol writes one,
    for a device that does not say itself which `tags` it has: their keys by name. `keys` are those that the device has
    beside.
    """

    name: str
    connect: str
    facts: Mapping[str, Any]
    example: Mapping[str, Any]
    tags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """What was found, and what it cost: `asked` addresses with `requests` in all; `what` an address is there.

    `told` says it instead, where nobody was asked.
    """

    found: Sequence[Found]
    asked: int
    requests: int
    what: str = "units"
    told: str = ""
