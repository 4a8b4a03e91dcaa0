"""What really was wrong, and when: a file of faults, CSV, as a maintenance system gives it away.

    asset,from,to,cause
    utilities/pump1,2026-01-05T06:20:00Z,2026-01-05T08:00:00Z,bearing_wear
    utilities/pump1,2026-01-07T10:00:00Z,,cavitation

`asset` is the path below the site, `from` when something began to be wrong, `to` when the machine failed or was
repaired, nothing if that is still to come, `cause` the name of a fault of its advice or of a tag, or nothing.
"""

import csv
import difflib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from api.times import time_ns
from gateway.backtest.judge import Fault
from gateway.model import Tag

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
    known: dict[str, set[str]] = {}
    for tag in tags:
        known.setdefault(tag.asset, set()).add(tag.name)
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
