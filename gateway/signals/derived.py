"""Derived: a tag that is computed from others by a formula.

    signals:
      power:
        {type: derived, asset: cell/mill, formula: "torque * speed * 2 * pi / 60", unit: W}
      heat_failure:
        {type: derived, asset: cell/mill, formula: "process - air < 8.6 and speed < 1380",
         tags: {process: process_temperature, air: air_temperature}}

The names in a formula are tags of the asset, or stand for what `tags` says. The tag that is derived has the name of the
signal. It has a value for each time at which one of the others has one: what the formula makes of the latest value of
each, with the worst of their qualities. That is told once all of them have told of that time, or one of a later; what
comes for a time that is past counts from then on. Units are checked (_units.py) where tags have them.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateway.model import Batch, Catalog, Kind, Quality, Tag
from gateway.model.quality import bad
from gateway.signals import _units
from gateway.signals._expression import Expression


class Options(BaseModel):
    """Keys of a derived tag."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset: str = Field(description="path of the machine below the site, as its device has it")
    formula: str = Field(
        description="what it is, from the names of tags: + - * / ** comparisons, and, or, not, functions"
    )
    tags: dict[str, str] = Field(default={}, description="the tags that names in the formula stand for")
    unit: str = Field(default="", description="UCUM unit of the result")
    description: str = Field(default="", description="for people")
    check_units: bool = Field(
        default=True, description="whether what is added, compared and said of the result has to be in one unit"
    )

    @field_validator("formula")
    @classmethod
    def _formula(cls, text: str) -> str:
        if not Expression(text).names:
            raise ValueError(f"{text!r} names no tag")
        return text

    @property
    def watched(self) -> Sequence[str]:
        """The tags that the names in the formula stand for, in the order of these."""
        return [self.tags.get(name, name) for name in Expression(self.formula).names]


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return {"value": Tag(asset, name, unit=options.unit, description=options.description or options.formula)}


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> "Derived":
    expression = Expression(options.formula)
    numbers = [catalog.number(f"{options.asset}/{name}") for name in options.watched]
    if options.check_units:
        units = {name: catalog[number].unit for name, number in zip(expression.names, numbers, strict=True)}
        _units.check(options.formula, units, options.unit)
    return Derived(expression, numbers, outputs["value"])


class Derived:
    """The latest reading of each tag, and which of them have told of the time that is not told of yet."""

    def __init__(self, expression: Expression, numbers: Sequence[int], output: int) -> None:
        self.inputs = np.array(numbers, np.uint32)
        self._expression = expression
        self._output = output
        self._order = np.argsort(self.inputs)
        n = len(numbers)
        self._value, self._quality = np.full(n, np.nan), np.full(n, Quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self._time_ns: int | None = None
        self._lacking = np.ones(n, np.bool_)
        self._told = True
        self._found: list[tuple[int, NDArray[np.float64], NDArray[np.uint32]]] = []

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Take readings of the tags; texts and structures, which are no numbers, are passed over."""
        if batch.kind is Kind.OBJECT or not len(batch):
            return ()
        place = self._order[np.searchsorted(self.inputs, batch.tag, sorter=self._order)]
        value = np.where(bad(batch.quality), np.nan, batch.value.astype(np.float64))
        first = batch.time[0] if self._time_ns is None else max(int(batch.time[0]), self._time_ns)
        time = np.maximum.accumulate(np.concatenate([[first], batch.time[1:]]))
        edges = [0, *(np.flatnonzero(np.diff(time)) + 1).tolist(), len(time)]
        for begin, end in itertools.pairwise(edges):
            self._take(int(time[begin]), place[begin:end], value[begin:end], batch.quality[begin:end])
        return self._computed()

    def _take(
        self, time_ns: int, place: NDArray[np.intp], value: NDArray[np.float64], quality: NDArray[np.uint32]
    ) -> None:
        """Take what came for one time; what comes once all have told of it is no part of it."""
        if time_ns != self._time_ns:
            self._tell()
            self._time_ns, self._told = time_ns, False
            self._lacking[:] = True
        end = self._whole_at(place)
        self._set(place[:end], value[:end], quality[:end])
        if not self._told and not self._lacking.any():
            self._tell()
        self._set(place[end:], value[end:], quality[end:])

    def _whole_at(self, place: NDArray[np.intp]) -> int:
        """How many of these readings it takes until all have told of this time; all of them if not all do."""
        came, first = np.unique(place, return_index=True)
        lacking = self._lacking[came]
        return int(first[lacking].max()) + 1 if lacking.sum() == self._lacking.sum() > 0 else len(place)

    def _set(self, place: NDArray[np.intp], value: NDArray[np.float64], quality: NDArray[np.uint32]) -> None:
        self._value[place], self._quality[place] = value, quality
        self._lacking[place] = False

    def _tell(self) -> None:
        if not self._told and self._time_ns is not None:
            self._found.append((self._time_ns, self._value.copy(), self._quality.copy()))
            self._told = True

    def _computed(self) -> Sequence[Batch]:
        """A reading per time that was told of."""
        if not self._found:
            return ()
        times, values, qualities = (np.array(column) for column in zip(*self._found, strict=True))
        self._found = []
        found = self._expression(dict(zip(self._expression.names, values.T, strict=True)))
        worst = qualities.max(axis=1)
        usable = ~bad(worst)
        worst[usable & ~np.isfinite(found)] = Quality.BAD_OUT_OF_RANGE
        none = False if found.dtype == np.bool_ else np.nan
        tags = np.full(len(times), self._output, np.uint32)
        return [Batch(tags, times, np.where(bad(worst), none, found), worst)]
