"""Readings against all limits at once, as columns; a Python step only where something changes. Pure.

A reading is spread over the alarms that watch its tag, and each alarm has what it needs in a row of some columns: the
limit at which it holds, the one below which it does not, how it was. An alarm `holds` from the moment when a reading
reaches its limit, and no more from that when one is below its deadband (6.2 of ISA-18.2: high: value < limit -
deadband). It is raised, or cleared, when that has been so for its delay: by the times of its readings, or if none come,
by the time that passes here. That a tag cannot be read is so from when that came.

A reading that is bad, is the last one once more, or is no number says nothing: the alarm stays as it is, `known` says
so, and a delay begins anew once something is known again. So it is after a restart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.alarms.rule import Kind, Rule
from gateway.model import Batch, Quality
from gateway.model import Kind as Column
from gateway.model.quality import bad

_NEVER: Final = np.iinfo(np.int64).min // 2
_OLD: Final = (
    Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE,
    Quality.UNCERTAIN_LAST_USABLE_VALUE,
)
_CODE: Final = np.uint32(0xFFFF_0000)


@dataclass(frozen=True, slots=True)
class Turn:
    """An alarm, by its place among the rules, is raised or cleared at a time [ns], by this value if it is a number."""

    rule: int
    raised: bool
    time_ns: int
    value: float


class _Spread:
    """Readings spread over the alarms that watch their tags: columns of shape (k,), sorted by alarm, else as they came.

    `first` is where the rows of the alarm of a row begin.
    """

    def __init__(self, batch: Batch, rows: NDArray[np.intp], entries: "_Entries") -> None:
        tag = batch.tag[rows]
        count = entries.count[tag]
        row = np.repeat(rows, count)
        within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        entry = np.repeat(entries.start[tag], count) + within
        order = np.argsort(entries.rule[entry], kind="stable")
        self.row, entry = row[order], entry[order]
        self.rule = entries.rule[entry]
        self.setpoint = entries.setpoint[entry]
        self.time, self.quality = batch.time[self.row], batch.quality[self.row]
        place = np.arange(len(self.rule))
        begins = np.r_[True, self.rule[1:] != self.rule[:-1]]
        self.first = np.maximum.accumulate(np.where(begins, place, 0))
        self.last = np.flatnonzero(np.r_[begins[1:], True])
        self._place = place

    def newest(self, of: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the newest row up to each that is one of these, of the same alarm; -1 if there is none."""
        found = np.maximum.accumulate(np.where(of, self._place, -1))
        return np.where(found >= self.first, found, -1)

    def before(self, of: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the newest row before each that is one of these, of the same alarm; -1 if there is none."""
        found = np.r_[-1, np.maximum.accumulate(np.where(of, self._place, -1))[:-1]]
        return np.where(found >= self.first, found, -1)


class _Entries:
    """Which alarms watch a tag: those of tag t are `rule[start[t] : start[t] + count[t]]`.

    `setpoint` says that the tag is not what is watched but the setpoint of that.
    """

    def __init__(self, watched: Sequence[tuple[int, int, bool]]) -> None:
        """`watched` has number of the tag, alarm, and whether it is its setpoint."""
        columns = np.array(sorted(watched), np.int64).reshape(-1, 3)
        self.rule = columns[:, 1]
        self.setpoint = columns[:, 2].astype(np.bool_)
        self.count = np.bincount(columns[:, 0], minlength=1)
        self.start = np.cumsum(self.count) - self.count

    def rows(self, batch: Batch) -> NDArray[np.intp]:
        """Return which readings anybody watches."""
        size = len(self.count)
        return np.flatnonzero(self.count[np.minimum(batch.tag, size - 1)] * (batch.tag < size))


class Watch:
    """All alarms of the configuration, and how it is with each: columns by the place of its rule.

    `numbers` has the number of each tag by path. `active` is what is told of each, by whoever keeps that.
    """

    def __init__(self, rules: Sequence[Rule], numbers: Mapping[str, int], now_ns: int) -> None:
        m = len(rules)
        self._entries = _Entries(
            [(numbers[rule.tag], place, False) for place, rule in enumerate(rules)]
            + [(numbers[rule.setpoint], i, True) for i, rule in enumerate(rules) if isinstance(rule.setpoint, str)]
        )
        self._kind = np.array([list(Kind).index(rule.kind) for rule in rules], np.int64)
        self._sign = np.array([1.0 if rule.high else -1.0 for rule in rules])
        self._on = self._sign * np.array([rule.limit for rule in rules])
        self._off = self._on - np.array([rule.deadband for rule in rules])
        self._delay = np.array([[rule.off_delay_ns, rule.on_delay_ns] for rule in rules], np.int64).reshape(m, 2)
        self._per = np.array([float(rule.per_ns) for rule in rules])
        self._silent = np.array([rule.silent_ns for rule in rules], np.int64)
        self._words = _numbered(rules)
        self._values, self._textual = _table(rules, self._words)
        self.active = np.zeros(m, np.bool_)
        self.known = np.zeros(m, np.bool_)
        self.value = np.full(m, np.nan)
        self.time = np.full(m, _NEVER)
        self.quality = np.full(m, Quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self._holds = np.zeros(m, np.bool_)
        self._since = np.zeros(m, np.int64)
        self._heard = np.zeros(m, np.int64)
        self._came = np.full(m, now_ns)
        self._setpoint = np.array([rule.setpoint if isinstance(rule.setpoint, float) else np.nan for rule in rules])

    def begin(self, active: Iterable[int]) -> None:
        """Take it that these alarms are active, and that nothing is known of any."""
        self.active[:] = False
        self.active[list(active)] = True
        self._holds = self.active.copy()
        self.known[:] = False

    def take(self, batch: Batch, received_ns: int) -> list[Turn]:
        """Return which alarms are raised and cleared by readings, in order of the alarms and of their times."""
        rows = self._entries.rows(batch)
        if len(rows) == 0:
            return []
        spread = _Spread(batch, rows, self._entries)
        x = self._numbers(batch, spread)
        with np.errstate(over="ignore", invalid="ignore"):  # numbers of machines may be as large as they like
            usable, quantity = self._judged(spread, x)
        signed = self._sign[spread.rule] * quantity
        reaches, leaves = usable & (signed >= self._on[spread.rule]), usable & (signed < self._off[spread.rule])
        decided = spread.newest(reaches | leaves)
        holds = np.where(decided >= 0, reaches[decided], self._holds[spread.rule])
        turns = self._changes(spread, usable, holds, x, received_ns)
        self._keep(spread, x, received_ns)
        return turns

    def wake(self, now_ns: int) -> list[Turn]:
        """Return which alarms are raised and cleared because nothing came to the contrary until now."""
        silent = (self._silent > 0) & (now_ns - self._came >= self._silent) & ~(self._holds & self.known)
        since = self._came + self._silent
        self._since = np.where(silent, since, self._since)
        self._heard = np.where(silent, since, self._heard)
        self._holds |= silent
        self.known |= silent
        due = self.known & (self._holds != self.active)
        due &= now_ns >= self._heard + self._delays()
        return [self._turned(rule, self._since[rule] + self._delays()[rule]) for rule in np.flatnonzero(due).tolist()]

    # --- as columns -------------------------------------------------------------------------

    def _numbers(self, batch: Batch, spread: _Spread) -> NDArray[np.float64]:
        """The values as each alarm sees them: numbers, or numbers of texts; NaN where they are not what it expects."""
        if batch.kind is not Column.OBJECT:
            x: NDArray[np.float64] = batch.value[spread.row].astype(np.float64)
            return np.where(self._textual[spread.rule], np.nan, x)
        values, textual = batch.value[spread.row], self._textual[spread.rule].tolist()
        pairs = zip(values, textual, strict=True)
        return np.array([self._number(value) if text == isinstance(value, str) else np.nan for value, text in pairs])

    def _number(self, value: Any) -> float:
        if isinstance(value, str):
            return self._words.get(value, -1.0)
        return float(value) if isinstance(value, (bool, int, float)) else np.nan

    def _judged(self, spread: _Spread, x: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which rows say something, and what is to be compared with the limits."""
        kind = self._kind[spread.rule]
        old = np.isin(spread.quality & _CODE, _OLD)
        usable = ~bad(spread.quality) & ~old & np.isfinite(x)
        quantity = np.where(usable, x, np.nan)
        of = {one: kind == list(Kind).index(one) for one in Kind}
        if of[Kind.COMMS].any():
            quantity = np.where(of[Kind.COMMS], bad(spread.quality) | old, quantity)
            usable = usable | of[Kind.COMMS]
        if of[Kind.RATE].any():
            quantity = np.where(of[Kind.RATE], self._rates(spread, quantity), quantity)
        if of[Kind.DEVIATION].any():
            difference = self._differences(spread, quantity)
            quantity = np.where(of[Kind.DEVIATION], difference, quantity)
            usable = np.where(of[Kind.DEVIATION], np.isfinite(difference), usable)
        by_values = of[Kind.OFF_NORMAL] | of[Kind.DISCRETE]
        if by_values.any():
            among = (x[:, None] == self._values[spread.rule]).any(axis=1)
            quantity = np.where(by_values, among ^ of[Kind.OFF_NORMAL], quantity)
        return usable, quantity

    def _rates(self, spread: _Spread, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The change since the reading before, per time of the rule; NaN if there is none, or none that is older."""
        before = spread.before(np.isfinite(x))
        value = np.where(before >= 0, x[before], self.value[spread.rule])
        elapsed = spread.time - np.where(before >= 0, spread.time[before], self.time[spread.rule])
        rates = (x - value) * self._per[spread.rule] / np.maximum(elapsed, 1)
        return np.where(elapsed > 0, rates, np.nan)

    def _differences(self, spread: _Spread, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The newest value minus the newest setpoint, NaN where one of them is not known."""
        value, setpoint = spread.newest(~spread.setpoint), spread.newest(spread.setpoint)
        setpoints = np.where(setpoint >= 0, x[setpoint], self._setpoint[spread.rule])
        return np.where(value >= 0, x[value], self.value[spread.rule]) - setpoints

    def _keep(self, spread: _Spread, x: NDArray[np.float64], received_ns: int) -> None:
        """Remember the newest value, time and quality of each alarm, and that something came."""
        usable = np.isfinite(x) & ~bad(spread.quality) & ~np.isin(spread.quality & _CODE, _OLD)
        rule = spread.rule[spread.last]
        self._came[rule] = received_ns
        self.quality[rule] = spread.quality[spread.last]
        deviation = self._kind[spread.rule] == list(Kind).index(Kind.DEVIATION)
        kept = (usable | deviation) & ~spread.setpoint
        newest = spread.newest(kept)[spread.last]
        has = newest >= 0
        self.value[rule[has]] = np.where(usable, x, np.nan)[newest[has]]
        self.time[rule[has]] = spread.time[newest[has]]
        newest = spread.newest(spread.setpoint)[spread.last]
        has = newest >= 0
        self._setpoint[rule[has]] = np.where(usable, x, np.nan)[newest[has]]

    # --- what changes -----------------------------------------------------------------------

    def _changes(
        self,
        spread: _Spread,
        usable: NDArray[np.bool_],
        holds: NDArray[np.bool_],
        x: NDArray[np.float64],
        received_ns: int,
    ) -> list[Turn]:
        """Walk through the rows of those alarms of which something changes, or whose delay is over."""
        rule = spread.rule
        comms = self._kind[rule] == list(Kind).index(Kind.COMMS)
        time = np.where(comms, received_ns, spread.time)  # of what cannot be read, its source cannot say since when
        x = np.where(spread.setpoint, np.nan, x)
        pending = (self._holds != self.active)[rule] & (time >= (self._since + self._delays())[rule])
        changed = (holds != self._holds[rule]) | (usable != self.known[rule]) | pending
        turns: list[Turn] = []
        for one in np.unique(rule[changed]).tolist():
            first, end = np.searchsorted(rule, [one, one + 1])
            for row in range(first, end):
                turns += self._step(
                    one, int(time[row]), bool(usable[row]), bool(holds[row]), float(x[row]), received_ns
                )
        return turns

    def _step(
        self, rule: int, time_ns: int, usable: bool, holds: bool, value: float, received_ns: int
    ) -> Iterable[Turn]:
        if self._is_due(rule, time_ns):  # it was so until this reading came, whatever that says
            yield self._turned(rule, self._due_ns(rule))
        if not usable:
            self.known[rule] = False
            return
        if holds != self._holds[rule] or not self.known[rule]:
            self._since[rule], self._heard[rule] = time_ns, received_ns
            self._holds[rule], self.known[rule] = holds, True
        if self._is_due(rule, time_ns):
            yield self._turned(rule, self._due_ns(rule), value)

    def _delays(self) -> NDArray[np.int64]:
        """How long each alarm must be as it is, to be told."""
        return np.where(self._holds, self._delay[:, 1], self._delay[:, 0])

    def _due_ns(self, rule: int) -> int:
        return int(self._since[rule] + self._delay[rule, int(self._holds[rule])])

    def _is_due(self, rule: int, time_ns: int) -> bool:
        return bool(self.known[rule] and self._holds[rule] != self.active[rule] and time_ns >= self._due_ns(rule))

    def _turned(self, rule: int, time_ns: int, value: float = np.nan) -> Turn:
        self.active[rule] = self._holds[rule]
        told = float(self.value[rule]) if np.isnan(value) else value
        return Turn(rule, bool(self.active[rule]), int(time_ns), told)


def _numbered(rules: Sequence[Rule]) -> dict[str, float]:
    texts = {value for rule in rules for value in rule.values if isinstance(value, str)}
    return {text: float(number) for number, text in enumerate(sorted(texts))}


def _table(rules: Sequence[Rule], words: Mapping[str, float]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The values of each rule as numbers, shape (rules, most), NaN where there are no more; and which are texts."""
    rows = [[words[one] if isinstance(one, str) else float(one) for one in rule.values] for rule in rules]
    most = max(map(len, rows), default=0)
    table = np.full((len(rules), most), np.nan)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    textual = np.array([bool(rule.values) and isinstance(rule.values[0], str) for rule in rules], np.bool_)
    return table, textual
