"""A work unit: which tags play which role, and what it is then known to have done. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np

from gateway.production.elements import Facts
from gateway.production.shifts import ALWAYS, Calendar
from gateway.production.states import Mode, State, Value, key
from gateway.production.track import NOTHING, Count, Track

COUNTERS: Final = ("produced", "good", "scrap", "rework", "energy")
ROLES: Final = ("state", "mode", *COUNTERS, "cycle", "speed", "order", "reason")
"""What a tag can be to a unit. `cycle` is in seconds per piece, `speed` in pieces per hour: the ideal ones."""

EVENTS: Final = "_production"
"""Tags below this tell what happened."""

Rows = Sequence[tuple[int, Any]]
"""Readings by time [ns]; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class Unit:
    """`asset` is its path; `roles` are paths of tags; `cycle_s` is the ideal cycle time if no tag says it."""

    name: str
    asset: str
    roles: Mapping[str, str]
    states: Mapping[Value, State] = field(default_factory=dict)
    modes: Mapping[Value, Mode] = field(default_factory=dict)
    cycle_s: Fraction | None = None
    rollover: int = 2**32
    minor_ns: int = 300 * 10**9
    startup_ns: int = 300 * 10**9
    tell_ns: int = 60 * 10**9
    calendar: Calendar = ALWAYS

    @property
    def orders_path(self) -> str:
        """The tag whose readings are what happens to orders."""
        return f"{self.asset}/{EVENTS}/{self.name}/orders"

    @property
    def stops_path(self) -> str:
        """The tag whose readings are what happens to stops."""
        return f"{self.asset}/{EVENTS}/{self.name}/stops"

    @property
    def margin_ns(self) -> int:
        """How much more than a range has to be known on both its sides."""
        return max(self.minor_ns, self.startup_ns) + 1

    def facts(self, rows: Mapping[str, Rows], orders: Sequence[tuple[int, int]], until_ns: int) -> Facts:
        """Return what rows by role and the orders say, of which nobody knows anything from `until_ns` on."""
        tracks = {role: Track.of(said) for role, said in rows.items()}
        return Facts(
            state=_translated(tracks.get("state", NOTHING), self.states),
            until_ns=until_ns,
            mode=_translated(tracks.get("mode", NOTHING), self.modes),
            ideal=self._ideal(tracks),
            counts={role: Count.of(tracks[role], self.rollover) for role in COUNTERS if role in tracks},
            orders=orders,
            calendar=self.calendar,
            minor_ns=self.minor_ns,
            startup_ns=self.startup_ns,
        )

    def _ideal(self, tracks: Mapping[str, Track]) -> Track:
        """Seconds per piece over time; a parameter holds until it is another, whatever the network does."""
        if self.cycle_s is not None:
            return Track.of([(np.iinfo(np.int64).min, self.cycle_s)])
        if "cycle" in tracks:
            said = _positive(tracks["cycle"])
            return Track.of([(time, Fraction(value)) for time, value in said])
        said = _positive(tracks.get("speed", NOTHING))
        return Track.of([(time, 3600 / Fraction(value)) for time, value in said])


def _translated(track: Track, words: Mapping[Value, Any]) -> Track:
    """The track in our words; a value that has none is as good as not known."""
    said = [words.get(key(value)) if value is not None else None for value in track.value]
    return Track.of(list(zip(track.time.tolist(), said, strict=True)))


def _positive(track: Track) -> list[tuple[int, Any]]:
    usable = track.usable()
    said = zip(usable.time.tolist(), usable.value, strict=True)
    return [(time, value) for time, value in said if isinstance(value, (int, float)) and 0 < value < float("inf")]
