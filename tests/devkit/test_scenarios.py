"""Scenarios: the shipped ones make sense to the scripted agent; wrong ones are refused with a clear sentence."""

import json

import pytest

from archer_bridge.devkit.dialogue import Action, ArcherDialogue, CallTool
from archer_bridge.devkit.phone import CallReport
from archer_bridge.devkit.scenarios import (
    Expectation,
    HangUp,
    Press,
    Say,
    Scenario,
    ScenarioError,
    Wait,
    WaitForAgent,
    list_scenarios,
    load_scenario,
)
from archer_bridge.devkit.scenarios.loader import parse_scenario
from tests.devkit.phone.bridge import Bridge, Peer, call, connect, started, tone, twiml, words
from tests.support.virtual import virtual

NAMES = (
    "arranges_plan",
    "asks_for_human",
    "dtmf_entry",
    "hangs_up_mid_sentence",
    "interrupts_agent",
    "unknown_number",
    "wrong_details_twice",
)


def test_the_shipped_scenarios():
    assert list_scenarios() == NAMES


# -- the shipped scenarios against the scripted agent

PAYMENTS = [{"due": f"2026-{month:02}-22", "amount_cents": 15000} for month in range(7, 13)]
OPTIONS = [
    {"option": "full_payment", "total_cents": 90000},
    {"option": "payment_plan", "total_cents": 90000, "payments": PAYMENTS},
]


