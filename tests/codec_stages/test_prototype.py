import numpy as np
import pytest

from archer_codecs.prototype import HALF_SPAN, MINIMUM_SPAN, PASS_EDGE, STOP_EDGE, linear, minimum

GRIDS = [2, 3, 6, 160, 441]


def response(impulse: np.ndarray, grid: int) -> tuple[np.ndarray, np.ndarray]:
    size = 1 << (64 * len(impulse)).bit_length()
    return np.fft.rfftfreq(size, 1 / grid), np.fft.rfft(impulse, size)


def db(value: float) -> float:
    return float(20 * np.log10(value))


@pytest.mark.parametrize("grid", GRIDS)
def test_linear_phase_is_flat_and_stops(grid: int) -> None:
    at, spectrum = response(linear(grid), grid)
    gain = np.abs(spectrum)
    passed = gain[at <= PASS_EDGE]

    assert db(passed.max() / passed.min()) <= 0.018
    assert db(gain[at >= STOP_EDGE].max()) <= -88


@pytest.mark.parametrize("grid", GRIDS)
def test_linear_phase_is_symmetric(grid: int) -> None:
    impulse = linear(grid)

    assert 2 * HALF_SPAN * grid + 1 == len(impulse)
    assert np.allclose(impulse, impulse[::-1], atol=1e-15)


@pytest.mark.parametrize("grid", GRIDS)
def test_minimum_phase_keeps_the_magnitude_and_comes_early(grid: int) -> None:
    impulse = minimum(grid)
    at, spectrum = response(impulse, grid)
    gain = np.abs(spectrum)
    passed = gain[at <= PASS_EDGE]
    first = np.angle(spectrum[np.searchsorted(at, 0.125)])

    assert MINIMUM_SPAN * grid == len(impulse)
    assert db(passed.max() / passed.min()) <= 0.02
    assert db(gain[at >= STOP_EDGE].max()) <= -58
    assert -first / (2 * np.pi * 0.125) <= 2.4  # sample periods of 8 kHz: 0.3 ms


def test_the_coefficients_are_those_of_the_design() -> None:
    pytest.importorskip("scipy")
    from archer_codecs.bench.design import design
    from archer_codecs.prototype import _SERIES

    series, stop_db = design()

    assert np.allclose(series, _SERIES, atol=2e-5)
    assert stop_db <= -89.5
