"""The product does the same over the plain sockets as over the fast ones, which every other test uses."""

from pathlib import Path

import pytest

from archer_bridge.devkit.scenarios import load_scenario
from tests.support.virtual import virtual
from tests.support.world import world


@pytest.mark.slow  # several whole conversations
@pytest.mark.parametrize("fast", [pytest.param(True, id="fast"), pytest.param(False, id="plain")])
@virtual
async def test_a_call_ends_the_same_on_both_paths(fast: bool, tmp_path: Path) -> None:
    scenario = load_scenario("interrupts_agent")
    async with world(tmp_path, fast=fast) as here:
        report = await here.call(scenario.script(), scenario.from_number)
        row = await here.store.get_call(report.call_sid)
        tools = await here.store.tool_rows(report.call_sid)
        arrangements = await here.store.arrangements(report.call_sid)

        assert report.violations == ()
        assert row is not None
        assert row.outcome is not None
        assert row.numbers["bad_frames"] == {}
        problems = scenario.expect.problems(
            outcome=row.outcome.value,
            tools=[tool.tool for tool in tools],
            arrangement=arrangements[0].option if arrangements else None,
        )
        assert problems == ()
