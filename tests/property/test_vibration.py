"""Vibration features against the textbook, written as plain loops, and against waveforms whose answer is known."""

import cmath
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.model import Batch, Catalog, Tag
from gateway.model.batch import objects
from gateway.signals import vibration
from gateway.signals._data_manipulation import waveform
from gateway.signals.vibration import Vibration
from tests.property.strategies import rows

RATE_HZ = 6400.0
WAVEFORM = st.lists(st.floats(-100, 100), min_size=2, max_size=64)


def features(x: NDArray[np.float64], rate_hz: float) -> tuple[float, float, float, float]:
    rms, kurtosis, crest, velocity = waveform.features(x[None], rate_hz)[0].tolist()
    return rms, kurtosis, crest, velocity


def built(**keys: Any) -> Vibration:
    """A signal of the tag 0 with outputs from 5 on, and the speed of tag 1."""
    catalog = Catalog([Tag("plant/pump", "x", unit=keys.pop("unit", "")), Tag("plant/pump", "speed", unit="{rev}/min")])
    options = vibration.Options(input="plant/pump/x", **keys)
    roles = vibration.outputs("v", options, "plant/pump")
    return vibration.signal(options, {role: number for number, role in enumerate(roles, 5)}, catalog)


def textbook(x: Sequence[float], rate_hz: float) -> tuple[float, float, float, float]:
    """ISO 13373-2: moments about the mean; the velocity of each line of the spectrum is a / (2 pi f)."""
    n = len(x)
    mean = math.fsum(x) / n
    x = [value - mean for value in x]
    square = math.fsum(value**2 for value in x) / n
    fourth = math.fsum(value**4 for value in x) / n
    velocity_square = 0.0
    for k in range(1, (n + 1) // 2):
        hertz = k * rate_hz / n
        if 10 <= hertz <= 1000:
            line = sum(value * cmath.exp(-2j * math.pi * k * i / n) for i, value in enumerate(x))
            amplitude = 2 * abs(line) / n
            velocity_square += (amplitude / (2 * math.pi * hertz)) ** 2 / 2
    rms = math.sqrt(square)
    return rms, fourth / square**2, max(map(abs, x)) / rms, 1000 * math.sqrt(velocity_square)


@settings(deadline=None, max_examples=150)
@given(WAVEFORM.filter(lambda x: max(x) - min(x) > 1e-3))
def test_matches_the_textbook(x: list[float]) -> None:
    assert features(np.array(x), RATE_HZ) == pytest.approx(textbook(x, RATE_HZ), rel=1e-6, abs=1e-9)


def sine(
    amplitude: float, hertz: float, n: int = 4096, rate_hz: float = 16_000.0, mean: float = 0.0
) -> NDArray[np.float64]:
    wave: NDArray[np.float64] = mean + amplitude * np.sin(2 * np.pi * hertz * np.arange(n) / rate_hz)
    return wave


@pytest.mark.parametrize("mean", [0.0, 9.81, -1000.0])
@pytest.mark.parametrize("line", [8, 64, 200])
def test_a_sine_of_known_amplitude(line: int, mean: float) -> None:
    hertz = line * 16_000 / 4096
    rms, kurtosis, crest, velocity = features(sine(3.0, hertz, mean=mean), 16_000.0)
    assert rms == pytest.approx(3.0 / math.sqrt(2))
    assert kurtosis == pytest.approx(1.5)
    assert crest == pytest.approx(math.sqrt(2), rel=1e-3)
    assert velocity == pytest.approx(3.0 / (2 * math.pi * hertz) / math.sqrt(2) * 1000)


def test_sines_add_up_by_their_squares_and_outside_the_band_nothing_counts() -> None:
    lines = {1: 5.0, 16: 2.0, 100: 1.0, 600: 50.0}  # 3.9 Hz and 2344 Hz are outside 10..1000 Hz
    x = np.sum([sine(amplitude, line * 16_000 / 4096) for line, amplitude in lines.items()], axis=0)
    rms, _, _, velocity = features(x, 16_000.0)
    inside = [lines[line] / (2 * math.pi * line * 16_000 / 4096) for line in (16, 100)]
    assert rms == pytest.approx(math.sqrt(sum(a**2 for a in lines.values()) / 2))
    assert velocity == pytest.approx(1000 * math.sqrt(sum(v**2 for v in inside) / 2))


def test_noise_has_kurtosis_three_and_impacts_have_more() -> None:
    chance = np.random.default_rng(1)
    noise = chance.normal(0, 1, 100_000)
    assert features(noise, 16_000.0)[1] == pytest.approx(3.0, abs=0.1)
    noise[::1000] += 12.0
    assert features(noise, 16_000.0)[1] > 6.0


@pytest.mark.parametrize("level", [0.0, 0.1, 9.81, -1e-3, 1e30, 1e-90, 1e-160])
@pytest.mark.parametrize("n", [2, 3, 1000])
def test_a_waveform_that_does_not_move_is_nothing_unusual(level: float, n: int) -> None:
    rms, kurtosis, crest, velocity = features(np.full(n, level), 16_000.0)
    assert (kurtosis, crest) == (3.0, 1.0)
    assert max(rms, velocity) <= 1e-12 * abs(level)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=20))
def test_whatever_a_sensor_sends_the_features_are_numbers(x: list[float]) -> None:
    found = features(np.array(x), RATE_HZ)
    assert all(map(math.isfinite, found))
    assert found[1] >= 1.0 - 1e-9
    assert found[2] >= 1.0 - 1e-9


