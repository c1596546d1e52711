from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from archer_bridge.devkit.cartesia import DEFAULT_API_KEY, CartesiaSimulator
from archer_bridge.devkit.dialogue import HangUp, Say
from archer_bridge.devkit.serving import Served
from tests.devkit.cartesia.agent_client import VERSION, agent_client, simulator
from tests.devkit.cartesia.brains import Scripted, maker
from tests.support.virtual import virtual

HEADERS = {"Authorization": f"Bearer {DEFAULT_API_KEY}", "Cartesia-Version": VERSION}
TOOL: dict[str, Any] = {"type": "client", "name": "look_up", "description": "Looks up."}


@asynccontextmanager
async def rest(**options: Any) -> AsyncIterator[tuple[httpx.AsyncClient, CartesiaSimulator]]:
    async with (
        simulator(**options) as (served, sim),
        httpx.AsyncClient(base_url=served.http_url, headers=HEADERS, trust_env=False) as client,
    ):
        yield client, sim


@virtual
async def test_status_needs_no_key() -> None:
    async with rest() as (client, _):
        answer = await client.get("/", headers={"Authorization": ""})

    assert answer.json() == {"ok": True, "version": VERSION}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        pytest.param("GET", "/v1/agents", {"Authorization": "Bearer no"}, 401, id="bad-key"),
        pytest.param("GET", "/v1/agents", {"Authorization": ""}, 401, id="no-key"),
        pytest.param("GET", "/v1/agents", {"Authorization": "", "X-API-Key": DEFAULT_API_KEY}, 200, id="x-api-key"),
        pytest.param("GET", "/v1/agents", {"Cartesia-Version": ""}, 400, id="no-version"),
        pytest.param("GET", "/v1/agents", {"Cartesia-Version": "2026-03-01"}, 400, id="v1-older"),
        pytest.param("GET", "/v1/agents", {"Cartesia-Version": "2031-01-01"}, 400, id="future"),
        pytest.param("GET", "/agents/calls?agent_id=x", {"Cartesia-Version": "2026-03-01"}, 200, id="agents-older"),
        pytest.param("GET", "/agents/calls?agent_id=x", {"Cartesia-Version": "2025-04-16"}, 400, id="agents-too-old"),
        pytest.param("GET", "/agents/calls", {}, 400, id="no-agent-id"),
        pytest.param("GET", "/agents/calls/ac_1", {}, 404, id="no-call"),
        pytest.param("GET", "/agents/calls/ac_1/audio", {}, 404, id="no-audio"),
        pytest.param("GET", "/v1/agents/nobody", {}, 404, id="no-agent"),
        pytest.param("GET", "/v1/agents?limit=0", {}, 400, id="bad-limit"),
        pytest.param("GET", "/nowhere", {}, 404, id="no-path"),
        pytest.param("PUT", "/v1/agents", {}, 405, id="method"),
        pytest.param("GET", "/v1/agents/models", {}, 200, id="models"),
    ],
)
@virtual
async def test_statuses(method: str, path: str, headers: dict[str, str], status: int) -> None:
    async with rest() as (client, _):
        answer = await client.request(method, path, headers=headers)

    assert answer.status_code == status
    if status >= 400 and headers.get("Cartesia-Version") != "2025-04-16":
        assert set(answer.json()) == {"error_code", "title", "message", "request_id"}


@virtual
async def test_older_versions_get_errors_as_text() -> None:
    async with rest() as (client, _):
        answer = await client.post("/access-token", headers={"Cartesia-Version": "2025-04-16"}, content="x")

    assert answer.text.startswith("Bad request: the body is not JSON")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"grants": {"agent": True}, "expires_in": 60}, 200, id="agent"),
        pytest.param({}, 200, id="nothing"),
        pytest.param({"expires_in": 3601}, 400, id="too-long"),
        pytest.param({"expires_in": "60"}, 400, id="text"),
        pytest.param({"grants": {"admin": True}}, 400, id="unknown-grant"),
    ],
)
@virtual
async def test_access_tokens(body: dict[str, Any], status: int) -> None:
    async with rest() as (client, _):
        answer = await client.post("/access-token", json=body)

    assert answer.status_code == status
    assert status != 200 or answer.json()["token"].startswith("eyJ")


