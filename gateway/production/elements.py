"""From what is known of a unit to its elements in a range of time: ISO 22400-2, section 8. Pure and exact.

Elements add up: those of [a, c) are those of [a, b) and [b, c), those of a line the sum of its units. So a ratio is
always made of sums, and never an average of ratios.

A piece is priced by its ideal cycle time. A piece that was counted while nobody knew what the machine did, or before an
ideal cycle was known, is in PQ and has no price: its time is not known either.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import numpy as np

from gateway.production.shifts import ALWAYS, Calendar
from gateway.production.timeline import Timeline, Use, timeline
from gateway.production.track import NOTHING, Count, Track

Elements = Mapping[str, Fraction]

NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "APT": ("s", "actual production time"),
    "AUST": ("s", "actual unit setup time"),
    "ADET": ("s", "actual unit delay time: delays, waiting, and repairs with an order"),
    "ADOT": ("s", "actual unit down time: it executes nothing, or has failed"),
    "AUPT": ("s", "actual unit processing time, APT + AUST"),
    "AUBT": ("s", "actual unit busy time, AUPT + ADET"),
    "PBT": ("s", "planned busy time as far as it is known, AUBT + ADOT"),
    "POT": ("s", "planned operation time: shifts without their breaks"),
    "PDT": ("s", "planned stops and preventive maintenance"),
    "overtime": ("s", "part of APT + AUST that was outside of shifts or in breaks"),
    "unknown": ("s", "part of POT of which nobody knows: the device or the gateway was away"),
    "calendar": ("s", "all time of the range"),
    "AOET": ("s", "actual order execution time: there was an order"),
    "minor": ("s", "part of ADET: waiting, and delays no longer than a minor stop"),
    "breakdown": ("s", "failures, repairs, and delays longer than a minor stop"),
    "idle": ("s", "part of ADOT that is no failure: nothing was executed"),
    "CMT": ("s", "corrective maintenance time"),
    "PMT": ("s", "preventive maintenance time"),
    "FE": ("{event}", "failure events: breakdowns that began"),
    "PQ": ("{piece}", "produced quantity"),
    "GQ": ("{piece}", "good quantity"),
    "SQ": ("{piece}", "scrap quantity"),
    "RQ": ("{piece}", "rework quantity"),
    "unpriced": ("{piece}", "part of PQ that was counted while nobody knew, or without an ideal cycle"),
    "ideal": ("s", "PRI * PQ: ideal time of the produced quantity that has a price"),
    "ideal_good": ("s", "PRI * GQ of the same"),
    "ideal_startup": ("s", "PRI * SQ of scrap soon after a setup"),
    "energy": ("", "energy, in the unit of its counter"),
    "resets": ("{event}", "falls of counters that are no rollovers: what was counted around each is not known"),
}
"""UCUM unit and meaning by name."""

_SECOND: Final = 10**9


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What is known of a unit, as far as a range needs it (see `margin`). `until_ns` is where knowledge ends.

    Values of `state` are State, of `mode` Mode, of `ideal` seconds per piece as Fraction. Of `produced`, `good` and
    `scrap` two are enough, or `produced` alone.
    """

    state: Track
    until_ns: int
    mode: Track = NOTHING
    ideal: Track = NOTHING
    counts: Mapping[str, Count] = field(default_factory=dict)
    orders: Sequence[tuple[int, int]] = ()
    calendar: Calendar = ALWAYS
    minor_ns: int = 300 * _SECOND
    startup_ns: int = 300 * _SECOND

    @property
    def margin_ns(self) -> int:
        """How much more than a range has to be known on both its sides, to tell minor stops and startups."""
        return max(self.minor_ns, self.startup_ns) + 1


def elements(facts: Facts, start_ns: int, end_ns: int) -> dict[str, Fraction]:
    """Return the elements of [start, end), as far as anything is known of it."""
    end_ns = max(start_ns, min(end_ns, facts.until_ns))
    line = spans(facts, start_ns, end_ns)
    found = _times(facts, line, start_ns, end_ns) | _counts(facts, line, start_ns, end_ns)
    return {name: found[name] for name in NAMES}


def total(parts: Iterable[Elements]) -> dict[str, Fraction]:
    """Return the sum of elements, all 0 if there are none."""
    found = dict.fromkeys(NAMES, Fraction(0))
    for part in parts:
        for name, amount in part.items():
            found[name] += amount
    return found


def spans(facts: Facts, start_ns: int, end_ns: int) -> Timeline:
    """Return the timeline of a range and its margins."""
    first, last = start_ns - facts.margin_ns, min(end_ns + facts.margin_ns, max(facts.until_ns, end_ns))
    return timeline(first, last, facts.state, facts.mode, facts.orders, facts.calendar.planned(first, last))