def test_only_good_waveforms_are_answered_at_their_own_time() -> None:
    wave = sine(1.0, 125.0)
    items = [wave, wave, "text", np.array([1.0]), np.array([1.0, np.nan]), np.array([]), None, 2.0 * wave]
    batch = Batch.of([0] * 8, range(10, 18), objects(items), [0, 0x800A_0000, 0, 0, 0, 0, 0, 0x0030_0000])
    found = built(sample_rate=16_000.0).update(batch)
    assert [(b.tag.tolist(), b.time.tolist(), b.quality.tolist()) for b in found] == [
        ([5, 6, 7, 8] * 2, [10] * 4 + [17] * 4, [0] * 8)
    ]
    assert found[0].value[4] == pytest.approx(2 * found[0].value[0])


def test_a_number_is_no_waveform() -> None:
    assert built(sample_rate=16_000.0).update(Batch.of([0], 0, [1.0])) == []


def test_cutting_readings_into_batches_changes_nothing() -> None:
    chance = np.random.default_rng(1)
    whole = Batch.of([0] * 6, range(6), objects(chance.normal(0, 1, (6, 256))))
    pieces = [whole.take(np.arange(a, b)) for a, b in ((0, 1), (1, 4), (4, 6))]
    signal = built(sample_rate=16_000.0)
    assert [row for batch in signal.update(whole) for row in rows(batch)] == [
        row for piece in pieces for batch in signal.update(piece) for row in rows(batch)
    ]


# --- severity -----------------------------------------------------------------------------


def by_tag(batches: Iterable[Batch], tag: int) -> list[tuple[int, Any]]:
    return [(int(t), v) for b in batches for n, t, v in zip(b.tag, b.time, b.value.tolist(), strict=True) if n == tag]


@pytest.mark.parametrize(("code", "scale"), [("mm/s", 1.0), ("m/s", 1e-3), ("cm/s", 0.1)])
def test_zones_are_those_of_the_standard_in_any_unit_of_velocity(code: str, scale: float) -> None:
    values = scale * np.array([1.3, 1.5, 2.7, 2.9, 4.4, 4.6, 4.2, 4.0, 2.6, 2.5, 1.3, 1.2])
    found = built(unit=code, group=2, support="rigid").update(Batch.of([0] * 12, range(12), values))
    assert "".join("ABCD"[zone] for _, zone in by_tag(found, 5)) == "ABBCCDDCCBBA"
    assert by_tag(found, 6) == [(0, False), (3, True), (9, False)]


@pytest.mark.parametrize(
    ("group", "support", "code", "limits"),
    [
        (1, "rigid", "mm/s", (2.3, 4.5, 7.1)), (1, "flexible", "mm/s", (3.5, 7.1, 11.0)),
        (2, "flexible", "mm/s", (2.3, 4.5, 7.1)), (1, "rigid", "um", (29, 57, 90)),
        (1, "flexible", "mm", (0.045, 0.09, 0.14)),
        (2, "rigid", "um", (22, 45, 71)), (2, "flexible", "um", (37, 71, 113)),
    ],
)  # fmt: skip
def test_each_group_and_support_has_its_limits(group: int, support: str, code: str, limits: Sequence[float]) -> None:
    values = np.array([x for limit in limits for x in (0.999 * limit, 1.001 * limit)])
    found = built(unit=code, group=group, support=support).update(Batch.of([0] * 6, range(6), values))
    assert [zone for _, zone in by_tag(found, 5)] == [0, 1, 1, 2, 2, 3]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0, 9), min_size=1, max_size=30), st.data())
def test_zones_against_a_plain_loop_however_they_are_cut(values: list[float], data: st.DataObject) -> None:
    zone, wanted = 0, []
    limits = (1.4, 2.8, 4.5)
    for x in values:
        while zone < 3 and x > limits[zone]:
            zone += 1
        while zone > 0 and x < 0.9 * limits[zone - 1]:
            zone -= 1
        wanted.append(zone)
    signal = built(unit="mm/s", group=2, support="rigid")
    batch = Batch.of([0] * len(values), range(len(values)), np.array(values))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(values)), max_size=5)) | {0, len(values)})
    found = [one for a, b in itertools.pairwise(cuts) for one in signal.update(batch.take(np.arange(a, b)))]
    assert [state for _, state in by_tag(found, 5)] == wanted
    alarms = [zone >= 2 for zone in wanted]
    assert by_tag(found, 6) == [(i, a) for i, a in enumerate(alarms) if i == 0 or a is not alarms[i - 1]]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"unit": "bar", "group": 1, "support": "rigid"}, "is in bar: zones need a velocity"),
        ({"group": 1, "support": "rigid"}, "has no unit, and zones depend on it: write unit: mm/s"),
        ({"unit": "mm/s", "sample_rate": 1e4}, "to be a waveform of acceleration, but its unit is mm/s"),
        ({"group": 1}, "group and support go together"),
        ({}, "give sample_rate for a waveform"),
        ({"sample_rate": 1e4, "speed": 1500}, "bearing and speed go together"),
        ({"sample_rate": 1e4, "speed": -1.0, "bearing": {"elements": 9, "diameter": 1, "pitch": 5}}, "above 0"),
        ({"sample_rate": 1e4, "speed": 1.0, "bearing": {"elements": 9, "diameter": 5, "pitch": 5}}, "smaller than the"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused_with_the_remedy(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        built(**keys)


def test_a_waveform_in_g_is_measured_in_metres_per_second_squared() -> None:
    batch = Batch.of([0], 0, objects([sine(1.0, 125.0)]))
    ((one,), (other,)) = (built(sample_rate=16_000.0, unit=code).update(batch) for code in ("m/s2", "[g]"))
    assert other.value[0] == pytest.approx(9.80665 * one.value[0])
    assert other.value[1] == pytest.approx(one.value[1])