@virtual
async def test_an_access_token_opens_no_account() -> None:
    async with rest() as (client, sim):
        token = sim.gate.issue(frozenset({"agent"}), 60)
        answer = await client.get("/v1/agents", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 403


@virtual
async def test_a_call_is_recorded() -> None:
    brain = Scripted([Say("Bye now."), HangUp()])
    async with rest(agent=maker(brain)) as (client, _):
        served = Served("127.0.0.1", client.base_url.port or 0)
        async with agent_client(served) as caller:
            ready = await caller.start()
            await caller.closed()
        call = (await client.get(f"/agents/calls/{ready['call_id']}")).json()
        listed = (await client.get("/agents/calls", params={"agent_id": "agent_archer"})).json()

    assert (call["status"], call["agent_id"]) == ("completed", "agent_archer")
    assert [(turn["role"], turn["text"]) for turn in call["transcript"]] == [("assistant", "Bye now.")]
    assert [item["id"] for item in listed["data"]] == [ready["call_id"]]
    assert (listed["has_more"], listed["next_page"]) == (False, None)


# -- agents and tools ----------------------------------------------------------------------------------------


@virtual
async def test_tools_live_their_life() -> None:
    async with rest() as (client, _):
        made = await client.post("/v1/agents/tools", json=TOOL)
        path = f"/v1/agents/tools/{made.json()['id']}"
        changed = await client.patch(path, json={"description": "Looks it up.", "response_timeout_secs": 5})
        listed = await client.get("/v1/agents/tools", params={"limit": 2})
        rest_of = await client.get("/v1/agents/tools", params={"starting_after": listed.json()["next_page"]})
        deleted = await client.delete(path)
        gone = await client.get(path)

    assert made.status_code == 201
    assert made.json()["response_timeout_secs"] == 20
    assert changed.json()["response_timeout_secs"] == 5
    assert (len(listed.json()["data"]), listed.json()["has_more"]) == (2, True)
    assert len(rest_of.json()["data"]) == 4
    assert (deleted.status_code, gone.status_code) == (204, 404)


@virtual
async def test_the_preset_agent_has_the_five_tools() -> None:
    async with rest() as (_, sim):
        names = set(sim.account.client_tools("agent_archer"))

    assert names == {"verify_account", "get_customer_options", "process_payment", "transfer_to_human", "end_call"}


@virtual
async def test_a_tool_in_use_cannot_be_deleted() -> None:
    async with rest() as (client, sim):
        tool_id = next(iter(sim.account.tools))
        answer = await client.delete(f"/v1/agents/tools/{tool_id}")

    assert answer.status_code == 409
    assert "agent_archer" in answer.json()["message"]


@virtual
async def test_a_tool_name_is_taken_once() -> None:
    async with rest() as (client, _):
        await client.post("/v1/agents/tools", json=TOOL)
        answer = await client.post("/v1/agents/tools", json=TOOL)

    assert answer.status_code == 409


@virtual
async def test_patching_config_merges_objects_and_replaces_lists() -> None:
    async with rest() as (client, sim):
        before = sim.account.agent("agent_archer")
        keep = before["config"]["tools"][:1]
        body = {"config": {"tools": keep, "turn": {"inactivity_end_call_secs": 60}}}
        after = (await client.patch("/v1/agents/agent_archer", json=body)).json()

    assert after["config"]["tools"] == keep
    assert after["config"]["turn"] == {"inactivity_end_call_secs": 60, "inactivity_check_in_secs": None}
    assert after["config"]["instructions"] == before["config"]["instructions"]
    assert after["version_id"] != before["version_id"]


@virtual
async def test_agents_live_their_life() -> None:
    async with rest() as (client, _):
        made = await client.post("/v1/agents", json={"name": "Other", "config": {"instructions": "Be kind."}})
        path = f"/v1/agents/{made.json()['id']}"
        posted = await client.post(path, json={"name": "Another"})
        got = await client.get(path)
        deleted = await client.delete(path)
        gone = await client.get(path)

    assert (made.status_code, posted.status_code, deleted.status_code, gone.status_code) == (201, 200, 204, 404)
    assert (got.json()["name"], got.json()["config"]["instructions"]) == ("Another", "Be kind.")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"config": []}, id="config-list"),
        pytest.param({"colour": "red"}, id="unknown-field"),
        pytest.param({"config": {"tools": [{"id": "tool_none"}]}}, id="unknown-tool"),
        pytest.param({"config": {"tools": ["tool_00000001"]}}, id="tool-not-object"),
        pytest.param({"config": {"tools": [{"id": "tool_00000001"}] * 2}}, id="tool-twice"),
        pytest.param({"config": {"turn": {"inactivity_check_in_secs": 4}}}, id="check-in-low"),
        pytest.param({"config": {"turn": {"inactivity_end_call_secs": 241}}}, id="end-high"),
    ],
)
@virtual
async def test_bad_agents_are_400(body: dict[str, Any]) -> None:
    async with rest() as (client, _):
        answer = await client.patch("/v1/agents/agent_archer", json=body)

    assert answer.status_code == 400