class Desk:
    """Answers the agent's tools as the bridge would for Dana, and counts."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.arrangement: str | None = None
        self.attempts_left = 2

    def answer(self, tool: CallTool) -> dict[str, object]:
        self.called.append(tool.name)
        match tool.name:
            case "verify_account":
                if tool.arguments == {"account_last_4": "4821", "postal_code": "94107"}:
                    return {"verified": True, "first_name": "Dana"}
                self.attempts_left -= 1
                return {"verified": False, "attempts_left": self.attempts_left, "message": "no match"}
            case "get_customer_options":
                return {"balance_cents": 90000, "days_overdue": 45, "options": OPTIONS}
            case "process_payment":
                self.arrangement = tool.arguments["option"]
                return {"recorded": True, **tool.arguments, "total_cents": 90000, "confirmation": "A-123456"}
            case "transfer_to_human":
                return {"transferring": True}
            case _:
                return {"ending": True}


def converse(scenario: Scenario) -> Desk:
    dialogue, desk = ArcherDialogue({}), Desk()

    def carry_out(actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, CallTool):
                carry_out(dialogue.tool_result(action.name, json.dumps(desk.answer(action)), False))

    carry_out(dialogue.open())
    for step in scenario.steps:
        if isinstance(step, Say) and step.hang_up_after_ms is None:
            carry_out(dialogue.heard(step.text))
        elif isinstance(step, Press):
            carry_out(dialogue.pressed(step.digits))
    return desk


@pytest.mark.parametrize("name", [name for name in NAMES if name != "unknown_number"])
def test_the_scripted_agent_does_what_the_scenario_expects(name):
    scenario = load_scenario(name)

    desk = converse(scenario)

    assert scenario.expect.outcome is not None
    assert (
        scenario.expect.problems(outcome=scenario.expect.outcome, tools=desk.called, arrangement=desk.arrangement) == ()
    )


def test_lines_are_what_the_caller_will_say():
    script = load_scenario("interrupts_agent").script()

    assert script.lines[0] == "My account ends in 4821, and my postal code is 94107."
    assert len(script.lines) == 5


# -- playing them


async def play(text: str, bridge: Bridge) -> CallReport:
    scenario = parse_scenario(HEAD + text, name="test", source="test.toml")
    return await call(bridge, scenario.script())


async def chatty(peer: Peer) -> None:
    await started(peer)
    await peer.media(tone(3000))
    await peer.drain()


HEAD = "description = 'd'\nfrom = '+15550100001'\n"


@virtual
async def test_an_interruption_comes_when_the_agent_has_spoken_that_long():
    steps = "[[steps]]\nsay = 'Stop.'\ninterrupt_after_ms = 1500\n[[steps]]\nhang_up = true\n"

    report = await play(steps, Bridge({"/voice": [connect()]}, chatty))

    assert report.turns[0].start_ms == pytest.approx(report.played[0].start_ms + 1500, abs=45)
    assert words(report.said) == "Stop."


@pytest.mark.parametrize(
    ("steps", "duration_ms"),
    [
        pytest.param("[[steps]]\nhang_up = true\nafter_agent_ms = 1000\n", 1000, id="while the agent speaks"),
        pytest.param("[[steps]]\nsay = 'A long sentence.'\nhang_up_after_ms = 400\n", 400, id="in the own sentence"),
        pytest.param("[[steps]]\nwait_s = 2\n[[steps]]\nhang_up = true\n", 2000, id="after a while"),
        pytest.param(
            "[[steps]]\nwait_for_agent = true\nquiet_ms = 500\n[[steps]]\nhang_up = true\n", 3500, id="after the agent"
        ),
        pytest.param("[[steps]]\npress = '12'\n[[steps]]\nhang_up = true\n", 400, id="after two keys"),
    ],
)
@virtual
async def test_when_the_caller_hangs_up(steps, duration_ms):
    report = await play(steps, Bridge({"/voice": [connect()]}, chatty))

    assert report.ended_by == "caller"
    assert report.duration_ms == pytest.approx(duration_ms, abs=90)


@virtual
async def test_a_call_that_ends_before_the_scenario_does_is_no_error():
    report = await play("[[steps]]\nwait_for_agent = true\n", Bridge({"/voice": [twiml("<Say>No.</Say><Hangup/>")]}))

    assert (report.ended_by, report.script_error) == ("bridge", "")


# -- reading them


def test_every_key_is_read():
    scenario = parse_scenario(
        HEAD
        + """
        [expect]
        outcome = "completed"
        tools = ["a", "b"]
        arrangement = false
        [[steps]]
        wait_for_agent = true
        quiet_ms = 100
        timeout_s = 5
        [[steps]]
        say = "Hi."
        interrupt_after_ms = 1
        hang_up_after_ms = 2
        [[steps]]
        press = "1w#"
        [[steps]]
        wait_s = 0.5
        [[steps]]
        hang_up = true
        after_agent_ms = 3
        """,
        name="n",
        source="n.toml",
    )

    assert scenario == Scenario(
        name="n",
        description="d",
        from_number="+15550100001",
        expect=Expectation("completed", ("a", "b"), False),
        steps=(WaitForAgent(100, 5), Say("Hi.", 1, 2), Press("1w#"), Wait(0.5), HangUp(3)),
    )


STEP = "[[steps]]\nhang_up = true\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("x", "scenario t.toml: is not TOML", id="not TOML"),
        pytest.param("from = '+1'\n" + STEP, "scenario t.toml: description: is None: expected a text", id="missing"),
        pytest.param(HEAD, "scenario t.toml: steps: is None: expected at least one [[steps]]", id="no steps"),
        pytest.param(HEAD + "steps = 1", "steps: is 1: expected at least one [[steps]]", id="steps of another type"),
        pytest.param("frm = 1\n" + HEAD + STEP, "frm: unknown key: expected one of description", id="unknown key"),
        pytest.param("expect = 1\n" + HEAD + STEP, "expect: is 1: expected a table", id="expect of another type"),
        pytest.param(HEAD + "[expect]\ntool = []\n" + STEP, "expect.tool: unknown key", id="unknown expectation"),
        pytest.param(
            HEAD + "[expect]\ntools = 'a'\n" + STEP, "expect.tools: is 'a': expected a list of texts", id="tools"
        ),
        pytest.param(
            HEAD + "[expect]\narrangement = true\n" + STEP, "expect.arrangement: is True: expected a text", id="true"
        ),
        pytest.param(HEAD + "[[steps]]\n", "steps[1]: has none: expected one action of wait_for_agent", id="no action"),
        pytest.param(
            HEAD + STEP + "[[steps]]\nsay = 'x'\npress = '1'\n", "steps[2]: has press and say", id="two actions"
        ),
        pytest.param(
            HEAD + "[[steps]]\npress = '1'\nquiet_ms = 1\n", "steps[1].quiet_ms: unknown key", id="another's option"
        ),
        pytest.param(HEAD + "[[steps]]\npress = 'x'\n", "steps[1].press: is 'x': expected keys", id="bad key"),
        pytest.param(HEAD + "[[steps]]\nwait_s = -1\n", "steps[1].wait_s: is -1: expected a number", id="negative"),
        pytest.param(HEAD + "[[steps]]\nwait_s = true\n", "steps[1].wait_s: is True: expected a number", id="boolean"),
        pytest.param(HEAD + "[[steps]]\nhang_up = 1\n", "steps[1].hang_up: is 1: expected true", id="not true"),
    ],
)
def test_errors_name_the_file_the_key_and_what_was_expected(text, says):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, name="t", source="t.toml")

    assert says in str(caught.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ScenarioError, match="scenario nope: no such scenario: expected one of arranges_plan, "):
        load_scenario("nope")


def test_files_are_loaded_by_path(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(HEAD + STEP)

    assert load_scenario(file).name == "mine"
    assert load_scenario(str(file)).steps == (HangUp(),)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "cannot be read: No such file", id="missing"),
        pytest.param(b"\xff", "is not UTF-8", id="bytes"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, says):
    file = tmp_path / "mine.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ScenarioError, match=says):
        load_scenario(file)


@pytest.mark.parametrize(
    ("expectation", "problems"),
    [
        pytest.param(Expectation(), (), id="nothing expected"),
        pytest.param(Expectation("completed", ("a",), "settlement"), (), id="as expected"),
        pytest.param(Expectation("transferred"), ("outcome is completed: expected transferred",), id="outcome"),
        pytest.param(Expectation(tools=()), ("tools called: a: expected none",), id="tools"),
        pytest.param(Expectation(arrangement=False), ("arrangement is settlement: expected none",), id="arrangement"),
    ],
)
def test_expectations_are_compared_with_the_record(expectation, problems):
    assert problems == expectation.problems(outcome="completed", tools=["a"], arrangement="settlement")
