"""A backtest as one page of HTML, without anything from elsewhere and without scripts.

Figures for each configuration, what became of each fault, when signals had raised something, and each finding with the
tags it is about (drawing.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

import numpy as np

from gateway.backtest import drawing, figures
from gateway.backtest.drawing import Ask, Picture, Plot
from gateway.backtest.figures import lasting, moment
from gateway.backtest.judge import Fault, Finding
from gateway.backtest.trial import Backtest, Judged, Trial
from gateway.model.tag import shadow_of

_PICTURES: Final = 100
"""Findings of a configuration that are drawn; the others are in the figures."""
_TAGS: Final = 3
"""Tags that are drawn, those with the largest shares."""
_AROUND_NS: Final = (600_000_000_000, 86_400_000_000_000)
"""How much time before and after a finding is drawn: as long as it lasts, but within these."""
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1d2733;--faint:#5b6877;--rule:#d5dce4;--paper:#fff;--band:#e4ebf3;--true:#f6d8a8;
--line:#1f5fa8;--mark:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaef;--faint:#9aa7b5;--rule:#3a4552;--paper:#12171d;--band:#25313e;
--true:#5a4520;--line:#7db4f0;--mark:#ff8a80}}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:var(--ink);
background:var(--paper)}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}h3{font-size:1rem;margin:1.75rem 0 0}p{margin:.25rem 0 .75rem}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:0 0 1rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .75rem .3rem 0;text-align:left;border-bottom:1px solid var(--rule)}th{font-weight:600}
.faint{color:var(--faint)}.false{color:var(--mark)}svg{display:block;max-width:100%;height:auto;margin:.5rem 0}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)}svg .faint{fill:var(--faint)}
svg .band{fill:var(--band)}svg .true{fill:var(--true)}svg .on{fill:var(--mark)}svg .frame{fill:none;stroke:var(--rule)}
svg .line{fill:none;stroke:var(--line);stroke-width:1.5}svg .mark{stroke:var(--mark);stroke-dasharray:3 3}
svg .should{stroke:var(--faint);stroke-dasharray:6 4}
"""


def page(backtest: Backtest, ask: Ask) -> str:
    """Return the page; `ask` is for the readings of a tag, in [start, end), as many as a picture needs."""
    title = f"Backtest of {backtest.site}"
    body = [f"<h1>{escape(title)}</h1><p>{escape(figures.span(backtest))}.</p>"]
    for trial in backtest.trials:
        body += [f"<h2>{escape(trial.title)}</h2>", _table(backtest, trial), _faults(backtest, trial)]
        body += [f"<p class=faint>{escape(remark)}.</p>" for remark in figures.remarks(backtest, trial)]
        body += [_when(backtest, trial), *_findings(backtest, trial, ask)]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _table(backtest: Backtest, trial: Trial) -> str:
    rows = [_row("td", figures.cells(backtest, one)) for one in trial.judged]
    return f"<div class=wide><table>{_row('th', figures.HEADINGS)}{''.join(rows)}</table></div>"


def _faults(backtest: Backtest, trial: Trial) -> str:
    rows = [_row("td", (line.fault, line.fate)) for line in figures.lines(backtest, trial)]
    return (
        f"<div class=wide><table>{_row('th', ('fault', 'what became of it'))}{''.join(rows)}</table></div>"
        if rows
        else ""
    )


def _row(cell: str, texts: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{escape(text)}</{cell}>' for text in texts)}</tr>"


def _when(backtest: Backtest, trial: Trial) -> str:
    """All of the period: a row for each signal, with its findings and the faults of its asset."""
    span = backtest.period.span
    rows = [
        drawing.Row(
            one.watcher.signal,
            [(fault.start_ns, fault.end_ns) for fault in _of(backtest.faults, one.watcher.asset)],
            [(finding.raised_ns, finding.cleared_ns) for finding in one.verdict.findings],
        )
        for one in trial.judged
    ]
    legend = "Shaded: a fault. Bar, and dotted line: raised. Band: what the tag may be; dashed line: what it should be."
    return f"{drawing.rows(rows, span.start_ns, span.end_ns)}<p class=faint>{legend}</p>" if rows else ""


def _findings(backtest: Backtest, trial: Trial, ask: Ask) -> Iterator[str]:
    every = [(one, finding) for one in trial.judged for finding in one.verdict.findings]
    every.sort(key=lambda pair: (pair[0].watcher.what != "advice", pair[1].raised_ns))
    for one, finding in every[:_PICTURES]:
        yield f"<h3>{escape(_heading(one, finding))}</h3>"
        false = any(finding is other for other in one.verdict.false)
        yield "<p class=false>false: nothing was wrong</p>" if false else ""
        yield f"<p class=faint>{escape(finding.message)}</p>" if finding.message else ""
        yield drawing.drawn(_picture(backtest, finding, ask))
    if len(every) > _PICTURES:
        more = f"{len(every) - _PICTURES} more findings are not drawn: shorten the time, or use --json."
        yield f"<p class=faint>{more}</p>"


def _heading(one: Judged, finding: Finding) -> str:
    said = figures.first_cause(finding)
    until = (
        "still on" if finding.cleared_ns is None else f"for {lasting((finding.cleared_ns - finding.raised_ns) / 1e9)}"
    )
    return f"{one.watcher.signal}{': ' if said else ''}{said}, raised {moment(finding.raised_ns)}, {until}"


def _picture(backtest: Backtest, finding: Finding, ask: Ask) -> Picture:
    end_ns = backtest.period.span.end_ns if finding.cleared_ns is None else finding.cleared_ns
    around_ns = min(max(end_ns - finding.raised_ns, _AROUND_NS[0]), _AROUND_NS[1])
    start_ns, end_ns = finding.raised_ns - around_ns, min(end_ns + around_ns, backtest.period.span.end_ns)
    plots = [
        _plot(backtest, finding, name, ask, (start_ns, end_ns))
        for name in list(finding.cause)[:_TAGS] or [f"_maintenance/{finding.signal}"]
    ]
    faults = [(fault.start_ns, fault.end_ns) for fault in _of(backtest.faults, finding.asset)]
    return Picture(start_ns, end_ns, finding.raised_ns, finding.cleared_ns, faults, plots)


def _plot(backtest: Backtest, finding: Finding, name: str, ask: Ask, span_ns: tuple[int, int]) -> Plot:
    """A tag of the finding; what a signal on trial derives is elsewhere in history."""
    asset = "" if name.startswith(f"{backtest.site}/") else f"{finding.asset}/"
    share, facts = finding.cause.get(name, np.nan), finding.evidence.get(name, {})
    readings = ask(f"{asset}{name}", *span_ns) or ask(f"{asset}{shadow_of(name)}", *span_ns)
    caption = f"{name}, {share:.0%} of the cause" if share <= 1 else name
    return Plot(caption, readings, facts.get("expected"), facts.get("allowed"))


def _of(faults: Sequence[Fault], asset: str) -> list[Fault]:
    """Faults of an asset, and of what is below it."""
    return [fault for fault in faults if f"{fault.asset}/".startswith(f"{asset}/")]
