"""Production orders: the words of ISA-95 (B2MML JobOrder, JobResponse) and the state machine of Job Control. Pure.

States and commands are those of OPC 10031-4; `JOB_STATE` has the words of B2MML. A job waits, is allowed to start, runs
on its unit, and has ended; what the machine made meanwhile is the unit's counters between begin and end.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from gateway.production.elements import Elements
from gateway.production.kpis import KPIS

WAITING: Final = "NotAllowedToStart"
ALLOWED: Final = "AllowedToStart"
RUNNING: Final = "Running"
INTERRUPTED: Final = "Interrupted"
ENDED: Final = "Ended"
ABORTED: Final = "Aborted"
CANCELLED: Final = "Cancelled"
CLOSED: Final = "Closed"

COMMANDS: Final[Mapping[tuple[str, str], str]] = {
    (WAITING, "Start"): ALLOWED,
    (ALLOWED, "RevokeStart"): WAITING,
    (ALLOWED, "Run"): RUNNING,
    (RUNNING, "Pause"): INTERRUPTED,
    (INTERRUPTED, "Resume"): RUNNING,
    (RUNNING, "Stop"): ENDED,
    (INTERRUPTED, "Stop"): ENDED,
    (WAITING, "Cancel"): CANCELLED,
    (ALLOWED, "Cancel"): CANCELLED,
    **{(state, "Abort"): ABORTED for state in (WAITING, ALLOWED, RUNNING, INTERRUPTED)},
    (ENDED, "Clear"): CLOSED,
    (ABORTED, "Clear"): CLOSED,
}
"""The state that follows, by state and command. `Run` is given by the unit, all others by people and the ERP."""

GIVEN: Final = tuple(dict.fromkeys(command for _, command in COMMANDS if command != "Run"))
OPEN: Final = (WAITING, ALLOWED, RUNNING, INTERRUPTED)
"""States of a job that still has something to do."""
ON_UNIT: Final = (RUNNING, INTERRUPTED)
JOB_STATE: Final[Mapping[str, str]] = {
    WAITING: "Waiting",
    ALLOWED: "Ready",
    RUNNING: "Running",
    INTERRUPTED: "Paused",
    ENDED: "Completed",
    ABORTED: "Aborted",
    CANCELLED: "Cancelled",
    CLOSED: "Closed",
}

_TIMES: Final = {
    "ActualUnitBusyTime": "AUBT",
    "ActualUnitSetupTime": "AUST",
    "ActualUnitDelayTime": "ADET",
    "ActualProductionTime": "APT",
    "ActualUnitDownTime": "ADOT",
    "UnknownTime": "unknown",
}
_QUANTITIES: Final = {"ProducedQuantity": "PQ", "GoodQuantity": "GQ", "ScrapQuantity": "SQ", "ReworkQuantity": "RQ"}
_EACH: Final = "H87"
"""UN/ECE Rec 20: piece."""


class Refused(Exception):
    """An order or a command that cannot be taken: `kind` is exists, overlaps, late, unknown or state."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def following(state: str, command: str, id: str) -> str:
    """Return the state that follows. Raises Refused if the command is not one of this state."""
    found = COMMANDS.get((state, command))
    if found is None:
        may = ", ".join(name for known, name in COMMANDS if known == state and name != "Run") or "nothing any more"
        raise Refused("state", f"order {id} is {state}: {command} cannot be done, but {may}")
    return found


def moved(job: Mapping[str, Any], command: str, now_ns: int) -> dict[str, Any]:
    """Return a job after a command; its begin and end are when it came to its unit and was done. Raises Refused."""
    state = following(job["state"], command, job["id"])
    begin = now_ns if job["begin"] is None and state == RUNNING else job["begin"]
    end = now_ns if job["state"] in OPEN and state not in OPEN else job["end"]
    return {**job, "state": state, "begin": begin, "end": end, "changed": now_ns}


def fits(job: Mapping[str, Any], others: Sequence[Mapping[str, Any]], now_ns: int) -> None:
    """Raise Refused if an order is to be over already, or at the time of another one of its unit."""
    start, end = job["planned_begin"], job["planned_end"]
    if end is not None and end <= now_ns:
        raise Refused("late", f"order {job['id']} is to end before it is known: give it an EndTime that is to come")
    for other in others:
        if other["id"] == job["id"] or other["state"] not in OPEN or None in (start, end):
            continue
        first, last = other["planned_begin"], other["planned_end"]
        if None not in (first, last) and start < last and first < end:
            raise Refused("overlaps", f"order {other['id']} is planned on {job['unit']} at the same time")


def next_to_run(jobs: Sequence[Mapping[str, Any]], now_ns: int) -> Mapping[str, Any] | None:
    """Return the job that a free unit takes now: of those whose time has come the one with the highest priority."""
    if any(job["state"] in ON_UNIT for job in jobs):
        return None
    due = [job for job in jobs if job["state"] == ALLOWED and (job["planned_begin"] or 0) <= now_ns]
    return min(due, key=lambda job: (-job["priority"], job["planned_begin"] or 0, job["id"]), default=None)


def response(
    job: Mapping[str, Any], found: Elements, energy_unit: str, times: Mapping[str, str | None], known: str | None
) -> dict[str, Any]:
    """Return the JobResponse of a job whose elements are known until `known`; `times` are StartTime and EndTime."""
    data = [_datum(name, found[element], _EACH) for name, element in _QUANTITIES.items()]
    data += [_datum(name, found[element], "SEC") for name, element in _TIMES.items()]
    data += [_datum("Energy", found["energy"], energy_unit), _datum("CounterResets", found["resets"], "C62")]
    oee = KPIS["oee"].of(found)
    data += [] if oee is None else [_datum("OEE", oee, "C62")]
    data += [] if known is None else [{"ID": "KnownUntil", "Value": [{"ValueString": known, "DataType": "dateTime"}]}]
    made = {
        "ID": "1",
        "MaterialDefinitionID": job["material"],
        "MaterialLotID": job["lots"],
        "MaterialUse": "Produced",
        "Quantity": [{"QuantityString": _text(found["GQ"]), "DataType": "decimal", "UnitOfMeasure": _EACH}],
    }
    return {
        "ID": f"JR-{job['id']}",
        "JobOrderID": job["id"],
        **{name: time for name, time in times.items() if time is not None},
        "JobState": JOB_STATE[job["state"]],
        "EquipmentActual": [{"ID": "1", "EquipmentID": [job["unit"]]}],
        "MaterialActual": [made, *job["consumed"]],
        "JobResponseData": data,
    }


def _datum(name: str, amount: Fraction, unit: str) -> dict[str, Any]:
    return {"ID": name, "Value": [{"ValueString": _text(amount), "DataType": "decimal", "UnitOfMeasure": unit}]}


def _text(amount: Fraction) -> str:
    """A number as text: exact if it is whole, else the nearest float."""
    return str(amount) if amount.denominator == 1 else repr(float(amount))
