"""The vibration of the pump bearing: known signals are measured right, and damage looks like damage."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.faults import Fault
from simulators.physics import bearing, pump, vibration
from simulators.physics.bearing import PUMP_BEARING
from simulators.physics.noise import at_moment
from simulators.physics.pump import Pump
from simulators.physics.vibration import BLOCK, SAMPLE_RATE
from simulators.plant import Plant
from simulators.plantfile import PlantFile

SOUND = pump.new(22.0)
HERTZ = SOUND.speed / 60.0


def blocks(of: Pump, n: int = 20) -> list[NDArray[np.float64]]:
    return [vibration.block(of, at_moment(5, i)) for i in range(n)]


def mean(of: Pump, measure: Callable[[NDArray[np.float64]], float]) -> float:
    return float(np.mean([measure(block) for block in blocks(of)]))


def rms(block: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(block**2)))


def kurtosis(block: NDArray[np.float64]) -> float:
    centred = block - block.mean()
    return float(np.mean(centred**4) / np.mean(centred**2) ** 2)


def crest(block: NDArray[np.float64]) -> float:
    return float(np.abs(block).max()) / rms(block)


def high_frequency_rms(block: NDArray[np.float64]) -> float:
    power = np.abs(np.fft.rfft(block)) ** 2
    above = np.fft.rfftfreq(BLOCK, 1.0 / SAMPLE_RATE) > 3_000.0
    return float(np.sqrt(2.0 * power[above].sum())) / BLOCK


def worn(wear: float) -> Pump:
    return SOUND._replace(age=bearing.age(wear))


def test_velocity_is_the_integral_of_acceleration() -> None:
    seconds = np.arange(BLOCK) / SAMPLE_RATE
    omega = 2.0 * np.pi * 100.0
    block = 0.003 * np.sqrt(2.0) * omega * np.sin(omega * seconds)  # 3 mm/s RMS at 100 Hz
    assert vibration.velocity_rms(block) == pytest.approx(3.0, rel=0.01)
    assert vibration.velocity_rms(block + 5.0) == pytest.approx(3.0, rel=0.01), "a constant is no vibration"


def test_velocity_ends_at_1000_hz() -> None:
    seconds = np.arange(BLOCK) / SAMPLE_RATE
    assert vibration.velocity_rms(50.0 * np.sin(2.0 * np.pi * 1_500.0 * seconds)) < 0.1


def test_a_sound_bearing_is_gaussian_and_in_zone_a() -> None:
    assert mean(SOUND, kurtosis) == pytest.approx(3.0, abs=0.25)
    assert mean(SOUND, vibration.velocity_rms) < 1.4  # ISO 20816-3, group 2, rigid: border of zones A and B, mm/s


def test_a_failed_bearing_is_in_zone_d() -> None:
    assert mean(worn(1.0), vibration.velocity_rms) > 4.5  # ISO 20816-3, group 2, rigid: border of zones C and D, mm/s


def test_wear_raises_rms_velocity_crest_and_kurtosis() -> None:
    stages = [worn(wear) for wear in (0.0, 0.03, 0.1, 0.3, 0.6, 1.0)]
    for measure in (rms, high_frequency_rms, vibration.velocity_rms):
        levels = [mean(stage, measure) for stage in stages]
        assert levels == sorted(levels), measure.__name__
    assert [mean(stage, kurtosis) for stage in stages[:4]] == sorted(mean(stage, kurtosis) for stage in stages[:4])
    assert mean(worn(0.1), kurtosis) > 4.5, "seen long before the failure"
    assert mean(worn(1.0), kurtosis) > 6.0
    assert mean(worn(0.3), crest) > 1.3 * mean(SOUND, crest)


def test_a_struck_race_shows_at_its_frequency_in_the_envelope() -> None:
    spectra = [np.abs(np.fft.rfft(envelope * np.hanning(BLOCK))) for envelope in map(demodulated, blocks(worn(0.3)))]
    spectrum = np.mean(spectra, axis=0)
    frequency = np.fft.rfftfreq(BLOCK, 1.0 / SAMPLE_RATE)
    search = (frequency > 0.7 * PUMP_BEARING.outer * HERTZ) & (frequency < 900.0)
    strongest = frequency[search][np.argmax(spectrum[search])]
    assert strongest == pytest.approx(PUMP_BEARING.outer * HERTZ, abs=2.0 * SAMPLE_RATE / BLOCK)


def demodulated(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared envelope around the resonance, without its mean."""
    frequency = np.fft.fftfreq(BLOCK, 1.0 / SAMPLE_RATE)
    band = np.where((frequency > 2_400.0) & (frequency < 4_400.0), 2.0, 0.0)
    envelope = np.abs(np.fft.ifft(np.fft.fft(block) * band)) ** 2
    return np.asarray(envelope - envelope.mean())


def test_the_geometry_gives_the_textbook_frequencies() -> None:
    assert PUMP_BEARING.outer == pytest.approx(3.607, abs=0.001)
    assert PUMP_BEARING.inner == pytest.approx(5.393, abs=0.001)
    assert PUMP_BEARING.outer + PUMP_BEARING.inner == pytest.approx(PUMP_BEARING.balls)


def test_cavitation_is_broadband_noise_at_high_frequency() -> None:
    stages = [SOUND._replace(cavitation=c) for c in (0.0, 0.25, 0.5, 1.0)]
    levels = [mean(stage, high_frequency_rms) for stage in stages]
    assert levels == sorted(levels)
    assert levels[-1] > 5.0 * levels[0]
    assert mean(stages[-1], vibration.velocity_rms) < 1.2 * mean(SOUND, vibration.velocity_rms)
    assert mean(stages[-1], kurtosis) > 3.3


def test_the_scalars_are_those_of_the_waveform() -> None:
    plant = Plant(PlantFile())
    plant.switch_on(Fault("bearing_wear", "pump", severity=0.5))
    plant.run(60.0)
    shown, block = plant.measure(), plant.waveform()
    assert shown["pump/velocity_rms"] == pytest.approx(vibration.velocity_rms(block), abs=0.006)
    assert shown["pump/acceleration_rms"] == pytest.approx(rms(block), abs=0.006)
    assert shown["pump/acceleration_peak"] == pytest.approx(np.abs(block).max(), abs=0.06)


def test_a_pump_that_stands_is_silent() -> None:
    assert mean(SOUND._replace(speed=0.0), rms) < 0.02


def test_damage_is_slow_then_exponential() -> None:
    assert [bearing.wear(age) for age in (0.0, 1.0, 2.0)] == [0.0, 1.0, 1.0]
    assert bearing.wear(0.5) < 0.1 < 0.3 < bearing.wear(0.8)
    for wear in (0.0, 0.01, 0.4, 1.0):
        assert bearing.wear(bearing.age(wear)) == pytest.approx(wear)
