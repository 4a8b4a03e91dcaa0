"""Novelty: a tag does what it never did at this time of day, or goes a way that it never went.

    signals:
      energy: {type: novelty, asset: utilities/meter, tags: [power], period: 5min}

Every tag is watched for itself (`_state_detection/novelty.py`), each `period`, for days: it is meant for what has a
day, as energy, load and rooms have. It costs the more the longer it remembers: 24 bytes for each tick of the past.
"""

from collections.abc import Mapping

from pydantic import Field

from gateway.model import Catalog, Tag
from gateway.signals import _plant
from gateway.signals._options import Seconds
from gateway.signals._state_detection.novelty import CHARTS, Novelty, Settings


class Options(_plant.PlantOptions):
    """Keys of a novelty signal; the lengths are in ticks."""

    period: Seconds = Field(default=300.0, ge=1, le=_plant.DAY_S, description="length of a tick")
    warm_up: int = Field(default=750, ge=100, le=100_000, description="ticks to learn from, better some days")
    limit: float = Field(default=2.75, gt=0, description="surprise that raises the alarm, in powers of ten")
    past: int = Field(default=4032, ge=200, le=100_000, description="ticks among which a way is looked for")


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return _plant.outputs(name, "a tag does what it never did", asset)


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> _plant.PlantSignal:
    settings = Settings(warm_up=options.warm_up, limit=options.limit, past=options.past)
    n = len(_plant.watched(options, catalog))
    watch = Novelty(n, _plant.ticks_of_a_day(options.period), settings)
    return _plant.PlantSignal(watch, CHARTS, options.period, options, outputs, catalog)
