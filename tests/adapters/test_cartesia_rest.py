import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from archer_bridge.adapters.cartesia_rest import CartesiaApiError, CartesiaRest
from archer_bridge.devkit.cartesia import DEFAULT_API_KEY, PRESET_AGENT_ID, create_simulator
from archer_bridge.devkit.serving import serving
from tests.support.virtual import virtual

VERSION = "2026-08-14"
TOOL = {"type": "client", "name": "hours", "description": "Says the hours.", "parameters": {"type": "object"}}


@asynccontextmanager
async def simulated(api_key: str = DEFAULT_API_KEY) -> AsyncIterator[CartesiaRest]:
    async with serving(create_simulator()) as served, CartesiaRest(served.http_url, api_key, version=VERSION) as rest:
        yield rest


@virtual
async def test_tools_and_agents_are_read_and_changed():
    async with simulated() as rest:
        made = await rest.create_tool(TOOL)
        changed = await rest.change_tool(made["id"], {**TOOL, "description": "Says when."})
        agent = await rest.agent(PRESET_AGENT_ID)
        ids = [*agent["config"]["tools"], {"id": made["id"]}]
        await rest.change_agent(PRESET_AGENT_ID, {"config": {"tools": ids}})
        after = await rest.agent(PRESET_AGENT_ID)

    assert changed["description"] == "Says when."
    assert ids == after["config"]["tools"]
    assert agent["config"]["instructions"] == after["config"]["instructions"]


@virtual
async def test_a_long_list_is_read_to_its_end():
    app = create_simulator()
    for number in range(120):
        app.state.simulator.account.create_tool({**TOOL, "name": f"tool_{number}"})
    async with serving(app) as served, CartesiaRest(served.http_url, DEFAULT_API_KEY, version=VERSION) as rest:
        names = [tool["name"] for tool in await rest.tools()]

    assert 125 == len(names) == len(set(names))


@virtual
async def test_a_refusal_is_told_with_its_reason_and_without_the_key():
    async with simulated("sk_car_wrong") as rest:
        with pytest.raises(CartesiaApiError) as caught:
            await rest.tools()

    assert caught.value.status == 401
    assert "Cartesia: GET /v1/agents/tools answered 401" in str(caught.value)
    assert "check CARTESIA_API_KEY" in str(caught.value)
    assert "sk_car_wrong" not in str(caught.value)


@virtual
async def test_an_agent_that_is_not_there_is_named_by_setting():
    async with simulated() as rest:
        with pytest.raises(CartesiaApiError, match="check CARTESIA_AGENT_ID"):
            await rest.agent("agent_../x")


def answering(*answers: tuple[int, str]) -> tuple[Starlette, list[str]]:
    """Return a server that gives these answers in turn, and the list of what it was asked."""
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        status, text = answers[min(len(asked), len(answers) - 1)]
        asked.append(request.method)
        return Response(text, status, headers={"location": "https://elsewhere.example"} if status == 307 else None)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "PATCH"])]), asked


@pytest.mark.parametrize(
    ("answers", "method", "asked", "says"),
    [
        pytest.param([(503, "x"), (200, '{"data":[]}')], "GET", 2, None, id="again-when-safe"),
        pytest.param([(503, "gone")], "GET", 3, "answered 503: gone", id="not-for-ever"),
        pytest.param([(503, "gone")], "POST", 1, "answered 503: gone", id="not-when-it-might-double"),
        pytest.param([(400, '{"message":"no such field"}')], "GET", 1, "answered 400: no such field", id="refused"),
        pytest.param([(200, "<html>")], "GET", 1, "answered 200: <html>", id="not-json"),
        pytest.param([(200, "[]")], "GET", 1, "answered 200: []", id="not-an-object"),
        pytest.param([(307, "")], "GET", 1, "answered 307: no body", id="redirects-are-not-followed"),
        pytest.param(
            [(200, json.dumps({"data": [], "has_more": True, "next_page": "x"}))],
            "GET",
            100,
            "the list did not end after 100 pages",
            id="endless-list",
        ),
        pytest.param(
            [(200, json.dumps({"pad": "x" * 5_000_000}))], "GET", 1, 'answered 200: {"pad": "xxx', id="too-big"
        ),
    ],
)
@virtual
async def test_answers_that_are_not_what_they_should_be(answers, method, asked, says):
    app, seen = answering(*answers)
    async with serving(app) as served, CartesiaRest(served.http_url, "key", version=VERSION) as rest:
        request = rest.tools() if method == "GET" else rest.create_tool(TOOL)
        try:
            problem = None if await request == [] else "an answer"
        except CartesiaApiError as error:
            problem = str(error)

    assert asked == len(seen)
    assert problem is None if says is None else says in str(problem)


@virtual
async def test_nobody_there_is_an_error_in_one_sentence():
    async with serving(create_simulator()) as served:
        url = served.http_url
    async with CartesiaRest(url, "key", version=VERSION) as rest:
        with pytest.raises(CartesiaApiError, match="Cartesia: GET /v1/agents/tools failed: .*refused|Cannot connect"):
            await rest.tools()


@pytest.mark.parametrize("url", ["http://api.cartesia.ai", "ftp://x", "api.cartesia.ai"])
def test_a_key_is_never_sent_in_the_clear(url):
    with pytest.raises(ValueError, match="it must be https"):
        CartesiaRest(url, "key", version=VERSION)
