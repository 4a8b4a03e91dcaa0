"""Health: how well a machine is, in one number with its reasons (ISO 13374-2, health assessment).

    signals:
      pump_health: {type: health, asset: utilities/pump1, signals: [bearing_drift, pump_expected], when: "speed > 100"}

From the ratio r of each signal to its limit, the worst of them:

    health = 100 / (1 + r^2)          100 nothing, 50 at the limit, 20 at twice the limit

Without an alarm r counts as 1 at most, so less than 50 means that there is one. States, and what they are by NAMUR
NE 107 (numbers of DeviceHealthEnumeration, OPC 10000-100):

    off        the machine does not run, nothing is judged                    NORMAL 0
    learning   no signal knows what is usual yet                              CHECK_FUNCTION 2
    normal     no alarm                                                       NORMAL 0
    alert      a signal is in alarm                                           MAINTENANCE_REQUIRED 4
    alarm      and beyond twice its limit, until it is within 1.5 times       OFF_SPEC 3
               what is in alarm, first of all, is a sensor that is stuck      FAILURE 1

The cause is the share of each tag: those of the signals in alarm, by how far each is from its limit. Confidence is the
share of the signals that know.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from gateway.model import Batch, Catalog, Quality, Tag
from gateway.model.batch import objects
from gateway.signals._gate import Formula, Gate, named
from gateway.signals._members import Member, Members
from gateway.signals._times import moment

_SEVERE: Final = (2.0, 1.5)
"""Ratio from which an alert is an alarm, and to which it stays one."""
_STEP: Final = 2.0
"""Health is told when it has changed by so much, or with the state."""
_NE107: Final = {0: "NORMAL", 1: "FAILURE", 2: "CHECK_FUNCTION", 3: "OFF_SPEC", 4: "MAINTENANCE_REQUIRED"}
_STATUS: Final = {"off": 0, "learning": 2, "normal": 0, "alert": 4, "alarm": 3}


class Options(BaseModel):
    """Keys of the health of a machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset: str = Field(description="path of the machine below the site, as its device has it")
    signals: list[str] = Field(min_length=1, description="names of signals of the asset that raise alarms")
    when: Formula = Field(default="", description="formula of tags of the asset: true while the machine runs")

    @property
    def watched(self) -> Sequence[str]:
        return [*(f"_alarm/{name}" for name in self.signals), *named(self.when)]


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    tag = f"_maintenance/{name}"
    return {
        "health": Tag(asset, tag, unit="%", low=0.0, high=100.0, description="health: 50 is the limit of a signal"),
        "state": Tag(asset, f"{tag}_state", description="off, learning, normal, alert or alarm"),
        "status": Tag(asset, f"{tag}_status", description="state by NAMUR NE 107", labels=_NE107),
        "cause": Tag(asset, f"{tag}_cause", description="state, since when, how sure, share of each tag"),
    }


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> "Health":
    return Health(options, outputs, catalog)


class Health:
    """The health of one machine; tells it when it changes."""

    def __init__(self, options: Options, outputs: Mapping[str, int], catalog: Catalog) -> None:
        self._members = Members(options.asset, options.signals, catalog)
        names = named(options.when)
        self._beside = [catalog.number(f"{options.asset}/{name}") for name in names]
        self._values = np.full(len(names), np.nan)
        self._gate = Gate(options.when, names, 0) if options.when else None
        self.inputs = np.unique(np.concatenate([self._members.inputs, np.array(self._beside, np.uint32)]))
        self._outputs = outputs
        self._told: tuple[float, str, list[str]] = (np.nan, "", [])
        self._since_ns = 0

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Take what signals say, and whether the machine runs, in order of arrival."""
        found: list[tuple[int, float, str, int, Any]] = []
        for row in range(len(batch)):
            self._run(batch, row)
            moments = self._members.take(batch.take(np.array([row], np.intp)))
            found += [news for now_ns in moments if (news := self._news(now_ns)) is not None]
        return self._batches(found)

    def _run(self, batch: Batch, row: int) -> None:
        number = int(batch.tag[row])
        if number in self._beside and not isinstance(batch.value[row], str):
            good = bool(batch.good[row])
            self._values[self._beside.index(number)] = float(batch.value[row]) if good else np.nan

    def _news(self, now_ns: int) -> tuple[int, float, str, int, Any] | None:
        """What is to be told now: time, health, state, status, cause; None if it is as before."""
        known = [member for member in self._members.all if member.known(now_ns)]
        alarms = [member for member in self._members.all if member.alarm]
        ratio = max([_worst(member) for member in known + alarms], default=np.nan)
        state = self._state(known, alarms, ratio)
        health = 100.0 / (1.0 + ratio**2)
        shares = _shares(alarms) if state in ("alert", "alarm") else {}
        before, state_before, named = self._told
        if state == state_before and list(shares)[:1] == named and not abs(health - before) >= _STEP:
            return None
        if state != state_before:
            self._since_ns = now_ns
        self._told = (health, state, list(shares)[:1])
        cause = {
            "state": state,
            "since": moment(self._since_ns),
            "confidence": round(len(known) / len(self._members.all), 2),
            "shares": shares,
            "signals": [member.name for member in alarms],
        }
        status = 1 if _stuck(alarms, shares) else _STATUS[state]
        return now_ns, health, state, status, cause

    def _state(self, known: Sequence[Member], alarms: Sequence[Member], ratio: float) -> str:
        if self._gate is not None and not self._gate.open(self._values):
            return "off"
        if not known and not alarms:
            return "learning"
        if not alarms:
            return "normal"
        return "alarm" if ratio >= _SEVERE[self._told[1] == "alarm"] else "alert"

    def _batches(self, found: Sequence[tuple[int, float, str, int, Any]]) -> Sequence[Batch]:
        if not found:
            return ()
        time, health, state, status, cause = (list(column) for column in zip(*found, strict=True))
        n = len(time)
        index = np.array(health)
        known = ~np.isnan(index)
        columns = {"state": objects(state), "status": np.array(status, np.int64), "cause": objects(cause)}
        told = [Batch.of([self._outputs[role]] * n, time, column, Quality.GOOD) for role, column in columns.items()]
        level = Batch.of([self._outputs["health"]] * n, time, np.round(index, 1), Quality.GOOD)
        return [*told, level.where(known)] if known.any() else told


def _worst(member: Member) -> float:
    """Its ratio; at the limit at most without an alarm, and at least with one."""
    if not member.alarm:
        return min(member.ratio, 1.0)
    return 1.0 if np.isnan(member.ratio) else max(member.ratio, 1.0)


def _shares(alarms: Sequence[Member]) -> dict[str, float]:
    """The share of each tag, the largest first; a signal that names none counts as one."""
    found: dict[str, float] = {}
    for member in alarms:
        for tag, share in (member.cause or {member.name: 1.0}).items():
            found[tag] = found.get(tag, 0.0) + share * _worst(member)
    total = sum(found.values())
    return {tag: round(found[tag] / total, 3) for tag in sorted(found, key=lambda tag: -found[tag])}


def _stuck(alarms: Sequence[Member], shares: Mapping[str, float]) -> bool:
    first = next(iter(shares), "")
    return any((member.evidence or {}).get(first, {}).get("looks") == "stuck" for member in alarms)
