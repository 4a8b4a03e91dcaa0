"""Watches what one edge node says on its broker and holds it against the standard. Pure: it is told, and asked.

A message at a time; what it needs to remember is the session: births, aliases, the last numbers. What only provoking
shows, gateway/cli/sparkplug_check.py provokes and notes here; what only the connection shows, line.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.bus.sparkplug import rules
from gateway.bus.sparkplug.assertions import CHECKS
from gateway.bus.sparkplug.rules import Finding
from gateway.mqtt.sparkplug import schema
from gateway.mqtt.sparkplug.names import BDSEQ, DEVICE_VERBS, NAMESPACE, NODE_VERBS, REBIRTH, Names
from gateway.mqtt.sparkplug.schema import Datatype, Message

Status = Literal["pass", "fail", "not seen"]

_EXAMPLES_MAX: Final = 3
_LATE_MS: Final = 5 * 60_000
_EARLY_MS: Final = 1_000
"""How far the timestamp of an NBIRTH may be from now, before and after; the latter because clocks differ a little."""
_ABOUT: Final = {"NBIRTH": 18, "DBIRTH": 29, "NDATA": 35, "DDATA": 37, "DDEATH": 46}
_READABLE: Final = {"NBIRTH": 19, "DBIRTH": 30, "NDATA": 36, "DDATA": 38, "DDEATH": 46, "NDEATH": 11}
_SEQUENCE: Final = {"DBIRTH": 31, "NDATA": 36, "DDATA": 38, "DDEATH": 46}
_TOPIC: Final = {"NBIRTH": 17, "DBIRTH": 28, "NDEATH": 8}


@dataclass(slots=True)
class Result:
    """What came of one check. `advice` is what the standard only recommends otherwise."""

    seen: int = 0
    failures: int = 0
    examples: list[str] = field(default_factory=list)
    advice: str = ""

    @property
    def status(self) -> Status:
        return "fail" if self.failures else "pass" if self.seen else "not seen"


class Watch:
    """One edge node. `hear` takes every message of its group that is on its topics."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.results = {check.number: Result() for check in CHECKS}
        self.online = False
        self.bdseq: int | None = None
        self.born: dict[str, dict[str, Message]] = {}
        """Metrics by name, of the node (an empty name) and of each device that is alive."""
        self.births = 0
        self.messages = 0
        self._dead: set[str] = set()
        self._seq: int | None = None
        self._aliases: dict[int, tuple[str, str]] = {}
        self._templates: dict[str, set[str]] = {}
        self._last: dict[tuple[str, str], Any] = {}
        self._repeated = 0
        self._reborn_from: frozenset[str] | None = None

    def note(self, number: int, wrong: str = "") -> None:
        """Take note that a check passed, or of what was wrong."""
        result = self.results[number]
        result.seen += 1
        if wrong:
            result.failures += 1
            if len(result.examples) < _EXAMPLES_MAX:
                result.examples.append(wrong)

    def expect(self, number: int, right: bool, wrong: str) -> None:
        self.note(number, "" if right else wrong)

    def ask_rebirth(self) -> None:
        """Remember who was alive: the births that follow must be of all of them."""
        self._reborn_from = frozenset(self.born)

    def value(self, device: str, name: str) -> Any:
        """Return the value that was told last of a metric; None if there is none."""
        values, *_ = self._last.get((device, name), ({},))
        metric = self.born.get(device, {}).get(name, {})
        return schema.value_of({"datatype": metric.get("datatype", 0)} | values)

    def reborn(self) -> bool:
        """Whether all that were alive when a rebirth was asked for have been born again."""
        return self._reborn_from is None

    def hear(self, topic: str, payload: bytes, retained: bool, qos: int, now_ms: int) -> None:
        """Take a message on a topic of this node."""
        self.messages += 1
        levels = topic.split("/")
        verb, device = levels[2] if len(levels) > 2 else "", "/".join(levels[4:])
        right = (len(levels) == 4 and verb in NODE_VERBS) or (len(levels) == 5 and verb in DEVICE_VERBS)
        self.expect(1, right and levels[0] == NAMESPACE, f"topic {topic!r}")
        for level in levels[1:2] + levels[3:]:
            self.expect(2, bool(level) and not set(level) & set("+#"), f"id {level!r} in topic {topic!r}")
        if not right or verb.endswith("CMD"):
            return
        if verb in _ABOUT:
            self.expect(_ABOUT[verb], qos == 0 and not retained, f"{verb} with QoS {qos}, retained: {retained}")
        if retained:
            return  # it is from another time
        try:
            said = schema.read(payload)
        except ValueError as error:
            self.note(_READABLE[verb], f"{verb} cannot be read: {error}")
            return
        if verb in _TOPIC:
            self.note(_TOPIC[verb])
        if verb == "NDEATH":
            self._death(said)
            return
        self._numbered(verb, said, now_ms)
        match verb:
            case "NBIRTH" | "DBIRTH":
                self._birth(verb, device, said)
            case "NDATA" | "DDATA":
                self._data(verb, device, said)
            case _:
                self.born.pop(device, None)
                self._dead.add(device)
                if self._reborn_from is not None:
                    self._reborn_from -= {device}

    # --- the session ----------------------------------------------------------------------

    def _death(self, said: Message) -> None:
        self.note_death(said)
        number = bdseq_of(said["metrics"])
        if self.bdseq is not None and self.online:
            self.expect(21, number == self.bdseq, f"NDEATH has bdSeq {number}, the NBIRTH {self.bdseq}")
        self.online = False
        self.born.clear()
        self._dead.clear()

    def note_death(self, said: Message) -> None:
        """Hold the payload of a will or an NDEATH against the standard."""
        metrics = said["metrics"]
        right = len(metrics) == 1 and metrics[0].get("name") == BDSEQ and "long_value" in metrics[0]
        self.expect(11, right, f"metrics of an NDEATH: {[rules.called(metric) for metric in metrics]}")
        self.expect(12, "seq" not in said, f"an NDEATH has seq {said.get('seq')}")

    def _numbered(self, verb: str, said: Message, now_ms: int) -> None:
        """Timestamp and sequence number, which all messages but deaths have."""
        time_ms, seq = said.get("timestamp"), said.get("seq")
        self.expect(_READABLE[verb], time_ms is not None, f"{verb} has no timestamp")
        if verb == "NBIRTH":
            if time_ms is not None:
                recent = now_ms - _LATE_MS <= time_ms <= now_ms + _EARLY_MS
                self.expect(19, recent, f"NBIRTH has timestamp {time_ms}, {(time_ms - now_ms) / 1000:+.1f} s from now")
            self.expect(20, seq == 0, f"NBIRTH has seq {seq}")
        elif self._seq is None:
            self.expect(_SEQUENCE[verb], seq is not None, f"{verb} has no seq")  # the first that was heard
        else:
            wanted = (self._seq + 1) % 256
            wrong = f"{verb} has seq {seq} after {self._seq}"
            self.expect(_SEQUENCE[verb], seq == wanted, wrong)
            self.expect(39, seq == wanted, wrong)
        self._seq = seq

    # --- births ---------------------------------------------------------------------------

    def _birth(self, verb: str, device: str, said: Message) -> None:
        metrics = said["metrics"]
        if verb == "NBIRTH":
            self._node_birth(metrics)
        else:
            if self.births:
                self.expect(27, self.online, f"DBIRTH of {device} before an NBIRTH")
            self._aliases = {number: who for number, who in self._aliases.items() if who[0] != device}
            if device in self._dead:
                self.note(47)
        self._take(rules.alike("device", [*self.born, device]))
        self._take(rules.alike("metric", [metric.get("name", "") for metric in metrics]))
        for metric in metrics:
            self._take(rules.birth(24 if verb == "NBIRTH" else 33, metric))
            self._alias(device, metric)
            self._last[device, metric.get("name", "")] = _value(metric)
        self._take(rules.in_order(metrics))
        self._take(rules.templates(verb, metrics, self._templates))
        self._dead.discard(device)
        self.born[device] = {metric.get("name", ""): metric for metric in metrics}
        if self._reborn_from is not None and self.births and self._reborn_from <= self.born.keys():
            self._reborn_from = None
            self.note(51)

    def _node_birth(self, metrics: list[Message]) -> None:
        number = bdseq_of(metrics)
        right = [m for m in metrics if m.get("name") == BDSEQ and m.get("datatype") == Datatype.INT64]
        self.expect(21, len(right) == 1 and number is not None and 0 <= number <= 255, f"NBIRTH has bdSeq {number}")
        if self.online and self.bdseq is not None:
            self.expect(52, number == self.bdseq, f"bdSeq was {self.bdseq} and is {number} after a rebirth")
        elif self.bdseq is not None and number is not None:
            self.expect(13, number == (self.bdseq + 1) % 256, f"bdSeq {number} follows {self.bdseq}")
        rebirth = [m for m in metrics if m.get("name") == REBIRTH]
        is_right = len(rebirth) == 1 and rebirth[0].get("datatype") == Datatype.BOOLEAN
        is_right = is_right and rebirth[0].get("boolean_value") is False
        self.expect(22, is_right, f"NBIRTH has {rebirth or 'no ' + REBIRTH}")
        self.expect(23, not any("alias" in m for m in rebirth), f"{REBIRTH} has an alias")
        self.online, self.bdseq = True, number
        self.births += 1
        self.born.clear()
        self._aliases.clear()
        self._templates.clear()

    def _alias(self, device: str, metric: Message) -> None:
        if "alias" not in metric:
            return
        who = (device, metric.get("name", ""))
        other = self._aliases.setdefault(metric["alias"], who)
        self.expect(43, other == who and bool(who[1]), f"alias {metric['alias']} is of {other} and of {who}")

    # --- data -----------------------------------------------------------------------------

    def _data(self, verb: str, device: str, said: Message) -> None:
        metrics = said["metrics"]
        known = self.born.get(device)
        if known is None:
            again = device in self._dead
            if self.online or self.births:
                self.note(47 if again else 32, f"{verb} of {device or 'the node'} without a birth before")
            return
        self.note(32)
        self._take(rules.in_order(metrics))
        self._take(rules.templates(verb, metrics, self._templates))
        for metric in metrics:
            name = self._named(verb, device, metric, known)
            self._take(rules.data(metric))
            if "datatype" in metric:
                self.results[42].advice = "data repeats the datatype, which it should not"
            if metric.get("is_historical"):
                self.note(66)
            elif name:
                self._changed(device, name, metric)
        if metrics:
            self.note(42)

    def _named(self, verb: str, device: str, metric: Message, known: Mapping[str, Message]) -> str:
        """The name of a metric of data, if its device has been born with it."""
        owner, name = device, str(metric.get("name", ""))
        if "alias" in metric:
            self.expect(43, not name, f"{verb} has {name!r} and alias {metric['alias']}")
            owner, name = self._aliases.get(metric["alias"], (device, ""))
        elif name in known and "alias" in known[name]:
            self.note(43, f"{verb} has {name!r}, which has an alias")
        number = 26 if verb == "NDATA" else 34
        self.expect(number, owner == device and name in known, f"{rules.called(metric)} was in no birth of {device!r}")
        return name

    def _changed(self, device: str, name: str, metric: Message) -> None:
        value = _value(metric)
        if self._last.get((device, name)) == value:
            self._repeated += 1
            self.results[40].advice = f"{self._repeated} metrics had not changed; only changes should be sent"
        self._last[device, name] = value
        self.note(40)

    def _take(self, findings: Iterable[Finding]) -> None:
        for number, wrong in findings:
            self.note(number, wrong)


def bdseq_of(metrics: Iterable[Message]) -> int | None:
    """Return the birth number that is among metrics."""
    return next((metric.get("long_value") for metric in metrics if metric.get("name") == BDSEQ), None)


def _value(metric: Message) -> Any:
    """What a change of must be told: the value, or that it is null, and the quality."""
    values = {key: value for key, value in metric.items() if key.endswith("_value")}
    quality = dict(rules.properties(metric)).get("Quality", {}).get("int_value", rules.GOOD)
    return values, metric.get("is_null", False), quality