@virtual
async def test_an_agent_has_at_most_32_tools() -> None:
    async with rest() as (client, sim):
        ids = [{"id": sim.account.create_tool({**TOOL, "name": f"t{n}"})["id"]} for n in range(33)]
        full = await client.patch("/v1/agents/agent_archer", json={"config": {"tools": ids[:32]}})
        over = await client.patch("/v1/agents/agent_archer", json={"config": {"tools": ids}})

    assert (full.status_code, over.status_code) == (200, 400)


def params(**properties: Any) -> dict[str, Any]:
    return {"parameters": {"type": "object", "properties": properties}}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param({"type": "system"}, 400, id="type"),
        pytest.param({"name": "1st"}, 400, id="name-digit-first"),
        pytest.param({"name": "a" * 65}, 400, id="name-long"),
        pytest.param({"name": "a" * 64}, 201, id="name-64"),
        pytest.param({"name": "a-b_c"}, 201, id="name-signs"),
        pytest.param({"name": "look\n"}, 400, id="name-newline"),
        pytest.param({"description": ""}, 400, id="no-description"),
        pytest.param({"description": "x" * 2000}, 201, id="description-2000"),
        pytest.param({"description": "x" * 2001}, 400, id="description-2001"),
        pytest.param({"colour": "red"}, 400, id="unknown-field"),
        pytest.param({"response_timeout_secs": 1}, 201, id="timeout-1"),
        pytest.param({"response_timeout_secs": 120}, 201, id="timeout-120"),
        pytest.param({"response_timeout_secs": 0}, 400, id="timeout-0"),
        pytest.param({"response_timeout_secs": 121}, 400, id="timeout-121"),
        pytest.param({"response_timeout_secs": True}, 400, id="timeout-bool"),
        pytest.param({"response_timeout_secs": 5, "expects_response": False}, 400, id="timeout-without-response"),
        pytest.param({"expects_response": False}, 201, id="no-response"),
        pytest.param({"pre_tool_speech": "maybe"}, 400, id="speech"),
        pytest.param({"execution_mode": "async"}, 201, id="async"),
        pytest.param({"execution_mode": "later"}, 400, id="mode"),
        pytest.param({"parameters": []}, 400, id="parameters-list"),
        pytest.param(params(a={"type": "string", "enum": ["x"]}), 201, id="enum"),
        pytest.param(params(a={"type": "integer", "enum": [1]}), 400, id="enum-of-numbers"),
        pytest.param(params(a={"type": "array", "items": {"type": "number"}}), 201, id="array"),
        pytest.param(params(a={"type": "array", "items": {"type": "object"}}), 400, id="array-of-objects"),
        pytest.param(params(a={"type": "object"}), 400, id="nested"),
        pytest.param(params(a={"type": "string", "pattern": "x"}), 400, id="keyword"),
        pytest.param({"parameters": {"type": "object", "properties": {}, "required": ["a"]}}, 400, id="required"),
        pytest.param({"type": "webhook", "url": "http://x.test"}, 400, id="webhook-http"),
        pytest.param({"type": "webhook", "url": "https://x.test"}, 201, id="webhook"),
    ],
)
@virtual
async def test_tool_definitions(change: dict[str, Any], status: int) -> None:
    async with rest() as (client, _):
        answer = await client.post("/v1/agents/tools", json={**TOOL, **change})

    assert answer.status_code == status
