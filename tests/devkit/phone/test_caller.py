"""What a caller's script can do, and what the bridge gets of it."""

import asyncio
import base64

import pytest

from archer_bridge.devkit.phone import CallEnded, Caller, PhoneOptions
from tests.devkit.phone.bridge import (
    Bridge,
    Peer,
    call,
    connect,
    numbered,
    phone_for,
    started,
    tone,
    words,
)
from tests.support.virtual import virtual


@virtual
async def test_barge_in_is_said_while_the_agent_talks():
    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.media(tone(5000))
        while True:
            message = await peer.receive()
            if message["event"] == "media" and set(base64.b64decode(message["media"]["payload"])) != {0xFF}:
                break
        await peer.clear()
        await peer.drain()

    async def script(caller: Caller) -> None:
        await caller.agent_speaking(after_ms=1000)
        await caller.say("Wait.")
        await caller.wait(1)
        await caller.hang_up()

    report = await call(Bridge({"/voice": [connect()]}, agent), script)

    (turn,) = report.turns
    assert 1000 <= turn.start_ms <= 1060
    assert words(report.said) == "Wait."
    assert turn.start_ms < report.clears_ms[0] < turn.end_ms
    assert sum(len(s.data) for s in report.played) == 40_000 - report.flushed_bytes
    assert report.latencies[0].ms is None


@virtual
async def test_agent_finished_waits_for_speech_and_then_for_quiet():
    returned: list[float] = []

    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.until("media", 50)
        await peer.media(tone(500) + b"\xff" * 8 * 400 + tone(500))
        await peer.drain()

    async def script(caller: Caller) -> None:
        await caller.agent_finished(quiet_ms=600)
        returned.append(caller.now_ms)
        await caller.hang_up()

    report = await call(Bridge({"/voice": [connect()]}, agent), script)

    end_of_speech = report.played[0].start_ms + 1400
    assert returned == [pytest.approx(end_of_speech + 600, abs=45)]


@virtual
async def test_agent_finished_counts_an_answer_that_came_while_the_script_did_something_else():
    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.media(tone(300))
        await peer.drain()

    async def script(caller: Caller) -> None:
        await caller.wait(3)
        before = caller.now_ms
        await caller.agent_finished()
        assert caller.now_ms == before
        await caller.hang_up()

    assert (await call(Bridge({"/voice": [connect()]}, agent), script)).script_error == ""


@virtual
async def test_an_answer_is_not_taken_twice():
    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.media(tone(300))
        await peer.drain()

    async def script(caller: Caller) -> None:
        await caller.agent_finished()
        await caller.agent_finished(timeout_s=5)

    report = await call(Bridge({"/voice": [connect()]}, agent), script)

    assert "for the agent to speak, in vain" in report.script_error


@virtual
async def test_hanging_up_in_the_middle_of_a_sentence_cuts_it():
    text = "I would like to pay my bill now please."

    async def script(caller: Caller) -> None:
        await caller.wait(0.2)
        await caller.say(text, for_ms=600)
        await caller.hang_up()

    bridge = Bridge({"/voice": [connect()]})
    report = await call(bridge, script)

    said = words(report.said)
    assert said
    assert text.startswith(said)
    assert len(said) < len(text)
    assert report.duration_ms == pytest.approx(800, abs=10)
    assert report.turns[0].end_ms == report.duration_ms
    assert bridge.peers[0].received[-1]["event"] == "stop"


@virtual
async def test_digits_are_one_message_each():
    async def script(caller: Caller) -> None:
        await caller.wait(0.1)
        await caller.press("12w#")
        await caller.hang_up()

    bridge = Bridge({"/voice": [connect()]})
    report = await call(bridge, script)

    assert [m["dtmf"] for m in bridge.peers[0].of("dtmf")] == [
        {"track": "inbound_track", "digit": digit} for digit in "12#"
    ]
    times, digits = zip(*report.pressed, strict=True)
    assert digits == ("1", "2", "#")
    assert times[2] - times[1] == pytest.approx(700, abs=5)


@virtual
async def test_a_key_that_does_not_exist_is_refused():
    async def script(caller: Caller) -> None:
        await caller.press("x")

    with pytest.raises(ValueError, match="key 'x' in 'x': expected 0-9"):
        await call(Bridge({"/voice": [connect()]}), script)


@virtual
async def test_two_says_at_once_follow_one_another():
    async def script(caller: Caller) -> None:
        await asyncio.gather(caller.say_audio(numbered(100)), caller.say_audio(tone(100)))
        await caller.hang_up()

    report = await call(Bridge({"/voice": [connect()]}), script)

    assert report.said.strip(b"\xff") == (numbered(100) + tone(100)).strip(b"\xff")
    assert report.turns[1].start_ms == report.turns[0].end_ms


@virtual
async def test_methods_raise_when_the_call_is_over():
    raised: list[str] = []

    async def script(caller: Caller) -> None:
        await caller.ended.wait()
        for act in (caller.say("x"), caller.press("1"), caller.wait(1), caller.hang_up(), caller.say_audio(b"\xff")):
            with pytest.raises(CallEnded) as caught:
                await act
            raised.append(str(caught.value))

    await call(Bridge({"/voice": [connect()]}, started), script)

    assert raised == ["the call has ended"] * 5


@virtual
async def test_what_was_heard_so_far_is_at_hand():
    async def agent(peer: Peer) -> None:
        await started(peer)
        await peer.media(tone(100))
        await peer.drain()

    heard: list[bytes] = []

    async def script(caller: Caller) -> None:
        await caller.agent_finished()
        heard.append(caller.heard)
        await caller.hang_up()

    report = await call(Bridge({"/voice": [connect()]}, agent), script)

    assert heard[0] == report.heard[: len(heard[0])]
    assert tone(100) in heard[0]


@virtual
async def test_lines_known_beforehand_are_synthesised_before_the_call():
    class Script:
        lines = ("Hello there.",)

        async def __call__(self, caller: Caller) -> None:
            await caller.say("Hello there.")
            await caller.hang_up()

    report = await call(Bridge({"/voice": [connect()]}), Script())

    assert words(report.said) == "Hello there."


@virtual
async def test_a_script_that_is_done_lingers_and_then_hangs_up():
    async def nothing(caller: Caller) -> None:
        await caller.wait(0)

    report = await call(Bridge({"/voice": [connect()]}), nothing, options=PhoneOptions(voice="tones", linger_s=2))

    assert report.ended_by == "caller"
    assert report.script_error == "the script was done, and nobody ended the call"


@virtual
async def test_two_calls_at_once_do_not_mix():
    async def agent(peer: Peer) -> None:
        await started(peer)
        while True:
            message = await peer.receive()
            if message["event"] == "media":
                await peer.media(base64.b64decode(message["media"]["payload"]))

    def script(text: str):
        async def run(caller: Caller) -> None:
            await caller.say(text)
            await caller.wait(1)
            await caller.hang_up()

        return run

    async with phone_for(Bridge({"/voice": [connect()]}, agent)) as phone:
        reports = await asyncio.gather(phone.call(script("First one.")), phone.call(script("And another.")))

    assert [words(report.heard) for report in reports] == ["First one.", "And another."]
    assert len({report.call_sid for report in reports}) == 2
