"""A waveform as a few numbers, and what modulates it.

From each waveform x of n samples in m/s2, its mean removed:

    rms           sqrt(mean x^2)                                   m/s2
    kurtosis      mean x^4 / (mean x^2)^2                          1; 3 for noise, more for impacts
    crest_factor  max |x| / rms                                    1
    velocity      rms of the velocity, 10..1000 Hz                 mm/s (ISO 20816-1, 4.2.2)

The velocity comes from the spectrum: integrating divides a line of angular frequency w by w, and by Parseval's
theorem the mean square is the sum over the lines, so no filter has to settle. From the same spectrum come the lines of
the squared envelope, such as the blows of a damaged bearing:

    z = analytic signal of x above `low`        e = |z|^2        S = amplitudes of e, in (m/s2)^2

(Randall, Antoni, Rolling element bearing diagnostics - a tutorial, Mechanical Systems and Signal Processing 25, 2011,
5.2; the whole band above the lines of the shaft and its gears is demodulated.) The spectrum of z is one-sided, so half
as many samples say all of it; what e has above a quarter of the sample rate is folded down to what it has just below,
far from the lines that are looked for.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_BLOCK: Final = 16
"""Windows that are computed at once: those of 4,096 samples then stay in the cache of a core."""
_BAND_HZ: Final = (10.0, 1000.0)
_LOW_HZ: Final = 500.0
"""Above the strong lines of most shafts and vanes, below the resonances that blows excite."""
_STILL: Final = 1e-12
"""Less than this share of its mean is the rounding of numbers, not the motion of a machine."""


def features(x: NDArray[Any], sample_rate_hz: float) -> Matrix:
    """Return rms [m/s2], kurtosis [1], crest factor [1] and velocity [mm/s], shape (k, 4), of k waveforms in m/s2.

    `x` has the shape (k, n). A waveform that does not move has kurtosis 3 and crest factor 1: there is nothing unusual
    about it.
    """
    return _computed(x, sample_rate_hz, envelope=False)[0]


def features_and_envelope(x: NDArray[Any], sample_rate_hz: float) -> tuple[Matrix, Matrix]:
    """Return features as above, and the amplitudes of the squared envelope in (m/s2)^2, shape (k, n // 4 + 1).

    Line i is at i * sample rate / n, as in the spectrum of the waveform itself if n is even.
    """
    return _computed(x, sample_rate_hz, envelope=True)


def _computed(x: NDArray[Any], sample_rate_hz: float, *, envelope: bool) -> tuple[Matrix, Matrix]:
    k, n = x.shape
    found, amplitudes = np.empty((k, 4)), np.empty((k, n // 4 + 1))
    hertz: Matrix = np.arange(n // 2 + 1) * (sample_rate_hz / n)
    room = np.empty((_BLOCK, len(hertz)), np.complex128)  # for all blocks: fresh memory costs as much as a transform
    for begin in range(0, k, _BLOCK):
        block = slice(begin, min(begin + _BLOCK, k))
        mean = x[block].mean(axis=1, dtype=np.float64)
        centred = x[block] - mean[:, None]
        lines = np.fft.rfft(centred, out=room[: len(centred)])
        found[block, :3] = _moments(centred, mean)
        found[block, 3] = np.where(found[block, 0] > 0, _velocity(lines, hertz, n), 0.0)
        if envelope:
            amplitudes[block] = _envelope(lines, n, int(np.searchsorted(hertz, _LOW_HZ)))
    return found, amplitudes


def _moments(centred: Matrix, mean: Matrix) -> Matrix:
    """Rms, kurtosis and crest factor, shape (k, 3). Writes over what it is given."""
    peak = np.maximum(centred.max(axis=1), -centred.min(axis=1))
    square = np.square(centred, out=centred)
    power = square.mean(axis=1)
    fourth = np.einsum("ij,ij->i", square, square) / square.shape[1]
    still = power <= (_STILL * mean) ** 2
    power = np.where(still, 1.0, power)
    rms = np.sqrt(power)
    return np.where(still[:, None], (0.0, 3.0, 1.0), np.column_stack([rms, fourth / power**2, peak / rms]))


def _velocity(lines: NDArray[np.complex128], hertz: Matrix, n: int) -> Matrix:
    """Rms velocity in mm/s within the band, shape (k,)."""
    band = slice(np.searchsorted(hertz, _BAND_HZ[0]), np.searchsorted(hertz, _BAND_HZ[1], "right"))
    power = np.square(lines.real[:, band]) + np.square(lines.imag[:, band])
    velocity: Matrix = 1000 / n * np.sqrt(2 * np.einsum("ij,j->i", power, (2 * np.pi * hertz[band]) ** -2.0))
    return velocity


def _envelope(lines: NDArray[np.complex128], n: int, low: int) -> Matrix:
    """Amplitudes of the squared envelope, with a Hann window for strong lines. Writes over what it is given."""
    half = n // 2
    one_sided = lines[:, :half]
    one_sided[:, : max(1, low)] = 0
    analytic = np.fft.ifft(one_sided, out=one_sided)
    envelope = np.square(analytic.real)
    envelope += np.square(analytic.imag)
    envelope -= envelope.mean(axis=1, keepdims=True)
    window = np.hanning(half + 1)[:half]
    envelope *= window
    amplitude: Matrix = np.abs(np.fft.rfft(envelope, out=lines[:, : half // 2 + 1]))
    amplitude *= 2 / window.sum()
    return amplitude
