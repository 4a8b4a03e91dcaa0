"""Shift: a tag of an asset is on another level than before.

    signals:
      filler_shift: {type: shift, asset: packaging/line1/filler}

Every tag is watched for itself, by what it did in its warm-up (`_state_detection/shift.py`). The ratio is the largest z
of a tag in units of the limit; the alarm is that of any of them, and its cause are those that are in alarm, by their z.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gateway.model import Catalog, Tag
from gateway.signals import _asset
from gateway.signals._state_detection.shift import Settings, Shift


class Options(_asset.AssetOptions):
    """Keys of a shift signal; the lengths are in ticks."""

    warm_up: int = Field(default=400, ge=100, le=100_000, description="ticks to learn from how far a tag wanders")
    limit: float = Field(default=6.0, gt=0, description="z that raises the alarm")
    adopt: int = Field(default=440, ge=30, description="ticks in alarm after which a level is the usual one")


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return _asset.outputs(name, "a tag is on another level than before", asset)


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> _asset.AssetSignal:
    n = len(_asset.watched(options, catalog))
    settings = Settings(
        warm_up=options.warm_up, limit=options.limit, adopt=options.adopt, wary_limit=1.5 * options.limit
    )
    return _asset.AssetSignal(Watch(n, settings), options, outputs, catalog)


class Watch:
    """Shifts of n tags, as one."""

    def __init__(self, n: int, settings: Settings) -> None:
        self._n = n
        self._shift = Shift(n, settings)
        self._limit = settings.limit

    @property
    def ratio(self) -> float:
        known = self._shift.z[~np.isnan(self._shift.z)]
        return float(known.max() / self._limit) if len(known) else np.nan

    @property
    def alarm(self) -> bool:
        return bool(self._shift.alarm.any())

    @property
    def shares(self) -> NDArray[np.float64]:
        guilty = np.where(self._shift.alarm, np.nan_to_num(self._shift.z), 0.0)
        return guilty / max(float(guilty.sum()), np.finfo(np.float64).tiny)

    def step(self, row: _asset.Row) -> None:
        self._shift.step(row.judged[: self._n])
