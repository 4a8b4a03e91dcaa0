"""What can go wrong, what is wrong now, and since when. Knows names and simulated seconds, and no physics.

The physics asks for severities, the servers ask for the faults of their address; nobody is called back.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import count
from typing import Final, NamedTuple

from simulators.instruments import SENSORS
from simulators.physics.line import MACHINES

MODBUS_DEVICES: Final = ("compressor", "chiller", "energy", "pump")
SERVERS: Final = ("opcua", *MODBUS_DEVICES)
NODES: Final = tuple(sensor for sensor in SENSORS if sensor.split("/")[0] in MACHINES)
MODBUS_CODES: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "10", "11")
OPCUA_CODES: Final = (
    "BadSensorFailure",
    "BadDeviceFailure",
    "BadOutOfService",
    "BadNotConnected",
    "BadNoCommunication",
    "BadCommunicationError",
    "BadConfigurationError",
    "BadWaitingForInitialData",
)


class Kind(NamedTuple):
    """A kind of fault: what it may befall, the options it takes, and what it does."""

    targets: tuple[str, ...]
    options: tuple[str, ...]
    text: str


KINDS: Final = {
    "bearing_wear": Kind(
        ("pump",), ("severity", "life"), "the bearing wears from this severity on, and seizes after its life"
    ),
    "cavitation": Kind(("pump",), ("severity", "ramp"), "bubbles in the impeller: noise, less head and flow"),
    "fouling": Kind(
        ("pump", "chiller", "compressor"), ("severity", "ramp"), "dirt in the strainer, condenser or filter"
    ),
    "air_leak": Kind(("compressor",), ("severity", "ramp"), "compressed air is lost, up to 4 m3/min"),
    "jam": Kind(MACHINES, (), "bottles are stuck: the machine holds until it is cleared"),
    "drive_trip": Kind(MACHINES, (), "the drive trips: the machine aborts until it is repaired"),
    "stuck_sensor": Kind(SENSORS, (), "the value stays what it was, with good quality"),
    "drift": Kind(SENSORS, ("severity", "ramp"), "the value leaves the truth, up to this share of its range"),
    "comms_loss": Kind(SERVERS, (), "the server drops its clients and refuses new ones"),
    "slow_answers": Kind(SERVERS, ("delay",), "every answer comes late by the delay, in real time"),
    "exceptions": Kind(
        (*MODBUS_DEVICES, *NODES),
        ("code", "registers"),
        "Modbus exception code for some registers, or a bad OPC UA StatusCode for a node",
    ),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one target.

    `severity` is 0 to 1 and rises linearly over `ramp` simulated s; `life` is the running time [simulated s] of a
    worn bearing; `delay` is in real seconds; `code` is 1 to 11 for Modbus or the name of an OPC UA StatusCode
    ("" takes 4 or BadSensorFailure), `registers` like `holding:10-19` ("" means all).
    """

    kind: str
    target: str
    severity: float = 1.0
    ramp: float = 0.0
    life: float = 9_600.0
    delay: float = 2.0
    code: str = ""
    registers: str = ""


class Appointment(NamedTuple):
    """A fault in the plant file: when it begins, how long it lasts (None: for ever), how often it returns [s]."""

    fault: Fault
    at_s: float
    duration_s: float | None
    every_s: float | None


class Active(NamedTuple):
    """A fault that is on, and the simulated time at which it came [s]."""

    fault: Fault
    since_s: float


class Event(NamedTuple):
    """Something for the record of the truth: a fault came (`on`), went (`off`), grew (`grown`) or did its worst
    (`failed`), at a simulated time [s]."""

    what: str
    at_s: float
    kind: str
    target: str
    since_s: float
    severity: float


class Faults:
    """The faults that are on, and those that will come."""

    def __init__(self, appointments: Iterable[Appointment] = ()) -> None:
        self._active: dict[tuple[str, str], Active] = {}
        self._order = count()  # keeps the heap from comparing appointments
        self._due: list[tuple[float, int, str, Appointment]] = []
        for appointment in appointments:
            self._push(appointment.at_s, "on", appointment)

    def advance(self, now_s: float) -> list[Event]:
        """Do what is due until now; return what happened."""
        events: list[Event] = []
        while self._due and self._due[0][0] <= now_s:
            at_s, _, what, appointment = heapq.heappop(self._due)
            if what == "on":
                events.append(self.on(appointment.fault, at_s, appointment.duration_s))
                if appointment.every_s is not None:
                    self._push(at_s + appointment.every_s, "on", appointment)
            elif self._lasts_from(appointment):
                events += self.off(appointment.fault.kind, appointment.fault.target, at_s)
        return events

    def on(self, fault: Fault, now_s: float, duration_s: float | None = None) -> Event:
        """Switch a fault on, for a while or (None) until it is switched off; one that is on is replaced."""
        self._active[fault.kind, fault.target] = Active(fault, now_s)
        if duration_s is not None:
            self._push(now_s + duration_s, "off", Appointment(fault, now_s, duration_s, None))
        return Event("on", now_s, fault.kind, fault.target, now_s, self.severity(fault.kind, fault.target, now_s))

    def off(self, kind: str, target: str, now_s: float) -> list[Event]:
        """Switch a fault off (repair it); return nothing if it was not on."""
        severity = self.severity(kind, target, now_s)
        active = self._active.pop((kind, target), None)
        return [] if active is None else [Event("off", now_s, kind, target, active.since_s, severity)]

    def get(self, kind: str, target: str) -> Active | None:
        """Return the fault of this kind and target, or None if it is off."""
        return self._active.get((kind, target))

    def active(self, kind: str | None = None) -> list[Active]:
        """Return the faults that are on, all or those of a kind."""
        return [active for active in self._active.values() if kind in (None, active.fault.kind)]

    def severity(self, kind: str, target: str, now_s: float) -> float:
        """Return how bad a fault is by now, 0 (off) to 1."""
        active = self._active.get((kind, target))
        if active is None:
            return 0.0
        fault, since_s = active
        grown = 1.0 if fault.ramp <= 0.0 else min(1.0, (now_s - since_s) / fault.ramp)
        return fault.severity * grown

    def _lasts_from(self, appointment: Appointment) -> bool:
        """Whether the fault that is on now is the one of this appointment, and not a later one."""
        active = self._active.get((appointment.fault.kind, appointment.fault.target))
        return active is not None and active.since_s == appointment.at_s

    def _push(self, at_s: float, what: str, appointment: Appointment) -> None:
        heapq.heappush(self._due, (at_s, next(self._order), what, appointment))


def problem(kind: str, target: str) -> str:
    """Return what is wrong with a kind and target of fault, with the nearest right one; "" if nothing is."""
    if kind not in KINDS:
        return f"{kind!r} is not a fault; {nearest(kind, KINDS)}"
    targets = KINDS[kind].targets
    return "" if target in targets else f"{kind} cannot befall {target!r}; {nearest(target, targets)}"


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return a hint at the allowed word that is nearest, or at all of them if they are few."""
    words = list(allowed)
    close = get_close_matches(word, words, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"allowed: {', '.join(words[:12])}{', ...' if len(words) > 12 else ''}"
