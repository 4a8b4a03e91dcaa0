"""What watches the tags of an asset, together or each for itself: keys, what is derived, how readings come and go."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gateway.model import Batch, Catalog, Kind, Quality, Tag
from gateway.model.batch import objects
from gateway.signals._gate import Formula, Gate, named
from gateway.signals._options import Seconds, Watching
from gateway.signals._ticks import Ticks

DAY_NS: Final = 86_400 * 10**9
_SHARE_MIN: Final = 0.05
"""Tags with less of it are not named as a cause, if others have more."""


class AssetOptions(Watching):
    """Keys of a signal that watches an asset."""

    when: Formula = Field(
        default="", description="formula of tags of the asset: only while it is true the machine is judged and learned"
    )
    settle: int = Field(
        default=0, ge=0, description="ticks for which it must have been true, for the machine to settle"
    )
    period: Seconds = Field(default=1.0, ge=0.01, description="length of a tick, after which the tags are looked at")

    @property
    def beside(self) -> Sequence[str]:
        """Names of tags that are not watched, but needed to judge those that are."""
        return named(self.when)

    @property
    def watched(self) -> Sequence[str]:
        return [*self.tags, *self.beside]


class EachOptions(AssetOptions):
    """Keys of a signal that watches each tag for itself."""

    whole: bool = Field(default=False, description="watch the tags of all assets; this one has what is derived")

    @model_validator(mode="after")
    def _of_one_machine(self) -> Self:
        if self.whole and self.when:
            raise ValueError("when is about one machine: leave out whole, and give each machine a signal of its own")
        return self

    @property
    def watched(self) -> Sequence[str]:
        return [] if self.whole else super().watched


@dataclass(frozen=True, slots=True)
class Row:
    """What is known at the end of a tick: n tags, and behind them what is beside them; NaN for what is not known.

    `settled` is whether the machine has run for so long that it is judged.
    """

    time_ns: int
    value: NDArray[np.float64]
    runs: bool = True
    settled: bool = True

    @property
    def judged(self) -> NDArray[np.float64]:
        """The row, of which nothing is known unless the machine has settled."""
        return self.value if self.settled else np.full(len(self.value), np.nan)


class Watch(Protocol):
    """Looks at rows. After each, these are those of that row; `ratio` is 1 at the limit, NaN if there is none yet."""

    @property
    def ratio(self) -> float: ...

    @property
    def alarm(self) -> bool: ...

    @property
    def shares(self) -> NDArray[np.float64]:
        """What each tag has to do with it, shape (n,); they add up to 1."""
        ...

    def step(self, row: Row) -> None: ...


class Charts(Protocol):
    """Looks at each of n tags for itself. After each row these are of shape (n,); a ratio is NaN if it is unknown."""

    @property
    def ratio(self) -> NDArray[np.float64]: ...

    @property
    def alarm(self) -> NDArray[np.bool_]: ...

    @property
    def chart(self) -> NDArray[np.intp]:
        """Which of the charts has the ratio, as an index."""
        ...

    def step(self, row: NDArray[np.float64], part: int) -> None:
        """Take the next row, shape (n,), NaN for what is not known; `part` is which tick of the day it is."""
        ...


class Each:
    """A watch over tags of which each is looked at for itself: the worst of them, with the charts that tell of which.

    While the machine does not run there is no row for them: the next one follows upon the last, as if it had not stood.
    """

    def __init__(self, charts: Charts, names: Sequence[str], period_s: float) -> None:
        self._charts, self._names = charts, list(names)
        self._period_ns = int(period_s * 1e9)
        self._day = ticks_of_a_day(period_s)
        self.ratio = np.nan

    @property
    def guilty(self) -> NDArray[np.bool_]:
        return self._charts.alarm

    @property
    def alarm(self) -> bool:
        return bool(self._charts.alarm.any())

    @property
    def shares(self) -> NDArray[np.float64]:
        weight = np.where(self.guilty, np.nan_to_num(self._charts.ratio, nan=1.0, posinf=1e6), 0.0)
        return weight / max(float(weight.sum()), np.finfo(np.float64).tiny)

    def step(self, row: Row) -> None:
        self.ratio = np.nan
        if row.settled:
            n = len(self._charts.alarm)
            self._charts.step(row.value[:n], row.time_ns // self._period_ns % self._day)
            known = self._charts.ratio[~np.isnan(self._charts.ratio)]
            self.ratio = float(known.max()) if len(known) else np.nan

    def evidence(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Return the chart that tells of each tag in alarm."""
        return {names[i]: self._names[int(self._charts.chart[i])] for i in np.flatnonzero(self.guilty).tolist()}


def ticks_of_a_day(period_s: float) -> int:
    return max(1, round(DAY_NS / 1e9 / period_s))


def outputs(name: str, what: str, asset: str) -> Mapping[str, Tag]:
    return {
        "ratio": Tag(asset, f"_maintenance/{name}", unit="1", description=f"{what}: 1 is the limit"),
        "cause": Tag(asset, f"_maintenance/{name}_cause", description=f"{what}: the share of each tag"),
        "alarm": Tag(asset, f"_alarm/{name}", description=what),
    }


