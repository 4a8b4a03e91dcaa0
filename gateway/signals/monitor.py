"""Monitor: the tags of an asset no longer belong together as they did.

    signals:
      pump: {type: monitor, asset: utilities/pump1, tags: [flow, pressure, current]}

From the first rows it learns how each row follows from the one before (`_state_detection/monitor.py`); they have to be
of normal running. The alarm comes when rows stay beyond the limit and goes when they stay within it. One that lasts
longer than `adopt` means that the machine is run in another way now: it is learned anew.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gateway.model import Catalog, Tag
from gateway.signals import _asset
from gateway.signals._state_detection.monitor import Monitor


class Options(_asset.AssetOptions):
    """Keys of a monitor; the lengths are in ticks."""

    warm_up: int = Field(default=1200, ge=60, le=100_000, description="rows to learn from, of normal running")
    limit: float = Field(default=1.5, ge=1, description="ratio that raises the alarm; less than 1 clears it")
    on: int = Field(default=5, ge=1, description="rows beyond the limit that raise the alarm")
    off: int = Field(default=20, ge=1, description="rows with a ratio less than 1 that clear it")
    adopt: int = Field(default=3600, ge=60, description="rows in alarm after which all is learned anew")


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return _asset.outputs(name, "tags no longer belong together as they did", asset)


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> _asset.AssetSignal:
    n = len(_asset.watched(options, catalog))
    return _asset.AssetSignal(Watch(n, options), options, outputs, catalog)


class Watch:
    """A monitor that learns by itself, with an alarm that neither flickers nor latches."""

    def __init__(self, n: int, options: Options) -> None:
        self._options = options
        self._learned = np.empty((max(options.warm_up, 2 * n + 20), n))
        self._seen = 0
        self._monitor: Monitor | None = None
        self._streak = 0
        self._lasted = 0
        self.alarm = False
        self.shares = np.zeros(n)

    @property
    def ratio(self) -> float:
        return self._monitor.ratio if self._monitor else np.nan

    def step(self, row: _asset.Row) -> None:
        judged = row.judged[: len(self.shares)]
        if self._monitor is None:
            self._learn(judged)
            return
        self._monitor.step(judged)
        if np.isnan(self._monitor.ratio):
            return
        self.shares = self._monitor.shares
        self._decide(self._monitor.ratio)
        if self._lasted >= self._options.adopt:
            self._monitor, self._seen, self._lasted = None, 0, 0

    def _learn(self, row: NDArray[np.float64]) -> None:
        if not np.isfinite(row).all():
            return
        self._learned[self._seen] = row
        self._seen += 1
        if self._seen == len(self._learned):
            self._monitor = Monitor(self._learned)
            self.alarm, self._streak = False, 0

    def _decide(self, ratio: float) -> None:
        self._lasted = self._lasted + 1 if self.alarm else 0
        contrary = ratio < 1 if self.alarm else ratio > self._options.limit
        self._streak = self._streak + 1 if contrary else 0
        if self._streak >= (self._options.off if self.alarm else self._options.on):
            self.alarm, self._streak = not self.alarm, 0
