"""Vibration of the pump bearing: one block of acceleration, made from causes, and what a transmitter makes of it.

The block is the sum of what a vibration analyst looks for:

    shaft      harmonics 1x, 2x, 3x of the speed; they grow when a worn bearing gives play
    vanes      blade pass, speed times vanes
    noise      broadband, Gaussian; alone it has a kurtosis of 3
    impacts    balls striking a damaged race (BPFO, BPFI), each ringing down a resonance of the housing
    cavitation bubbles collapsing: bursts of noise above 3 kHz at random moments
"""

from math import pi, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from simulators.physics.bearing import PUMP_BEARING
from simulators.physics.pump import VANES, Pump

SAMPLE_RATE: Final = 16_000  # Hz
BLOCK: Final = 4_096  # samples: 256 ms, a resolution of 3.9 Hz
RESONANCE_HZ: Final = 3_400.0
DAMPING: Final = 0.05  # share of critical: a ring dies out within 1 ms
NOISE: Final = 0.75  # m/s2 RMS of a sound bearing at full speed
IMPACT: Final = 30.0  # m/s2 of a ball striking a race worn to 1
SLIP: Final = 0.01  # balls slide a little: their period scatters by one percent
BURSTS: Final = 400.0  # per second
# Velocity RMS [mm/s] of the harmonics of the shaft and of the vanes: a pump in zone A of ISO 20816-3, group 2.
SHAFT: Final = ((1, 0.70), (2, 0.30), (3, 0.12))
VANE: Final = 0.18


class Levels(NamedTuple):
    """What a vibration transmitter shows: velocity RMS 10 to 1000 Hz [mm/s], acceleration RMS and peak [m/s2]."""

    velocity_rms: float
    acceleration_rms: float
    acceleration_peak: float


def block(pump: Pump, random: Generator) -> NDArray[np.float64]:
    """Return BLOCK samples of acceleration [m/s2] of the bearing at SAMPLE_RATE, for the pump as it is now."""
    turn = pump.speed / 3_000.0
    background = 0.01 * random.standard_normal(BLOCK)
    if turn < 0.02:
        return background
    worn = pump.wear
    hertz = pump.speed / 60.0
    return (
        background
        + turn**2 * _tones(hertz, 1.0 + 5.0 * worn**2, random)
        + turn * NOISE * (1.0 + 2.0 * worn) * random.standard_normal(BLOCK)
        + turn * _race(PUMP_BEARING.outer * hertz, IMPACT * worn**0.7, hertz, 0.1, random)
        + turn * _race(PUMP_BEARING.inner * hertz, 0.3 * IMPACT * worn**0.7, hertz, 0.8, random)
        + turn * _cavitation(pump.cavitation, random)
    )


def levels(block: NDArray[np.float64]) -> Levels:
    """Return what a transmitter shows for a block of acceleration [m/s2]."""
    return Levels(velocity_rms(block), float(np.sqrt(np.mean(block**2))), float(np.max(np.abs(block))))


def velocity_rms(block: NDArray[np.float64], low_hz: float = 10.0, high_hz: float = 1_000.0) -> float:
    """Return the RMS of velocity [mm/s] in a band (ISO 20816-1), by integration of acceleration in frequency.

    A Hann window keeps the strong low lines from leaking; its mean square, 3/8, is divided out.
    """
    spectrum = np.fft.rfft((block - block.mean()) * np.hanning(len(block))) / len(block)
    frequency = np.fft.rfftfreq(len(block), 1.0 / SAMPLE_RATE)
    band = (frequency >= low_hz) & (frequency <= high_hz)
    velocity = np.abs(spectrum[band]) / (2.0 * pi * frequency[band])
    return 1000.0 * sqrt(2.0 * float(np.sum(velocity**2)) / 0.375)


def _tones(hertz: float, play: float, random: Generator) -> NDArray[np.float64]:
    """Return shaft harmonics and blade pass; `play` multiplies the harmonics."""
    seconds = np.arange(BLOCK) / SAMPLE_RATE
    tones = np.zeros(BLOCK)
    for multiple, velocity in (*((n, play * v) for n, v in SHAFT), (VANES, VANE)):
        omega = 2.0 * pi * multiple * hertz
        amplitude = sqrt(2.0) * velocity / 1000.0 * omega
        tones += amplitude * np.sin(omega * seconds + random.uniform(0.0, 2.0 * pi))
    return tones


def _race(rate: float, strength: float, hertz: float, modulation: float, random: Generator) -> NDArray[np.float64]:
    """Return the ringing of a race struck `rate` times a second.

    The inner race turns through the load zone, so its blows are modulated once per turn; the outer stands still.
    """
    if strength <= 0.0:
        return np.zeros(BLOCK)
    n = int(BLOCK / SAMPLE_RATE * rate) + 2
    moments = np.cumsum((1.0 + SLIP * random.standard_normal(n)) / rate) - random.uniform(0.0, 2.0 / rate)
    load = 1.0 + modulation * np.sin(2.0 * pi * hertz * moments + random.uniform(0.0, 2.0 * pi))
    blows = strength * load * np.exp(0.25 * random.standard_normal(n))
    return _strike(moments, blows)


def _strike(moments: NDArray[np.float64], blows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the resonance struck at some moments [s] with some strength [m/s2]; others are ignored."""
    samples = np.floor(moments * SAMPLE_RATE).astype(np.int64)
    inside = (samples >= 0) & (samples < BLOCK)
    struck = np.zeros(BLOCK)
    np.add.at(struck, samples[inside], blows[inside])
    return np.convolve(struck, _RING)[:BLOCK]


def _cavitation(cavitation: float, random: Generator) -> NDArray[np.float64]:
    """Return bursts of high-frequency noise; 0 to 1 gives up to 6 m/s2 RMS."""
    if cavitation <= 0.0:
        return np.zeros(BLOCK)
    bursts = np.zeros(BLOCK)
    n = random.poisson(BURSTS * BLOCK / SAMPLE_RATE * (0.5 + cavitation))
    np.add.at(bursts, random.integers(0, BLOCK, n), random.exponential(1.0, n))
    envelope = 0.5 + 0.3 * np.convolve(bursts, _BURST)[:BLOCK]
    hiss = np.diff(random.standard_normal(BLOCK + 2), n=2) / sqrt(6.0)  # a second difference: 12 dB per octave
    return 5.0 * cavitation * envelope * hiss


def _decay(seconds: float) -> NDArray[np.float64]:
    return np.exp(-np.arange(int(6 * seconds * SAMPLE_RATE)) / SAMPLE_RATE / seconds)


_RING_S: Final = 1.0 / (2.0 * pi * RESONANCE_HZ * DAMPING)
_RING: Final = _decay(_RING_S) * np.sin(2.0 * pi * RESONANCE_HZ * np.arange(len(_decay(_RING_S))) / SAMPLE_RATE)
_BURST: Final = _decay(0.004)
