"""Advice: one sentence for each finding at a machine: what, where, how sure, until when, and what to look at.

    signals:
      pump_advice:
        type: advice
        asset: utilities/pump1
        signals: [pump_expected]
        faults:
          cavitation:
            symptoms: {flow: low, discharge_pressure: low, vibration/acceleration_rms: high}
            look: the suction side: strainer, valve, level of the tank

A fault is known by what it does to tags, its symptoms (as in the tables of ISO 13379-1, annex B). Of what the signals
in alarm say, that fault explains it whose symptoms are there: its score is

    (what it explains - what contradicts it) / all there is, and the share of its symptoms that are there, half and half

each tag by how far it is from its limit. The best is taken, then the best of what that leaves. Of what no fault
explains, a tag that is stuck is a sensor that fails, and a tag that is alone with it is a sensor that drifts; the rest
is said as it is.

A finding is raised once it has been there for `gather` seconds, so that all of its symptoms are seen, with an id that
stays the same for good; it is cleared once it has been gone for `off`. Both are events (docs/payloads.md) and alarms.
A stuck sensor has one symptom, which explains nothing else and for which a signal has waited already: it is raised at
once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from gateway.model import Batch, Catalog, Quality, Tag
from gateway.model.batch import objects
from gateway.model.tag import EVENT
from gateway.signals._members import Members
from gateway.signals._options import Seconds
from gateway.signals._times import moment

Looks = Literal["high", "low", "stuck"]

_LEAST: Final = 0.45
"""Score from which a fault explains something."""
_MOST: Final = 0.95
"""Nobody is surer."""
_WEIGHT_MAX: Final = 4.0
"""A tag counts as no farther from its limit: one that is far off must not speak for all."""
_STUCK: Final = "stuck:"
"""Names of findings begin so that are sensors which fail; the tag follows."""
_SEVERITY: Final = 500
"""Of 1 to 1000 (OPC 10000-5, 6.4.2)."""


class Fault(BaseModel):
    """What may be wrong with a machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symptoms: dict[str, Looks] = Field(min_length=1, description="tags of the asset, and whether they are high or low")
    text: str = Field(default="", description="what it is called; its name without underscores, if not said")
    look: str = Field(description="what to look at, or to do")


