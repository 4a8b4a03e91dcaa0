"""Stops of a unit: from when to when it did not produce, of which kind, and why. Blocks, in the thread of the file."""

from typing import Any, Final

import numpy as np

from gateway.production.elements import spans
from gateway.production.file import ProductionFile
from gateway.production.keeper import Keeper
from gateway.production.shifts import DAY_NS
from gateway.production.timeline import STOPS, Timeline, Use
from gateway.production.unit import Unit

_STOP_USES: Final = (*STOPS, Use.UNKNOWN, Use.SETUP)
WORDS: Final = {use: use.name.lower() for use in Use}


class Stops:
    """What a keeper knows of stops, with what people said of them."""

    def __init__(self, keeper: Keeper, file: ProductionFile) -> None:
        self._keeper = keeper
        self._file = file

    def now(self, unit: Unit) -> str:
        """Return how a unit uses its time, as far as anything is known."""
        known = self._keeper.known_ns
        line = spans(self._keeper.facts(unit, known - 1, known), known - 1, known)
        return WORDS[Use(line.use[-1])]

    def of(self, unit: Unit, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return the stops of a unit that began in a range, by time; `end` is None of one that lasts."""
        line, until = self._spans(unit, start_ns, end_ns)
        begin, end, use = line.runs()
        failed = line.failures(unit.minor_ns)
        said = self._file.reasons(unit.name, start_ns, end_ns)
        told = self._keeper.said(unit, "reason", start_ns, until)
        words = self._keeper.labels(unit, "reason")
        found = []
        for first, last, kind, broken in zip(begin.tolist(), end.tolist(), use.tolist(), failed.tolist(), strict=True):
            if kind not in _STOP_USES or not start_ns <= first < end_ns:
                continue
            human = said.get(first, {})
            found.append(
                {
                    "unit": unit.name,
                    "begin": first,
                    "end": last if last < until else None,
                    "seconds": (min(last, until) - first) / 1e9,
                    "kind": WORDS[Use(kind)],
                    "breakdown": bool(broken),
                    "reason": human.get("code") or _told(told.time, told.value, first, last, words),
                    "text": human.get("text", ""),
                    "said_by": human.get("who", ""),
                }
            )
        return found

    def _spans(self, unit: Unit, start_ns: int, end_ns: int) -> tuple[Timeline, int]:
        """The timeline of a range, as far on as its last stop lasts, and until when that is known."""
        known = max(self._keeper.known_ns, start_ns)
        for until in (min(known, end_ns + DAY_NS), known):
            line = spans(self._keeper.facts(unit, start_ns, until), start_ns, until)
            if until == known or line.runs()[0][-1] >= end_ns:
                return line, until
        raise AssertionError("the second turn returns")


def _told(time: Any, value: Any, begin_ns: int, end_ns: int, words: Any) -> str:
    """What the machine itself gave as a reason within a stop: the first thing it said, 0 being none."""
    rows = slice(max(int(np.searchsorted(time, begin_ns, "right")) - 1, 0), int(np.searchsorted(time, end_ns)))
    return next((str(words.get(said, said)) for said in value[rows] if said not in (None, 0, "", "0")), "")
