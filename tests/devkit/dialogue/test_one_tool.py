"""The mind that uses one tool."""

import pytest

from archer_bridge.devkit.dialogue import CallTool, HangUp, OneTool, Say


def test_it_uses_the_tool_once_and_tells_the_answer():
    mind = OneTool("opening_hours", {"day": "monday"}, {})
    opening, first, again = mind.open(), mind.heard("Hello"), mind.heard("Are you there?")
    told = mind.tool_result("opening_hours", '{"day":"monday","hours":["9","to 5"]}', is_error=False)

    assert [type(action) for action in opening] == [Say]
    assert (first, again) == ([CallTool("opening_hours", {"day": "monday"})], [])
    assert told == [Say("Here is the answer. day: monday, hours: 9 to 5,. Goodbye."), HangUp()]


@pytest.mark.parametrize(
    ("result", "words"), [("Tool call timed out", "Tool call timed out"), ('{"error":{"code":"x"}}', "x")]
)
def test_it_says_that_a_tool_failed(result, words):
    (said, _) = OneTool("a", {}, {}).tool_result("a", result, is_error=True)

    assert isinstance(said, Say)
    assert said.text.startswith("That did not work.")
    assert words in said.text


def test_a_key_will_do():
    assert OneTool("a", {}, {}).pressed("1") == [CallTool("a", {})]
