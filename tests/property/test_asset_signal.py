"""Signals over the tags of an asset: rows against a plain loop, and the same answer however batches are cut."""

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Batch, Catalog, Quality, Tag
from gateway.signals import monitor, shift
from gateway.signals._asset import AssetSignal
from gateway.signals._ticks import Ticks

S = 1_000_000_000
TAGS = np.array([5, 2, 9], np.uint32)

Reading = tuple[int, int, float, bool]
"""Place of the tag, time in ms, value, whether it is good."""


def batch(readings: Sequence[Reading]) -> Batch:
    tag, time, value, good = zip(*readings, strict=True)
    quality = [Quality.GOOD if one else Quality.BAD_NO_COMMUNICATION for one in good]
    return Batch.of(TAGS[list(tag)], np.array(time) * 1_000_000, np.array(value, np.float64), quality)


def by_hand(readings: Iterable[Reading], late_ms: int, hold: int) -> list[tuple[int, list[float]]]:
    """Ends of ticks in s, and rows, one reading at a time."""
    rows: list[tuple[int, list[float]]] = []
    coming: list[tuple[int, int, float]] = []
    value, since = [math.nan] * 3, [0] * 3
    newest = following = None
    for tag, time, x, good in readings:
        if newest is None or following is None:
            newest, following = time, time // 1000
        if time // 1000 >= max(following, (newest - late_ms) // 1000):
            coming.append((time // 1000, tag, x if good else math.nan))
        newest = max(newest, time)
        while following < (newest - late_ms) // 1000:
            for tick, place, latest in coming:
                if tick == following:
                    value[place], since[place] = latest, tick
            rows.append(
                (following + 1, [v if following - t <= hold else math.nan for v, t in zip(value, since, strict=True)])
            )
            following += 1
    return rows


READINGS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30_000), st.floats(-9, 9), st.booleans()), min_size=1, max_size=80
)


@settings(deadline=None, max_examples=200)
@given(READINGS, st.booleans(), st.integers(0, 3000), st.integers(0, 5), st.data())
def test_rows_are_what_tags_were_at_the_end_of_a_tick(
    readings: list[Reading], in_order: bool, late_ms: int, hold: int, data: st.DataObject
) -> None:
    if in_order:
        readings.sort(key=lambda reading: reading[1])
    ticks = Ticks(TAGS, S, late_ms * 1_000_000, hold)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(readings)), max_size=6)) | {0, len(readings)})
    found = [ticks.add(batch(readings[a:b])) for a, b in itertools.pairwise(cuts)]
    wanted = by_hand(readings, late_ms, hold)
    assert [int(time) // S for rows in found for time in rows.time] == [end for end, _ in wanted]
    np.testing.assert_array_equal(
        np.vstack([rows.value for rows in found]), np.array([row for _, row in wanted]).reshape(-1, 3)
    )


def test_a_year_without_a_reading_is_no_year_of_rows() -> None:
    ticks = Ticks(TAGS, S, 0, 60)
    ticks.add(batch([(0, 0, 1.0, True)]))
    rows = ticks.add(batch([(0, 365 * 86_400_000, 2.0, True)]))
    assert len(rows.time) == 1000
    assert np.isnan(rows.value[100:]).all()
    assert ticks.add(batch([(0, 365 * 86_400_000 + 1000, 2.0, True)])).value[0, 0] == 2.0


# --- signals ------------------------------------------------------------------------------


def pump() -> Catalog:
    return Catalog([Tag("plant/pump", name) for name in ("flow", "pressure", "current")])


def watching(kind: str) -> tuple[AssetSignal, dict[str, int]]:
    catalog = pump()
    module = {"shift": shift, "monitor": monitor}[kind]
    options = module.Options(asset="plant/pump", late="1s", warm_up=200)
    outputs = {role: catalog.add(tag) for role, tag in module.outputs("x", options, "plant/pump").items()}
    return module.signal(options, outputs, catalog), outputs


def plant(ticks: int, fault: int) -> list[Batch]:
    """A batch per second: flow and pressure follow one load, current another; pressure leaves at `fault`."""
    random = np.random.default_rng(4)
    load = random.normal(size=ticks)
    values = np.column_stack([20 + load, 3 + 0.5 * load, 7 + random.normal(size=ticks)])
    values += 0.05 * random.normal(size=values.shape)
    values[fault : fault + 200, 1] += 4.0
    return [Batch.of([0, 1, 2], i * S, row) for i, row in enumerate(values)]


def told(batches: Iterable[Batch], tag: int) -> list[tuple[int, object]]:
    return [
        (int(t) // S, v) for b in batches for n, t, v in zip(b.tag, b.time, b.value.tolist(), strict=True) if n == tag
    ]


@pytest.mark.parametrize(("kind", "remembered_s"), [("shift", 60), ("monitor", 140)])
def test_a_fault_raises_the_alarm_with_its_cause_and_the_alarm_goes(kind: str, remembered_s: int) -> None:
    signal, outputs = watching(kind)
    found = [derived for one in plant(1000, 600) for derived in signal.update(one)]
    alarms = told(found, outputs["alarm"])
    assert [state for _, state in alarms] == [False, True, False]
    assert 600 < alarms[1][0] <= 620
    assert 800 < alarms[2][0] <= 800 + remembered_s
    causes = told(found, outputs["cause"])
    assert [next(iter(cause), None) for _, cause in causes] == [None, "pressure", None]  # type: ignore[call-overload]
    ratio = dict(told(found, outputs["ratio"]))
    assert ratio[700] > 1 > ratio[500]  # type: ignore[operator]
    assert min(ratio) > 70


@pytest.mark.parametrize("kind", ["shift", "monitor"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_answer_does_not_depend_on_how_batches_are_cut(kind: str, size: int) -> None:
    batches = plant(700, 500)
    one, outputs = watching(kind)
    other, _ = watching(kind)
    whole = [derived for b in batches for derived in one.update(b)]
    joined = [Batch.join(batches[i : i + size]) for i in range(0, len(batches), size)]
    parts = [derived for b in joined for derived in other.update(b)]
    for number in outputs.values():
        assert told(parts, number) == told(whole, number)
