"""What watches the tags of an asset together: its keys, what it derives, and how readings come to it and go from it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from gateway.model import Batch, Catalog, Kind, Quality, Tag
from gateway.model.batch import objects
from gateway.signals._expression import Expression
from gateway.signals._options import Seconds, Watching
from gateway.signals._ticks import Ticks


def _formula(text: str) -> str:
    if text:
        Expression(text)
    return text


Formula = Annotated[str, AfterValidator(_formula)]
"""A formula, or nothing."""

_SHARE_MIN: Final = 0.05
"""Tags with less of it are not named as a cause."""


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
        return Expression(self.when).names if self.when else []

    @property
    def watched(self) -> Sequence[str]:
        return [*self.tags, *self.beside]


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

    def step(self, row: NDArray[np.float64]) -> None:
        """Take the next row: n tags, and behind them what is beside them; NaN for what is not known."""
        ...


def outputs(name: str, what: str, asset: str) -> Mapping[str, Tag]:
    return {
        "ratio": Tag(asset, f"_maintenance/{name}", unit="1", description=f"{what}: 1 is the limit"),
        "cause": Tag(asset, f"_maintenance/{name}_cause", description=f"{what}: the share of each tag"),
        "alarm": Tag(asset, f"_alarm/{name}", description=what),
    }


def watched(options: AssetOptions, catalog: Catalog) -> Sequence[str]:
    """Return the names of the tags to watch. Raises KeyError if there is none."""
    names = options.tags or [
        catalog[number].name
        for number in catalog
        if catalog[number].asset == options.asset and not catalog[number].name.startswith("_")
    ]
    if not names:
        raise KeyError(options.asset)
    return names


def columns(options: AssetOptions, catalog: Catalog) -> Sequence[str]:
    """Return the names of the tags to watch, and behind them of those that are needed beside them; each once."""
    return list(dict.fromkeys([*watched(options, catalog), *options.beside]))


def _nobody_looks(row: NDArray[np.float64], runs: bool) -> None: ...


class AssetRows:
    """The rows of an asset, tick by tick; all of one is NaN while the machine does not run, or nothing is known."""

    def __init__(self, options: AssetOptions, catalog: Catalog) -> None:
        self.names = columns(options, catalog)
        self.inputs = np.array([catalog.number(f"{options.asset}/{name}") for name in self.names], np.uint32)
        self._gate = Gate(options.when, self.names, options.settle) if options.when else None
        self._period_ns = int(options.period * 1e9)
        self._ticks = Ticks(self.inputs, self._period_ns, int(options.late * 1e9), options.hold)
        self._time = 0

    def take(
        self, batch: Batch, look: Callable[[NDArray[np.float64], bool], None] = _nobody_looks
    ) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Take readings; yield the ends of ticks that are over, and their rows. Those that are no numbers go by.

        `look` sees each row before that as it is, and whether the machine runs, settled or not.

        Where ticks are missing, or the clock was set, there is one in between in which nothing is known.
        """
        if batch.kind is Kind.OBJECT:
            return
        rows = self._ticks.add(batch)
        nothing = np.full(len(self.names), np.nan)
        for time, row in zip(rows.time.tolist(), rows.value, strict=True):
            if self._time and time != self._time + self._period_ns:
                yield self._time + self._period_ns, nothing
            self._time = time
            settled = self._gate is None or self._gate.open(row)
            look(row, self._gate is None or self._gate.runs)
            yield time, row if settled else nothing


class AssetSignal:
    """A watch over the tags of an asset: tells the ratio with every tick, the alarm and its cause when they change.

    A watch that has `evidence` tells that with the cause, and both whenever `guilty`, the tags in alarm, changes. One
    that has `look` sees each row first, also while the machine does not run or has not settled.
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
        for time, row in self._rows.take(batch, getattr(self._watch, "look", _nobody_looks)):
            self._watch.step(row)
            if np.isnan(self._watch.ratio):
                continue
            ratios.append((time, self._watch.ratio))
            if (state := self._state()) != self._told:
                self._told = state
                alarm = bool(self._watch.alarm)
                changes.append((time, alarm, self._cause() if alarm else {}, self._evidence() if alarm else {}))
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
        order = [int(i) for i in np.argsort(-shares, kind="stable") if shares[i] >= _SHARE_MIN]
        return {self._rows.names[i]: round(float(shares[i]), 3) for i in order}


class Gate:
    """Whether a machine runs and has settled, by a formula of columns of a row."""

    def __init__(self, when: str, names: Sequence[str], settle: int) -> None:
        self._expression = Expression(when)
        self._places = [names.index(name) for name in self._expression.names]
        self._settle = settle
        self._up = 0

    @property
    def runs(self) -> bool:
        return self._up > 0

    def open(self, row: NDArray[np.float64]) -> bool:
        values = row[self._places]
        columns = dict(zip(self._expression.names, values[:, None], strict=True))
        runs = not np.isnan(values).any() and bool(self._expression(columns)[0])
        self._up = self._up + 1 if runs else 0
        return self._up > self._settle
