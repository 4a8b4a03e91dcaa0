"""Readings as i3X JSON: what encoding costs beside an object per reading, and what whole answers cost."""

import asyncio
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from api.i3x.history import array, history
from api.i3x.requests import History as Asked
from api.i3x.requests import Values
from api.i3x.space import Space
from api.i3x.values import current, vqts
from gateway.contracts import Answer
from gateway.historian.chunk import Readings
from gateway.historian.history import History, Progress
from gateway.historian.schema import engine
from gateway.latest import Latest
from gateway.model import Batch, Catalog, Kind, Tag
from gateway.payload import timestamps

_POINTS: Final = 100_000
_VALUES: Final = 400
_START_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01
_STEP_NS: Final = 100_123_000
_ASSET: Final = "bench/site/line/machine"
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Told:
    """So many readings in so many seconds, the best of some rounds, and how many bytes one takes."""

    name: str
    readings: int
    seconds: float
    bytes_per_reading: float

    @property
    def rate(self) -> float:
        return self.readings / self.seconds


class _Plant:
    """As much of a plant as values and history need: 400 tags, one of which has history."""

    keeps_history = True
    started_ns = _START_NS

    def __init__(self, folder: Path, readings: Readings) -> None:
        self.catalog = Catalog(Tag(_ASSET, f"v{k}", unit="Cel") for k in range(_VALUES))
        self.latest = Latest(_VALUES)
        self.latest.update(Batch.of(range(_VALUES), _START_NS, readings.value[:_VALUES]))
        self._history = History(engine(f"sqlite:///{folder / 'history.db'}"))
        (series,) = self._history.series([self.catalog[0]]).tolist()
        batch = Batch.of([series] * _POINTS, readings.time, readings.value)
        self._history.append([batch], Progress("bench", "j", 1), 0)
        for waiting in self._history.tail():
            self._history.compact(waiting.shard)

    async def ask(self, question: Callable[..., tuple[Any, bytes]], *args: Any, gone: Any) -> Answer[Any]:
        return Answer(*question(self._history, *args))

    async def is_disconnected(self) -> bool:
        return False

    def close(self) -> None:
        self._history.close()


def measure() -> list[Told]:
    """Measure all of it; takes some seconds."""
    chance = np.random.default_rng(1)
    times = _START_NS + np.arange(_POINTS, dtype=np.int64) * _STEP_NS
    value = np.round(50 + np.cumsum(chance.normal(0, 0.05, _POINTS)), 2)
    readings = Readings(times, value, np.zeros(_POINTS, np.uint32))
    path, end = f"{_ASSET}/v0", timestamps(times[-1:])[0]
    asked = Asked(elementIds=[path], startTime="2026-01-01T00:00:00Z", endTime=end)
    now = Values(elementIds=[f"{_ASSET}/v{k}" for k in range(_VALUES)])
    with tempfile.TemporaryDirectory() as folder:
        plant: Any = _Plant(Path(folder), readings)
        space = Space(plant.catalog, "urn:bench")
        answer = _body(history(plant, space, asked, plant))
        told = [
            _told("columns", _POINTS, lambda: array(vqts(Kind.FLOAT, times, value, readings.quality))),
            _told("an object per reading, json.dumps", _POINTS, lambda: _objects(readings)),
            _told("history in SQLite to answer", _POINTS, lambda: _body(history(plant, space, asked, plant))),
            _told("compressing that answer", _POINTS, lambda: gzip.compress(answer, 1)),
            _told("400 present values", _VALUES, lambda: bytes(current(plant, space, now)[0].body)),
        ]
        plant.close()
    return told


def _objects(readings: Readings) -> bytes:
    """The obvious way to the same answer."""
    rows = zip(readings.value.tolist(), timestamps(readings.time), strict=True)
    return json.dumps([{"value": value, "quality": "Good", "timestamp": when} for value, when in rows]).encode()


def _body(answer: Coroutine[Any, Any, Any]) -> bytes:
    return bytes(asyncio.run(answer).body)


def _told(name: str, readings: int, work: Callable[[], bytes]) -> Told:
    seconds, size = [], 0
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        size = len(work())
        seconds.append(time.perf_counter() - begin)
    return Told(name, readings, min(seconds), size / readings)


def table(rows: Sequence[Told]) -> list[str]:
    """Return the figures as lines of text."""
    lines = [f"{'i3X JSON':38}{'readings/s':>12}{'us each':>9}{'bytes':>9}"]
    return lines + [
        f"{row.name:38}{row.rate:>12,.0f}{1e6 * row.seconds / row.readings:>9.2f}{row.bytes_per_reading:>9.1f}"
        for row in rows
    ]
