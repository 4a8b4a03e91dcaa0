"""Findings beside what really happened. Pure.

A fault is a stretch of time in which something was wrong with a machine, up to its failure or its repair; whoever
knows of the failure only says how long `before` it a finding is none too early. A finding that is on within this time
is about the fault, the first of them finds it, and

    delay   from the begin of the fault to the finding
    lead    from the finding to the end of the fault, but no longer than the fault and `before`

A finding that names the cause of another fault, at which it is on as well, is about that one only: of faults that
overlap, one does not find the other. A finding about no fault is false, if it is known that nothing was wrong then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

WEEK_NS: Final = 7 * 86_400_000_000_000
_NEVER_NS: Final = 2**62


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was wrong with an asset (its path); `end_ns` is None while it still is, `cause` empty if unknown.

    `cause` is the name of a fault of the advice, or that of a tag of the asset; `of_tag` says which.
    """

    asset: str
    start_ns: int
    end_ns: int | None
    cause: str = ""
    of_tag: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a signal raised at an asset; `cleared_ns` is None while it is on.

    `name` is that of the fault that an advice names, empty for an alarm. `cause` are shares of tags, the largest first,
    `evidence` what is known of each tag.
    """

    signal: str
    asset: str
    raised_ns: int
    cleared_ns: int | None
    name: str = ""
    cause: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    message: str = ""

    def names(self, cause: str) -> bool:
        """Whether this is what it says first."""
        return cause in (self.name, next(iter(self.cause), None))


@dataclass(frozen=True, slots=True)
class Truth:
    """The faults, and the stretches (asset, start, end) when nothing was wrong; None is all the rest of the time."""

    faults: Sequence[Fault] = ()
    well: Sequence[tuple[str, int, int | None]] | None = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A fault, and the finding that found it. `right` is None if they name no cause, or a fault and a tag."""

    fault: Fault
    finding: Finding
    delay_s: float
    lead_s: float | None
    right: bool | None


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is judged, [start, end)."""

    start_ns: int
    end_ns: int

    def meets(self, start_ns: int, end_ns: int | None) -> bool:
        return start_ns < self.end_ns and _end(end_ns) > self.start_ns


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a signal would have been worth. `false_per_week` is None if it is not known when nothing was wrong."""

    found: Sequence[Found]
    missed: Sequence[Fault]
    findings: Sequence[Finding]
    false: Sequence[Finding]
    false_per_week: float | None
    in_alarm: float
    """Share of the time, 0 to 1, in which it has raised something."""


def judged(asset: str, findings: Iterable[Finding], truth: Truth, span: Span, before_ns: int = 0) -> Verdict:
    """Judge what one signal has raised at an asset, and at what is below it, in a span of time."""
    on = [one for one in findings if span.meets(one.raised_ns, one.cleared_ns)]
    faults = [one for one in truth.faults if _within(one.asset, asset) and span.meets(one.start_ns, one.end_ns)]
    about = [(one, _about(one, faults, before_ns)) for one in on]
    found, missed = [], []
    for fault in faults:
        its = [one for one, several in about if fault in several]
        if its:
            found.append(_found(fault, min(its, key=lambda one: one.raised_ns), before_ns))
        else:
            missed.append(fault)
    false = [one for one, several in about if not several and _well(one, truth)]
    known = truth.well is None or any(_within(one, asset) for one, _, _ in truth.well)
    weeks = (span.end_ns - span.start_ns) / WEEK_NS
    return Verdict(found, missed, on, false, len(false) / weeks if known else None, _share(on, span))


def _within(asset: str, above: str) -> bool:
    return asset == above or asset.startswith(f"{above}/")


def _about(finding: Finding, faults: Sequence[Fault], before_ns: int) -> Sequence[Fault]:
    """The faults that a finding is about: those that it names, or all at which it is on."""
    met = [
        one
        for one in faults
        if _within(one.asset, finding.asset)
        and Span(one.start_ns - before_ns, _end(one.end_ns)).meets(finding.raised_ns, finding.cleared_ns)
    ]
    return [one for one in met if one.cause and finding.names(one.cause)] or met


def _found(fault: Fault, finding: Finding, before_ns: int) -> Found:
    raised_ns = max(finding.raised_ns, fault.start_ns - before_ns)
    lead_s = None if fault.end_ns is None else (fault.end_ns - raised_ns) / 1e9
    named = bool(fault.cause) and bool(finding.name or (finding.cause and fault.of_tag))
    return Found(
        fault, finding, (raised_ns - fault.start_ns) / 1e9, lead_s, finding.names(fault.cause) if named else None
    )


def _well(finding: Finding, truth: Truth) -> bool:
    """Whether it is known that nothing was wrong at some time at which it is on."""
    return truth.well is None or any(
        _within(asset, finding.asset) and Span(start_ns, _end(end_ns)).meets(finding.raised_ns, finding.cleared_ns)
        for asset, start_ns, end_ns in truth.well
    )


def _share(findings: Iterable[Finding], span: Span) -> float:
    """Of the span, the share in which at least one of them is on."""
    total = 0
    reached_ns = span.start_ns
    for one in sorted(findings, key=lambda one: one.raised_ns):
        end_ns = min(_end(one.cleared_ns), span.end_ns)
        total += max(0, end_ns - max(one.raised_ns, reached_ns))
        reached_ns = max(reached_ns, end_ns)
    return total / (span.end_ns - span.start_ns)


def _end(end_ns: int | None) -> int:
    return _NEVER_NS if end_ns is None else end_ns
