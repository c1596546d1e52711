"""Silence: who waits for whom, when a filler begins, when the agent is given up."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from archer_bridge.calls.filler import Filler, FillerAudio
from archer_bridge.calls.silence import Moment, Remedy, Silence

WORDS, SIGN = b"w" * 8000, b"s" * 2000
QUIET = Moment(
    now=0.0,
    is_ready=True,
    is_lost=False,
    is_sounding=False,
    agent_audio_at=None,
    agent_turn_open=False,
    caller_turn_open=False,
    owed_since=None,
    engine_messages=1,
    voice_ended_at=None,
    tools_running=0,
)
Facts = dict[str, Any]


class Watch:
    """A silence watched ten times a second; `facts` change what is known at an instant."""

    def __init__(self, dead_air_s: float = 4.0) -> None:
        self.filler = Filler(FillerAudio(WORDS, SIGN))
        self.silence = Silence(self.filler, began=0.0, dead_air_s=dead_air_s)
        self.played: list[float] = []
        self.begun: list[tuple[float, str]] = []
        self.lost_at: float | None = None

    def run(self, start: float, end: float, facts: Callable[[float], Facts]) -> "Watch":
        for tick in range(round(start * 10), round(end * 10) + 1):
            now = tick / 10
            sounding = {"is_sounding": now <= self.filler.sounds_until}
            self.note(now, self.silence.look(replace(QUIET, now=now, **{**sounding, **facts(now)})))
        return self

    def note(self, now: float, remedy: Remedy) -> None:
        if remedy.begun:
            self.begun.append((now, remedy.begun))
        if remedy.audio is not None:
            self.played.append(now)
        if remedy.lost and self.lost_at is None:
            self.lost_at = now


def always(**facts: Any) -> Callable[[float], Facts]:
    return lambda now: facts


def test_nobody_waits_nothing_happens() -> None:
    watch = Watch().run(0, 60, always())

    assert (watch.begun, watch.played, watch.lost_at) == ([], [], None)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(always(owed_since=1.0), id="the-agent-owes-an-answer"),
        pytest.param(
            lambda now: {"agent_turn_open": True, "is_sounding": now <= 1.0, "agent_audio_at": 0.5},
            id="its-audio-ran-out-in-mid-turn",
        ),
        pytest.param(
            lambda now: {"caller_turn_open": True, "voice_ended_at": min(now, 1.0)}, id="a-callers-turn-never-ends"
        ),
        pytest.param(lambda now: {"voice_ended_at": min(now, 1.0)}, id="a-remark-is-not-noticed"),
    ],
)
def test_a_filler_begins_at_dead_air_and_the_agent_is_given_up_at_twice(facts: Callable[[float], Facts]) -> None:
    watch = Watch().run(0, 20, lambda now: {"is_sounding": now <= 0, **facts(now)})

    assert watch.begun == [(5.0, "dead_air")]
    assert watch.lost_at == 9.0


def test_an_engine_that_connects_gets_a_filler_but_is_not_given_up_here() -> None:
    watch = Watch().run(0, 20, always(is_ready=False))

    assert watch.begun == [(4.0, "dead_air")]
    assert watch.lost_at is None


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(lambda now: {"voice_ended_at": min(now, 0.6)}, id="a-cough"),
        pytest.param(lambda now: {"voice_ended_at": now // 6 * 6 + min(now % 6, 0.2)}, id="many-small-noises"),
        pytest.param(
            lambda now: {"voice_ended_at": min(now, 3.0), "engine_messages": 1 + round(now * 10)}, id="noticed"
        ),
        pytest.param(
            lambda now: {"voice_ended_at": min(now, 3.0), "is_sounding": now <= 3.2, "agent_audio_at": 0.1},
            id="the-agents-own-echo",
        ),
        pytest.param(
            lambda now: {
                "caller_turn_open": True,
                "voice_ended_at": min(now, 1.0),
                "agent_audio_at": 1.5 if now > 1.5 else None,
                "engine_messages": 1 + (now > 1.5),
            },
            id="answered-though-never-ended",
        ),
        pytest.param(lambda now: {"owed_since": 1.0, "caller_turn_open": True, "voice_ended_at": now}, id="talks-on"),
    ],
)
def test_these_are_no_waits(facts: Callable[[float], Facts]) -> None:
    watch = Watch().run(0, 30, lambda now: {"is_sounding": False, **facts(now)})

    assert (watch.begun, watch.lost_at) == ([], None)


def test_a_slow_tool_begins_the_filler_at_once_when_it_is_quiet() -> None:
    watch = Watch().run(0, 2.0, always(tools_running=1, owed_since=1.0))
    watch.silence.tool_is_slow("lookup")
    watch.run(2.1, 8.0, always(tools_running=1, owed_since=1.0))

    assert watch.begun == [(2.1, "lookup")]
    assert watch.played == [2.1, 4.3, 5.8, 7.3]


def test_a_slow_tool_waits_for_the_agents_sentence_and_a_pause() -> None:
    def facts(now: float) -> Facts:
        return {"tools_running": 1, "is_sounding": now <= 3.0, "agent_audio_at": 0.5, "agent_turn_open": True}

    watch = Watch().run(0, 0.5, facts)
    watch.silence.tool_is_slow("lookup")
    watch.run(0.6, 4.0, facts)

    assert watch.played == [3.6]


def test_the_filler_goes_on_after_the_tool_until_the_agent_speaks() -> None:
    watch = Watch().run(0, 1.0, always(tools_running=1, owed_since=0.2))
    watch.silence.tool_is_slow("lookup")
    watch.run(1.1, 3.9, always(tools_running=1, owed_since=0.2))
    watch.run(4.0, 6.0, always(owed_since=0.2))
    before = list(watch.played)
    watch.run(6.1, 9.0, lambda now: {"agent_audio_at": 6.1, "is_sounding": now < 8.0})

    assert before == [1.1, 3.3, 4.8]
    assert watch.played == before
    assert not watch.filler.is_running


def test_a_tool_longer_than_the_fallback_does_not_cost_the_call_when_it_ends() -> None:
    watch = Watch().run(0, 20, always(tools_running=1, owed_since=0.0))
    after = watch.run(20.1, 40, always(owed_since=0.0))

    assert after.lost_at == 28.1


def test_the_filler_does_not_talk_over_the_caller_for_long() -> None:
    watch = Watch().run(0, 1.0, always(tools_running=1))
    watch.silence.tool_is_slow("lookup")
    watch.run(1.1, 4.0, lambda now: {"tools_running": 1, "voice_ended_at": now, "engine_messages": round(now * 10)})

    assert watch.played == [2.0]


def test_a_tool_that_ends_unasked_for_leaves_silence() -> None:
    watch = Watch().run(0, 1.0, always(tools_running=1))
    watch.silence.tool_is_slow("lookup")
    watch.run(1.1, 1.5, always(tools_running=1))
    watch.run(1.6, 30.0, always())

    assert (watch.played, watch.lost_at) == ([1.1], None)


@pytest.mark.parametrize(
    ("messages", "lost_at"),
    [
        pytest.param(lambda now: 1, 9.0, id="none"),
        pytest.param(lambda now: 1 + (now >= 5.0), 13.0, id="one"),
        pytest.param(lambda now: round(now), 17.0, id="again-and-again"),
    ],
)
def test_a_sign_of_life_puts_giving_up_off_but_not_for_ever(messages: Callable[[float], int], lost_at: float) -> None:
    """A tool called and answered between two looks is one; so is another session's beginning."""
    watch = Watch().run(0, 30, lambda now: {"owed_since": 1.0, "engine_messages": messages(now)})

    assert watch.lost_at == lost_at
    assert watch.begun[0][0] <= 5.0 + 0.1
