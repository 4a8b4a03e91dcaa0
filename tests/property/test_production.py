"""Elements and KPIs of production are, to the last bit, those of a slow and obvious reference."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, cast
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.production.elements import Facts, elements, total
from gateway.production.kpis import KPIS, LOSSES, losses
from gateway.production.shifts import ALWAYS, Calendar, Shift
from gateway.production.states import Mode, State
from gateway.production.track import Count, Track
from tests.plainly import Plain, worked_out

QUARTER_NS = 900 * 10**9
NIGHTS = {"Europe/Berlin": (1_774_654_200, 1_792_794_600), "Australia/Lord_Howe": (1_775_311_200, 1_791_032_400)}
"""Seconds since 1970 at which some hours later a clock is put forward or back, in 2026."""
TICKS = 110
MODULUS = 64

STATES = st.sampled_from([None, *(state.name.lower() for state in State if state)])
MODES = st.sampled_from([None, "processing", "setup", "maintenance"])
COUNTED = st.one_of(st.none(), st.integers(0, MODULUS + 6))
PRICES = st.builds(Fraction, st.integers(1, 9), st.integers(1, 7))
SPAN = st.tuples(st.integers(-5, TICKS), st.integers(1, 60)).map(lambda span: (span[0], sum(span)))


def rows(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[int, Any]]]:
    return st.dictionaries(st.integers(-10, TICKS), values, max_size=24).map(lambda found: sorted(found.items()))


@st.composite
def histories(draw: st.DrawFn) -> Plain:
    return Plain(
        state=draw(rows(STATES)),
        until=draw(st.integers(TICKS // 2, TICKS + 20)),
        mode=draw(rows(MODES)),
        ideal=draw(rows(PRICES)),
        counts={role: draw(rows(COUNTED)) for role in draw(st.sets(st.sampled_from(["scrap", "rework", "energy"])))}
        | {"produced": draw(rows(COUNTED))},
        orders=draw(st.lists(SPAN, max_size=4)),
        modulus=draw(st.sampled_from([0, MODULUS])),
        minor=draw(st.integers(0, 8)),
        startup=draw(st.integers(0, 8)),
        tick=draw(st.sampled_from([1, 7, 10**9])),
        origin=draw(st.sampled_from([0, 1_767_225_600 * 10**9])),
    )


@st.composite
def shifts(draw: st.DrawFn) -> tuple[frozenset[int], int, int, Sequence[tuple[int, int]]]:
    quarters = st.sampled_from([n for n in range(96) if not 8 <= n <= 12])  # those a clock skips: test_shifts.py
    begin, length = draw(quarters), draw(st.integers(1, 60))
    while 8 <= (end := (begin + length) % 96) <= 12:
        length += 1
    pause = draw(st.integers(0, length - 1))
    breaks = [(begin + pause) % 96, (begin + pause + 1) % 96]
    in_gap = any(8 <= bound <= 12 for bound in breaks)
    days = draw(st.frozensets(st.integers(0, 6), min_size=1))
    return days, begin * 15, end * 15, [] if in_gap else [(breaks[0] * 15, breaks[1] * 15)]


@st.composite
def nights(draw: st.DrawFn) -> Plain:
    """Histories in quarters of an hour around a change of the clocks, with shifts that overlap."""
    zone = draw(st.sampled_from(sorted(NIGHTS)))
    origin = draw(st.sampled_from(NIGHTS[zone])) // 900 * QUARTER_NS
    return replace(
        draw(histories()),
        shifts=draw(st.lists(shifts(), min_size=1, max_size=4)),
        zone=zone,
        tick=QUARTER_NS,
        origin=origin,
    )


def facts(plain: Plain) -> Facts:
    """The same history as the gateway has it."""

    def at(tick: int) -> int:
        return plain.origin + tick * plain.tick

    def track(given: Sequence[tuple[int, Any]], words: Any = None) -> Track:
        return Track.of([(at(t), v if v is None or words is None else words[v.upper()]) for t, v in given])

    calendar = ALWAYS
    if plain.shifts:
        named = [Shift(str(n), days, (begin, end), breaks) for n, (days, begin, end, breaks) in enumerate(plain.shifts)]
        calendar = Calendar(ZoneInfo(plain.zone), named)
    return Facts(
        state=track(plain.state, State),
        until_ns=at(plain.until),
        mode=track(plain.mode, Mode),
        ideal=track(plain.ideal),
        counts={role: Count.of(track(given), plain.modulus) for role, given in plain.counts.items()},
        orders=[(at(first), at(last)) for first, last in plain.orders],
        calendar=calendar,
        minor_ns=plain.minor * plain.tick,
        startup_ns=plain.startup * plain.tick,
    )


def found(plain: Plain, start: int, end: int) -> dict[str, Fraction]:
    return elements(facts(plain), plain.origin + start * plain.tick, plain.origin + end * plain.tick)


@settings(deadline=None, max_examples=150)
@given(histories(), SPAN)
def test_elements_are_those_of_a_pencil(plain: Plain, span: tuple[int, int]) -> None:
    assert found(plain, *span) == worked_out(plain, *span)


@settings(deadline=None, max_examples=40)
@given(nights(), SPAN)
def test_shifts_overlap_and_clocks_are_changed(plain: Plain, span: tuple[int, int]) -> None:
    assert found(plain, *span) == worked_out(plain, *span)


@settings(deadline=None, max_examples=40)
@given(histories(), st.lists(st.integers(-5, TICKS + 30), min_size=2, max_size=6, unique=True).map(sorted))
def test_elements_of_parts_add_up_to_those_of_the_whole(plain: Plain, cuts: list[int]) -> None:
    parts = [found(plain, first, last) for first, last in pairwise(cuts)]
    assert total(parts) == found(plain, cuts[0], cuts[-1])


@settings(deadline=None, max_examples=40)
@given(nights(), SPAN)
def test_time_balances_and_losses_are_what_is_lost(plain: Plain, span: tuple[int, int]) -> None:
    e = found(plain, *span)
    assert e["PBT"] + e["unknown"] + e["PDT"] == e["POT"] + e["overtime"]
    assert sum(losses(e).values()) * 60 == e["PBT"] - e["ideal_good"]
    assert set(losses(e)) == set(LOSSES)
    assert (KPIS["oee"].of(e) is None) == (e["PBT"] == 0)
    if e["APT"] and e["PBT"] and e["ideal"]:
        weighted = e["ideal_good"] / e["ideal"]
        availability, effectiveness = (cast(Fraction, KPIS[name].of(e)) for name in ("availability", "effectiveness"))
        assert KPIS["oee"].of(e) == availability * effectiveness * weighted
