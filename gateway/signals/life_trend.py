"""Life by trend: when one tag will reach a limit, if it goes on as it does (ISO 13374-2, prognosis).

    signals:
      bearing_life: {type: life_trend, input: utilities/pump1/_maintenance/bearing_velocity, limit: 4.5, step: 1h}

The means of steps of the same length are the points of a line to the limit (_prognosis/trend.py); an exponential one,
if the shape says so, as damage that feeds on itself has. Told are the likely time, the interval of 90 % and the basis:
`trend`, `limit` once it is reached, or `none` if nothing honest can be said: too few points, no trend that is sure, or
a limit farther away than the trend has been seen for, three times over. No accuracy is promised: a trend knows nothing
of what a machine of this kind does at its end.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.model import Batch, Catalog, Kind, Tag
from gateway.signals import _life
from gateway.signals._gate import Formula, Running, named
from gateway.signals._options import Seconds
from gateway.signals._prognosis.trend import LEAST, crossing
from gateway.signals._times import in_a_row

_HOUR_NS: Final = 3600e9
_BACK: Final = 60
"""After so many readings in a row that are behind by more than a trend needs, theirs is the time."""


class Options(BaseModel):
    """Keys of a life by trend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str = Field(description="path of the tag that tells how worn the machine is")
    limit: float = Field(allow_inf_nan=False, description="where the machine has to be stopped, in its unit")
    side: Literal["above", "below"] = Field(default="above", description="where it is worn: above the limit or below")
    shape: Literal["linear", "exponential"] = Field(default="linear", description="how it wears")
    step: Seconds = Field(default=3600.0, ge=1, description="length of time of which one mean is taken")
    points: int = Field(default=60, ge=LEAST, le=1000, description="means that a trend is read off, at most")
    when: Formula = Field(
        default="", description="formula of tags of the same asset: only while it is true readings count"
    )

    @property
    def beside(self) -> Sequence[str]:
        """Names of tags of the same asset that say whether readings count."""
        return named(self.when)

    @model_validator(mode="after")
    def _has_a_logarithm(self) -> "Options":
        if self.shape == "exponential" and self.limit <= 0:
            raise ValueError("an exponential trend has a limit above 0: write shape: linear")
        return self


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return _life.outputs(name, asset)


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> "LifeByTrend":
    running = Running(options.when, catalog.number(options.input), catalog)
    return LifeByTrend(running, options, _life.Told(outputs))


class LifeByTrend:
    """The means of the last steps, and that of the one which goes on."""

    def __init__(self, running: Running, options: Options, told: _life.Told) -> None:
        self.inputs = running.inputs
        self._running = running
        self._options = options
        self._told = told
        self._step_ns = int(options.step * 1e9)
        self._begin()

    def _begin(self) -> None:
        self._time = np.empty(0)
        self._mean = np.empty(0)
        self._open: int | None = None
        self._sum, self._n = 0.0, 0
        self._behind = 0

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Take readings; those that are bad or come for a step that is over count for nothing."""
        if batch.kind is Kind.OBJECT:
            return ()
        counts = self._running.take(batch)
        return self._taken(counts.where(counts.good & np.isfinite(counts.value)))

    def _taken(self, good: Batch) -> Sequence[Batch]:
        if not len(good):
            return ()
        end = self._set_back(good.time // self._step_ns)
        if end is None:
            return self._take(good)
        before = self._take(good.take(np.arange(end)))
        self._begin()
        return [*before, *self._taken(good.take(np.arange(end, len(good))))]

    def _set_back(self, step: NDArray[np.int64]) -> int | None:
        """The row at which it is clear that the clock was set back, or had been ahead; None if neither."""
        newest = np.maximum.accumulate(step if self._open is None else np.fmax(step, self._open))
        run = in_a_row(step < newest - LEAST, self._behind)
        self._behind = int(run[-1])
        clear = np.flatnonzero(run >= _BACK)
        return int(clear[0]) if len(clear) else None

    def _take(self, good: Batch) -> list[Batch]:
        step = good.time // self._step_ns
        newest = np.maximum.accumulate(step if self._open is None else np.fmax(step, self._open))
        in_time = good.where(step == newest)
        step, time, value = step[step == newest], in_time.time, in_time.value.astype(np.float64)
        found: list[Batch] = []
        starts = np.flatnonzero(np.diff(step, prepend=step[:1] - 1)).tolist()
        for begin, end in pairwise([*starts, len(step)]):
            if self._open is not None and step[begin] != self._open:
                found += self._closed(self._open, int(time[begin]))
            self._open = int(step[begin])
            self._sum = float(np.cumsum(np.append(self._sum, value[begin:end]))[-1])  # in order, so any cut is the same
            self._n += end - begin
        return found

    def _closed(self, step: int, time_ns: int) -> list[Batch]:
        """Take the mean of a step that is over, and say what follows."""
        self._time = np.append(self._time, step * self._step_ns / _HOUR_NS)[-self._options.points :]
        self._mean = np.append(self._mean, self._sum / self._n)[-self._options.points :]
        self._sum, self._n = 0.0, 0
        sign = 1.0 if self._options.side == "above" else -1.0
        if sign * self._mean[-1] >= sign * self._options.limit:
            return self._told.of(time_ns, (0.0, 0.0, 0.0), "limit")
        value, limit = self._shaped(self._mean), self._shaped(np.array([self._options.limit]))
        if not np.isfinite(value).all() or len(value) < LEAST:
            return self._told.of(time_ns, None, "none")
        since = self._time - self._time[-1]
        found = crossing(since, sign * value, sign * float(limit[0]))
        return self._told.of(time_ns, dataclasses.astuple(found) if found else None, "trend")

    def _shaped(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._options.shape == "linear":
            return value
        with np.errstate(invalid="ignore", divide="ignore"):
            logarithm: NDArray[np.float64] = np.log(value)
        return logarithm
