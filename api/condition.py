"""How machines are: what signals tell of them as tags, put together again by the names of these tags.

    _maintenance/<name>, <name>_state, <name>_status, <name>_cause    health            gateway/signals/health.py
    _maintenance/<name>_rul, <name>_low, <name>_high, <name>_basis    remaining life    gateway/signals/_life.py
    _alarm/<name>, _maintenance/<name> or <name>_ratio, <name>_cause, <name>_evidence   what these are made of

So it does not matter whether the signals are computed here or came from another gateway.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from api import past
from api.browse import moment
from api.plant import Plant
from gateway.model import Catalog
from gateway.model.quality import good
from gateway.model.tag import EVENT

_MAINTENANCE: Final = "_maintenance/"
_ALARM: Final = "_alarm/"
_SETTLED_NS: Final = 60_000_000_000
"""So long after the start what came before it is in history."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is told of an asset; names are those of signals. `tags` has the numbers of what they derive, by name."""

    asset: str
    tags: Mapping[str, int]
    healths: Sequence[str]
    lives: Sequence[str]
    signals: Sequence[str]

    def tag(self, signal: str, role: str) -> str:
        """Return the name of the tag with which a signal says that; empty if it does not."""
        names = (f"{_MAINTENANCE}{signal}_{role}", *((f"{_MAINTENANCE}{signal}",) if role == "ratio" else ()))
        return next((name for name in names if name in self.tags), "")

    @property
    def told(self) -> Sequence[str]:
        """The names of the tags that say how it is."""
        health = [name for one in self.healths for name in (one, f"{one}_state", f"{one}_status", f"{one}_cause")]
        life = [f"{one}_{role}" for one in self.lives for role in ("rul", "low", "high", "basis")]
        return [f"{_MAINTENANCE}{name}" for name in (*health, *life)]


@dataclass(frozen=True, slots=True)
class Reading:
    """The latest of a tag."""

    time_ns: int
    value: Any
    good: bool


