"""Every shipped scenario, through the whole product over real sockets, ends as it says it does."""

from pathlib import Path

import pytest

from archer_bridge.devkit.scenarios import list_scenarios, load_scenario
from archer_bridge.models import CallState
from tests.support.virtual import virtual
from tests.support.world import world

FORMATS = ["mulaw_8000", "pcm_16000", "pcm_24000", "pcm_44100"]


@pytest.mark.parametrize("name", list_scenarios())
@virtual
async def test_scenario_ends_as_it_says(name: str, tmp_path: Path) -> None:
    await check(name, tmp_path)


@pytest.mark.slow  # a whole conversation, resampled twice by both sides
@pytest.mark.parametrize("audio_format", FORMATS[1:])
@virtual
async def test_conversation_crosses_every_codec_chain(audio_format: str, tmp_path: Path) -> None:
    await check("arranges_plan", tmp_path, ARCHER_CARTESIA__AUDIO_FORMAT=audio_format)


@virtual
async def test_burst_delivery_is_paced_here(tmp_path: Path) -> None:
    await check("interrupts_agent", tmp_path, ARCHER_CARTESIA__OUTPUT_DELIVERY="as_available")


async def check(name: str, folder: Path, **changes: str) -> None:
    """Place the scenario's call; the record, the phone and the simulator must agree."""
    scenario = load_scenario(name)
    async with world(folder, **changes) as here:
        report = await here.call(scenario.script(), scenario.from_number)
        row = await here.store.get_call(report.call_sid)
        assert row is not None
        tools = await here.store.tool_rows(report.call_sid)
        arrangements = await here.store.arrangements(report.call_sid)

        assert report.violations == ()
        assert report.script_error == ""
        assert row.state is CallState.ENDED
        assert row.outcome is not None
        problems = scenario.expect.problems(
            outcome=row.outcome.value,
            tools=[tool.tool for tool in tools],
            arrangement=arrangements[0].option if arrangements else None,
        )
        assert problems == ()
        assert here.service.live.ended.total() == (1 if report.streams else 0)
        assert len(here.service.live) == 0
