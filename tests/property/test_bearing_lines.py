"""Lines of a bearing: against a plain envelope, against damage that is known, and whatever comes before what."""

import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.model import Batch, Catalog, Quality, Tag
from gateway.model.batch import objects
from gateway.signals import vibration
from gateway.signals._data_manipulation.bearing import FAULTS, Bearing, lines
from gateway.signals._data_manipulation.waveform import features_and_envelope
from simulators.physics import bearing as physics
from simulators.physics import pump
from simulators.physics.noise import at_moment
from simulators.physics.vibration import BLOCK, SAMPLE_RATE, block

Matrix = NDArray[np.float64]

BEARING = Bearing(elements=9, diameter=11.906, pitch=60.0)
"""That of the simulated pump."""
PUMP = pump.new(22.0)
HERTZ = PUMP.speed / 60
S = 1_000_000_000
LOST = Quality.BAD_NO_COMMUNICATION
ROLES = vibration.outputs("v", vibration.Options(input="x", sample_rate=1, bearing=BEARING, speed=1.0), "plant/pump")


def plain_envelope(x: Matrix, rate_hz: float, low_hz: float) -> Matrix:
    """By the textbook, with as many samples as there are: amplitudes of |analytic signal|^2."""
    n = len(x)
    both_sides = np.fft.fft(x)
    hertz = np.fft.fftfreq(n, 1 / rate_hz)
    analytic = np.fft.ifft(np.where(hertz >= low_hz, 2 * both_sides, 0))
    square = np.abs(analytic) ** 2
    window = np.hanning(n + 1)[:n]
    amplitude: Matrix = np.abs(np.fft.rfft((square - square.mean()) * window)) * 2 / window.sum()
    return amplitude[: n // 4 + 1]


def test_the_envelope_is_that_of_the_textbook() -> None:
    """What modulates a carrier, far below a quarter of the sample rate."""
    time = np.arange(4096) / 16_000
    chance = np.random.default_rng(2)
    x = np.array([
        (1 + 0.5 * np.cos(2 * np.pi * f * time + 1)) * np.sin(2 * np.pi * 3000 * time) + np.sin(2 * np.pi * 50 * time)
        for f in chance.uniform(20, 800, 40)
    ])  # fmt: skip
    _, found = features_and_envelope(x, 16_000)
    for one, wanted in zip(found, x, strict=True):
        np.testing.assert_allclose(one[:800], plain_envelope(wanted, 16_000, 500)[:800], atol=1e-3)


def test_the_amplitude_of_a_known_modulation() -> None:
    """3 (1 + m cos a) sin b has the squared envelope 9 (1 + m^2 / 2 + 2 m cos a + m^2 / 2 cos 2a)."""
    time, hertz = np.arange(4096) / 16_000, 24 * 16_000 / 4096
    x = 3 * (1 + 0.5 * np.cos(2 * np.pi * hertz * time)) * np.sin(2 * np.pi * 3000 * time)
    _, (found,) = features_and_envelope(x[None], 16_000)
    assert found[[24, 48]].tolist() == pytest.approx([9.0, 1.125])


def test_many_windows_are_the_same_as_each_alone() -> None:
    x = np.random.default_rng(1).normal(size=(37, 1001))
    together = features_and_envelope(x, 16_000)
    alone = [features_and_envelope(one[None], 16_000) for one in x]
    for place in (0, 1):
        np.testing.assert_array_equal(together[place], np.vstack([found[place] for found in alone]))


def test_frequencies_are_those_that_the_simulated_bearing_has() -> None:
    turns = BEARING.per_turn
    assert turns["bpfo"] == pytest.approx(physics.PUMP_BEARING.outer)
    assert turns["bpfi"] == pytest.approx(physics.PUMP_BEARING.inner)
    assert turns["ftf"] == pytest.approx(turns["bpfo"] / 9)
    catalogue = Bearing(elements=9, diameter=7.94, pitch=39.04).per_turn  # SKF 6205 of the data of Case Western Reserve
    assert [round(catalogue[fault], 2) for fault in FAULTS] == [3.58, 5.42, 2.36, 0.40]


def found_in(x: Iterable[Matrix], hertz: float = HERTZ) -> list[dict[str, Any]]:
    _, spectra = features_and_envelope(np.array(list(x)), SAMPLE_RATE)
    return [dict(lines(spectrum, SAMPLE_RATE / BLOCK, BEARING, hertz)[0]) for spectrum in spectra]


@pytest.mark.parametrize("wear", [0.03, 0.1, 0.3, 1.0])
def test_a_worn_outer_race_has_its_line_and_no_other_has_one(wear: float) -> None:
    worn = PUMP._replace(age=physics.age(wear))
    rows = found_in(block(worn, at_moment(5, i)) for i in range(20))
    strongest = [max(FAULTS, key=lambda fault: row[fault].amplitude) for row in rows]
    assert strongest.count("bpfo") >= 19
    assert np.mean([row["bpfo"].harmonics for row in rows]) > 3
    place = np.median([row["bpfo"].hertz for row in rows])
    assert place == pytest.approx(BEARING.per_turn["bpfo"] * HERTZ, abs=SAMPLE_RATE / BLOCK)


def test_the_line_grows_with_the_wear() -> None:
    levels = [
        np.mean([
            row["bpfo"].amplitude
            for row in found_in(block(PUMP._replace(age=physics.age(w)), at_moment(5, i)) for i in range(10))
        ])
        for w in (0.01, 0.03, 0.1, 0.3, 1.0)
    ]  # fmt: skip
    assert levels == sorted(levels)
    assert levels[-1] > 10 * levels[0]


@pytest.mark.parametrize("cavitation", [0.0, 0.5, 1.0])
def test_a_sound_bearing_has_no_lines_also_if_bubbles_make_noise(cavitation: float) -> None:
    rows = found_in(block(PUMP._replace(cavitation=cavitation), at_moment(5, i)) for i in range(40))
    assert sum(row[fault].harmonics > 0 for row in rows for fault in FAULTS) <= 2


def struck(fault: str, turns_between_loads: float, seed: int) -> Matrix:
    """Blows at a fault's rate, stronger once per so many turns of the shaft, ringing at 3 kHz, in noise."""
    chance = np.random.default_rng(seed)
    time = np.arange(BLOCK) / SAMPLE_RATE
    rate = BEARING.per_turn[fault] * HERTZ
    at = np.arange(0.001, time[-1], 1 / rate)
    strength = 1 + 0.8 * np.cos(2 * np.pi * HERTZ / turns_between_loads * at)
    x = 0.3 * chance.normal(size=BLOCK)
    for moment, blow in zip(at, strength, strict=True):
        after = time - moment
        x += np.where(after > 0, 6 * blow * np.exp(-900 * np.maximum(after, 0)) * np.sin(2 * np.pi * 3000 * after), 0)
    return x


@pytest.mark.parametrize(("fault", "turns"), [("bpfi", 1.0), ("bsf", 1 / BEARING.per_turn["ftf"])])
def test_what_turns_through_the_load_has_sidebands(fault: str, turns: float) -> None:
    for row in found_in(struck(fault, turns, seed) for seed in range(5)):
        assert max(FAULTS, key=lambda one: row[one].amplitude) == fault
        assert row[fault].harmonics >= 3
        assert row[fault].sidebands >= 4


# --- the signal ---------------------------------------------------------------------------


def built(speed: str | float = "plant/pump/speed", unit: str = "{rev}/min") -> vibration.Vibration:
    catalog = Catalog([Tag("plant/pump", "x"), Tag("plant/pump", "speed", unit=unit)])
    options = vibration.Options(input="plant/pump/x", sample_rate=SAMPLE_RATE, bearing=BEARING, speed=speed)
    return vibration.signal(options, {role: number for number, role in enumerate(ROLES, 5)}, catalog)


def told(batches: Iterable[Batch], role: str) -> list[tuple[int, Any]]:
    number = list(ROLES).index(role) + 5
    return [
        (int(t), v) for b in batches for n, t, v in zip(b.tag, b.time, b.value.tolist(), strict=True) if n == number
    ]


def wave(time: int, wear: float = 0.3) -> Batch:
    return Batch.of([0], time, objects([block(PUMP._replace(age=physics.age(wear)), at_moment(5, time))]))


def turning(time: int, rpm: float = PUMP.speed, quality: int = 0) -> Batch:
    return Batch.of([1], time, [rpm], quality)


def after(signal: vibration.Vibration, *batches: Batch) -> list[int]:
    """The times of the lines that were told."""
    return [time for time, _ in told([found for batch in batches for found in signal.update(batch)], "bpfo")]


def test_a_spectrum_waits_for_the_speed_of_its_time() -> None:
    signal = built()
    assert after(signal, wave(10 * S)) == []
    assert after(signal, turning(9 * S)) == []
    assert after(signal, turning(10 * S)) == [10 * S]
    assert after(signal, turning(12 * S), wave(11 * S)) == [11 * S], "the speed at 10 s is that of 11 s"


def test_a_speed_that_tells_its_changes_only_does_not_keep_a_spectrum_waiting() -> None:
    signal = built()
    assert after(signal, turning(1 * S), wave(10 * S), wave(11 * S)) == []
    assert after(signal, wave(12 * S)) == [10 * S]


def test_the_speed_counts_that_was_last_told_before() -> None:
    slow, fast = built(), built(speed=PUMP.speed)
    found = [b for batch in (turning(2 * S, 2 * PUMP.speed), turning(1 * S), wave(1 * S)) for b in slow.update(batch)]
    assert told(found, "lines") == told(fast.update(wave(1 * S)), "lines")
    assert built(unit="Hz").update(wave(1 * S))[0].tag.tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize(("rpm", "quality"), [(0.0, 0), (100.0, 0), (math.nan, 0), (PUMP.speed, LOST)])
def test_what_stands_or_turns_at_an_unknown_speed_has_no_lines(rpm: float, quality: int) -> None:
    assert after(built(), turning(1 * S), turning(2 * S, rpm, quality), wave(2 * S)) == []


def test_the_trend_is_the_growth_per_day() -> None:
    """Blows that grow by 5 % per hour: ln 1.05 * 24 per day."""
    signal = built(speed=PUMP.speed)
    x = block(PUMP._replace(age=physics.age(0.3)), at_moment(5, 1))
    batches = [Batch.of([0], i * 3600 * S, objects([1.05**i * x])) for i in range(40)]
    trends = told([b for batch in batches for b in signal.update(batch)], "bpfo_trend")
    assert [time for time, _ in trends] == [i * 3600 * S for i in range(29, 40)]
    assert [trend for _, trend in trends] == pytest.approx([24 * math.log(1.05)] * 11)


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_cutting_readings_into_batches_changes_nothing(data: st.DataObject) -> None:
    n = 40
    rows = objects([block(PUMP._replace(age=physics.age(0.01 * i)), at_moment(5, i))[:512] for i in range(n)])
    waves, speeds = Batch.of([0] * n, np.arange(n) * S, rows), Batch.of([1] * n, np.arange(n) * S, np.full(n, 2960.0))
    answers = []
    for cuts in ([0, n], sorted(data.draw(st.sets(st.integers(1, n - 1), max_size=8)) | {0, n})):
        signal = built()
        found = []
        for a, b in itertools.pairwise(cuts):
            part = np.arange(a, b)
            found += [*signal.update(speeds.take(part)), *signal.update(waves.take(part))]
        answers.append([told(found, role) for role in ROLES])
    assert answers[0] == answers[1]


def test_no_more_than_some_spectra_wait_and_none_is_lost() -> None:
    signal = built()
    assert after(signal, turning(0), *map(wave, range(1, 31))) == list(range(1, 15))
    assert after(signal, turning(100)) == list(range(15, 31))
