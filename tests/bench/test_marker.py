from collections.abc import Iterator

import numpy as np
import pytest

from tests.bench.marker import BURST, EVERY, FIRST, RATE, SILENCE, VALUES, Heard, delays_ms, find, has_burst

FRAME_S = 0.020


def spoken(frames: int = 150) -> list[bytes]:
    return [BURST if has_burst(number) else SILENCE for number in range(frames)]


def due(frames: int = 150) -> list[float]:
    return [number * FRAME_S for number in range(frames) if has_burst(number)]


def at_their_times(frames: list[bytes], *, late_s: float = 0.0) -> list[tuple[float, bytes]]:
    return [(number * FRAME_S + late_s, frame) for number, frame in enumerate(frames)]


def encoded(samples: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> bytes:
    return bytes(np.abs(samples[:, None] - VALUES[None, :]).argmin(axis=1).astype(np.uint8))


def lumps(messages: list[tuple[float, bytes]], frames: int) -> Iterator[tuple[float, bytes]]:
    for first in range(0, len(messages), frames):
        several = messages[first : first + frames]
        yield several[-1][0], b"".join(data for _, data in several)


def test_mu_law_is_decoded_as_the_standard_says() -> None:
    assert (VALUES[0xFF], VALUES[0x7F], VALUES[0x80], VALUES[0x00]) == (0, 0, 32124, -32124)


def test_a_burst_is_loud_and_a_frame_long() -> None:
    values = np.abs(VALUES[np.frombuffer(BURST, np.uint8)])

    assert (len(BURST), values.max() > 15_000) == (160, True)


def test_there_is_a_burst_a_second() -> None:
    assert [number for number in range(150) if has_burst(number)] == [FIRST, FIRST + EVERY, FIRST + 2 * EVERY]


@pytest.mark.parametrize("late_ms", [0.0, 0.15, 3.2, 47.0, 260.0])
def test_an_echo_is_as_late_as_it_came(late_ms: float) -> None:
    heard = find(at_their_times(spoken(), late_s=late_ms / 1000))

    assert delays_ms(due(), heard) == [pytest.approx(late_ms, abs=0.01)] * 3
    assert [one.shift_ms for one in heard] == [pytest.approx(0.0, abs=0.002)] * 3


@pytest.mark.parametrize("samples", [1, 15, 30, 79, 81, 200])
def test_what_filters_put_before_the_audio_is_delay(samples: int) -> None:
    stream = b"\xff" * samples + b"".join(spoken())
    messages = at_their_times([stream[at : at + 160] for at in range(0, len(stream) - 160, 160)])

    assert delays_ms(due(), find(messages)) == [pytest.approx(samples / RATE * 1000, abs=0.01)] * 3


@pytest.mark.parametrize("samples", [1, 15, 30])
def test_what_filters_hold_back_is_delay(samples: int) -> None:
    """Nothing is put before the audio; every message ends so many samples earlier than the frame that it answers."""
    stream = b"".join(spoken())
    cuts = [0, *range(160 - samples, len(stream), 160)]
    messages = at_their_times([stream[a:b] for a, b in zip(cuts, cuts[1:], strict=False)])

    assert delays_ms(due(), find(messages)) == [pytest.approx(samples / RATE * 1000, abs=0.01)] * 3


def test_a_fraction_of_a_sample_is_seen() -> None:
    """Half a sample of delay by the mean of two neighbours, whose response is linear phase."""
    values = VALUES[np.frombuffer(b"".join(spoken()), np.uint8)]
    half = encoded((values + np.concatenate(([0.0], values[:-1]))) / 2)
    messages = at_their_times([half[at : at + 160] for at in range(0, len(half), 160)])

    assert delays_ms(due(), find(messages)) == [pytest.approx(0.5 / RATE * 1000, abs=0.005)] * 3


def test_waiting_for_a_lump_is_delay() -> None:
    """The burst in frame 25 is the second of a lump of six, which comes when its last frame does."""
    messages = list(lumps(at_their_times(spoken(30)), 6))

    assert delays_ms(due(30), find(messages)) == [pytest.approx((29 + 1 - 25) * 20, abs=0.01)]


def test_a_quiet_burst_counts_and_noise_does_not() -> None:
    values = VALUES[np.frombuffer(b"".join(spoken(60)), np.uint8)]
    noise = np.random.default_rng(3).normal(0, 1500, len(values))
    stream = encoded(values * 0.6 + noise)
    messages = at_their_times([stream[at : at + 160] for at in range(0, len(stream), 160)])

    assert delays_ms(due(60), find(messages)) == [pytest.approx(0.0, abs=0.05)]


def test_a_lost_burst_is_no_other_ones_delay() -> None:
    frames = spoken()
    frames[FIRST + EVERY] = SILENCE

    assert len(delays_ms(due(), find(at_their_times(frames)))) == 2


def test_a_burst_that_comes_twice_counts_once() -> None:
    heard = [Heard(0.51, 0.0), Heard(0.62, 0.0), Heard(1.53, 0.0)]

    assert delays_ms([0.5, 1.5], heard) == [pytest.approx(10.0), pytest.approx(30.0)]


def test_a_burst_before_its_time_is_none() -> None:
    assert delays_ms([0.5], [Heard(0.4, 0.0)]) == []


@pytest.mark.parametrize("messages", [[], [(0.0, b"\xff" * 20)], [(0.0, SILENCE * 9)]])
def test_silence_holds_no_burst(messages: list[tuple[float, bytes]]) -> None:
    assert find(messages) == []
