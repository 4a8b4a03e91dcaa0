"""What is news of orders and stops, as events (docs/payloads.md); kept in the file until the journal has them.

An event is stored with what it tells of, or with how far stops were looked at, so it is made once. It is told by
`Teller`, and forgotten when it has come through the journal (`Keeper`): killed at any moment, it is told once.

Stops are looked at some seconds late, so that readings on their way are there, and told once they have lasted for a
while; what comes later than that changes tables, but no event.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.payload import timestamp
from gateway.production import jobs
from gateway.production.elements import spans
from gateway.production.file import ProductionFile
from gateway.production.keeper import Keeper
from gateway.production.stops import WORDS, Stops
from gateway.production.timeline import STOPS, Use
from gateway.production.unit import Unit

_LATE_NS: Final = 3 * 10**9
"""Readings are rarely later: devices are read every second, and OPC UA publishes as often."""
_SEVERITY: Final = {"order": 100, "stop": 300, "breakdown": 500}
"""Of 1 to 1000 (OPC 10000-5, 6.4.2): low for orders, medium for what has broken down."""


def of_order(job: Mapping[str, Any], command: str, who: str) -> dict[str, Any]:
    """Return the event of what became of an order by a command."""
    state = jobs.JOB_STATE[job["state"]]
    return {
        "EventId": f"{job['id']}:{command}:{job['changed']}",
        "EventType": "OrderEvent",
        "Time": written(job["changed"]),
        "Message": f"order {job['id']} on {job['unit']}: {command} by {who or 'somebody'}, {state}",
        "Severity": _SEVERITY["order"],
        "SourceName": job["unit"],
        "ClientUserId": who,
        "JobOrderID": job["id"],
        "Command": command,
        "JobState": state,
        "StartTime": written(job["begin"]),
        "EndTime": written(job["end"]),
    }


def of_stop(stop: Mapping[str, Any], what: str, time_ns: int, who: str = "") -> dict[str, Any]:
    """Return the event that a stop has begun, has ended or was explained."""
    why = f": {stop['reason']}" if stop["reason"] else ""
    return {
        "EventId": f"{stop['unit']}:{stop['begin']}:{what}" + (f":{time_ns}" if what == "Explained" else ""),
        "EventType": "DowntimeEvent",
        "Time": written(time_ns),
        "Message": f"{stop['unit']} {_VERBS[what]} ({stop['kind']}{why})",
        "Severity": _SEVERITY["breakdown" if stop["breakdown"] else "stop"],
        "SourceName": stop["unit"],
        "ClientUserId": who,
        "DowntimeState": what,
        "Begin": written(stop["begin"]),
        "End": written(stop["end"]),
        "Seconds": stop["seconds"] if stop["end"] else None,
        "Kind": stop["kind"],
        "Breakdown": stop["breakdown"],
        "Reason": stop["reason"],
        "Text": stop["text"],
    }


_VERBS: Final = {"Begun": "stands", "Ended": "stands no more", "Explained": "stood"}


class News:
    """Looks for stops that are news. Blocking, in the thread of the file."""

    def __init__(self, keeper: Keeper, file: ProductionFile, stops: Stops, since_ns: int) -> None:
        self._keeper = keeper
        self._file = file
        self._stops = stops
        self._since_ns = since_ns

    def look(self) -> None:
        """Look how units went on since the last time."""
        upto = self._keeper.known_ns - _LATE_NS
        for unit in self._keeper.units.values():
            known = self._file.looked(unit.stops_path) or {"until": self._since_ns, "open": None}
            if upto > known["until"]:
                with self._file.together():
                    self._go_on(unit, known["until"], known["open"], upto)

    def _go_on(self, unit: Unit, since: int, open: dict[str, Any] | None, upto: int) -> None:
        """Tell what happened in [since, upto); `open` is the stop that lasted then: begin, use, whether it was told.

        While nobody knows what a unit does, nothing is said: neither that it stands nor that it does no more.
        """
        line = spans(self._keeper.facts(unit, since, upto), since, upto)
        for begin, end, use in zip(*(column.tolist() for column in line.runs()), strict=True):
            if end <= since or begin >= upto or use == Use.UNKNOWN:
                continue
            if open is not None and open["use"] != use:
                if open["told"]:
                    self._tell(unit, open, "Ended", max(begin, since))
                open = None
            if open is None and use in STOPS:
                open = {"begin": begin, "use": use, "told": False}
            if open is not None and not open["told"] and min(end, upto) - open["begin"] >= unit.tell_ns:
                self._tell(unit, open, "Begun", None)
                open["told"] = True
        self._file.put_looked(unit.stops_path, {"until": upto, "open": open})

    def _tell(self, unit: Unit, open: Mapping[str, Any], what: str, end: int | None) -> None:
        begin = open["begin"]
        same = (stop for stop in self._stops.of(unit, begin, begin + 1))
        plain = {"breakdown": False, "reason": "", "text": ""}
        stop = next(same, plain) | {"unit": unit.name, "begin": begin, "kind": WORDS[Use(open["use"])], "end": end}
        time = begin if end is None else end
        event = of_stop(stop | {"seconds": (time - begin) / 1e9}, what, time)
        self._file.put_event(unit.stops_path, time, event)


def written(time_ns: int | None) -> str | None:
    """Return a time as people write it."""
    return None if time_ns is None else timestamp(time_ns)
