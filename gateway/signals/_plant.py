"""What watches every tag for itself, of an asset or of the whole plant: its keys, and how readings come and go."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gateway.model import Batch, Catalog, Kind, Quality, Tag
from gateway.model.batch import objects
from gateway.signals._options import Watching
from gateway.signals._ticks import Ticks

DAY_S: Final = 86_400


class PlantOptions(Watching):
    """Keys of a signal that watches tags one by one."""

    whole: bool = Field(default=False, description="watch the tags of all assets; this one has what is derived")

    @property
    def watched(self) -> Sequence[str]:
        return [] if self.whole else self.tags


class Watch(Protocol):
    """Looks at rows. After each, these are those of that row, shape (n,); a ratio is 1 at the limit, NaN if unknown."""

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


def ticks_of_a_day(period_s: float) -> int:
    return max(1, round(DAY_S / period_s))


def outputs(name: str, what: str, asset: str) -> Mapping[str, Tag]:
    return {
        "ratio": Tag(asset, f"_maintenance/{name}", unit="1", description=f"{what}: 1 is the limit, of the worst tag"),
        "cause": Tag(asset, f"_maintenance/{name}_cause", description=f"{what}: the share of each tag in alarm"),
        "chart": Tag(asset, f"_maintenance/{name}_chart", description=f"{what}: what told it of each tag in alarm"),
        "alarm": Tag(asset, f"_alarm/{name}", description=what),
    }


def watched(options: PlantOptions, catalog: Catalog) -> Sequence[int]:
    """Return the numbers of the tags to watch. Raises KeyError if there is none."""
    numbers = [
        number
        for number in catalog
        if (options.whole or catalog[number].asset == options.asset)
        and (catalog[number].name in options.tags if options.tags else not catalog[number].name.startswith("_"))
    ]
    if not numbers:
        raise KeyError(options.asset)
    return numbers


class PlantSignal:
    """Tells the worst ratio with every tick, and the alarm when it changes; what it is about, whenever that changes."""

    def __init__(
        self,
        watch: Watch,
        charts: Sequence[str],
        period_s: float,
        options: PlantOptions,
        outputs: Mapping[str, int],
        catalog: Catalog,
    ) -> None:
        numbers = watched(options, catalog)
        tags = [catalog[number] for number in numbers]
        self.inputs = np.array(numbers, np.uint32)
        self._names = [tag.path if options.whole else tag.name for tag in tags]
        self._watch, self._charts, self._outputs = watch, list(charts), dict(outputs)
        self._period_ns = int(period_s * 1e9)
        self._day = ticks_of_a_day(period_s)
        self._ticks = Ticks(self.inputs, self._period_ns, int(options.late * 1e9), options.hold)
        self._told = np.zeros(len(tags), np.bool_)
        self._silent = True

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Take readings; those that are no numbers are passed over."""
        if batch.kind is Kind.OBJECT:
            return ()
        rows = self._ticks.add(batch)
        told: dict[str, list[tuple[int, Any]]] = {role: [] for role in self._outputs}
        for time, row in zip(rows.time.tolist(), rows.value, strict=True):
            self._watch.step(row, time // self._period_ns % self._day)
            known = self._watch.ratio[~np.isnan(self._watch.ratio)]
            if len(known):
                told["ratio"].append((time, float(known.max())))
                self._changes(time, told)
        return [
            Batch.of(
                [self._outputs[role]] * len(rows_),
                [time for time, _ in rows_],
                objects([value for _, value in rows_]) if role in ("cause", "chart") else [value for _, value in rows_],
                Quality.GOOD,
            )
            for role, rows_ in told.items()
            if rows_
        ]

    def _changes(self, time: int, told: Mapping[str, list[tuple[int, Any]]]) -> None:
        """Tell of the alarm and what it is about, if that is another one than before."""
        alarm = self._watch.alarm
        if not self._silent and np.array_equal(alarm, self._told):
            return
        if self._silent or alarm.any() != self._told.any():
            told["alarm"].append((time, bool(alarm.any())))
        guilty = np.flatnonzero(alarm)
        weight = np.nan_to_num(self._watch.ratio[guilty], nan=1.0, posinf=1e6)
        order = np.argsort(-weight, kind="stable").tolist()
        shares = weight / max(float(weight.sum()), 1e-300)
        names = [self._names[i] for i in guilty.tolist()]
        told["cause"].append((time, {names[i]: round(float(shares[i]), 3) for i in order}))
        chart = self._watch.chart[guilty]
        told["chart"].append((time, {names[i]: self._charts[int(chart[i])] for i in order}))
        self._told, self._silent = alarm.copy(), False
