"""The low-pass both resamplers are sampled from, as a function of continuous time.

Time is in sample periods of the slower of the two rates, `fmin`; frequency in units of `fmin`. Flat up to 0.425,
stopped from 0.575 on: at 8 kHz that is 3400 and 4600 Hz, so the transition lies where an alias or image can
only land above 3400 Hz. One function serves every pair of rates.

Linear phase: a cosine series on [-15, 15] that falls to zero at its ends. Its 19 coefficients minimise the largest
stop-band value subject to 0.008 dB of ripple (a linear program: `archer_codecs.bench.design`). 90 dB; a Kaiser window
of the same quality would be 17 % longer.

Minimum phase: the same magnitude with a floor, its phase from the cepstrum (Oppenheim and Schafer,
Discrete-Time Signal Processing, 3rd ed., section 13.4), 24 sample periods long. The floor is what keeps the
delay small. It falls with the square of the frequency, or the hundreds of images on a fine grid would add up.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

Phase = Literal["linear", "minimum"]
Floats = npt.NDArray[np.float64]

PASS_EDGE = 0.425
STOP_EDGE = 0.575
HALF_SPAN = 15
MINIMUM_SPAN = 24

_SERIES = (
    0.033364048611, 0.066625597282, 0.066668745126, 0.066696151907, 0.066618418390, 0.066724339384, 0.066605291664,
    0.066727896876, 0.066607224749, 0.066724119318, 0.066609242466, 0.066727033295, 0.066612024124, 0.066013511301,
    0.052579217392, 0.023005458356, 0.003632554341, 0.000054053877, 0.000001394732,
)  # fmt: skip

_FLOOR_DB = -61.0  # at 0 Hz; -63.5 dB at the stop edge


def linear(grid: int) -> Floats:
    """Impulse response at `grid` points a sample period, from -15 to 15 inclusive; symmetric, unit gain at 0 Hz."""
    reach = HALF_SPAN * grid
    angle = np.arange(-reach, reach + 1) * (np.pi / reach)
    values = sum(a * np.cos(k * angle) for k, a in enumerate(_SERIES))
    values[[0, -1]] = 0.0  # where the series crosses zero but for rounding
    return np.asarray(values / grid)


def minimum(grid: int) -> Floats:
    """Impulse response at `grid` points a sample period, from 0 to 24; its energy comes as early as it can."""
    size = 1 << (16 * HALF_SPAN * grid).bit_length()  # far longer than the response, or the cepstrum folds over
    floor = 10 ** (_FLOOR_DB / 20) / (1 + np.fft.rfftfreq(size, 1 / grid) ** 2)
    power = np.abs(np.fft.rfft(linear(grid), size)) ** 2 + floor**2
    cepstrum = np.fft.irfft(0.5 * np.log(power), size)
    cepstrum[1 : size // 2] *= 2.0
    cepstrum[size // 2 + 1 :] = 0.0
    causal = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), size)
    return np.asarray(causal[: MINIMUM_SPAN * grid])
