"""What every signal must do (Signal in gateway/contracts): pure, causal, and the same however batches are cut."""

import copy
from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.contracts import Signal
from gateway.model import Batch, Catalog, Tag
from gateway.model.batch import objects
from gateway.plugins import signal_kinds
from gateway.recall import Built, Kept, packed
from gateway.signals._prognosis.fleet import Settings
from gateway.signals._prognosis.model import FleetModel
from gateway.signals.life_fleet import ModelFile

INPUT = Tag("plant/pump", "measured")
ALARM = Tag("plant/pump", "_alarm/x")


def worn_fleet() -> FleetModel:
    """Of machines whose tag rises by 30 within some rows before they fail, as that of the stream does in one."""
    chance = np.random.default_rng(11)
    runs = [20 + 30 * (np.arange(n) > n - 60) + chance.normal(size=n) for n in chance.integers(380, 450, 12)]
    how = Settings(members=1, width=20)
    return FleetModel.learn([run[:, None] for run in runs], [], [INPUT.name], 1.0, chance, how)


OPTIONS: dict[str, dict[str, Any]] = {
    "vibration": {"sample_rate": 16_000},
    "drift": {"warm_up": 5},
    "derived": {"formula": "measured / 2"},
    "shift": {"warm_up": 100, "late": 0},
    "bank": {"warm_up": 60, "late": 0},
    "novelty": {"warm_up": 100, "late": 0, "period": 1},
    "monitor": {"warm_up": 60, "late": 0},
    "expected": {"warm_up": 60, "late": 0},
    "changes": {"warm_up": 100, "late": 0},
    "health": {"signals": ["x"]},
    "advice": {"signals": ["x"]},
    "life_trend": {"limit": 40, "step": 5},
    "life_fleet": {"model": ModelFile("fleet.npz", "", worn_fleet()), "late": 0},
}
"""What each kind needs besides its input or asset; a new kind that needs something adds a line."""
OF_A_TAG = [name for name, module in signal_kinds().items() if "input" in module.Options.__annotations__]
"""Kinds that say something of each reading of one tag; the others say it of an asset, once a time is over."""
OF_SIGNALS = ("health", "advice")
"""Kinds that say something of what other signals say."""


def build(kind: str, **more: Any) -> tuple[Signal, Catalog, Mapping[str, Tag]]:
    watches = ALARM if kind in OF_SIGNALS else INPUT
    module, catalog = signal_kinds()[kind], Catalog([watches, Tag("plant/pump", "runs")] if more else [watches])
    watched: dict[str, Any] = {"input": INPUT.path} if kind in OF_A_TAG else {"asset": INPUT.asset}
    watched |= {"tags": [INPUT.name]} if more and "tags" in signature(module.Options).parameters else {}
    options = module.Options(**watched, **OPTIONS.get(kind, {}), **more)
    outputs = module.outputs("watch", options, INPUT.asset)
    numbers = {role: catalog.add(tag) for role, tag in outputs.items()}
    return module.signal(options, numbers, catalog), catalog, outputs


