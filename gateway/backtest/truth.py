"""What really was wrong, and when: a file of faults, CSV, as a maintenance system gives it away. Or what people said.

    asset,from,to,cause
    utilities/pump1,2026-01-05T06:20:00Z,2026-01-05T08:00:00Z,bearing_wear
    utilities/pump1,2026-01-07T10:00:00Z,,cavitation

`asset` is the path below the site, `from` when something began to be wrong, `to` when the machine failed or was
repaired, nothing if that is still to come, `cause` the name of a fault of its advice or of a tag, or nothing.

Without a file, the advice that was given live and rated by people (gateway/ratings.py) is what is known: what was
right, or really was something else, was a fault from the advice until it was cleared; what was wrong, a time without.
"""

import csv
import difflib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from api.times import time_ns
from gateway.backtest.judge import Fault, Truth
from gateway.model import Tag
from gateway.ratings import Advice

COLUMNS: Final = ("asset", "from", "to", "cause")


class WrongTruth(ValueError):
    """Lines of the file that say nothing that could be used; `findings` has one text for each."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__(findings[0])
        self.findings = findings


def read(path: Path, site: str, tags: Iterable[Tag], now_ns: int) -> list[Fault]:
    """Return the faults of a file. Raises OSError, WrongTruth with all that is wrong in it.

    `site` is the path that comes before each asset, `tags` are those that there are.
    """
    known = _names(tags)
    faults: list[Fault] = []
    wrong: list[str] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        lacking = [name for name in COLUMNS[:3] if name not in (rows.fieldnames or ())]
        if lacking:
            raise WrongTruth([f"{path}:1: there is no column {', '.join(lacking)}; they are {', '.join(COLUMNS)}"])
        for row in rows:
            try:
                faults.append(_fault(row, site, known, now_ns))
            except ValueError as error:
                wrong.append(f"{path}:{rows.line_num}: {error}")
    if wrong:
        raise WrongTruth(wrong)
    return faults


def rated(advices: Iterable[Advice], tags: Iterable[Tag]) -> Truth:
    """Return what people said of advice; what they said nothing of, or only that they saw it, is not known."""
    known = _names(tags)
    faults: list[Fault] = []
    well: list[tuple[str, int, int | None]] = []
    for advice in advices:
        said = advice.rating
        if said is None:
            continue
        cause = said.true_cause or (advice.cause if said.verdict == "right" else "")
        if cause:
            of_tag = cause in known.get(advice.asset, ())
            faults.append(Fault(advice.asset, advice.raised_ns, advice.cleared_ns, cause, of_tag))
        else:
            well.append((advice.asset, advice.raised_ns, advice.cleared_ns))
    return Truth(faults, well)


def _names(tags: Iterable[Tag]) -> Mapping[str, Collection[str]]:
    """The names of the tags of each asset."""
    known: dict[str, set[str]] = {}
    for tag in tags:
        known.setdefault(tag.asset, set()).add(tag.name)
    return known


def _fault(row: Mapping[str, str | None], site: str, known: Mapping[str, Collection[str]], now_ns: int) -> Fault:
    asset, start, end, cause = ((row.get(name) or "").strip() for name in COLUMNS)
    path = f"{site}/{asset}"
    if not any(one == path or one.startswith(f"{path}/") for one in known):
        near = difflib.get_close_matches(path, known, n=1)
        remedy = f"did you mean {near[0].removeprefix(f'{site}/')}?" if near else "write it without the site"
        raise ValueError(f"{asset or 'nothing'} is the asset of no device: {remedy}")
    start_ns, end_ns = time_ns(start, now_ns), time_ns(end, now_ns) if end else None
    if end_ns is not None and end_ns <= start_ns:
        raise ValueError(f"from {start} is not before to {end}")
    return Fault(path, start_ns, end_ns, cause, of_tag=cause in known.get(path, ()))