class Options(BaseModel):
    """Keys of the advice for a machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset: str = Field(description="path of the machine below the site, as its device has it")
    signals: list[str] = Field(min_length=1, description="names of signals of the asset that raise alarms")
    faults: dict[str, Fault] = Field(default={}, description="what may be wrong, by name")
    life: str = Field(default="", description="tag of the asset that says how many hours are left")
    gather: Seconds = Field(default=15.0, ge=0, description="how long a finding must be there until it is said")
    off: Seconds = Field(default=300.0, ge=0, description="how long it must be gone until it is cleared")

    @property
    def watched(self) -> Sequence[str]:
        return [*(f"_alarm/{name}" for name in self.signals), *([self.life] if self.life else [])]


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return {"advice": Tag(asset, f"_maintenance/{name}", datatype=EVENT, description="what to look at, and why")}


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> "Advice":
    return Advice(options, outputs["advice"], catalog)


@dataclass(slots=True)
class Symptom:
    """A tag that is not as it should be."""

    looks: str
    weight: float
    evidence: Mapping[str, Any]


@dataclass(slots=True)
class Finding:
    """Something that is wrong, by the name of its fault; since when it is there, or gone."""

    first_ns: int
    seen_ns: int
    sure: float = 0.0
    symptoms: Mapping[str, Symptom] = field(default_factory=dict)
    said: Mapping[str, Any] | None = None


class Advice:
    """The findings at one machine."""

    def __init__(self, options: Options, output: int, catalog: Catalog) -> None:
        self._options = options
        self._members = Members(options.asset, options.signals, catalog)
        self._life = catalog.number(f"{options.asset}/{options.life}") if options.life else -1
        more = [self._life] if options.life else []
        self.inputs = np.concatenate([self._members.inputs, np.array(more, np.uint32)])
        self._output = output
        self._hours = np.nan
        self._findings: dict[str, Finding] = {}

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Take what signals say, in order of arrival; return what is raised and cleared."""
        found: list[tuple[int, Any]] = []
        for row in range(len(batch)):
            if int(batch.tag[row]) == self._life:
                self._hours = float(batch.value[row]) if batch.good[row] else np.nan
            for now_ns in self._members.take(batch.take(np.array([row], np.intp))):
                found += [(now_ns, event) for event in self._turn(now_ns)]
        if not found:
            return ()
        times, events = zip(*found, strict=True)
        return (Batch.of([self._output] * len(times), times, objects(events), Quality.GOOD),)

    def _turn(self, now_ns: int) -> list[Mapping[str, Any]]:
        """Raise what has been there for long enough, and clear what has been gone."""
        for fault, (sure, symptoms) in explained(self._symptoms(), self._options.faults).items():
            finding = self._findings.setdefault(fault, Finding(now_ns, now_ns))
            finding.seen_ns, finding.sure, finding.symptoms = now_ns, sure, symptoms
        events: list[Mapping[str, Any]] = []
        for fault, finding in list(self._findings.items()):
            gone = now_ns - finding.seen_ns
            if finding.said is None and gone:
                del self._findings[fault]
            elif finding.said is None and now_ns - finding.first_ns >= self._gather_ns(fault):
                finding.said = self._said(fault, finding, now_ns)
                events.append(finding.said)
            elif finding.said is not None and gone >= self._options.off * 1e9:
                del self._findings[fault]
                over = {"ActiveState": False, "Retain": False, "Ended": moment(finding.seen_ns)}
                events.append({**finding.said, **over, "Message": f"Over: {finding.said['Message']}"})
        return events

    def _gather_ns(self, fault: str) -> float:
        return 0.0 if fault.startswith(_STUCK) else self._options.gather * 1e9

    def _symptoms(self) -> dict[str, Symptom]:
        found: dict[str, Symptom] = {}
        for member in (member for member in self._members.all if member.alarm):
            unsaid: Mapping[str, Mapping[str, Any]] = {tag: {} for tag in member.cause or (member.name,)}
            evidence = unsaid if member.evidence is None else member.evidence
            for tag, facts in evidence.items():
                weight = min(float(facts.get("ratio") or 1.0), _WEIGHT_MAX)
                if tag not in found or found[tag].weight < weight:
                    found[tag] = Symptom(str(facts.get("looks", "unusual")), weight, facts)
        return found

    def _said(self, fault: str, finding: Finding, now_ns: int) -> Mapping[str, Any]:
        """The event with which a finding is raised."""
        what, look = self._words(fault)
        asset = self._options.asset.rpartition("/")[2]
        total = sum(symptom.weight for symptom in finding.symptoms.values())
        worst = sorted(finding.symptoms, key=lambda tag: -finding.symptoms[tag].weight)
        known = not np.isnan(self._hours)
        until = moment(now_ns + int(self._hours * 3.6e12)) if known else None
        why = ", ".join(f"{tag} {_described(finding.symptoms[tag])}" for tag in worst[:3])
        message = (
            f"{what} at {asset}, {finding.sure:.0%} sure, since {moment(finding.first_ns)}: {why}; "
            f"{f'expected to last until {until}' if until else 'no forecast of how long it lasts'}. Look at {look}."
        )
        return {
            "Message": message[:1].upper() + message[1:],
            "Severity": _SEVERITY,
            "SourceName": "advice",
            "ConditionName": fault,
            "ActiveState": True,
            "AckedState": False,
            "Retain": True,
            "AdviceId": f"{asset}-{fault}-{finding.first_ns // 1_000_000}".replace("/", "_"),
            "Asset": self._options.asset,
            "Confidence": round(finding.sure, 2),
            "Cause": {tag: round(finding.symptoms[tag].weight / total, 3) for tag in worst},
            "Since": moment(finding.first_ns),
            "Until": until,
            "Look": look,
            "Evidence": {tag: dict(finding.symptoms[tag].evidence) for tag in worst},
        }

    def _words(self, fault: str) -> tuple[str, str]:
        """What a finding is called, and what to look at."""
        if fault in self._options.faults:
            known = self._options.faults[fault]
            return known.text or fault.replace("_", " "), known.look
        kind, _, tag = fault.partition(":")
        if kind == "stuck":
            return f"stuck sensor of {tag}", f"the sensor of {tag}, its wiring and its transmitter"
        if kind == "drift":
            return f"{tag} alone is not as it should be", f"the sensor of {tag} (drift), then the part that it measures"
        return "unusual behaviour", "what was changed last, then the tags named first"


def explained(
    symptoms: Mapping[str, Symptom], faults: Mapping[str, Fault]
) -> dict[str, tuple[float, Mapping[str, Symptom]]]:
    """Return what is wrong, the likeliest first: how sure, and what it explains, by the name of the fault."""
    left = {tag: symptom for tag, symptom in symptoms.items() if symptom.looks != "stuck"}
    found: dict[str, tuple[float, Mapping[str, Symptom]]] = {}
    while left:
        scores = {name: _score(fault, left) for name, fault in faults.items() if name not in found}
        best = max(scores, key=lambda name: scores[name], default="")
        if not best or scores[best] < _LEAST:
            break
        own = {tag: symptom for tag, symptom in left.items() if faults[best].symptoms.get(tag) == symptom.looks}
        found[best] = (min(scores[best], _MOST), own)
        left = {tag: symptom for tag, symptom in left.items() if tag not in own}
    if left and not found:
        name = f"drift:{next(iter(left))}" if len(left) == 1 else "unusual"
        found[name] = (0.6 if len(left) == 1 else 0.4, left)
    stuck = {tag: symptom for tag, symptom in symptoms.items() if symptom.looks == "stuck"}
    return found | {f"{_STUCK}{tag}": (_MOST, {tag: symptom}) for tag, symptom in stuck.items()}


def _score(fault: Fault, symptoms: Mapping[str, Symptom]) -> float:
    total = sum(symptom.weight for symptom in symptoms.values())
    there = [tag for tag, looks in fault.symptoms.items() if tag in symptoms and symptoms[tag].looks == looks]
    against = [tag for tag in fault.symptoms if tag in symptoms and tag not in there]
    explains = sum(symptoms[tag].weight for tag in there) - sum(symptoms[tag].weight for tag in against)
    return 0.5 * explains / total + 0.5 * len(there) / len(fault.symptoms) if there else 0.0


def _described(symptom: Symptom) -> str:
    is_, expected = symptom.evidence.get("is"), symptom.evidence.get("expected")
    return f"{symptom.looks} ({is_:g} instead of {expected:g})" if is_ is not None and expected else symptom.looks
