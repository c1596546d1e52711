"""A call's recording through the whole product against what the phone knows: the same bytes."""

import asyncio
from pathlib import Path

import pytest

from archer_bridge.adapters.wav_file import WavFile
from archer_bridge.devkit.cartesia import SimulatorOptions
from archer_bridge.devkit.dialogue import CallTool, Say
from archer_bridge.devkit.phone import Caller, CallReport, PhoneOptions, Span, StreamFaults
from tests.support import slow_tools
from tests.support.brains import Mind, minds
from tests.support.virtual import virtual
from tests.support.wav import read_wav
from tests.support.world import World, world

STORY = Say("This is a long story that goes on and on, and never seems to come to an end.")
BURST = {"ARCHER_CARTESIA__OUTPUT_DELIVERY": "as_available"}


async def listens(caller: Caller) -> None:
    await caller.agent_finished()
    await caller.say("Hello there")
    await caller.agent_finished()
    await caller.hang_up()


async def interrupts(caller: Caller) -> None:
    for _ in range(2):
        await caller.agent_speaking(after_ms=700)
        await caller.say("Wait a moment")
    await caller.wait(1.5)
    await caller.hang_up()


async def waits_long(caller: Caller) -> None:
    await caller.agent_finished()
    await caller.say("Hello there")
    await caller.wait(6)
    await caller.hang_up()


TALKS = Mind(greeting=(STORY,), answer=(STORY,))
LOOKS_UP = Mind(answer=(Say("Let me see."), CallTool("lookup", {"seconds": 3.0})), after=(Say("Here it is."),))


async def recording_of(here: World, report: CallReport, folder: Path) -> bytes:
    await here.service.live.wait_empty()  # the phone may know of the end before the recorder does
    await asyncio.to_thread(WavFile.wait)
    return read_wav(folder / f"{report.call_sid}.wav").data


@pytest.mark.parametrize("audio_format", ["mulaw_8000", "pcm_16000"])
@pytest.mark.parametrize(
    ("mind", "script", "settings", "faults"),
    [
        pytest.param(TALKS, listens, {}, StreamFaults(), id="plain"),
        pytest.param(TALKS, interrupts, {}, StreamFaults(), id="barge-in"),
        pytest.param(TALKS, listens, BURST, StreamFaults(), id="burst"),
        pytest.param(TALKS, interrupts, BURST, StreamFaults(), id="burst-and-barge-in"),
        pytest.param(LOOKS_UP, waits_long, {}, StreamFaults(), id="filler"),
        pytest.param(TALKS, listens, {}, StreamFaults(gaps=(Span(1500, 700),)), id="caller-audio-lost"),
        pytest.param(TALKS, listens, {}, StreamFaults(bursts=(Span(1500, 1700),)), id="caller-audio-late"),
    ],
)
@virtual
async def test_the_recording_is_what_the_phone_heard_and_said(
    mind: Mind, script: object, settings: dict[str, str], faults: StreamFaults, audio_format: str, tmp_path: Path
) -> None:
    folder = tmp_path / "recordings"
    settings = {
        "ARCHER_RECORDING__ENABLED": "true",
        "ARCHER_RECORDING__FOLDER": str(folder),
        "ARCHER_CARTESIA__AUDIO_FORMAT": audio_format,
        **slow_tools.ENABLED,
        **settings,
    }
    options = SimulatorOptions(voice="tones", agent=minds(mind), any_tool=True)
    async with world(tmp_path, simulator=options, **settings) as here:
        report = await here.call(script, options=PhoneOptions(voice="tones", faults=faults))  # type: ignore[arg-type]
        data = await recording_of(here, report, folder)
    stream = report.streams[0]
    pairs = len(data) // 2
    start = round(stream.start_ms * 8)
    said = bytearray(report.said[start : start + pairs])
    for gap in faults.gaps:
        said[round(gap.at_ms * 8) : round((gap.at_ms + gap.for_ms) * 8)] = b"\xff" * round(gap.for_ms * 8)
    missing_s = len(report.heard_of(stream)) / 8000 - pairs / 8000

    assert data[1::2] == report.heard_of(stream)[:pairs]
    assert data[0::2] == bytes(said)
    assert 0 <= missing_s < 0.5
    assert any(byte not in b"\xff\x7f" for byte in data[1::2])
    assert any(byte not in b"\xff\x7f" for byte in data[0::2])


@virtual
async def test_a_recording_that_fails_is_noted_and_the_call_goes_on(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    settings = {"ARCHER_RECORDING__ENABLED": "true", "ARCHER_RECORDING__FOLDER": str(tmp_path / "taken")}
    options = SimulatorOptions(voice="tones", agent=minds(Mind(answer=(Say("Yes."),))))
    async with world(tmp_path, simulator=options, **settings) as here:
        report = await here.call(listens)
        await here.service.live.wait_empty()
        await here.store.flush()
        events = await here.store.events(report.call_sid)
        turns = await here.store.turns(report.call_sid)

    assert [event.kind for event in events].count("recording_failed") == 1
    assert [turn.heard_text for turn in turns] == ["Hi.", "Hello there", "Yes."]
    assert report.script_error == ""


@virtual
async def test_no_file_is_made_unless_it_is_wanted(tmp_path: Path) -> None:
    settings = {"ARCHER_RECORDING__FOLDER": str(tmp_path / "recordings")}
    options = SimulatorOptions(voice="tones", agent=minds(Mind(answer=(Say("Yes."),))))
    async with world(tmp_path, simulator=options, **settings) as here:
        await here.call(listens)

    assert not (tmp_path / "recordings").exists()
