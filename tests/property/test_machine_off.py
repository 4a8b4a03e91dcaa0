"""A machine that is off teaches nothing and raises nothing: what it does then makes no bit of a difference."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Batch, Catalog, Quality, Tag
from gateway.plugins import signal_kinds
from gateway.recall import Built, packed
from gateway.signals._gate import Running

S = 1_000_000_000
ASSET = "plant/pump"
ON, OFF = 50.0, 0.0
DAY = 40
"""Ticks of a day."""
OPTIONS: dict[str, dict[str, Any]] = {
    "bank": {"warm_up": 60, "adopt": 100},
    "novelty": {"warm_up": 100, "period": f"{86_400 // DAY}s", "past": 200},
}
ABSURD = st.sampled_from([0.0, -1e9, 7.5, 1e300, float("nan")])
PERIODS = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 3), ABSURD), min_size=1, max_size=4)
"""How long it runs [ticks], for how many days it is off then, and what its tags say meanwhile."""


class Watched:
    """A pump that is watched while it runs, tick by tick."""

    def __init__(self, kind: str) -> None:
        catalog = Catalog([Tag(ASSET, name) for name in ("flow", "pressure", "speed")])
        module = signal_kinds()[kind]
        options = module.Options(asset=ASSET, tags=["flow", "pressure"], when="speed > 10", late=0, **OPTIONS[kind])
        self._outputs = {role: catalog.add(tag) for role, tag in module.outputs("x", options, ASSET).items()}
        self.signal: Any = module.signal(options, self._outputs, catalog)
        self._period_ns = int(options.period * S)
        self._tick = 0
        self.ratios: list[float] = []
        self.alarms: list[tuple[int, Any]] = []

    def says(self, values: Sequence[float], quality: int = Quality.GOOD) -> None:
        batch = Batch.of([0, 1, 2], self._tick * self._period_ns, np.array(values), [quality, quality, Quality.GOOD])
        for told in self.signal.update(batch):
            if told.tag[0] == self._outputs["ratio"]:
                self.ratios += told.value.tolist()
            if told.tag[0] == self._outputs["alarm"]:
                self.alarms += zip(told.time.tolist(), told.value.tolist(), strict=True)
        self._tick += 1

    def ends(self) -> None:
        """Let the last tick be over."""
        self.says([np.nan, np.nan, OFF])

    @property
    def learned(self) -> bytes:
        """All that it knows of its tags."""
        charts = self.signal._watch._charts
        return packed({"x": Built(charts, "", np.empty(0, np.uint32))}, 0, 0)


def running(n: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    chance = np.random.default_rng(seed)
    load = 10 + 3 * np.sin(2 * np.pi * np.arange(n) / DAY)
    return np.column_stack([load + chance.normal(0, 0.1, n), 5 + chance.normal(0, 0.05, n)])


@pytest.mark.parametrize("kind", OPTIONS)
@settings(deadline=None, max_examples=8)
@given(PERIODS, st.booleans(), st.integers(0, 99))
def test_what_is_learned_is_the_same_bit_for_bit_with_and_without_the_times_at_which_it_was_off(
    kind: str, periods: list[tuple[int, int, float]], bad: bool, seed: int
) -> None:
    rows = running(sum(n for n, _, _ in periods) + 150, seed)
    stopped, never = Watched(kind), Watched(kind)
    at = 0
    for n, days, absurd in [*periods, (150, 1, 0.0)]:
        for row in rows[at : at + n]:
            stopped.says([*row, ON])
            never.says([*row, ON])
        at += n
        stopped.says([absurd, absurd, OFF])
        known, alarms = stopped.learned, list(stopped.alarms)
        for i in range(days * DAY - 1):
            value = absurd * (i % 7)
            stopped.says([value, value, OFF], Quality.BAD_NO_COMMUNICATION if bad else Quality.GOOD)
        assert stopped.learned == known
        assert stopped.alarms == alarms
    never.ends()
    assert stopped.learned == never.learned
    assert stopped.ratios == never.ratios
    assert [state for _, state in stopped.alarms] == [state for _, state in never.alarms]


OF_A_TAG: dict[str, dict[str, Any]] = {
    "drift": {"warm_up": 20, "on": 1},
    "life_trend": {"limit": 60.0, "step": 10, "points": 30},
}
CUTS = st.sets(st.integers(1, 2000), max_size=8)


@pytest.mark.parametrize("kind", OF_A_TAG)
@settings(deadline=None, max_examples=15)
@given(PERIODS, st.booleans(), CUTS, st.integers(0, 99))
def test_a_tag_is_judged_by_the_readings_of_a_running_machine_however_they_come(
    kind: str, periods: list[tuple[int, int, float]], bad: bool, cuts: set[int], seed: int
) -> None:
    """Each reading beside one of the speed; one signal is told nothing of what comes while it is off."""
    chance = np.random.default_rng(seed)
    found: list[tuple[int, int, float, int]] = []
    for n, days, absurd in [*periods, (400, 1, 0.0)]:
        for value, speed in [(np.nan, ON)] * n + [(absurd, OFF)] * days * DAY:
            at = len(found) * S
            said = 20 + at / S / 100 + chance.normal(0, 0.2) if speed == ON else value
            quality = Quality.BAD_NO_COMMUNICATION if bad and speed == OFF else Quality.GOOD
            found += [(1, at, speed, Quality.GOOD), (0, at, said, quality)]
    whole = Batch.of(*(np.array(column) for column in zip(*found, strict=True)))
    ran = whole.where(np.repeat([speed == ON for _, _, speed, _ in found[::2]], 2))
    stopped, never = of_a_tag(kind), of_a_tag(kind)
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    told = [b for a, z in pairwise(edges) for b in stopped.update(whole.take(np.arange(a, z)))]
    expected = never.update(ran)
    assert rows(told) == rows(expected)
    assert rows(expected)


def of_a_tag(kind: str) -> Any:
    catalog = Catalog([Tag(ASSET, "flow"), Tag(ASSET, "speed")])
    module = signal_kinds()[kind]
    options = module.Options(input=f"{ASSET}/flow", when="speed > 10", **OF_A_TAG[kind])
    outputs = {role: catalog.add(tag) for role, tag in module.outputs("x", options, ASSET).items()}
    return module.signal(options, outputs, catalog)


def rows(batches: Sequence[Batch]) -> list[tuple[int, int, str]]:
    columns = ((b.tag.tolist(), b.time.tolist(), map(repr, b.value.tolist())) for b in batches)
    return sorted(row for column in columns for row in zip(*column, strict=True))


def test_a_speed_that_nobody_knows_is_no_running_machine() -> None:
    running = Running("speed > 10", 0, Catalog([Tag(ASSET, "flow"), Tag(ASSET, "speed")]))
    tags, bad = [0, 1, 0, 0, 1, 0, 1, 0], Quality.BAD_NO_COMMUNICATION
    said = Batch.of(tags, 0, [1.0, ON, 2.0, 3.0, ON, 4.0, OFF, 5.0], [0, 0, 0, 0, bad, 0, 0, 0])
    assert running.take(said).value.tolist() == [2.0, 3.0]
    assert running.take(Batch.of([0], 0, [6.0])).value.tolist() == []
    assert running.take(Batch.of([1, 0], 0, [ON, 7.0])).value.tolist() == [7.0]
    assert running.take(Batch.of([0], 0, [8.0])).value.tolist() == [8.0]


@pytest.mark.parametrize("kind", OPTIONS)
def test_all_assets_have_no_condition_in_common(kind: str) -> None:
    with pytest.raises(ValueError, match="give each machine a signal of its own"):
        signal_kinds()[kind].Options(asset=ASSET, whole=True, when="speed > 10")
