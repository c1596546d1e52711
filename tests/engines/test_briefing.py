"""What a session is told of a call that it did not hear from its beginning."""

import pytest

from archer_bridge.engines.briefing import LONGEST, PROVE_AGAIN, STILL_TRUE, briefing
from archer_bridge.models import ToolStatus, Turn
from archer_bridge.ports import Recall, ToolMemory


def said(number: int, role: str, text: str, heard: str | None = None) -> Turn:
    return Turn(number, role, text, text if heard is None else heard, heard is not None, 0.0, 0.0)


def test_the_conversation_is_what_was_heard_in_order() -> None:
    told = briefing(
        Recall(
            turns=[
                said(1, "assistant", "Hello there."),
                said(2, "user", "My account\nends in 4821."),
                said(3, "assistant", "Your balance is nine hundred dollars.", "Your balance"),
                said(4, "assistant", "Never heard.", ""),
            ]
        )
    )

    assert told.endswith("You: Hello there.\nCaller: My account ends in 4821.\nYou: Your balance …(interrupted)")


@pytest.mark.parametrize(
    ("same_tools", "rule", "verified"), [(True, STILL_TRUE, '{"verified":true}'), (False, PROVE_AGAIN, "(ok)")]
)
def test_what_the_tools_answered_and_whether_it_holds(same_tools: bool, rule: str, verified: str) -> None:
    """A session that must verify the caller again is not told what only the verified may hear."""
    tools = [
        ToolMemory("verify_account", ToolStatus.OK, '{"verified":true}'),
        ToolMemory("process_payment", ToolStatus.UNKNOWN, ""),
    ]
    told = briefing(Recall(tools=tools, running=["process_payment"], same_tools=same_tools))

    assert f"- verify_account: {verified}\n- process_payment: (unknown)" in told
    assert "their answers did not reach you: process_payment." in told
    assert rule in told
    assert ({STILL_TRUE, PROVE_AGAIN} - {rule}).pop() not in told


def test_a_long_conversation_is_told_from_its_end() -> None:
    told = briefing(Recall(turns=[said(number, "user", f"number {number} " + "x" * 90) for number in range(1000)]))

    assert len(told) < LONGEST + 2000
    assert "number 999" in told
    assert "number 0 " not in told
