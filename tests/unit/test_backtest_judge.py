"""Findings beside the truth: cases worked by hand, and a judge that looks at every second."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backtest.judge import Fault, Finding, Span, Truth, Verdict, judged

S = 1_000_000_000
DAY = 86_400
PUMP = "acme/dresden/utilities/pump1"
WEEK = Span(0, 7 * DAY * S)


def fault(start_s: int, end_s: int | None, cause: str = "", asset: str = PUMP, *, of_tag: bool = False) -> Fault:
    return Fault(asset, start_s * S, None if end_s is None else end_s * S, cause, of_tag)


def finding(raised_s: int, cleared_s: int | None, name: str = "", **cause: float) -> Finding:
    return Finding("watch", PUMP, raised_s * S, None if cleared_s is None else cleared_s * S, name, cause)


def verdict(findings: list[Finding], *faults: Fault, span: Span = WEEK, before_s: int = 0) -> Verdict:
    return judged(PUMP, findings, Truth(faults, None), span, before_s * S)


def leads(one: Verdict) -> list[tuple[float, float | None]]:
    return [(found.delay_s, found.lead_s) for found in one.found]


def test_a_fault_is_found_by_the_first_finding_within_it() -> None:
    one = verdict([finding(500, 600), finding(200, 300), finding(50, 80)], fault(100, 1000))
    assert leads(one) == [(100, 800)]
    assert [false.raised_ns for false in one.false] == [50 * S]
    assert one.false_per_week == 1
    assert one.in_alarm == pytest.approx(230 / (7 * DAY))


def test_what_was_raised_before_counts_from_the_begin_of_the_fault() -> None:
    """An alarm that is always on finds everything, and its time in alarm says what it is worth."""
    one = verdict([finding(-5000, None)], fault(100, 1000))
    assert leads(one) == [(0, 900)]
    assert (len(one.false), one.in_alarm) == (0, 1)


def test_whoever_knows_of_the_failure_only_says_how_long_before_is_not_too_early() -> None:
    broken = fault(5000, 6000)
    assert verdict([finding(3000, 3500)], broken).missed == [broken]
    assert leads(verdict([finding(3000, 3500)], broken, before_s=2500)) == [(-2000, 3000)]
    assert leads(verdict([finding(1000, 3500)], broken, before_s=2500)) == [(-2500, 3500)]


def test_ends_touch_without_meeting() -> None:
    assert verdict([finding(0, 100)], fault(100, 200)).found == []
    assert verdict([finding(200, 300)], fault(100, 200)).found == []
    assert len(verdict([finding(199, 300)], fault(100, 200)).found) == 1


def test_a_fault_without_an_end_has_no_lead() -> None:
    one = verdict([finding(300, None)], fault(100, None))
    assert leads(one) == [(200, None)]
    assert one.in_alarm == pytest.approx(1 - 300 / (7 * DAY))


def test_faults_outside_the_time_or_of_other_machines_do_not_count() -> None:
    others = (fault(-200, -100), fault(8 * DAY, 9 * DAY), fault(10, 20, asset=f"{PUMP}0"))
    one = verdict([finding(10, 20)], *others)
    assert (one.found, one.missed, len(one.false)) == ([], [], 1)
    below = verdict([finding(10, 20)], fault(10, 20, asset=f"{PUMP}/motor"))
    assert len(below.found) == 1, "what is below the asset is of the asset"


def test_of_faults_that_overlap_one_does_not_find_the_other() -> None:
    wear, cavitation = fault(0, 1000, "wear"), fault(100, 900, "cavitation")
    one = verdict([finding(200, 950, "wear")], wear, cavitation)
    assert [found.fault for found in one.found] == [wear]
    assert one.missed == [cavitation]
    both = verdict([finding(200, 950, "wear"), finding(300, 400, "cavitation")], wear, cavitation)
    assert [(found.delay_s, found.right) for found in both.found] == [(200, True), (200, True)]
    unnamed = verdict([finding(200, 950, "something")], wear, cavitation)
    assert [found.right for found in unnamed.found] == [False, False]


def test_the_cause_that_the_first_finding_names_first_counts() -> None:
    wear = fault(0, 1000, "wear")
    assert verdict([finding(200, 300, "leak"), finding(400, 500)], wear).found[0].right is False
    torque = fault(0, 1000, "torque", of_tag=True)
    assert verdict([finding(200, 300, torque=0.8, load=0.2)], torque).found[0].right is True
    assert verdict([finding(200, 300, load=0.8, torque=0.2)], torque).found[0].right is False
    assert verdict([finding(200, 300, "drift:torque", torque=1.0)], torque).found[0].right is True
    assert verdict([finding(200, 300, load=1.0)], wear).found[0].right is None, "an alarm names no fault"
    assert verdict([finding(200, 300)], torque).found[0].right is None
    assert verdict([finding(200, 300, "wear")], fault(0, 1000)).found[0].right is None, "nobody knows the cause"


def test_without_any_truth_nothing_is_false() -> None:
    one = judged(PUMP, [finding(10, 20)], Truth(), WEEK)
    assert (one.false, one.false_per_week, len(one.findings)) == ([], None, 1)
    none = verdict([])
    assert (none.found, none.missed, none.false_per_week, none.in_alarm) == ([], [], 0, 0)


def test_where_only_some_of_the_time_is_known_a_finding_is_false_within_that() -> None:
    truth = Truth([fault(0, 100)], [(PUMP, 1000 * S, 2000 * S)])
    one = judged(PUMP, [finding(50, 60), finding(500, 600), finding(1500, 1600)], truth, WEEK)
    assert [false.raised_ns for false in one.false] == [1500 * S]
    assert one.false_per_week == 1


edges = st.tuples(st.integers(-20, 120), st.integers(1, 40), st.booleans())


@settings(deadline=None)
@given(st.lists(edges, max_size=6), st.lists(edges, max_size=4), st.integers(0, 15))
def test_as_one_who_looks_at_every_second(
    said: list[tuple[int, int, bool]], was: list[tuple[int, int, bool]], before: int
) -> None:
    findings = [finding(at, None if open_ else at + n) for at, n, open_ in said]
    faults = [fault(at, None if open_ else at + n) for at, n, open_ in was]
    one = judged(PUMP, findings, Truth(faults, None), Span(0, 100 * S), before * S)
    on = [set(range(at, 1000 if open_ else at + n)) for at, n, open_ in said]
    wrong = [set(range(at, 1000 if open_ else at + n)) for at, n, open_ in was]
    due = [set(range(at - before, 1000 if open_ else at + n)) for at, n, open_ in was]
    span = set(range(100))
    judgeable = [i for i in range(len(was)) if wrong[i] & span]
    seen = [i for i in range(len(said)) if on[i] & span]
    found = [i for i in judgeable if any(on[j] & due[i] for j in seen)]
    assert one.in_alarm == pytest.approx(len(span & set().union(*on)) / 100)
    assert [found_.fault for found_ in one.found] == [faults[i] for i in found]
    assert len(one.missed) == len(judgeable) - len(found)
    assert len(one.false) == sum(not any(on[j] & due[i] for i in judgeable) for j in seen)
    for i, found_ in zip(found, one.found, strict=True):
        earliest = min(min(on[j] & due[i]) for j in seen if on[j] & due[i])
        assert found_.delay_s == earliest - was[i][0]
        assert found_.lead_s == (None if was[i][2] else was[i][0] + was[i][1] - earliest)
