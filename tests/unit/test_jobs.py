"""Orders: every transition of Job Control, what fits beside what, and which is next."""

from itertools import product
from typing import Any

import pytest

from gateway.production.elements import total
from gateway.production.jobs import (
    ABORTED,
    ALLOWED,
    CANCELLED,
    CLOSED,
    COMMANDS,
    ENDED,
    GIVEN,
    INTERRUPTED,
    JOB_STATE,
    RUNNING,
    WAITING,
    Refused,
    fits,
    following,
    moved,
    next_to_run,
    response,
)

TABLE = """
NotAllowedToStart: Start AllowedToStart, Cancel Cancelled, Abort Aborted
AllowedToStart: RevokeStart NotAllowedToStart, Run Running, Cancel Cancelled, Abort Aborted
Running: Pause Interrupted, Stop Ended, Abort Aborted
Interrupted: Resume Running, Stop Ended, Abort Aborted
Ended: Clear Closed
Aborted: Clear Closed
"""
"""OPC 10031-4, with Cancelled and Closed for what a receiver there forgets."""
EXPECTED = {
    (state, *move.split()[:1]): move.split()[1]
    for line in TABLE.strip().splitlines()
    for state, moves in [line.split(": ")]
    for move in moves.split(", ")
}


def job(id: str = "JO-1", state: str = ALLOWED, **facts: Any) -> dict[str, Any]:
    plain = {"unit": "filler", "begin": None, "end": None, "planned_begin": None, "planned_end": None, "priority": 0}
    return {"id": id, "state": state, **plain, "material": [], "lots": [], "consumed": [], **facts}


@pytest.mark.parametrize(("state", "command"), list(product(JOB_STATE, [*GIVEN, "Run"])))
def test_every_command_in_every_state(state: str, command: str) -> None:
    if (state, command) in EXPECTED:
        assert following(state, command, "JO-1") == EXPECTED[state, command] == COMMANDS[state, command]
    else:
        with pytest.raises(Refused, match=f"order JO-1 is {state}: {command} cannot be done"):
            following(state, command, "JO-1")


def test_an_order_begins_when_it_runs_first_and_ends_when_it_is_done() -> None:
    ran = moved(job(), "Run", 10)
    again = moved(moved(ran, "Pause", 20), "Resume", 30)
    assert [(one["begin"], one["end"]) for one in (ran, again, moved(again, "Stop", 40))] == [
        (10, None),
        (10, None),
        (10, 40),
    ]
    assert moved(moved(again, "Stop", 40), "Clear", 50)["end"] == 40
    assert moved(job(), "Cancel", 7)["begin"] is None


@pytest.mark.parametrize(
    ("begin", "end", "kind"),
    [(0, 10, ""), (5, 11, "overlaps"), (12, 14, "overlaps"), (19, 30, "overlaps"), (20, 30, "")],
)
def test_orders_of_a_unit_do_not_overlap(begin: int, end: int, kind: str) -> None:
    other = job("JO-2", planned_begin=10, planned_end=20)
    wanted = job(planned_begin=begin, planned_end=end)
    fits(wanted, [job("JO-3", ENDED, planned_begin=0, planned_end=99), job("JO-4")], 0)
    if not kind:
        fits(wanted, [other], 0)
        return
    with pytest.raises(Refused, match="order JO-2 is planned on filler at the same time") as refused:
        fits(wanted, [other], 0)
    assert refused.value.kind == kind


def test_an_order_that_is_over_before_it_is_known_is_late() -> None:
    with pytest.raises(Refused, match="EndTime that is to come") as refused:
        fits(job(planned_begin=0, planned_end=10), [], 10)
    assert refused.value.kind == "late"


def test_a_free_unit_takes_the_most_urgent_order_whose_time_has_come() -> None:
    known = [job("JO-1"), job("JO-2", priority=1), job("JO-3", priority=9, planned_begin=50), job("JO-4", WAITING)]
    assert [(next_to_run(known, now) or {}).get("id") for now in (49, 50)] == ["JO-2", "JO-3"]
    assert next_to_run([*known, job("JO-5", INTERRUPTED)], 99) is None
    assert next_to_run([job(state=state) for state in (WAITING, ENDED, ABORTED, CANCELLED, CLOSED)], 99) is None


def test_a_response_has_the_words_of_b2mml() -> None:
    made = {**total(()), "PQ": total(())["PQ"] + 980, "GQ": total(())["GQ"] + 950}
    told = response(
        job(state=RUNNING, material=["SKU-9"], lots=["L-88"]), made, "kW.h", {"StartTime": "x", "EndTime": None}, "y"
    )
    assert (told["ID"], told["JobOrderID"], told["JobState"], told["StartTime"]) == ("JR-JO-1", "JO-1", "Running", "x")
    assert "EndTime" not in told
    (material,) = told["MaterialActual"]
    assert (material["MaterialLotID"], material["MaterialUse"]) == (["L-88"], "Produced")
    assert material["Quantity"] == [{"QuantityString": "950", "DataType": "decimal", "UnitOfMeasure": "H87"}]
    data = {one["ID"]: one["Value"][0]["ValueString"] for one in told["JobResponseData"]}
    assert (data["ProducedQuantity"], data["GoodQuantity"]) == ("980", "950")
    assert data["KnownUntil"] == "y"
    energy = next(one["Value"][0] for one in told["JobResponseData"] if one["ID"] == "Energy")
    assert energy == {"ValueString": "0", "DataType": "decimal", "UnitOfMeasure": "kW.h"}
    assert "OEE" not in data, "it is not defined without any time"