def _times(facts: Facts, line: Timeline, start_ns: int, end_ns: int) -> dict[str, Fraction]:
    within = line.within(start_ns, end_ns)
    failed = line.failures(facts.minor_ns)
    begin, _, _ = line.runs()
    broken = failed[line.run]
    by_use = {use: within[line.use == use].sum() for use in Use}
    working = (line.use == Use.PRODUCING) | (line.use == Use.SETUP)
    delayed = np.isin(line.use, (Use.DELAY, Use.WAITING))
    ns = {
        "APT": by_use[Use.PRODUCING],
        "AUST": by_use[Use.SETUP],
        "ADET": by_use[Use.DELAY] + by_use[Use.WAITING] + by_use[Use.CORRECTIVE],
        "ADOT": by_use[Use.DOWN] + by_use[Use.FAILURE],
        "POT": within[line.planned].sum(),
        "PDT": within[line.planned & np.isin(line.use, (Use.PLANNED_STOP, Use.PREVENTIVE))].sum(),
        "overtime": within[working & ~line.planned].sum(),
        "unknown": by_use[Use.UNKNOWN],
        "calendar": within.sum(),
        "AOET": within[line.ordered].sum(),
        "minor": within[delayed & ~broken].sum(),
        "breakdown": within[broken].sum(),
        "idle": by_use[Use.DOWN],
        "CMT": by_use[Use.CORRECTIVE],
        "PMT": by_use[Use.PREVENTIVE],
    }
    found = {name: Fraction(int(amount), _SECOND) for name, amount in ns.items()}
    found["AUPT"] = found["APT"] + found["AUST"]
    found["AUBT"] = found["AUPT"] + found["ADET"]
    found["PBT"] = found["AUBT"] + found["ADOT"]
    found["FE"] = Fraction(int((failed & (begin >= start_ns) & (begin < end_ns)).sum()))
    return found


def _counts(facts: Facts, line: Timeline, start_ns: int, end_ns: int) -> dict[str, Fraction]:
    produced, _ = _quantities(facts.counts, start_ns, end_ns)
    found = dict.fromkeys(("ideal", "ideal_good", "ideal_startup", "priced"), Fraction(0))
    for first, last, seconds in _pieces(facts.ideal, start_ns, end_ns):
        known, scrap = _quantities(facts.counts, first, last, known=True)
        found["priced"] += known
        found["ideal"] += seconds * known
        found["ideal_good"] += seconds * (known - scrap)
    for begin, end in _startups(line, facts.startup_ns, start_ns, end_ns):
        for first, last, seconds in _pieces(facts.ideal, begin, end):
            found["ideal_startup"] += seconds * _quantities(facts.counts, first, last, known=True)[1]
    amount = {role: count.between(start_ns, end_ns) for role, count in facts.counts.items()}
    found["PQ"], found["SQ"] = _quantities(facts.counts, start_ns, end_ns)
    found["GQ"] = found["PQ"] - found["SQ"]
    found["RQ"] = amount.get("rework", Fraction(0))
    found["energy"] = amount.get("energy", Fraction(0))
    found["unpriced"] = produced - found.pop("priced")
    resets = (count.time[count.resets] for count in facts.counts.values())
    found["resets"] = Fraction(sum(int(((time >= start_ns) & (time < end_ns)).sum()) for time in resets))
    return found


def _quantities(
    counts: Mapping[str, Count], start_ns: int, end_ns: int, *, known: bool = False
) -> tuple[Fraction, Fraction]:
    """Return what was produced and what of it was scrap; with `known` without what was counted while nobody knew."""

    def amount(role: str) -> Fraction:
        whole = counts[role].between(start_ns, end_ns)
        return whole - counts[role].bridged(start_ns, end_ns) if known else whole

    if "produced" not in counts:
        scrap = amount("scrap") if "scrap" in counts else Fraction(0)
        return (amount("good") + scrap, scrap) if "good" in counts else (scrap, scrap)
    produced = amount("produced")
    if "scrap" in counts:
        return produced, amount("scrap")
    return produced, produced - amount("good") if "good" in counts else Fraction(0)


def _pieces(ideal: Track, start_ns: int, end_ns: int) -> list[tuple[int, int, Fraction]]:
    """The parts of a range that have one ideal cycle time, and that."""
    within = ideal.time[(ideal.time > start_ns) & (ideal.time < end_ns)]
    edges = np.array([start_ns, *within, end_ns], np.int64)
    rows = ideal.index(edges[:-1])
    return [
        (int(first), int(last), ideal.value[row])
        for first, last, row in zip(edges[:-1], edges[1:], rows, strict=True)
        if row >= 0 and last > first
    ]


def _startups(line: Timeline, startup_ns: int, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """The times soon after a setup, within [start, end), none twice."""
    _, ends, use = line.runs()
    found: list[tuple[int, int]] = []
    for end in ends[use == Use.SETUP].tolist():
        first, last = max(end, start_ns), min(end + startup_ns, end_ns)
        if found and first < found[-1][1]:
            first = found[-1][1]
        if first < last:
            found.append((first, last))
    return found
