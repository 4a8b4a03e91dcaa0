"""Changes: the moments at which the level of a tag of an asset changes, as events.

    signals:
      filler_changes: {type: changes, asset: packaging/line1/filler, tags: [bowl_pressure, product_flow]}

How a change is seen is in `_state_detection/changes.py`. It is no alarm: nothing is judged but that things are not as
they were a minute ago. Each is an event (docs/payloads.md) with the tags that changed and by how many of their usual
differences, the largest first.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from pydantic import Field

from gateway.model import Batch, Catalog, Quality, Tag
from gateway.model.batch import objects
from gateway.model.tag import EVENT
from gateway.signals import _asset
from gateway.signals._state_detection.changes import Changes, Settings

_SEVERITY: Final = 100
"""Of 1 to 1000 (OPC 10000-5, 6.4.2): for information."""


class Options(_asset.AssetOptions):
    """Keys of a signal that tells change points; the lengths are in ticks."""

    warm_up: int = Field(default=400, ge=100, le=100_000, description="ticks to learn the usual differences from")
    limit: float = Field(default=3.5, gt=0, description="how many usual differences are a change")
    pause: int = Field(default=30, ge=1, description="ticks after a change in which no other is told")


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    return {
        "event": Tag(asset, f"_maintenance/{name}", datatype=EVENT, description="the level of tags changes"),
    }


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> "ChangePoints":
    return ChangePoints(options, outputs["event"], catalog)


class ChangePoints:
    """The change points of the tags of an asset; those of the same moment are one."""

    def __init__(self, options: Options, output: int, catalog: Catalog) -> None:
        self._rows = _asset.AssetRows(options, catalog)
        self.inputs = self._rows.inputs
        self._n = len(_asset.watched(options, catalog))
        self._limit = options.limit
        self._asset = options.asset
        self._changes = Changes(self._n, Settings(warm_up=options.warm_up, limit=options.limit, pause=options.pause))
        self._output = output

    def update(self, batch: Batch) -> Sequence[Batch]:
        events: list[tuple[int, Any]] = []
        for row in self._rows.take(batch):
            self._changes.step(row.judged[: self._n])
            if self._changes.changed:
                events.append((row.time_ns, self._event()))
        if not events:
            return ()
        times, values = zip(*events, strict=True)
        return (Batch.of([self._output] * len(times), times, objects(values), Quality.GOOD),)

    def _event(self) -> Mapping[str, Any]:
        z = np.nan_to_num(self._changes.z)
        changed = {self._rows.names[i]: round(float(z[i]), 1) for i in np.argsort(-z).tolist() if z[i] > self._limit}
        return {
            "Message": f"{self._asset}: {', '.join(changed)} changed",
            "Severity": _SEVERITY,
            "SourceName": self._asset.rpartition("/")[2],
            "Changes": changed,
        }