def stream(kind: str) -> Batch:
    """Readings of the input, some bad, some late, some impossible."""
    chance = np.random.default_rng(7)
    n = 400
    quality = np.where(chance.random(n) < 0.1, np.uint32(0x808A_0000), np.uint32(0))
    time = np.arange(n) * 1_000_000_000
    value: NDArray[Any]
    if kind == "vibration":
        value = objects([chance.normal(0, 1, 64) if chance.random() < 0.9 else "no waveform" for _ in range(n)])
    elif kind in OF_SIGNALS:
        value = (np.arange(n) // 60 % 2).astype(np.float64)
    else:
        value = chance.normal(20, 1, n)
        value[300:] += 30
        value[[3, 20]] = np.nan
    return Batch.of([0] * n, time, value, quality)


def told(batches: list[Batch]) -> list[tuple[int, int, Any, int]]:
    """The rows, by tag and time; what is not a number is None."""
    rows = [
        (*row[:2], None if row[2] != row[2] else row[2], row[3])
        for b in batches
        for row in zip(b.tag.tolist(), b.time.tolist(), b.value.tolist(), b.quality.tolist(), strict=True)
    ]
    return sorted(rows, key=lambda row: row[:2])


@pytest.fixture(params=sorted(signal_kinds()))
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_what_it_derives_are_tags_of_the_asset_of_its_input(kind: str) -> None:
    _, _, outputs = build(kind)
    assert outputs
    assert {tag.asset for tag in outputs.values()} == {INPUT.asset}
    assert all(tag.name.startswith(("_maintenance/", "_alarm/")) or tag.name == "watch" for tag in outputs.values())


def test_it_derives_something_and_only_what_it_said(kind: str) -> None:
    signal, catalog, outputs = build(kind)
    found = told(list(signal.update(stream(kind))))
    assert {catalog[number].path for number, *_ in found} == {tag.path for tag in outputs.values()}
    assert signal.inputs.tolist() == [0]


def test_the_answer_does_not_depend_on_how_readings_were_cut(kind: str) -> None:
    whole, cut, single = (build(kind)[0] for _ in range(3))
    batch = stream(kind)
    rows = np.arange(len(batch))
    expected = told(list(whole.update(batch)))
    parts = [piece for part in np.array_split(rows, 7) for piece in cut.update(batch.take(part))]
    alone = [piece for row in rows for piece in single.update(batch.take(rows[row : row + 1]))]
    assert told(parts) == expected
    assert told(alone) == expected


@pytest.mark.parametrize("taken", [0, 1, 37, 150, 311])
def test_a_restart_at_any_moment_is_not_to_be_seen(kind: str, taken: int) -> None:
    """What is kept after some readings, with one that was just built, goes on as if nothing had been."""
    stays, batch = build(kind)[0], stream(kind)
    rows = np.arange(len(batch))
    before, after = batch.take(rows[:taken]), batch.take(rows[taken:])
    expected = told([*stays.update(before), *stays.update(after)])
    goes = build(kind)[0]
    said = list(goes.update(before))
    comes = Kept(packed({"x": built(goes)}, 1, 2)).signal("x", built(build(kind)[0]))
    assert comes is not None
    assert told([*said, *comes.update(after)]) == expected


def built(signal: Signal) -> Built:
    return Built(signal, "", np.empty(0, np.uint32))


def test_it_is_a_function_of_readings_alone(kind: str) -> None:
    signal = build(kind)[0]
    twin = copy.deepcopy(signal)
    batch = stream(kind)
    assert told(list(signal.update(batch))) == told(list(twin.update(batch)))


@pytest.mark.parametrize("kind", OF_A_TAG)
def test_what_it_says_has_the_time_of_a_good_reading(kind: str) -> None:
    signal = build(kind)[0]
    batch = stream(kind)
    good = set(batch.time[batch.good].tolist())
    assert {time for _, time, _, _ in told(list(signal.update(batch)))} <= good


@pytest.mark.parametrize("kind", sorted(set(signal_kinds()) - set(OF_A_TAG)))
def test_what_it_says_of_an_asset_is_never_ahead_of_the_readings(kind: str) -> None:
    signal, batch = build(kind)[0], stream(kind)
    for row in range(len(batch)):
        said = told(list(signal.update(batch.take(np.array([row])))))
        assert all(time <= batch.time[row] for _, time, _, _ in said)


@pytest.mark.parametrize("kind", OF_A_TAG)
def test_bad_readings_teach_and_say_nothing(kind: str) -> None:
    signal, clean = build(kind)[0], build(kind)[0]
    batch = stream(kind)
    bad = Batch(batch.tag.copy(), batch.time.copy(), batch.value.copy(), np.full(len(batch), 0x800A_0000, np.uint32))
    assert list(signal.update(bad)) == []
    assert told(list(signal.update(batch))) == told(list(clean.update(batch)))


# --- what never teaches -------------------------------------------------------------------

OF_AN_ASSET = sorted(set(signal_kinds()) - set(OF_A_TAG) - {"derived", *OF_SIGNALS})
S = 1_000_000_000


def told_anew(kind: str, batch: Batch, **options: Any) -> list[tuple[int, int, Any, int]]:
    return told(list(build(kind, **options)[0].update(batch)))


def test_what_a_bad_reading_says_does_not_matter(kind: str) -> None:
    batch = stream(kind)
    nonsense = objects(["no waveform"]) if kind == "vibration" else np.array([1e9], np.float64)
    value = np.where(batch.good, batch.value, nonsense)
    assert told_anew(kind, Batch(batch.tag, batch.time, value, batch.quality)) == told_anew(kind, batch)


@pytest.mark.parametrize("kind", OF_AN_ASSET)
def test_how_long_a_gap_is_does_not_matter(kind: str) -> None:
    batch = stream(kind)
    late = np.arange(len(batch)) >= 200

    def with_gap(ticks: int) -> list[tuple[int, int, Any, int]]:
        gap = ticks * S
        found = told_anew(kind, Batch(batch.tag, batch.time + late * gap, batch.value, batch.quality))
        return [(tag, time - gap * (time > 2000 * S), value, quality) for tag, time, value, quality in found]

    assert with_gap(100_000) == with_gap(5000)


@pytest.mark.parametrize("kind", OF_AN_ASSET)
def test_a_clock_that_is_set_back_raises_nothing_and_judging_goes_on(kind: str) -> None:
    time = np.arange(600) * S
    time[300:] -= 3600 * S
    batch = Batch.of([0] * 600, 10**6 * S + time, np.random.default_rng(3).normal(20, 1, 600))
    found = told_anew(kind, batch)
    assert not [row for row in found if row[2] is True], "no alarm"
    if kind != "changes":
        assert any(time < (10**6 - 3200) * S for _, time, _, _ in found)


@pytest.mark.parametrize(
    "kind", [kind for kind in OF_AN_ASSET if "when" in signature(signal_kinds()[kind].Options).parameters]
)
def test_what_a_machine_does_that_is_off_does_not_matter(kind: str) -> None:
    """One whose readings are absurd while it is off, and one that rests: from then on both are judged the same."""
    chance = np.random.default_rng(5)
    runs = np.ones(900)
    runs[300:400] = 0
    running = chance.normal(20, 1, 900)
    running[700:] += 40

    def found(idle: NDArray[np.float64]) -> list[tuple[int, int, Any, int]]:
        measured = np.where(runs == 1, running, idle)
        rows = np.column_stack([measured, runs]).ravel()
        return told_anew(kind, Batch.of([0, 1] * 900, np.repeat(np.arange(900) * S, 2), rows), when="runs > 0")

    told_of = found(chance.normal(1e6, 1e5, 900))
    assert told_of == found(chance.normal(0.0, 1e-3, 900))
    if kind != "life_fleet":
        assert [time for tag, time, value, _ in told_of if value is True or isinstance(value, dict)]
