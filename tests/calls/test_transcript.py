import pytest

from archer_bridge.calls.playout import Playout
from archer_bridge.calls.transcript import Transcript
from archer_bridge.models import Turn

SECOND = 8000
WORDS = ("Your", " balance", " is", " nine", " hundred", " dollars.")
"""Half a second each."""
TEXT = "".join(WORDS)


class Talk:
    """A transcript on a ledger that knows the network (no delay) and a clock that the test moves."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.ledger = Playout()
        self.ledger.echo(self.ledger.mark(0.0), 0.0)
        self.transcript = Transcript(self.ledger, began=0.0, emit=self.turns.append)
        self.now = 1.0

    def audio(self, seconds: float, *, sent: bool = True) -> None:
        n_bytes = round(seconds * SECOND)
        start = self.ledger.accepted
        self.ledger.accept(n_bytes, self.now)
        if sent:
            self.ledger.send(n_bytes, self.now)
        if not self.transcript.in_run:
            heard_from = self.ledger.starts_at(start, self.now)
            self.transcript.agent_audio(start, now=self.now, heard_from=heard_from, caller_until=None)

    def cut(self) -> None:
        self.ledger.clear(self.now)
        self.transcript.cleared()

    def proved(self) -> None:
        self.ledger.echo(self.ledger.mark(self.now), self.now)
        self.transcript.settle(self.now)


def say(delivery: str, *, cut_at_s: float | None = None) -> Talk:
    """Say TEXT in 3 s of audio: words and audio come as `delivery` says, until the caller interrupts."""
    talk = Talk()
    talk.transcript.turn_started(1, "assistant", talk.now)
    end_s = 3.0 if cut_at_s is None else cut_at_s
    events: list[tuple[float, int, str | float]] = []
    for number, word in enumerate(WORDS):
        begins, ends = number / 2, (number + 1) / 2
        audio_at = {"paced": max(0.0, begins - 0.2)}
        events.append((audio_at.get(delivery, begins / 10), 1, 0.5))
        word_at = {"paced": ends, "burst": ends, "with-audio": begins / 10, "early": 0.0}
        if delivery != "none":
            events.append((word_at[delivery], 0 if delivery == "early" else 2, word))
    given = ""
    for at, _, what in sorted(events, key=lambda event: event[:2]):
        if at >= end_s and cut_at_s is not None:
            break
        talk.now = 1.0 + at
        if isinstance(what, float):
            talk.audio(what)
        else:
            talk.transcript.agent_text(1, what, talk.now)
            given += what
    talk.now = 1.0 + end_s
    if cut_at_s is not None:
        talk.cut()
    text = TEXT if cut_at_s is None or delivery == "none" else given
    talk.transcript.turn_ended(1, "assistant", text, cut_at_s is not None, talk.now)
    if cut_at_s is None:
        talk.proved()
    talk.transcript.settle(talk.now)
    return talk


@pytest.mark.parametrize("delivery", ["paced", "burst", "with-audio", "early", "none"])
def test_a_turn_heard_to_its_end_was_heard_to_the_word(delivery):
    turn = say(delivery).turns[0]

    assert (turn.text, turn.heard_text, turn.interrupted) == (TEXT, TEXT, False)
    assert turn.heard_ms == turn.spoken_ms == 3000


@pytest.mark.parametrize("cut_at_s", [0.02, 0.25, 0.51, 0.99, 1.01, 1.7, 2.49, 2.51, 2.99])
@pytest.mark.parametrize("delivery", ["paced", "burst", "with-audio", "early", "none"])
def test_a_cut_turn_was_heard_up_to_the_last_whole_word_or_one_less(delivery, cut_at_s):
    """However the words come: to the word where they come as spoken, never too far, else at most a word off."""
    turn = say(delivery, cut_at_s=cut_at_s).turns[0]
    truth = "".join(WORDS[: int(cut_at_s * 2)])
    one_off = {"".join(WORDS[: int(cut_at_s * 2) + n]) for n in (-1, 0, 1)}

    assert turn.interrupted
    assert turn.heard_ms == pytest.approx(cut_at_s * 1000, abs=0.2)
    assert TEXT.startswith(turn.heard_text)
    if delivery in {"paced", "burst"}:
        assert turn.heard_text == truth
    else:
        assert turn.heard_text in one_off


def test_both_texts_are_kept_where_the_engine_and_we_differ():
    """The engine believes that all of it was spoken; Twilio had played a quarter."""
    talk = Talk()
    talk.transcript.turn_started(4, "assistant", talk.now)
    talk.audio(2.0)
    for word in ("one", " two", " three", " four"):
        talk.transcript.agent_text(4, word, talk.now)
    talk.now += 0.5
    talk.cut()
    talk.transcript.turn_ended(4, "assistant", "one two three four", False, talk.now)
    talk.transcript.settle(talk.now)

    assert [(turn.text, turn.heard_text, turn.interrupted, turn.engine_interrupted) for turn in talk.turns] == [
        ("one two three four", "", True, False)
    ]


def test_a_turn_is_written_when_its_last_byte_is_proved_and_not_before():
    talk = Talk()
    talk.transcript.turn_started(1, "assistant", talk.now)
    talk.audio(1.0)
    talk.transcript.turn_ended(1, "assistant", "yes", False, talk.now)
    talk.now += 5
    talk.transcript.settle(talk.now)
    unproved = list(talk.turns)
    talk.proved()

    assert unproved == []
    assert [turn.heard_text for turn in talk.turns] == ["yes"]
    assert talk.transcript.settled


def test_a_turn_that_its_engine_never_ended_is_closed_by_the_next_with_the_words_it_had():
    talk = Talk()
    talk.transcript.turn_started(1, "assistant", talk.now)
    talk.audio(1.0)
    talk.transcript.agent_text(1, "half a", talk.now + 0.9)
    talk.transcript.turn_started(2, "assistant", talk.now)
    talk.now += 2
    talk.proved()

    assert [(turn.number, turn.text, turn.engine_interrupted) for turn in talk.turns] == [(1, "half a", True)]


def test_the_calls_end_settles_everything_at_that_instant():
    talk = Talk()
    talk.transcript.turn_started(1, "assistant", talk.now)
    talk.audio(1.0)
    talk.transcript.agent_text(1, "Good", talk.now + 0.4)
    talk.transcript.agent_text(1, "bye", talk.now + 0.9)
    talk.now += 0.5
    talk.transcript.settle(talk.now, final=True)

    assert [(turn.text, turn.heard_text, turn.heard_ms) for turn in talk.turns] == [("Goodbye", "Good", 500)]


def test_late_audio_of_an_ended_turn_is_still_its_own():
    talk = Talk()
    talk.transcript.turn_started(1, "assistant", talk.now)
    talk.audio(0.5)
    talk.transcript.turn_ended(1, "assistant", "yes", False, talk.now)
    talk.audio(0.5)
    talk.now += 2
    talk.proved()

    assert [turn.spoken_ms for turn in talk.turns] == [1000]


def test_audio_of_no_turn_and_words_of_another_turn_are_nobodys():
    talk = Talk()
    talk.audio(0.5)
    talk.transcript.turn_started(1, "assistant", talk.now)
    talk.transcript.agent_text(7, "stray", talk.now)
    talk.transcript.turn_ended(9, "assistant", "stray", False, talk.now)
    talk.transcript.turn_ended(1, "assistant", "", False, talk.now)
    talk.transcript.settle(talk.now)

    assert [(turn.number, turn.text, turn.spoken_ms) for turn in talk.turns] == [(1, "", 0)]


def test_response_times_count_from_the_callers_voice_to_the_sound_and_are_split():
    talk = Talk()
    talk.transcript.turn_started(1, "user", 2.0)
    talk.transcript.turn_ended(1, "user", "hello", False, 3.0)
    talk.transcript.turn_started(2, "assistant", 3.5)
    talk.ledger.accept(800, 3.6)
    talk.ledger.send(800, 3.6)
    talk.transcript.agent_audio(0, now=3.6, heard_from=3.65, caller_until=2.8)
    talk.transcript.turn_ended(2, "assistant", "hi", False, 3.7)
    talk.now = 4.0
    talk.proved()
    caller, agent = talk.turns

    assert (caller.role, caller.text, caller.heard_text, caller.started_ms, caller.ended_ms) == (
        "user",
        "hello",
        "hello",
        2000,
        3000,
    )
    assert (agent.response_ms, agent.engine_ms, agent.bridge_ms) == pytest.approx((850, 800, 50))
    assert (talk.transcript.first_heard_ms, talk.transcript.responses_ms) == (3650, [agent.response_ms])
