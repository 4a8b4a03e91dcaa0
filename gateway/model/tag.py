"""A tag: one named value of the plant, and where it is in the ISA-95 hierarchy."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

NO_LABELS: Final[Mapping[int, str]] = MappingProxyType({})
"""One for all the tags whose numbers are just numbers: an empty dictionary takes 64 bytes."""
EVENT: Final = "event"
"""The datatype of a tag whose readings are events: objects whose names are those of OPC UA (OPC 10000-5, 6.4)."""
TRIAL: Final = "trial"
"""The datatype of a tag whose readings would be events, were the signal that derives it not on trial."""
_SEGMENT: Final = re.compile(r"[a-z0-9_-]+")
_NONE_OF_IT: Final = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Tag:
    """One value of one asset, as the configuration describes it.

    `asset` is the path of the machine (`acme/dresden/packaging/line1/filler`), `name` the rest of the path below it
    (`temperature`, `spindle/speed`). Both are made of segments `[a-z0-9_-]`, so a path is an MQTT topic and a URL
    as it stands. `unit` is UCUM (`Cel`, `kW.h`); `low` and `high` are the range of the instrument in that unit,
    `limits` what may be written: a tag that has them takes numbers, one that has none never does.
    """

    asset: str
    name: str
    device: str = ""
    address: str = ""
    unit: str = ""
    description: str = ""
    datatype: str = ""
    deadband: float = 0.0
    low: float | None = None
    high: float | None = None
    labels: Mapping[int, str] = field(default_factory=lambda: NO_LABELS, hash=False)
    writable: bool = False
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_path(self.asset)
        check_path(self.name)

    @property
    def path(self) -> str:
        return f"{self.asset}/{self.name}"


def shadow_of(name: str) -> str:
    """Return the name that a tag has while the signal that derives it is on trial: nobody takes it for an alarm."""
    return f"_shadow/{name.removeprefix('_')}"


def segment(text: str) -> str:
    """Return a text of somebody else's as a segment of a path."""
    return _NONE_OF_IT.sub("_", text.casefold()).strip("_") or "unnamed"


def check_path(path: str) -> str:
    """Return the path; raise ValueError naming the first segment that is not `[a-z0-9_-]+`."""
    for part in path.split("/"):
        if not _SEGMENT.fullmatch(part):
            raise ValueError(f"{path!r}: segment {part!r} must be lower-case letters, digits, _ or -")
    return path
