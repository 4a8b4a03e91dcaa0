"""One configuration on the past: its signals replayed, and each of them judged."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gateway.backtest.findings import Findings, Watcher
from gateway.backtest.judge import Fault, Finding, Found, Span, Truth, Verdict, judged
from gateway.backtest.replay import replayed
from gateway.clock import SystemClock
from gateway.config import Config, Document
from gateway.historian.history import History
from gateway.model import Catalog
from gateway.plan import Plan, plan
from gateway.plugins import Protocols, signal_kinds
from gateway.recall import Built


@dataclass(frozen=True, slots=True)
class Judged:
    """A signal that raises something, whether it is on trial, and its verdict.

    `learned_ns` is when it told something for the first time; None if it never did, or tells nothing but that.
    """

    watcher: Watcher
    shadow: bool
    learned_ns: int | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Trial:
    """What a configuration, called `title`, would have raised."""

    title: str
    judged: Sequence[Judged]

    def first(self, fault: Fault) -> Found | None:
        """Return how a fault was found: by the first advice, or by the first alarm if there was none."""
        every = [(one.watcher.what != "advice", found) for one in self.judged for found in one.verdict.found]
        its = [(rank, found.finding.raised_ns, i) for i, (rank, found) in enumerate(every) if found.fault == fault]
        return every[min(its)[2]][1] if its else None


@dataclass(frozen=True, slots=True)
class Period:
    """What is judged; signals see what comes from `warm_ns` on, a finding may come `before_ns` before a fault."""

    span: Span
    warm_ns: int
    before_ns: int = 0


@dataclass(frozen=True, slots=True)
class Backtest:
    """What configurations would have raised in a period. `site` is the path before all assets."""

    site: str
    period: Period
    truth: Truth
    trials: Sequence[Trial]

    @property
    def faults(self) -> Sequence[Fault]:
        """Those in the period, in order."""
        span = self.period.span
        met = [fault for fault in self.truth.faults if span.meets(fault.start_ns, fault.end_ns)]
        return sorted(met, key=lambda fault: fault.start_ns)

    def below(self, asset: str) -> str:
        """Return the path of an asset below the site."""
        return asset.removeprefix(f"{self.site}/")


def planned(config: Config, document: Document) -> Plan:
    """Return the plan of a configuration without connectors. Raises ConfigError."""
    return plan(config, document, Catalog(), Protocols(), signal_kinds(), SystemClock(), only=())


def tried(title: str, plan: Plan, history: History, truth: Truth, period: Period) -> Trial:
    """Replay history through the signals of a plan, which are used up by this, and judge what they raise."""
    findings = Findings(plan.signals, plan.catalog)
    signals = _leading(plan.signals, {watcher.signal for watcher in findings.watchers})
    for told in replayed(signals, plan.catalog, history, period.warm_ns, period.span.end_ns):
        findings.take(told)
    by_signal: Mapping[str, list[Finding]] = {watcher.signal: [] for watcher in findings.watchers}
    for one in findings.all:
        by_signal[one.signal].append(one)
    return Trial(
        title,
        [
            Judged(
                watcher,
                bool(plan.signals[watcher.signal].trials),
                findings.learned_ns.get(watcher.signal),
                judged(watcher.asset, by_signal[watcher.signal], truth, period.span, period.before_ns),
            )
            for watcher in findings.watchers
        ],
    )


def _leading(signals: Mapping[str, Built], raising: Collection[str]) -> Mapping[str, Built]:
    """Those that raise something, and those that they take from; the others cost time and come to nothing."""
    wanted: set[int] = set()
    leading = []
    for name, built in reversed(list(signals.items())):
        if name in raising or wanted.intersection(built.outputs.tolist()):
            leading.append(name)
            wanted.update(built.signal.inputs.tolist())
    return {name: signals[name] for name in reversed(leading)}
