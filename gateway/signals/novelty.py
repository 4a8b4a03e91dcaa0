"""Novelty: a tag does what it never did at this time of day, or goes a way that it never went.

    signals:
      energy: {type: novelty, asset: utilities/meter, tags: [power], period: 5min}

Every tag is watched for itself (`_state_detection/novelty.py`), each `period`, for days: it is meant for what has a
day, as energy, load and rooms have; with `when`, only while that is true. It costs the more the longer it remembers: 24
bytes for each tick of the past.
"""

from collections.abc import Mapping

from pydantic import Field

from gateway.model import Catalog, Tag
from gateway.signals import _asset
from gateway.signals._options import Seconds
from gateway.signals._state_detection.novelty import CHARTS, Novelty, Settings


class Options(_asset.EachOptions):
    """Keys of a novelty signal; the lengths are in ticks."""

    period: Seconds = Field(default=300.0, ge=1, le=86_400, description="length of a tick")
    warm_up: int = Field(default=750, ge=100, le=100_000, description="ticks to learn from, better some days")
    limit: float = Field(default=2.75, gt=0, description="surprise that raises the alarm, in powers of ten")
    past: int = Field(default=4032, ge=200, le=100_000, description="ticks among which a way is looked for")


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return _asset.outputs_of_each(name, "a tag does what it never did", asset)


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> _asset.AssetSignal:
    settings = Settings(warm_up=options.warm_up, limit=options.limit, past=options.past)
    n = len(_asset.watched(options, catalog))
    watch = _asset.Each(Novelty(n, _asset.ticks_of_a_day(options.period), settings), CHARTS, options.period)
    return _asset.AssetSignal(watch, options, outputs, catalog)
