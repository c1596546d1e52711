import threading

import pytest

from archer_bridge.calls.tool_policy import PolicyBreach
from archer_bridge.calls.tool_result import UnserialisableResult
from archer_bridge.testing import Spoken, run_tool
from archer_bridge.tool_api import EndCall, InvalidArguments, Reply, ToolContext, ToolError, tool


@tool
def plain(ctx: ToolContext, number: int = 1) -> object:
    """Do.

    Args:
        number: any
    """
    ctx.say(f"number {number}")
    match number:
        case 1:
            return threading.current_thread() is not threading.main_thread()
        case 2:
            return EndCall("two")
        case 3:
            return object()
        case 4:
            return ToolError("four", "no")
        case 5:
            return Reply(verified_customer="somebody else")
        case _:
            return Reply("whatever")


async def test_a_plain_tool_runs_in_a_thread_and_is_heard():
    spoken = Spoken()

    assert await run_tool(plain, say=spoken) is True
    assert spoken.texts == ["number 1"]


async def test_effects_and_replies_come_back_as_they_are():
    assert await run_tool(plain, {"number": 2}) == EndCall("two")
    assert await run_tool(plain, {"number": 6}) == Reply("whatever")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({"number": "x"}, InvalidArguments, id="arguments"),
        pytest.param({"number": 3}, UnserialisableResult, id="no-json"),
        pytest.param({"number": 4}, ToolError, id="refusal"),
        pytest.param({"number": 5}, PolicyBreach, id="policy"),
    ],
)
async def test_what_the_bridge_would_not_take_is_raised(arguments, error):
    with pytest.raises(error):
        await run_tool(plain, arguments)
