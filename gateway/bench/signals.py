"""What signals cost: all tags of a plant tick by tick, and waveforms; beside the least that numpy could do.

The limit of a tick is a plain exponential average of all tags; that of waveforms their bare spectrum.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.bench.goals import Goal
from gateway.signals._data_manipulation.waveform import features
from gateway.signals._state_detection.bank import Bank
from gateway.signals._state_detection.novelty import Novelty, Settings
from gateway.signals._state_detection.shift import Shift

_TAGS: Final = (1_000, 10_000)
_TICKS: Final = 100
_WARM_UP: Final = 700
_SAMPLES: Final = 4_096
_SAMPLE_RATE_HZ: Final = 16_000.0
_ROUNDS: Final = 5
_DAY: Final = 288
_PAST: Final = 1_000

Step = Callable[[NDArray[np.float64]], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds for so many readings or samples, the best of some rounds, beside those of the limit."""

    name: str
    values: int
    cpu_s: float
    limit_s: float

    @property
    def each_us(self) -> float:
        return 1e6 * self.cpu_s / self.values


def measure() -> list[Cost]:
    return [cost for n in _TAGS for cost in _of_ticks(n)] + [_of_waveforms()]


def goals(costs: Sequence[Cost]) -> list[Goal]:
    """Return what is promised; the costs are those of measure(), in its order."""
    bank, shift, *_, waveforms = costs
    return [
        Goal("bank, us per reading of 1,000 tags", bank.each_us, 0.1),
        Goal("shift, us per reading of 1,000 tags", shift.each_us, 0.7),
        Goal("features and spectrum, 1,000 waveforms, ms", 1e3 * waveforms.cpu_s, 30),
    ]


def table(costs: Sequence[Cost]) -> list[str]:
    lines = [f"{'':44}{'us each':>12}{'x limit':>10}"]
    return lines + [f"{cost.name:44}{cost.each_us:>12.4f}{cost.cpu_s / cost.limit_s:>10.1f}" for cost in costs]


def _of_ticks(n: int) -> list[Cost]:
    rows = np.random.default_rng(0).normal(size=(_WARM_UP, n))
    bank, shift = Bank(np.full(n, -np.inf), np.full(n, np.inf)), Shift(n)
    ways: list[tuple[str, Step]] = [("bank", bank.step), ("shift", shift.step)]
    if n == _TAGS[0]:
        novelty = Novelty(n, _DAY, Settings(past=_PAST))
        ways.append((f"novelty, {_PAST:,} ticks of past", lambda row: novelty.step(row, 0)))
    level = np.zeros(n)

    def average(row: NDArray[np.float64]) -> None:
        level[:] += 0.1 * (row - level)

    limit = _ticks(average, rows)
    return [Cost(f"{name}, {n:,} tags", n * _TICKS, _ticks(step, rows), limit) for name, step in ways]


def _ticks(step: Step, rows: NDArray[np.float64]) -> float:
    for row in rows:
        step(row)

    def ticks() -> None:
        for row in rows[:_TICKS]:
            step(row)

    return _best(ticks)


def _of_waveforms() -> Cost:
    waveforms = np.random.default_rng(1).normal(size=(_TAGS[0], _SAMPLES))
    took = _best(lambda: features(waveforms, _SAMPLE_RATE_HZ))
    limit = _best(lambda: np.fft.rfft(waveforms))
    return Cost(f"features and spectrum, {_TAGS[0]:,} x {_SAMPLES:,} samples", waveforms.size, took, limit)


def _best(work: Callable[[], object]) -> float:
    """CPU seconds of the round that took least."""
    took = []
    for _ in range(_ROUNDS):
        before = time.process_time()
        work()
        took.append(time.process_time() - before)
    return min(took)
