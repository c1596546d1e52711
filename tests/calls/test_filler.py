"""Filler: words once a wait, then a sign of life before 1.5 s of silence."""

from archer_bridge.calls.filler import SIGN_EVERY_S, Filler, FillerAudio

AUDIO = FillerAudio(b"w" * 8000, b"s" * 2000)


def played(filler: Filler, start: float, end: float) -> list[tuple[float, bytes]]:
    """Ask ten times a second, and note what comes when."""
    found = []
    for tick in range(round(start * 10), round(end * 10) + 1):
        if (audio := filler.due(tick / 10)) is not None:
            found.append((tick / 10, audio[:1]))
    return found


def test_it_says_nothing_until_begun() -> None:
    assert played(Filler(AUDIO), 0, 5) == []


def test_words_come_once_then_signs() -> None:
    filler = Filler(AUDIO)
    filler.begin(1.0)
    filler.begin(1.5)

    assert played(filler, 1.0, 6.5) == [(1.0, b"w"), (3.2, b"s"), (4.7, b"s"), (6.2, b"s")]
    assert filler.played == 1


def test_no_silence_of_one_and_a_half_seconds_arises() -> None:
    longest_check_s = 0.1

    assert SIGN_EVERY_S + longest_check_s < 1.5


def test_words_are_not_said_again_in_the_same_wait() -> None:
    filler = Filler(AUDIO)
    filler.begin(0.0)
    first = played(filler, 0.0, 0.5)
    filler.stop()
    filler.begin(0.6)

    assert first == [(0.0, b"w")]
    assert played(filler, 0.6, 1.5) == [(1.0, b"s")]
    assert filler.played == 2


def test_the_agents_voice_ends_the_wait() -> None:
    filler = Filler(AUDIO)
    filler.begin(0.0)
    first = played(filler, 0.0, 0.3)
    filler.agent_spoke()
    silent = played(filler, 0.3, 9.0)
    filler.begin(9.0)

    assert (first, silent) == ([(0.0, b"w")], [])
    assert played(filler, 9.0, 9.5) == [(9.0, b"w")]
