import pytest

from archer_bridge.calls.farewell import BREATH_S, GRACE_S, HALTED_S, SHORT_GRACE_S, UNPROVED_S, Farewell
from archer_bridge.models import EndCall

SILENT = {"turn_open": False, "playing": False, "proved": True}
PLAYING = {"turn_open": True, "playing": True, "proved": False}
PAUSED = {"turn_open": True, "playing": False, "proved": True}
UNPROVED = {"turn_open": False, "playing": False, "proved": False}
STEP_S = 0.1


def over_at(script: list[tuple[float, dict[str, bool]]], *, last_audio_at: float | None, gone: bool = False) -> float:
    """Run a farewell begun at 10.0 through (until, state) pairs; return when it was over, by tenths."""
    farewell = Farewell(EndCall("bye"), since=10.0, longest_s=20.0)
    if gone:
        farewell.engine_is_gone()
    now = 10.0
    for until, state in script:
        while now < until:
            if farewell.is_over(now, last_audio_at=last_audio_at, **state):
                return round(now - 10.0, 1)
            now = round(now + STEP_S, 1)
    return float("inf")


@pytest.mark.parametrize(
    ("script", "last_audio_at", "gone", "seconds"),
    [
        pytest.param([(60, SILENT)], None, False, GRACE_S, id="no-goodbye-comes"),
        pytest.param([(60, SILENT)], 8.0, False, SHORT_GRACE_S, id="it-was-said-before"),
        pytest.param([(60, SILENT)], 6.0, False, GRACE_S, id="what-was-said-long-before-was-none"),
        pytest.param([(60, SILENT)], None, True, BREATH_S, id="the-engine-is-gone-and-all-is-heard"),
        pytest.param([(13, PLAYING), (60, SILENT)], 12.8, False, 3 + BREATH_S, id="heard-to-its-end"),
        pytest.param([(40, PLAYING), (60, SILENT)], 39.0, False, 30 + BREATH_S, id="however-long-it-is"),
        pytest.param([(13, PLAYING), (60, UNPROVED)], 12.8, False, 3 + UNPROVED_S, id="an-echo-is-lost"),
        pytest.param([(13, PLAYING), (13.7, UNPROVED), (60, SILENT)], 12.8, False, 3.7, id="an-echo-is-late"),
        pytest.param([(12, PLAYING), (15, PAUSED), (17, PLAYING), (60, SILENT)], 16.0, False, 7.3, id="with-a-pause"),
        pytest.param([(12, PLAYING), (60, PAUSED)], 11.9, False, 1.9 + HALTED_S, id="a-turn-that-never-ends"),
        pytest.param([(12, PLAYING), (60, PAUSED)], 11.9, True, 2 + BREATH_S, id="cut-off-by-its-engines-end"),
        pytest.param([(60, UNPROVED)], None, True, UNPROVED_S, id="nothing-proved-at-all"),
    ],
)
def test_the_line_stays_open_until_the_last_word_was_heard_and_no_longer(script, last_audio_at, gone, seconds):
    assert over_at(script, last_audio_at=last_audio_at, gone=gone) == pytest.approx(seconds, abs=1.01 * STEP_S)


def test_an_agent_that_stops_in_the_middle_of_its_goodbye_is_not_waited_for() -> None:
    farewell = Farewell(EndCall("done"), since=0.0, longest_s=20.0)
    over = [
        farewell.is_over(tick / 2, turn_open=True, playing=1 <= tick <= 4, proved=True, last_audio_at=tick / 2)
        for tick in range(24)
    ]

    assert over.index(True) == (2.0 + HALTED_S) * 2