class Conditions:
    """How the machines of a plant are."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._catalog = (-1, -1)
        self._machines: dict[str, Machine] = {}
        self._before: dict[int, Reading | None] = {}

    @property
    def machines(self) -> Mapping[str, Machine]:
        """Those of which something is told, by the path of the asset."""
        catalog = self._plant.catalog
        if self._catalog != (catalog.generation, catalog.version):
            self._catalog = (catalog.generation, catalog.version)
            self._before.clear()
            self._machines = {machine.asset: machine for machine in _machines(catalog)}
        return self._machines

    async def latest(self, machine: Machine, names: Iterable[str]) -> dict[str, Reading]:
        """Return the latest readings of tags of a machine, by name, as far as there are any."""
        numbers = {name: machine.tags[name] for name in names if name in machine.tags}
        found = await self._read(numbers.values())
        return {name: found[number] for name, number in numbers.items() if number in found}

    async def of(self, machines: Sequence[Machine]) -> list[dict[str, Any]]:
        """Return how machines are; of several healths of one the worst, of several lives the shortest."""
        named = [machine.told for machine in machines]
        numbers = (machine.tags[name] for machine, names in zip(machines, named, strict=True) for name in names)
        found = await self._read(numbers)
        return [
            self._condition(machine, {n: found[k] for n in names if (k := machine.tags[n]) in found})
            for machine, names in zip(machines, named, strict=True)
        ]

    async def _read(self, numbers: Iterable[int]) -> dict[int, Reading]:
        """The latest readings of tags, by number, read at once.

        Signals tell what changes, so what was told before the gateway was started is asked of history.
        """
        wanted = list(dict.fromkeys(numbers))
        found: dict[int, Reading] = {}
        for batch in self._plant.latest.read(np.array(wanted, np.uint32)):
            columns = (batch.tag.tolist(), batch.time.tolist(), batch.value.tolist(), batch.good.tolist())
            found |= {n: Reading(time, value, ok) for n, time, value, ok in zip(*columns, strict=True) if time}
        for number in wanted:
            if number not in found and (before := await self._told_before(number)) is not None:
                found[number] = before
        return found

    async def _told_before(self, number: int) -> Reading | None:
        plant = self._plant
        if number not in self._before and plant.keeps_history:
            try:
                told = (await plant.ask(past.at, plant.catalog[number].path, plant.now_ns(), False)).about
            except ConnectionError:  # then nobody knows how it was; how others are does not depend on that
                return None
            if told is not None:
                self._before[number] = Reading(int(told.time[0]), told.value.tolist()[0], bool(good(told.quality)[0]))
            elif plant.now_ns() - plant.started_ns >= _SETTLED_NS:
                self._before[number] = None
        return self._before.get(number)

    def _condition(self, machine: Machine, now: Mapping[str, Reading]) -> dict[str, Any]:
        known = {name: now[tag].value for name in machine.healths if (tag := f"{_MAINTENANCE}{name}") in now}
        told = [name for name in machine.healths if machine.tag(name, "state") in now]
        worst = min(told, key=lambda name: known.get(name, 101.0), default="")
        about = self._why(machine, worst, now)
        return {"asset": machine.asset, "health": known.get(worst), "life": _life(machine, now), **about}

    def _why(self, machine: Machine, health: str, now: Mapping[str, Reading]) -> dict[str, Any]:
        if not health:
            return {"state": "unknown", "status": None, "time": None}
        state, status, cause = (now.get(machine.tag(health, role)) for role in ("state", "status", "cause"))
        facts = cause.value if cause is not None and isinstance(cause.value, dict) else {}
        labels = self._plant.catalog[machine.tags[machine.tag(health, "status")]].labels
        return {
            "state": str(state.value) if state is not None else "unknown",
            "status": labels.get(int(status.value)) if status is not None else None,
            "since": facts.get("since"),
            "confidence": facts.get("confidence"),
            "shares": facts.get("shares", {}),
            "signals": facts.get("signals", []),
            "time": moment(state.time_ns) if state is not None else None,
        }


def _machines(catalog: Catalog) -> Iterable[Machine]:
    by_asset: dict[str, dict[str, int]] = {}
    for number in catalog:
        tag = catalog[number]
        if tag.name.startswith((_MAINTENANCE, _ALARM)):
            by_asset.setdefault(tag.asset, {})[tag.name] = number
    for asset, tags in by_asset.items():
        own = [name.removeprefix(_MAINTENANCE) for name in tags if name.startswith(_MAINTENANCE)]
        healths = [name for name in own if {f"{name}_state", f"{name}_status", f"{name}_cause"} <= set(own)]
        lives = [name.removesuffix("_basis") for name in own if name.endswith("_basis")]
        lives = [name for name in lives if {f"{name}_rul", f"{name}_low", f"{name}_high"} <= set(own)]
        alarms = [name.removeprefix(_ALARM) for name in tags if name.startswith(_ALARM)]
        signals = [name for name in alarms if {name, f"{name}_ratio"} & set(own)]
        if healths or lives or any(catalog[tags[f"{_MAINTENANCE}{name}"]].datatype == EVENT for name in own):
            yield Machine(asset, tags, healths, lives, signals)


def _life(machine: Machine, now: Mapping[str, Reading]) -> dict[str, Any] | None:
    """What is left of a machine, as it is told; None if nobody tells."""
    found = []
    for name in machine.lives:
        basis, *times = (now.get(machine.tag(name, role)) for role in ("basis", "rul", "low", "high"))
        hours = [time.value if time is not None and time.good else None for time in times]
        told = {"basis": "none" if basis is None else str(basis.value), "until": None}
        told |= dict(zip(("hours", "low", "high"), hours, strict=True))
        if times[0] is not None and hours[0] is not None:
            told["until"] = moment(times[0].time_ns + int(hours[0] * 3.6e12))
        found.append(told)
    return min(found, key=lambda told: np.inf if told["hours"] is None else told["hours"], default=None)
