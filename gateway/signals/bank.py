"""Bank: the simple charts of process control, for every tag for itself, of an asset or of the whole plant.

    signals:
      plant: {type: bank, asset: packaging/line1/filler, whole: true}

Level and spread of each tag are learned from its first rows; `_state_detection/bank.py` has the charts: tail, cusum,
shift, stuck, range. The ratio is that of the worst tag; the cause are the tags in alarm, and each has its chart. With
`when` only rows of a running machine are looked at; what it did otherwise is as if it had not been.
"""

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from gateway.model import Catalog, Tag
from gateway.signals import _asset
from gateway.signals._options import Seconds
from gateway.signals._state_detection.bank import CHARTS, Bank, Settings


class Options(_asset.EachOptions):
    """Keys of a bank; the lengths are in ticks."""

    period: Seconds = Field(default=1.0, ge=0.01, description="length of a tick, after which tags are looked at")
    warm_up: int = Field(default=600, ge=60, le=100_000, description="ticks to learn level and spread from")
    off: int = Field(default=30, ge=1, description="ticks within half of the limits that clear the alarm")
    adopt: int = Field(default=1800, ge=30, description="ticks in alarm after which a level is the usual one")


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return _asset.outputs_of_each(name, "a tag is not what it was", asset)


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> _asset.AssetSignal:
    tags = [catalog[number] for number in _asset.watched(options, catalog).values()]
    low = np.array([-np.inf if tag.low is None else tag.low for tag in tags])
    high = np.array([np.inf if tag.high is None else tag.high for tag in tags])
    settings = Settings(warm_up=options.warm_up, off=options.off, adopt=options.adopt)
    watch = _asset.Each(Bank(low, high, settings), CHARTS, options.period)
    return _asset.AssetSignal(watch, options, outputs, catalog)
