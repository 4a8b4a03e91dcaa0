"""Drift: a tag leaves the level that it had, and stays away (ISO 13374-2, state detection).

    signals:
      bearing_drift: {type: drift, input: utilities/pump1/_maintenance/bearing_kurtosis, warm_up: 30}

An exponentially weighted moving average (EWMA control chart, Roberts 1959; NIST/SEMATECH e-Handbook 6.3.2.4) of the
readings x, in units of the standard deviation that the average itself has:

    m_i = (1 - lambda) m_(i-1) + lambda (x_i - level) / sigma
    z_i = m_i / sqrt(lambda / (2 - lambda) (1 - (1 - lambda)^2i))

A deviation counts as at most ten times `limit`, so that the alarm ends soon after it is over, however far it was.
`level` and `sigma` are learned from the first `warm_up` readings: median and 1.4826 x median absolute deviation, so
that a few outliers do not spoil them. The alarm comes when z stays beyond `limit` for `on` readings and goes when it
stays within half of it for `off`, so it neither flickers nor latches.
Only good readings count, with `when` only those that come while it is true; nothing else teaches, raises or clears.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gateway.model import Batch, Catalog, Kind, Quality, Tag
from gateway.signals._gate import Formula, Running, named

_MAD_TO_SIGMA: Final = 1.4826  # of a normal distribution
_FARTHEST: Final = 10.0
_FLOOR: Final = 1e-3
"""The least sigma, as a share of the level: a constant has none, and its first bit of noise is no drift."""


class Options(BaseModel):
    """Keys of a drift signal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str = Field(description="path of the tag to watch")
    warm_up: int = Field(default=30, ge=5, le=100_000, description="readings to learn the level from")
    weight: float = Field(default=0.2, gt=0, le=1, description="lambda: the share of the newest reading")
    limit: float = Field(default=6.0, gt=0, description="alarm beyond so many standard deviations")
    on: int = Field(default=3, ge=1, description="readings beyond the limit that raise the alarm")
    off: int = Field(default=10, ge=1, description="readings within half the limit that clear it")
    when: Formula = Field(
        default="", description="formula of tags of the same asset: only while it is true readings count"
    )

    @property
    def beside(self) -> Sequence[str]:
        """Names of tags of the same asset that say whether readings count."""
        return named(self.when)


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return {
        "z": Tag(asset, f"_maintenance/{name}", unit="1", description=f"drift of {options.input}, in sigma"),
        "ratio": Tag(asset, f"_maintenance/{name}_ratio", unit="1", description="the same; 1 is the limit"),
        "alarm": Tag(asset, f"_alarm/{name}", description=f"{options.input} has left its usual level"),
    }


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> "Drift":
    return Drift(Running(options.when, catalog.number(options.input), catalog), options, outputs)


class Drift:
    """Watches one tag; gives z and its ratio with every good reading after the warm-up, the alarm when it changes."""

    def __init__(self, running: Running, options: Options, outputs: Mapping[str, int]) -> None:
        self.inputs = running.inputs
        self._running = running
        self._options = options
        self._outputs = outputs
        self._learned: list[float] = []
        self._level = self._sigma = 0.0
        self._mean = 0.0
        self._seen = 0
        self._streak = 0
        self._active = False
        self._told: bool | None = None

    def update(self, batch: Batch) -> Sequence[Batch]:
        if batch.kind is Kind.OBJECT:
            return ()
        counts = self._running.take(batch)
        good = counts.where(counts.good & np.isfinite(counts.value))
        x, time = good.value.astype(np.float64), good.time
        taught = self._learn(x)
        x, time = x[taught:], time[taught:]
        if len(x) == 0:
            return ()
        z = self._average(x)
        active = self._states(z)
        before = [self._told, *active[:-1]]
        self._told = active[-1]
        rows = [i for i, (now, then) in enumerate(zip(active, before, strict=True)) if now is not then]
        found = {"z": (time, z), "ratio": (time, np.abs(z) / self._options.limit)}
        if rows:
            found["alarm"] = (time[rows], np.array(active)[rows])
        return [
            Batch.of([self._outputs[role]] * len(when), when, value, Quality.GOOD)
            for role, (when, value) in found.items()
        ]

    def _learn(self, x: NDArray[np.float64]) -> int:
        """Take readings for the warm-up as long as it lasts; return how many were taken."""
        wanted = self._options.warm_up - len(self._learned)
        if wanted <= 0:
            return 0
        self._learned += x[:wanted].tolist()
        if len(self._learned) == self._options.warm_up:
            self._level = float(np.median(self._learned))
            spread = _MAD_TO_SIGMA * float(np.median(np.abs(np.array(self._learned) - self._level)))
            self._sigma = max(spread, _FLOOR * abs(self._level), np.finfo(np.float64).tiny)
        return min(wanted, len(x))

    def _average(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        weight = self._options.weight
        z = np.empty(len(x))
        farthest = _FARTHEST * self._options.limit
        with np.errstate(over="ignore"):
            deviations = np.clip((x - self._level) / self._sigma, -farthest, farthest)
        for i, deviation in enumerate(deviations.tolist()):
            self._seen += 1
            self._mean += weight * (deviation - self._mean)
            z[i] = self._mean / np.sqrt(weight / (2 - weight) * (1 - (1 - weight) ** (2 * self._seen)))
        return z

    def _states(self, z: NDArray[np.float64]) -> list[bool]:
        """The state of the alarm after each row."""
        states = []
        for size in np.abs(z).tolist():
            contrary = size <= self._options.limit / 2 if self._active else size > self._options.limit
            self._streak = self._streak + 1 if contrary else 0
            if self._streak == (self._options.off if self._active else self._options.on):
                self._active, self._streak = not self._active, 0
            states.append(self._active)
        return states