def outputs_of_each(name: str, what: str, asset: str) -> Mapping[str, Tag]:
    chart = Tag(asset, f"_maintenance/{name}_chart", description=f"{what}: what told it of each tag in alarm")
    return {**outputs(name, what, asset), "evidence": chart}


def watched(options: AssetOptions, catalog: Catalog) -> Mapping[str, int]:
    """Return the numbers of the tags to watch, by name, or by path if it is all assets'. Raises KeyError for none."""
    whole = isinstance(options, EachOptions) and options.whole
    if options.tags and not whole:
        return {name: catalog.number(f"{options.asset}/{name}") for name in options.tags}
    tags = [(number, catalog[number]) for number in catalog]
    found = {
        tag.path if whole else tag.name: number
        for number, tag in tags
        if (whole or tag.asset == options.asset)
        and (tag.name in options.tags if options.tags else not tag.name.startswith("_"))
    }
    if not found:
        raise KeyError(options.asset)
    return found


def columns(options: AssetOptions, catalog: Catalog) -> Mapping[str, int]:
    """Return the numbers of the tags to watch, and behind them of those needed beside them, by name; each once."""
    beside = {name: catalog.number(f"{options.asset}/{name}") for name in options.beside}
    return {**watched(options, catalog), **beside}


class AssetRows:
    """The rows of an asset, tick by tick."""

    def __init__(self, options: AssetOptions, catalog: Catalog) -> None:
        found = columns(options, catalog)
        self.names, self.inputs = list(found), np.array(list(found.values()), np.uint32)
        self._gate = Gate(options.when, self.names, options.settle) if options.when else None
        self._period_ns = int(options.period * 1e9)
        self._ticks = Ticks(self.inputs, self._period_ns, int(options.late * 1e9), options.hold)
        self._time = 0

    def take(self, batch: Batch) -> Iterator[Row]:
        """Take readings; yield the rows of ticks that are over. Readings that are no numbers go by.

        Where ticks are missing, or the clock was set, there is one in between in which nothing is known.
        """
        if batch.kind is Kind.OBJECT:
            return
        rows = self._ticks.add(batch)
        for time, value in zip(rows.time.tolist(), rows.value, strict=True):
            if self._time and time != self._time + self._period_ns:
                yield Row(self._time + self._period_ns, np.full(len(self.names), np.nan), runs=False)
            self._time = time
            settled = self._gate is None or self._gate.open(value)
            yield Row(time, value, self._gate is None or self._gate.runs, settled)


class AssetSignal:
    """A watch over the tags of an asset: tells the ratio with every tick, the alarm and its cause when they change.

    A watch that has `evidence` tells that with the cause, and both whenever `guilty`, the tags in alarm, changes.
    """

    def __init__(self, watch: Watch, options: AssetOptions, outputs: Mapping[str, int], catalog: Catalog) -> None:
        self._rows = AssetRows(options, catalog)
        self.inputs = self._rows.inputs
        self._watch = watch
        self._outputs = outputs
        self._told: Any = None

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Take readings; those that are no numbers are passed over."""
        ratios: list[tuple[int, float]] = []
        changes: list[tuple[int, bool, Any, Any]] = []
        for row in self._rows.take(batch):
            self._watch.step(row)
            if np.isnan(self._watch.ratio):
                continue
            ratios.append((row.time_ns, self._watch.ratio))
            if (state := self._state()) != self._told:
                self._told = state
                alarm = bool(self._watch.alarm)
                changes.append((row.time_ns, alarm, self._cause() if alarm else {}, self._evidence() if alarm else {}))
        return [*self._level(ratios), *self._alarms(changes)]

    def _state(self) -> Any:
        """What is told of when it changes."""
        return (bool(self._watch.alarm), *np.flatnonzero(getattr(self._watch, "guilty", ())).tolist())

    def _evidence(self) -> Any:
        return self._watch.evidence(self._rows.names) if hasattr(self._watch, "evidence") else {}

    def _level(self, ratios: Sequence[tuple[int, float]]) -> Sequence[Batch]:
        if not ratios:
            return []
        time, ratio = zip(*ratios, strict=True)
        return [Batch.of([self._outputs["ratio"]] * len(time), time, list(ratio), Quality.GOOD)]

    def _alarms(self, changes: Sequence[tuple[int, bool, Any, Any]]) -> Sequence[Batch]:
        if not changes:
            return []
        time, alarm, cause, evidence = (list(column) for column in zip(*changes, strict=True))
        columns = {"cause": objects(cause), "evidence": objects(evidence), "alarm": np.array(alarm)}
        n = len(time)
        return [
            Batch.of([self._outputs[role]] * n, time, column, Quality.GOOD)
            for role, column in columns.items()
            if role in self._outputs
        ]

    def _cause(self) -> Mapping[str, float]:
        """The tags that have most to do with it, the first the most, with their shares."""
        shares = self._watch.shares
        least = min(_SHARE_MIN, 0.5 * float(shares.max()))
        order = [int(i) for i in np.argsort(-shares, kind="stable") if shares[i] >= least]
        return {self._rows.names[i]: round(float(shares[i]), 3) for i in order}
