"""Health and advice of a machine, from what its signals say."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gateway.model import Batch, Catalog, Tag
from gateway.model.batch import objects
from gateway.recall import Built, Kept, packed
from gateway.signals import advice, health
from gateway.signals.advice import Fault, Symptom, explained

S = 1_000_000_000
ASSET = "plant/pump"
RATIO, CAUSE, EVIDENCE, ALARM, SPEED = range(5)
NAMES = ["_maintenance/x", "_maintenance/x_cause", "_maintenance/x_evidence", "_alarm/x", "speed"]
FAULTS = {
    "cavitation": Fault(symptoms={"flow": "low", "pressure": "low", "noise": "high"}, look="the suction side"),
    "bearing_wear": Fault(symptoms={"noise": "high", "current": "high"}, look="the bearing"),
}


def signal(module: Any, **keys: Any) -> Any:
    catalog = Catalog([Tag(ASSET, name) for name in NAMES])
    options = module.Options(asset=ASSET, signals=["x"], **keys)
    outputs = {role: catalog.add(tag) for role, tag in module.outputs("y", options, ASSET).items()}
    return module.signal(options, outputs, catalog)


def says(at: int, ratio: float, *, alarm: bool | None = None, **looks: str) -> list[Batch]:
    """What a signal says at a second; `looks` are tags that are not as they should be."""
    said = [Batch.of([RATIO], at * S, [ratio])]
    if alarm is not None:
        evidence = {tag: {"looks": how, "ratio": ratio, "is": 1.0, "expected": 2.0} for tag, how in looks.items()}
        said.append(Batch.of([CAUSE], at * S, objects([dict.fromkeys(looks, 1 / max(len(looks), 1))])))
        said.append(Batch.of([EVIDENCE], at * S, objects([evidence])))
        said.append(Batch.of([ALARM], at * S, [float(alarm)]))
    return said


def told(signal: Any, said: Sequence[Batch]) -> list[tuple[int, str, Any]]:
    tags = [*NAMES, *(["health", "state", "status", "cause"] if isinstance(signal, health.Health) else ["advice"])]
    rows = [
        (int(time) // S, tags[tag], value)
        for batch in said
        for answer in signal.update(batch)
        for tag, time, value in zip(answer.tag, answer.time, answer.value.tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: row[:2])


# --- health -------------------------------------------------------------------------------


def test_health_is_50_at_the_limit_and_has_state_status_cause_and_since() -> None:
    said = [
        *says(1, 0.5, alarm=False),
        *says(2, 1.0, alarm=True, flow="low"),
        *says(3, 2.0),
        *says(4, 1.6),
        *says(5, 0.2, alarm=False),
    ]
    rows = told(signal(health), said)
    level = {at: value for at, what, value in rows if what == "health"}
    assert level == {1: 80.0, 2: 50.0, 3: 20.0, 4: 28.1, 5: 96.2}
    states = {at: value for at, what, value in rows if what == "state"}
    assert list(states.values()) == ["normal", "alert", "alarm", "alarm", "normal"]
    assert [value for _, what, value in rows if what == "status"][-1] == 0
    causes = {at: value for at, what, value in rows if what == "cause"}
    assert causes[3]["shares"] == {"flow": 1.0}
    assert (causes[3]["since"], causes[4]["since"]) == ("1970-01-01T00:00:03Z", "1970-01-01T00:00:03Z")
    assert causes[5]["shares"] == {}


def test_without_an_alarm_there_is_no_less_than_50() -> None:
    assert min(value for _, what, value in told(signal(health), says(1, 7.0)) if what == "health") == 50.0


@pytest.mark.parametrize(("looks", "status"), [("stuck", 1), ("low", 4)])
def test_a_sensor_that_is_stuck_is_a_failure_and_another_alert_asks_for_maintenance(looks: str, status: int) -> None:
    rows = told(signal(health), says(1, 1.2, alarm=True, flow=looks))
    assert [value for _, what, value in rows if what == "status"][-1] == status


def test_a_machine_that_is_off_is_off_and_one_of_which_nothing_is_known_is_learned() -> None:
    watched = signal(health, when="speed > 100")
    on, off = (Batch.of([SPEED], S, [speed]) for speed in (1500.0, 0.0))
    rows = told(watched, [on, Batch.of([ALARM], S, [0.0]), *says(2, 0.1), off, *says(3, 0.1)])
    assert [value for _, what, value in rows if what == "state"] == ["learning", "normal", "off"]


# --- advice -------------------------------------------------------------------------------


def symptoms(**looks: str) -> dict[str, Symptom]:
    return {tag: Symptom(how, 1.0, {}) for tag, how in looks.items()}


@pytest.mark.parametrize(
    ("looks", "faults"),
    [
        ({"flow": "low", "noise": "high"}, ["cavitation"]),
        ({"noise": "high", "current": "high"}, ["bearing_wear"]),
        ({"flow": "low", "pressure": "low", "noise": "high", "current": "high"}, ["cavitation", "bearing_wear"]),
        ({"noise": "high", "current": "low"}, ["unusual"]),
        ({"temperature": "high"}, ["drift:temperature"]),
        ({"temperature": "high", "level": "low"}, ["unusual"]),
        ({"level": "stuck", "flow": "low", "pressure": "low"}, ["cavitation", "stuck:level"]),
        ({"flow": "high", "pressure": "high"}, ["unusual"]),
        ({}, []),
    ],
)
def test_what_explains_the_symptoms_best_comes_first(looks: dict[str, str], faults: list[str]) -> None:
    assert list(explained(symptoms(**looks), FAULTS)) == faults


def course() -> list[Batch]:
    """Cavitation for a minute, gone for a while, back, and over."""
    said: list[Batch] = says(0, 0.1, alarm=False)
    for at in range(1, 1000):
        there = 10 <= at < 70 or 100 <= at < 200
        change = at in (10, 70, 100, 200)
        looks = {"flow": "low", "noise": "high"} if there else {}
        said += says(at, 3.0 if there else 0.1, alarm=there if change else None, **looks)
    return said


KEYS: dict[str, Any] = {
    "faults": {name: fault.model_dump() for name, fault in FAULTS.items()},
    "gather": 15,
    "off": 300,
}


def test_a_finding_is_raised_once_with_an_id_and_cleared_once_it_has_been_gone_for_long() -> None:
    rows = told(signal(advice, **KEYS), course())
    assert [(at, value["ActiveState"], value["ConditionName"]) for at, _, value in rows] == [
        (25, True, "cavitation"),
        (500, False, "cavitation"),
    ]
    raised, over = (value for _, _, value in rows)
    assert raised["AdviceId"] == over["AdviceId"] == "pump-cavitation-10000"
    assert raised["Message"] == (
        "Cavitation at pump, 83% sure, since 1970-01-01T00:00:10Z: flow low (1 instead of 2), "
        "noise high (1 instead of 2); no forecast of how long it lasts. Look at the suction side."
    )
    assert raised["Cause"] == {"flow": 0.5, "noise": 0.5}


@pytest.mark.parametrize("at", [5, 18, 60, 90, 150, 300])
def test_a_restart_raises_nothing_again(at: int) -> None:
    whole = told(signal(advice, **KEYS), course())
    said = course()
    cut = next(i for i, batch in enumerate(said) if batch.time[0] >= at * S)
    goes = signal(advice, **KEYS)
    before = told(goes, said[:cut])
    data = packed({"y": Built(goes, "", np.empty(0, np.uint32))}, 1, 2)
    comes = Kept(data).signal("y", Built(signal(advice, **KEYS), "", np.empty(0, np.uint32)))
    assert [*before, *told(comes, said[cut:])] == whole


def test_what_is_gone_before_it_was_gathered_is_not_said() -> None:
    said = [*says(0, 0.1, alarm=False), *says(10, 2.0, alarm=True, flow="low"), *says(20, 0.1, alarm=False)]
    assert told(signal(advice, **KEYS), [*said, *says(60, 0.1)]) == []


def test_a_stuck_sensor_is_said_at_once_and_what_else_there_is_when_it_was_gathered() -> None:
    said = says(0, 0.1, alarm=False)
    for at in range(10, 40):
        said += says(at, 2.0, alarm=True if at == 10 else None, level="stuck", flow="low", pressure="low")
    rows = told(signal(advice, **KEYS), said)
    assert [(at, value["ConditionName"]) for at, _, value in rows] == [(10, "stuck:level"), (25, "cavitation")]
