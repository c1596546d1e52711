"""Where the coefficients of `archer_codecs.prototype` come from; needs scipy."""

import numpy as np
import numpy.typing as npt

from archer_codecs.prototype import HALF_SPAN, PASS_EDGE, STOP_EDGE

Floats = npt.NDArray[np.float64]

TERMS = 19
RIPPLE_DB = 0.008
_TOP = 6.0  # in units of fmin: beyond it the series has died away by itself


def design() -> tuple[Floats, float]:
    """Find the cosine series with the least stop-band maximum: its coefficients and that maximum in dB.

    A linear program: minimise s subject to |H - 1| <= ripple in the pass band, |H| <= s in the stop band, and a
    series that is zero at both ends.
    """
    from scipy.optimize import linprog

    step = 1 / (2 * HALF_SPAN) / 16
    passing = _spectrum(np.append(np.arange(0, PASS_EDGE, step), PASS_EDGE))
    near, far = np.arange(STOP_EDGE, 1.5, step), np.arange(1.5, _TOP, step * 1.7)
    stopped = _spectrum(np.concatenate([near, far]))
    ripple = 10 ** (RIPPLE_DB / 20) - 1
    zero, minus = np.zeros((len(passing), 1)), -np.ones((len(stopped), 1))
    result = linprog(
        np.append(np.zeros(TERMS), 1.0),
        A_ub=np.block([[passing, zero], [-passing, zero], [stopped, minus], [-stopped, minus]]),
        b_ub=np.concatenate(
            [np.full(len(passing), 1 + ripple), np.full(len(passing), ripple - 1), np.zeros(2 * len(stopped))]
        ),
        A_eq=[np.append((-1.0) ** np.arange(TERMS), 0.0)],
        b_eq=[0.0],
        bounds=[(None, None)] * TERMS + [(0, None)],
    )
    return np.asarray(result.x[:-1]), float(20 * np.log10(result.x[-1]))


def _spectrum(frequency: Floats) -> Floats:
    """Fourier transform of each cosine on [-HALF_SPAN, HALF_SPAN], shape (frequencies, TERMS)."""
    at = 2 * HALF_SPAN * frequency[:, None]
    order = np.arange(TERMS)
    return np.asarray(HALF_SPAN * (np.sinc(at - order) + np.sinc(at + order)))
