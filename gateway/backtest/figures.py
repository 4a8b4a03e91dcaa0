"""What came of a backtest, as text and as JSON. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from gateway.backtest.judge import Fault, Finding, Found, Verdict
from gateway.backtest.trial import Backtest, Judged, Trial

HEADINGS: Final = ("signal", "asset", "", "raised", "found", "right cause", "lead", "false", "per week", "in alarm")


@dataclass(frozen=True, slots=True)
class Line:
    """How a fault fared with a configuration: the fault, and what became of it."""

    fault: str
    fate: str


def as_text(backtest: Backtest) -> str:
    """Return figures for people: a table for each configuration, what became of each fault, and what is to be known."""
    parts = [span(backtest)]
    for trial in backtest.trials:
        rows = [HEADINGS, *(cells(backtest, one) for one in trial.judged)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        faults = [f"{line.fault}: {line.fate}" for line in lines(backtest, trial)]
        parts.append("\n".join([trial.title, *table, *([""] if faults else []), *faults, *remarks(backtest, trial)]))
    return "\n\n".join(parts)


def as_json(backtest: Backtest) -> dict[str, Any]:
    """Return all figures and findings; times are RFC 3339, durations seconds, `found` in parallel to configurations."""
    period = backtest.period
    return {
        "from": moment(period.span.start_ns),
        "to": moment(period.span.end_ns),
        "learns_from": moment(period.warm_ns),
        "before_s": period.before_ns / 1e9,
        "faults": [
            _fault(backtest, fault) | {"found": [_found(trial.first(fault)) for trial in backtest.trials]}
            for fault in backtest.faults
        ],
        "configurations": [
            {"config": trial.title, "signals": [_signal(backtest, one) for one in trial.judged]}
            for trial in backtest.trials
        ],
    }


def cells(backtest: Backtest, one: Judged) -> tuple[str, ...]:
    """Return what is said of a signal, in the order of HEADINGS; a dash where nothing is known."""
    verdict = one.verdict
    faults = len(verdict.found) + len(verdict.missed)
    named = [found.right for found in verdict.found if found.right is not None]
    per_week = verdict.false_per_week
    return (
        one.watcher.signal,
        backtest.below(one.watcher.asset),
        f"{one.watcher.what}{', on trial' if one.shadow else ''}",
        str(len(verdict.findings)),
        f"{len(verdict.found)} of {faults}" if faults else "-",
        f"{sum(named)} of {len(named)}" if named else "-",
        lasting(lead_s(verdict)),
        "-" if per_week is None else str(len(verdict.false)),
        "-" if per_week is None else f"{per_week:.3g}",
        f"{verdict.in_alarm:.1%}",
    )


def lines(backtest: Backtest, trial: Trial) -> Iterable[Line]:
    """Return what became of each fault: found by the first advice, or the first alarm, when and how rightly."""
    for fault in backtest.faults:
        until = "still there" if fault.end_ns is None else f"until {moment(fault.end_ns)}"
        what = f"{backtest.below(fault.asset)} {fault.cause or 'fault'} since {moment(fault.start_ns)}, {until}"
        yield Line(what, fate(trial.first(fault)))


def fate(found: Found | None) -> str:
    """Return how a fault was found, in words."""
    if found is None:
        return "missed"
    came = f"{lasting(abs(found.delay_s))} {'after it began' if found.delay_s >= 0 else 'before it began'}"
    left = "" if found.lead_s is None else f", {lasting(found.lead_s)} before its end"
    right = {True: "right", False: f"another, {first_cause(found.finding)}", None: "not said"}[found.right]
    return f"found by {found.finding.signal} {came}{left}; cause: {right}"


def remarks(backtest: Backtest, trial: Trial) -> Iterable[str]:
    """Return what keeps the figures from saying more: who had not learned in time, and what is not known."""
    start_ns = backtest.period.span.start_ns
    for one in trial.judged:
        if one.watcher.what == "alarm" and one.learned_ns is None:
            yield f"{one.watcher.signal} learned nothing: it has too few readings, begin the warm-up earlier"
        elif one.learned_ns is not None and one.learned_ns > start_ns:
            yield f"{one.watcher.signal} was learning until {moment(one.learned_ns)}: begin the warm-up earlier"
    if backtest.truth.well is not None and (backtest.truth.well or backtest.truth.faults):
        yield "what is known is what people said of advice: what is raised at other times is neither found nor false"
    if not backtest.truth.faults:
        yield "no fault is known: found, lead and cause are not told"


def span(backtest: Backtest) -> str:
    """Return which time was judged, and what came before."""
    period = backtest.period
    learning = lasting((period.span.start_ns - period.warm_ns) / 1e9)
    ends = f"{moment(period.span.start_ns)} to {moment(period.span.end_ns)}"
    return f"backtest of {ends}; signals see {learning} more before it"


def lead_s(verdict: Verdict) -> float | None:
    """Return the median of the leads; None if there is none."""
    leads = [found.lead_s for found in verdict.found if found.lead_s is not None]
    return median(leads) if leads else None


def first_cause(finding: Finding) -> str:
    """Return what a finding names first: the fault, else the tag."""
    return finding.name or next(iter(finding.cause), "")


def lasting(seconds: float | None) -> str:
    """Return a duration as people say it: `41 min`."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def moment(time_ns: int) -> str:
    """Return a time as RFC 3339, whole seconds."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _signal(backtest: Backtest, one: Judged) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "signal": one.watcher.signal,
        "asset": backtest.below(one.watcher.asset),
        "what": one.watcher.what,
        "shadow": one.shadow,
        "learned": _maybe(one.learned_ns),
        "found": [_fault(backtest, found.fault) | _found(found) for found in verdict.found],
        "missed": [_fault(backtest, fault) for fault in verdict.missed],
        "lead_s": lead_s(verdict),
        "false": None if verdict.false_per_week is None else len(verdict.false),
        "false_per_week": verdict.false_per_week,
        "in_alarm": verdict.in_alarm,
        "findings": [_finding(finding, verdict.false) for finding in verdict.findings],
    }


def _finding(one: Finding, false: Sequence[Finding]) -> dict[str, Any]:
    return {
        "raised": moment(one.raised_ns),
        "cleared": _maybe(one.cleared_ns),
        "name": one.name,
        "cause": dict(one.cause),
        "message": one.message,
        "false": any(one is other for other in false),
    }


def _found(found: Found | None) -> dict[str, Any]:
    if found is None:
        return {"by": None}
    return {
        "by": found.finding.signal,
        "raised": moment(found.finding.raised_ns),
        "said": first_cause(found.finding),
        "delay_s": found.delay_s,
        "lead_s": found.lead_s,
        "right_cause": found.right,
    }


def _fault(backtest: Backtest, fault: Fault) -> dict[str, Any]:
    ends = {"from": moment(fault.start_ns), "to": _maybe(fault.end_ns)}
    return {"asset": backtest.below(fault.asset), **ends, "cause": fault.cause}


def _maybe(time_ns: int | None) -> str | None:
    return None if time_ns is None else moment(time_ns)
