"""The day that docs/production.md works out by hand: its tables are read, and what they say is what is computed."""

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.production.elements import Facts, elements
from gateway.production.kpis import KPIS, kpis, losses
from gateway.production.shifts import Calendar, Shift
from gateway.production.states import STATES, State
from gateway.production.track import Count, Track

TEXT = (Path(__file__).parents[2] / "docs" / "production.md").read_text(encoding="utf-8")
DAY_NS = 1_767_571_200 * 10**9  # 2026-01-05, a Monday
SHIFT = Shift("early", frozenset({0}), (360, 840), [(600, 630)])

PACKML = (
    "Clearing, Stopped, Starting, Idle, Suspended, Execute, Stopping, Aborting, Aborted, Holding, Held, Unholding,"
    " Suspending, Unsuspending, Resetting, Completing, Complete"
)  # ISA-TR88.00.02, from 1 on


def table(*heads: str) -> list[list[str]]:
    """The rows of the table with these heads."""
    start = TEXT.index(f"| {' | '.join(heads)} |\n")
    lines = TEXT[start:].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def at(clock: str) -> int:
    hour, minute = map(int, clock.split(":"))
    return DAY_NS + (hour * 60 + minute) * 60 * 10**9


def number(text: str) -> int | float | None:
    return None if text == "-" else float(text) if "." in text else int(text)


@pytest.fixture(name="facts")
def facts_of_the_day() -> Facts:
    states = [
        (at(when), None if word == "-" else State[word.upper()])
        for when, word, *_ in table("from", "state", "min", "counts as")
    ]
    counted = sorted(
        (role, at(when), number(reads)) for when, role, reads, _ in table("at", "counter", "reads", "step")
    )
    counts = {
        role: Count.of(Track.of([row[1:] for row in rows]), 2**32)
        for role, rows in groupby(counted, lambda row: row[0])
    }
    return Facts(
        state=Track.of(states),
        until_ns=at("14:00") + 1,
        ideal=Track.of([(DAY_NS, Fraction(2))]),
        counts=counts,
        orders=[(at("06:00"), at("13:00"))],
        calendar=Calendar(ZoneInfo("UTC"), [SHIFT]),
    )


def test_minutes_of_the_day_are_those_of_the_table() -> None:
    rows = table("from", "state", "min", "counts as")
    ends = [*(at(row[0]) for row in rows[1:]), at("14:00")]
    assert [(end - at(row[0])) // (60 * 10**9) for row, end in zip(rows, ends, strict=True)] == [
        int(row[2]) for row in rows
    ]


def test_elements_are_those_worked_out(facts: Facts) -> None:
    found = elements(facts, at("06:00"), at("14:00"))
    expected = {name: Fraction(value) for name, _, value in table("element", "by hand", "is")}
    assert {name: found[name] for name in expected} == expected
    assert {name for name, value in found.items() if value and name not in expected} == {
        "calendar", "minor", "breakdown", "idle", "ideal_startup",
    }  # fmt: skip


def test_kpis_are_those_worked_out(facts: Facts) -> None:
    found = kpis(elements(facts, at("06:00"), at("14:00")))
    expected = {name: Fraction(value) for name, _, _, value in table("KPI", "formula", "by hand", "is")}
    assert {name: found[name] for name in expected} == expected


def test_formulas_are_those_of_the_table() -> None:
    assert all(KPIS[name].formula == formula for name, formula, *_ in table("KPI", "formula", "by hand", "is"))


def test_losses_are_those_worked_out(facts: Facts) -> None:
    expected = {name: Fraction(value) for name, _, value in table("loss", "by hand", "is")}
    assert losses(elements(facts, at("06:00"), at("14:00"))) == expected


def packml_states(rows: Sequence[Sequence[str]]) -> dict[str, State]:
    return {
        name.strip(): State[row[0].upper()] for row in rows for name in row[1].split(",") if name and "mode" not in name
    }


def test_packml_states_are_those_of_the_table() -> None:
    numbers = PACKML.split(", ")
    named = packml_states(table("state of a unit", "PackML", "with an order", "without"))
    assert {name: STATES["packml"][n] for n, name in enumerate(numbers, 1)} == named
    assert re.search(r"rollover.*2\^32", TEXT)
