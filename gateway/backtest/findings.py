"""What signals would have raised, out of what they derive: alarms with their causes, and advice. Pure.

An alarm is a tag below `_alarm` that turns true and false again; what it is about, other tags of the same signal say at
the same time. An advice is an event of a condition. Both may be those of a signal on trial, below `_shadow`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gateway.backtest.judge import Finding
from gateway.model import Batch, Catalog, Kind
from gateway.model.tag import EVENT, TRIAL, shadow_of
from gateway.recall import Built


@dataclass(frozen=True, slots=True)
class Watcher:
    """A signal that raises something at an asset. `what` is alarm or advice."""

    signal: str
    asset: str
    what: str


class Findings:
    """Follows what signals raise and clear; `all` are the findings, in the order in which they were raised.

    `learned_ns` is when a signal told something for the first time: until then it did not know what is usual.
    """

    def __init__(self, signals: Mapping[str, Built], catalog: Catalog) -> None:
        self.watchers: list[Watcher] = []
        self.learned_ns: dict[str, int] = {}
        self._all: list[Finding] = []
        self._open: dict[tuple[str, str], int] = {}
        self._role: dict[int, tuple[Watcher, str]] = {}
        for name, built in signals.items():
            tags = {number: catalog[number] for number in built.outputs.tolist()}
            roles = {number: _role(tag.name, tag.datatype, name) for number, tag in tags.items()}
            if what := next((role for role in roles.values() if role in ("alarm", "advice")), ""):
                watcher = Watcher(name, tags[next(iter(tags))].asset, what)
                self.watchers.append(watcher)
                self._role |= {number: (watcher, role) for number, role in roles.items()}

    @property
    def all(self) -> list[Finding]:
        return list(self._all)

    def take(self, told: Iterable[Batch]) -> None:
        """Take what signals derived at once, in order."""
        causes: dict[tuple[str, str, int], Any] = {}
        for batch in told:
            for number in np.unique(batch.tag).tolist():
                if number in self._role:
                    self._listen(*self._role[number], batch.where((batch.tag == number) & batch.good), causes)

    def _listen(self, watcher: Watcher, role: str, said: Batch, causes: dict[tuple[str, str, int], Any]) -> None:
        if len(said) and watcher.what == "alarm":
            self.learned_ns.setdefault(watcher.signal, int(said.time[0]))
        if role == "":
            return
        for time, value in zip(said.time.tolist(), said.value.tolist(), strict=True):
            if role in ("cause", "evidence"):
                causes[watcher.signal, role, time] = value
            elif role == "advice" and said.kind is Kind.OBJECT:
                self._hear(watcher, time, value)
            elif role == "alarm":
                cause, evidence = (causes.get((watcher.signal, of, time)) or {} for of in ("cause", "evidence"))
                self._turn(bool(value), Finding(watcher.signal, watcher.asset, time, None, "", cause, evidence))

    def _hear(self, watcher: Watcher, time: int, event: Any) -> None:
        """Take an event; one that tells of no condition is over at once."""
        if not isinstance(event, dict):
            return
        evidence, message = event.get("Evidence") or {}, str(event.get("Message", ""))
        said = Finding(watcher.signal, watcher.asset, time, None, "", _shares(event), evidence, message)
        if "ConditionName" in event:
            self._turn(bool(event["ActiveState"]), replace(said, name=str(event["ConditionName"])))
        else:
            self._all.append(replace(said, cleared_ns=time))

    def _turn(self, active: bool, said: Finding) -> None:
        key = (said.signal, said.name)
        if active and key not in self._open:
            self._open[key] = len(self._all)
            self._all.append(said)
        elif not active and (at := self._open.pop(key, None)) is not None:
            self._all[at] = replace(self._all[at], cleared_ns=said.raised_ns)


def _shares(event: Mapping[str, Any]) -> Mapping[str, float]:
    """The tags that an event is about, the first the most."""
    return event.get("Cause") or event.get("Changes") or {}


def _role(tag: str, datatype: str, signal: str) -> str:
    """What a tag of a signal tells: alarm, advice, cause or evidence; nothing of these."""
    roles = {f"_alarm/{signal}": "alarm"} | {f"_maintenance/{signal}_{of}": of for of in ("cause", "evidence")}
    roles |= {shadow_of(name): role for name, role in roles.items()}
    return roles.get(tag, "advice" if datatype in (EVENT, TRIAL) else "")
