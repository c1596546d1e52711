import pytest

from archer_bridge.adapters.cartesia_tools import PushError, definition, plan_push, push, read_plan
from archer_bridge.adapters.plugins import load_tools
from archer_bridge.devkit.cartesia import PRESET_AGENT_ID
from archer_bridge.tool_api import tool
from tests.adapters.test_cartesia_rest import TOOL, simulated
from tests.support.virtual import virtual

NAMES = ["verify_account", "get_customer_options", "process_payment", "transfer_to_human", "end_call"]
WANTED = [definition(one, 8.0) for one in load_tools(NAMES).values()]


def test_a_definition_waits_longer_than_the_tool_may_take():
    @tool(timeout_s=30.5, pre_tool_speech="force", execution_mode="async")
    async def long() -> None:
        """Take long."""

    @tool(expects_response=False)
    async def quiet() -> None:
        """Answer nothing."""

    @tool(timeout_s=100)
    async def longest() -> None:
        """Take longest."""

    made = definition(long, 8.0)

    assert (made["response_timeout_secs"], made["pre_tool_speech"], made["execution_mode"]) == (43, "force", "async")
    assert "response_timeout_secs" not in definition(quiet, 8.0)
    assert definition(longest, 8.0)["response_timeout_secs"] == 112
    assert [body["response_timeout_secs"] for body in WANTED] == [20] * 5


@virtual
async def test_pushing_twice_does_it_once():
    async with simulated() as rest:
        first = await push(rest, PRESET_AGENT_ID, WANTED)
        second = await push(rest, PRESET_AGENT_ID, WANTED)
        kept = [one["name"] for one in await rest.tools()]

    assert sorted(NAMES) == sorted(change.name for change in first.change)
    assert (second.is_empty, tuple(NAMES)) == (True, second.unchanged)
    assert sorted(NAMES) == sorted(kept)


@virtual
async def test_tools_that_others_attached_stay_attached():
    async with simulated() as rest:
        theirs = await rest.create_tool(TOOL)
        webhook = {**TOOL, "type": "webhook", "name": "crm", "url": "https://crm.example"}
        hook = await rest.create_tool(webhook)
        await rest.change_agent(PRESET_AGENT_ID, {"config": {"tools": [{"id": theirs["id"]}, {"id": hook["id"]}]}})
        plan = await push(rest, PRESET_AGENT_ID, WANTED, "voice_x")
        agent = await rest.agent(PRESET_AGENT_ID)

    assert tuple(NAMES) == plan.attach
    assert len(agent["config"]["tools"]) == 7
    assert [theirs["id"], hook["id"]] == [one["id"] for one in agent["config"]["tools"][:2]]
    assert agent["config"]["audio"]["output"]["voice_id"] == "voice_x"


@virtual
async def test_a_new_tool_is_created_and_attached():
    extra = {**WANTED[-1], "name": "opening_hours"}
    async with simulated() as rest:
        dry = await read_plan(rest, PRESET_AGENT_ID, [extra])
        untouched = len(await rest.tools())
        await push(rest, PRESET_AGENT_ID, [extra])
        agent = await rest.agent(PRESET_AGENT_ID)
        made = next(one for one in await rest.tools() if one["name"] == "opening_hours")

    assert dry.lines() == ["+ create opening_hours", "+ attach opening_hours"]
    assert untouched == 5
    assert {"id": made["id"]} in agent["config"]["tools"]


def agent_with(*ids: str, **config: object) -> dict[str, object]:
    return {"config": {"tools": [{"id": one} for one in ids], **config}}


BODY = {"type": "client", "name": "hours", "description": "d", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    ("remote", "agent", "says"),
    [
        pytest.param(
            [{"id": "t1", "type": "webhook", "name": "hours"}],
            agent_with(),
            "'hours' is a webhook tool",
            id="other-kind",
        ),
        pytest.param(
            [{**BODY, "id": "t1"}, {**BODY, "id": "t2"}],
            agent_with(),
            "is there 2 times at Cartesia (t1, t2)",
            id="twice",
        ),
        pytest.param([], agent_with(*map(str, range(32))), "would have 33 tools, at most 32", id="too-many"),
    ],
)
def test_what_cannot_be_pushed_is_told(remote, agent, says):
    with pytest.raises(PushError) as caught:
        plan_push([BODY], remote, agent)

    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("remote", "agent", "voice", "lines"),
    [
        pytest.param([{**BODY, "id": "t1"}], agent_with("t1"), "", ["= keep   hours"], id="nothing"),
        pytest.param(
            [{**BODY, "id": "t1"}, {**BODY, "id": "t2"}],
            agent_with("t2"),
            "",
            ["= keep   hours"],
            id="the-attached-one",
        ),
        pytest.param(
            [{**BODY, "id": "t1", "parameters": {"type": "object", "properties": {}, "required": []}}],
            agent_with("t1"),
            "",
            ["= keep   hours"],
            id="same-meaning",
        ),
        pytest.param(
            [{**BODY, "id": "t1", "description": "old"}],
            agent_with(),
            "",
            ["~ change hours (t1)", "    description: 'old' -> 'd'", "+ attach hours"],
            id="changed",
        ),
        pytest.param(
            [{**BODY, "id": "t1"}],
            agent_with("t1", audio={"output": {"voice_id": "v1"}}),
            "v2",
            ["= keep   hours", "~ voice  v1 -> v2"],
            id="voice",
        ),
        pytest.param(
            [{**BODY, "id": "t1"}], {"config": {"tools": None}}, "", ["= keep   hours", "+ attach hours"], id="no-list"
        ),
    ],
)
def test_the_difference_is_told_line_by_line(remote, agent, voice, lines):
    assert lines == plan_push([BODY], remote, agent, voice).lines()
