"""What watches the tags of an asset together: its keys, what it derives, and how readings come to it and go from it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.model import Batch, Catalog, Kind, Quality, Tag
from gateway.model.batch import objects
from gateway.model.duration import seconds
from gateway.signals._ticks import Ticks

Seconds = Annotated[float, BeforeValidator(seconds, json_schema_input_type=str | float)]

_SHARE_MIN: Final = 0.05
"""Tags with less of it are not named as a cause."""


class AssetOptions(BaseModel):
    """Keys of a signal that watches an asset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset: str = Field(description="path of the machine below the site, as its device has it")
    tags: list[str] = Field(
        default=[], description="names of the tags to watch; all that are numbers, if none is named"
    )
    period: Seconds = Field(default=1.0, ge=0.01, description="length of a tick, after which the tags are looked at")
    late: Seconds = Field(default=2.0, ge=0, description="how long a tick waits for readings of other tags")
    hold: int = Field(default=60, ge=0, description="ticks for which a tag is what it was, without a reading")

    @property
    def watched(self) -> Sequence[str]:
        return self.tags


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
        """Take the next row, shape (n,), NaN for what is not known."""
        ...


def outputs(name: str, what: str, asset: str) -> Mapping[str, Tag]:
    return {
        "ratio": Tag(asset, f"_maintenance/{name}", unit="1", description=f"{what}: 1 is the limit"),
        "cause": Tag(asset, f"_maintenance/{name}_cause", description=f"{what}: the share of each tag"),
        "alarm": Tag(asset, f"_alarm/{name}", description=what),
    }


def inputs(options: AssetOptions, catalog: Catalog) -> tuple[NDArray[np.uint32], Sequence[str]]:
    """Return numbers and names of the tags to watch. Raises KeyError for one that there is not, or if there is none."""
    names = options.tags or [
        catalog[number].name
        for number in catalog
        if catalog[number].asset == options.asset and not catalog[number].name.startswith("_")
    ]
    if not names:
        raise KeyError(options.asset)
    return np.array([catalog.number(f"{options.asset}/{name}") for name in names], np.uint32), names


class AssetSignal:
    """A watch over the tags of an asset: tells the ratio with every tick, the alarm and its cause when they change."""

    def __init__(self, watch: Watch, options: AssetOptions, outputs: Mapping[str, int], catalog: Catalog) -> None:
        self.inputs, self._names = inputs(options, catalog)
        self._watch = watch
        self._outputs = outputs
        self._ticks = Ticks(self.inputs, int(options.period * 1e9), int(options.late * 1e9), options.hold)
        self._told: bool | None = None

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Take readings; those that are no numbers are passed over."""
        if batch.kind is Kind.OBJECT:
            return ()
        rows = self._ticks.add(batch)
        ratios: list[float] = []
        changes: list[tuple[int, bool, Any]] = []
        for time, row in zip(rows.time.tolist(), rows.value, strict=True):
            self._watch.step(row)
            ratios.append(self._watch.ratio)
            if self._watch.alarm is not self._told and not np.isnan(self._watch.ratio):
                self._told = self._watch.alarm
                changes.append((time, self._told, self._cause() if self._told else {}))
        known = ~np.isnan(ratios)
        return [*self._level(rows.time[known], np.array(ratios)[known]), *self._alarms(changes)]

    def _level(self, time: NDArray[np.int64], ratio: NDArray[np.float64]) -> Sequence[Batch]:
        return [Batch.of([self._outputs["ratio"]] * len(time), time, ratio, Quality.GOOD)] if len(time) else []

    def _alarms(self, changes: Sequence[tuple[int, bool, Any]]) -> Sequence[Batch]:
        if not changes:
            return []
        time, alarm, cause = (list(column) for column in zip(*changes, strict=True))
        n = len(time)
        return [
            Batch.of([self._outputs["alarm"]] * n, time, alarm, Quality.GOOD),
            Batch.of([self._outputs["cause"]] * n, time, objects(cause), Quality.GOOD),
        ]

    def _cause(self) -> Mapping[str, float]:
        """The tags that have most to do with it, the first the most, with their shares."""
        shares = self._watch.shares
        order = [int(i) for i in np.argsort(-shares, kind="stable") if shares[i] >= _SHARE_MIN]
        return {self._names[i]: round(float(shares[i]), 3) for i in order}
