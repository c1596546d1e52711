"""Real speech crosses the whole product: what the caller heard, transcribed, is what the agent said."""

from pathlib import Path

import pytest

from archer_bridge.devkit.cartesia import SimulatorOptions
from archer_bridge.devkit.phone import Caller, PhoneOptions
from archer_bridge.devkit.voices import have_local, transcribe, word_error_rate
from tests.support.virtual import virtual
from tests.support.world import world

pytestmark = [
    pytest.mark.voices,
    pytest.mark.slow,  # loads the speech engines: 3-9 s
    pytest.mark.skipif(not have_local(), reason="SPEECH IS NOT TESTED: install the [local] extra"),
]


@pytest.mark.parametrize("audio_format", ["mulaw_8000", "pcm_16000"])
@virtual(max_speed=5)
async def test_the_agents_words_are_in_what_the_caller_heard(audio_format: str, tmp_path: Path) -> None:
    async def listen(caller: Caller) -> None:
        await caller.agent_finished(quiet_ms=1500)
        await caller.hang_up()

    options = SimulatorOptions(voice="local")
    async with world(tmp_path, simulator=options, ARCHER_CARTESIA__AUDIO_FORMAT=audio_format) as here:
        report = await here.call(listen, options=PhoneOptions(voice="tones"))
        turns = await here.store.turns(report.call_sid)

    heard = " ".join(part.text for part in transcribe(report.heard_pcm()))

    said = " ".join(turn.text for turn in turns if turn.role == "assistant")
    assert said.startswith("Hello, this is Archer")
    assert word_error_rate(said, heard) < 0.10, heard
