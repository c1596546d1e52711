import pytest

from tests.bench.load import Measured
from tests.bench.segment import lost_audio, why_rejected


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        pytest.param(1000, "", id="all"),
        pytest.param(996, "", id="nearly all"),
        pytest.param(994, "994 of 1000 frames came back", id="lost"),
        pytest.param(1006, "1006 of 1000 frames came back", id="too many"),
    ],
)
def test_frames_are_counted(received: int, expected: str) -> None:
    measured = Measured(calls=10, sent=1000, received=received)

    assert lost_audio(measured, 0.0, is_frame_for_frame=True) == expected


@pytest.mark.parametrize(
    ("audio", "expected"),
    [
        pytest.param(1.0, "", id="all"),
        pytest.param(0.96, "", id="a lump is on its way"),
        pytest.param(1.04, "", id="a lump was on its way"),
        pytest.param(0.93, "93.0% of the audio came back", id="lost"),
        pytest.param(1.10, "110.0% of the audio came back", id="too much"),
    ],
)
def test_in_lumps_audio_is_counted(audio: float, expected: str) -> None:
    """100 ms lumps in 2 s: 5 % more or less, and half a percent as for all."""
    measured = Measured(calls=10, sent=1000, received=150, largest=800)

    assert lost_audio(measured, audio, is_frame_for_frame=False) == expected


@pytest.mark.parametrize(
    ("lost", "late", "load", "expected"),
    [
        pytest.param("", 4.9, 0.69, "", id="counts"),
        pytest.param("", 5.1, 0.2, "the generator was 5.1 ms late", id="late"),
        pytest.param("", 1.0, 0.71, "the bridge used 71% of a core", id="saturated"),
        pytest.param("9 of 10 frames came back", 9.0, 0.9, "9 of 10 frames came back", id="lost"),
    ],
)
def test_what_does_not_count(lost: str, late: float, load: float, expected: str) -> None:
    assert why_rejected(lost, late=late, load=load) == expected


def test_a_late_generator_can_be_accepted() -> None:
    assert why_rejected("", late=500.0, load=0.2, late_s=float("inf")) == ""
