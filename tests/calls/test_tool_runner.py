import asyncio
import json

import pytest

from archer_bridge.models import EndCall, Outcome, ToolFinished, ToolRequest, ToolStatus, Transfer
from archer_bridge.tool_api import Reply, ToolContext, ToolError, tool
from tests.support.tool_desk import Desk, FaultyStore
from tests.support.virtual import virtual


@tool
async def echo(word: str = "") -> dict[str, str]:
    """Say it back.

    Args:
        word: what to say
    """
    return {"word": word}


@tool
async def nap(seconds: float) -> str:
    """Sleep.

    Args:
        seconds: how long
    """
    await asyncio.sleep(seconds)
    return "rested"


def error_code(answer: ToolFinished) -> str:
    assert answer.is_error
    assert answer.error_type == json.loads(answer.result)["error"]["code"]
    return str(answer.error_type)


@pytest.mark.parametrize(
    ("name", "arguments", "code", "says"),
    [
        pytest.param("nothing", {}, "unknown_tool", "there are: echo, nap", id="unknown-tool"),
        pytest.param("nap", {}, "invalid_arguments", "seconds: Field required", id="missing"),
        pytest.param("nap", {"seconds": "long"}, "invalid_arguments", "seconds: Input should be", id="wrong-type"),
        pytest.param("nap", {"seconds": float("nan")}, "invalid_arguments", "finite", id="not-a-number"),
        pytest.param("echo", {"wrod": "hi"}, "invalid_arguments", "wrod: this parameter does not exist", id="extra"),
        pytest.param("echo", ["hi"], "invalid_arguments", "object of named values", id="not-an-object"),
    ],
)
@virtual
async def test_a_bad_request_is_answered_in_words_a_model_can_act_on(name, arguments, code, says):
    desk = Desk(echo, nap)

    answer = await desk.ask(name, arguments)

    assert code == error_code(answer)
    assert says in json.loads(answer.result)["error"]["message"]
    assert await desk.statuses() == ["denied"]


@virtual
async def test_an_answer_is_durable_before_it_is_delivered():
    store = FaultyStore()
    store.hold["finish"] = asyncio.Event()
    desk = Desk(echo, store=store)
    waiting = desk.begin("echo", {"word": "hi"})
    await asyncio.sleep(1)
    told_early, store_then = list(desk.answers), await desk.statuses()

    store.hold["finish"].set()
    answer = await waiting

    assert told_early == []
    assert store_then == ["started"]
    assert await desk.statuses() == ["ok"]
    assert answer.result == '{"word":"hi"}'
    assert (answer.is_error, answer.error_type) == (False, None)


@virtual
async def test_the_row_is_durable_before_the_code_runs():
    seen = []
    store = FaultyStore()

    @tool
    async def look() -> None:
        """Look at the record."""
        seen.extend(row.status for row in await store.tool_rows())

    await Desk(look, store=store).ask("look")

    assert seen == [ToolStatus.STARTED]


@virtual
async def test_a_request_sent_again_gets_the_stored_answer_and_runs_once():
    runs = []

    @tool
    async def count() -> int:
        """Count."""
        runs.append(1)
        return len(runs)

    desk = Desk(count)
    first = await desk.ask("count", key="a")
    again = await desk.ask("count", key="a")

    assert (first.result, again.result) == ("1", "1")
    assert len(runs) == 1
    assert [record["replayed"] for record in desk.call.records] == [False, True]


@virtual
async def test_a_request_sent_again_while_it_runs_gets_one_answer():
    desk = Desk(nap)
    waiting = desk.begin("nap", {"seconds": 1}, key="a")
    desk.call.submit(ToolRequest("a", "nap", {"seconds": 1}))
    await waiting
    await asyncio.sleep(5)

    assert len(desk.answers) == 1


@virtual
async def test_an_id_used_for_another_request_runs_nothing():
    desk = Desk(echo, nap)
    await desk.ask("echo", {"word": "one"}, key="a")

    assert error_code(await desk.ask("nap", {"seconds": 1}, key="a")) == "id_reused"
    assert await desk.statuses() == ["ok"]


@virtual
async def test_effects_are_reported_with_the_durable_answer():
    @tool
    async def finish(how: str) -> object:
        """End.

        Args:
            how: which way
        """
        return {"end": EndCall(), "both": Reply({"x": 1}, effect=Transfer("+1555"))}.get(how) or Transfer()

    desk = Desk(finish)
    answers = [await desk.ask("finish", {"how": how}) for how in ("end", "transfer", "both")]

    assert [EndCall(), Transfer(), Transfer("+1555")] == [answer.effect for answer in answers]
    assert [answer.result for answer in answers] == ['{"ending":true}', '{"transferring":true}', '{"x":1}']


@virtual
async def test_an_effect_does_not_happen_again_when_the_request_does():
    @tool
    async def finish() -> EndCall:
        """End."""
        return EndCall(outcome=Outcome.COMPLETED)

    desk = Desk(finish)
    await desk.ask("finish", key="a")

    assert (await desk.ask("finish", key="a")).effect is None


@virtual
async def test_records_show_what_ran_with_secrets_masked():
    @tool(masked=["pin"])
    async def check(pin: str, note: str = "") -> bool:
        """Check.

        Args:
            pin: secret
            note: free text
        """
        return True

    desk = Desk(check)
    await desk.ask("check", {"pin": "1234", "note": "card 4111 1111 1111 1111, room 12"})
    await desk.ask("check", {"pin": "1234", "typo": "1234"})
    first, second = desk.call.records

    assert first["arguments"] == {"pin": "***", "note": "card ***, room 12"}
    assert second["arguments"] == {"pin": "***", "typo": "***"}
    assert (first["tool"], first["status"], first["result"], first["error"]) == ("check", "ok", True, None)
    assert "1234" not in json.dumps([row.arguments_json for row in await desk.store.tool_rows()])


@virtual
async def test_filler_is_passed_on_while_somebody_listens():
    @tool
    async def talk(ctx: ToolContext) -> None:
        """Talk."""
        ctx.say("one moment")
        await asyncio.sleep(1)
        ctx.say("still there")

    desk = Desk(talk)
    desk.begin("talk")
    await asyncio.sleep(0.5)
    desk.call.close()
    await desk.runner.drain(5)

    assert desk.said == ["one moment"]


@virtual
async def test_a_broken_session_does_not_harm_the_runner():
    desk = Desk(echo)
    broken = desk.runner.for_call(desk.call._scope.facts, deliver=lambda _: 1 / 0, say=print)
    broken.submit(ToolRequest("x", "echo", {}))

    assert await desk.runner.drain(1) == 0
    assert await desk.statuses() == ["ok"]


@virtual
async def test_a_tool_may_refuse_by_value_too():
    @tool
    async def refuse() -> ToolError:
        """Refuse."""
        return ToolError("closed", "we are closed")

    desk = Desk(refuse)

    assert error_code(await desk.ask("refuse")) == "closed"
    assert await desk.statuses() == ["error"]
