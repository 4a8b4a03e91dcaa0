"""Production as one would work it out with a pencil: tick by tick, reading by reading, rational numbers.

The slow reference of tests/property/test_production.py. It shares the words of gateway.production and none of its ways.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

Rows = Sequence[tuple[int, int | None]]
"""Times in ticks, rising, and values; None from when nobody knows."""


@dataclass(frozen=True)
class Plain:
    """A history in ticks of `tick` nanoseconds from `origin` on; words for states are those of State, lower case."""

    state: Sequence[tuple[int, str | None]]
    until: int
    mode: Sequence[tuple[int, str | None]] = ()
    ideal: Sequence[tuple[int, Fraction]] = ()
    counts: Mapping[str, Rows] = field(default_factory=dict)
    orders: Sequence[tuple[int, int]] = ()
    shifts: Sequence[tuple[frozenset[int], int, int, Sequence[tuple[int, int]]]] = ()
    zone: str = "UTC"
    modulus: int = 0
    minor: int = 5
    startup: int = 5
    tick: int = 10**9
    origin: int = 0


def worked_out(plain: Plain, start: int, end: int) -> dict[str, Fraction]:
    """Return the elements of the ticks in [start, end)."""
    end = max(start, min(end, plain.until))
    pad = plain.minor + plain.startup + 2
    ticks = range(start - pad, min(end + pad, plain.until))
    planned = dict(zip(ticks, map(_planning(plain), ticks), strict=True))
    use = {tick: _use(plain, planned[tick], tick) for tick in ticks}
    found: dict[str, Fraction] = {}

    def time(name: str, counts: Callable[[int], bool]) -> None:
        found[name] = Fraction(sum(plain.tick for tick in range(start, end) if counts(tick)), 10**9)

    time("APT", lambda t: use[t] == "producing")
    time("AUST", lambda t: use[t] == "setup")
    time("ADET", lambda t: use[t] in ("delay", "waiting", "corrective"))
    time("ADOT", lambda t: use[t] in ("down", "failure"))
    time("POT", lambda t: planned[t] == "shift")
    time("PDT", lambda t: planned[t] == "shift" and use[t] in ("planned", "preventive"))
    time("overtime", lambda t: planned[t] != "shift" and use[t] in ("producing", "setup"))
    time("unknown", lambda t: use[t] == "unknown")
    time("calendar", lambda t: True)
    time("AOET", lambda t: _ordered(plain, t))
    time("idle", lambda t: use[t] == "down")
    time("CMT", lambda t: use[t] == "corrective")
    time("PMT", lambda t: use[t] == "preventive")
    broken = {t for t in ticks if use[t] in ("failure", "corrective") or (use[t] == "delay" and _long(plain, use, t))}
    time("breakdown", lambda t: t in broken)
    time("minor", lambda t: use[t] in ("delay", "waiting") and t not in broken)
    begins = [t for t in range(start, end) if t in broken and use.get(t - 1) != use[t]]
    found["FE"] = Fraction(len(begins))
    found["AUPT"] = found["APT"] + found["AUST"]
    found["AUBT"] = found["AUPT"] + found["ADET"]
    found["PBT"] = found["AUBT"] + found["ADOT"]
    return found | _counted(plain, use, start, end)


def _counted(plain: Plain, use: Mapping[int, str], start: int, end: int) -> dict[str, Fraction]:
    zero = Fraction(0)
    names = ("PQ", "GQ", "SQ", "RQ", "unpriced", "ideal", "ideal_good", "ideal_startup", "energy", "resets")
    found = dict.fromkeys(names, zero)
    for role, rows in plain.counts.items():
        before: int | None = None
        bridged = False
        for tick, value in rows:
            if value is None:
                bridged = True
                continue
            if before is not None and start <= tick < end:
                rolls = value < before < plain.modulus and (value - before) % plain.modulus * 16 < plain.modulus
                reset = value < before and not rolls
                step = Fraction(0 if reset else value - before + (plain.modulus if rolls else 0))
                found["resets"] += reset
                price = next((seconds for since, seconds in reversed(plain.ideal) if since <= tick), None)
                priced = price is not None and not bridged
                cost = step * price if priced and price is not None else zero
                early = any(use.get(t - 1) == "setup" and use.get(t) not in (None, "setup")
                            for t in range(tick - plain.startup + 1, tick + 1))  # fmt: skip
                for name, factor in _SHARE[role].items():
                    found[name] += factor * step
                found["unpriced"] += zero if priced else _SHARE[role].get("PQ", 0) * step
                found["ideal"] += _SHARE[role].get("PQ", 0) * cost
                found["ideal_good"] += _SHARE[role].get("GQ", 0) * cost
                found["ideal_startup"] += _SHARE[role].get("SQ", 0) * cost if early else zero
            before, bridged = value, False
    return found


_SHARE: Mapping[str, Mapping[str, int]] = {
    "produced": {"PQ": 1, "GQ": 1},
    "scrap": {"SQ": 1, "GQ": -1},
    "rework": {"RQ": 1},
    "energy": {"energy": 1},
}


def _long(plain: Plain, use: Mapping[int, str], tick: int) -> bool:
    first = last = tick
    while use.get(first - 1) == "delay" and last - first <= plain.minor:
        first -= 1
    while use.get(last + 1) == "delay" and last - first <= plain.minor:
        last += 1
    return last - first + 1 > plain.minor


def _use(plain: Plain, planned: str, tick: int) -> str:
    state, mode = _now(plain.state, tick) or "unknown", _now(plain.mode, tick)
    if state != "unknown" and mode == "setup":
        state = "setup"
    if state != "unknown" and mode == "maintenance":
        state = "maintenance"
    if state in ("producing", "setup"):
        return state
    if planned == "outside":
        return "outside"
    if planned == "break":
        return "planned"
    if state == "idle":
        return "delay" if _ordered(plain, tick) else "down"
    if state == "maintenance":
        return "corrective" if _ordered(plain, tick) else "preventive"
    return state


def _now(rows: Sequence[tuple[int, str | None]], tick: int) -> str | None:
    return next((value for since, value in reversed(rows) if since <= tick), None)


def _ordered(plain: Plain, tick: int) -> bool:
    return any(first <= tick < last for first, last in plain.orders)


def _planning(plain: Plain) -> Callable[[int], str]:
    zone = ZoneInfo(plain.zone)
    shown: dict[int, datetime] = {}

    def wall(tick: int) -> datetime:
        """What the clock on the wall shows, without its offset."""
        if tick not in shown:
            seconds, left = divmod(plain.origin + tick * plain.tick, 10**9)
            at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=left // 1000)
            shown[tick] = at.astimezone(zone).replace(tzinfo=None)
        return shown[tick]

    def passed(tick: int, day: date, minute: int) -> bool:
        """Whether the clock on the wall has shown this time, or did so before it was put back."""
        bound = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
        hour = 3_600 * 10**9 // plain.tick + 1
        if wall(tick) >= bound or bound - wall(tick) > timedelta(hours=1):
            return wall(tick) >= bound
        return any(wall(earlier) >= bound for earlier in range(tick - hour, tick))

    def during(tick: int, day: date, begin: int, end: int, after: int = 0) -> bool:
        first = begin if begin >= after else begin + 1440
        last = next(minute for minute in (end, end + 1440, end + 2880) if minute > first)
        return passed(tick, day, first) and not passed(tick, day, last)

    def planned(tick: int) -> str:
        if not plain.shifts:
            return "shift"
        found = {"outside"}
        for back in (0, 1, 2):
            day = wall(tick).date() - timedelta(days=back)
            for days, begin, end, breaks in plain.shifts:
                if day.weekday() in days and during(tick, day, begin, end):
                    found.add("break" if any(during(tick, day, *pause, after=begin) for pause in breaks) else "shift")
        return next(word for word in ("shift", "break", "outside") if word in found)

    return planned
