"""The REST part: status, access tokens, call records, and the agents and tools of the account."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from archer_bridge.devkit.cartesia.auth import AGENTS_VERSIONS, LATEST_VERSION, V1_VERSIONS, VERSIONS, ApiError
from archer_bridge.devkit.cartesia.simulator import CartesiaSimulator

_GRANTS = {"tts", "stt", "agent"}
_PAGE_LIMITS = (1, 100)


def _simulator(request: Request) -> CartesiaSimulator:
    simulator: CartesiaSimulator = request.app.state.simulator
    return simulator


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as problem:
        raise ApiError(400, f"the body is not JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object")
    return body


def _account_request(request: Request) -> CartesiaSimulator:
    simulator = _simulator(request)
    simulator.gate.admit(request, grant=None, versions=V1_VERSIONS)
    return simulator


async def status(request: Request) -> Response:
    """`GET /`."""
    return JSONResponse({"ok": True, "version": LATEST_VERSION})


async def access_token(request: Request) -> Response:
    """`POST /access-token`."""
    simulator = _simulator(request)
    simulator.gate.admit(request, grant=None, versions=VERSIONS)
    body = await _body(request)
    grants = body.get("grants") or {}
    if not isinstance(grants, dict) or set(grants) - _GRANTS or not all(isinstance(v, bool) for v in grants.values()):
        raise ApiError(400, f"grants must map {', '.join(sorted(_GRANTS))} to booleans")
    expires_in = body.get("expires_in") or 3600
    if isinstance(expires_in, bool) or not isinstance(expires_in, int):
        raise ApiError(400, f"expires_in must be whole seconds, not {expires_in!r}")
    granted = frozenset(name for name, given in grants.items() if given)
    return JSONResponse({"token": simulator.gate.issue(granted, expires_in)})


async def call(request: Request) -> Response:
    """`GET /agents/calls/{call_id}`."""
    simulator = _simulator(request)
    simulator.gate.admit(request, grant=None, versions=AGENTS_VERSIONS)
    record = simulator.calls.get(request.path_params["call_id"])
    if record is None:
        raise ApiError(404, f"no call {request.path_params['call_id']!r}")
    return JSONResponse(record.as_json(with_transcript=True))


async def call_audio(request: Request) -> Response:
    """`GET /agents/calls/{call_id}/audio`: the simulator keeps no recordings."""
    _simulator(request).gate.admit(request, grant=None, versions=AGENTS_VERSIONS)
    raise ApiError(404, "this call has no recording")


async def calls(request: Request) -> Response:
    """`GET /agents/calls?agent_id=`: newest first, `limit` and `starting_after` page."""
    simulator = _simulator(request)
    simulator.gate.admit(request, grant=None, versions=AGENTS_VERSIONS)
    agent_id = request.query_params.get("agent_id")
    if not agent_id:
        raise ApiError(400, "agent_id is required")
    found = [record for record in reversed(simulator.calls.values()) if record.agent_id == agent_id]
    expand = request.query_params.get("expand") == "transcript"
    return JSONResponse(_page(request, [record.as_json(with_transcript=expand) for record in found]))


async def agents(request: Request) -> Response:
    """`GET` and `POST /v1/agents`."""
    simulator = _account_request(request)
    if request.method == "POST":
        return JSONResponse(simulator.account.create_agent(await _body(request)), 201)
    return JSONResponse(_page(request, [simulator.account.agent(key) for key in simulator.account.agents]))


async def agent(request: Request) -> Response:
    """`GET`, `PATCH`, `POST` and `DELETE /v1/agents/{agent_id}`."""
    account, agent_id = _account_request(request).account, request.path_params["agent_id"]
    if request.method == "DELETE":
        account.delete_agent(agent_id)
        return Response(status_code=204)
    if request.method == "GET":
        return JSONResponse(account.agent(agent_id))
    return JSONResponse(account.change_agent(agent_id, await _body(request)))


async def models(request: Request) -> Response:
    """`GET /v1/agents/models`."""
    _account_request(request)
    return JSONResponse({"data": [{"id": "simulated"}], "has_more": False, "next_page": None})


async def tools(request: Request) -> Response:
    """`GET` and `POST /v1/agents/tools`."""
    simulator = _account_request(request)
    if request.method == "POST":
        return JSONResponse(simulator.account.create_tool(await _body(request)), 201)
    return JSONResponse(_page(request, [simulator.account.tool(key) for key in simulator.account.tools]))


async def tool(request: Request) -> Response:
    """`GET`, `PATCH` and `DELETE /v1/agents/tools/{tool_id}`."""
    account, tool_id = _account_request(request).account, request.path_params["tool_id"]
    if request.method == "DELETE":
        account.delete_tool(tool_id)
        return Response(status_code=204)
    if request.method == "GET":
        return JSONResponse(account.tool(tool_id))
    return JSONResponse(account.change_tool(tool_id, await _body(request)))


def _page(request: Request, items: list[dict[str, Any]]) -> dict[str, Any]:
    low, high = _PAGE_LIMITS
    text = request.query_params.get("limit") or "100"
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ApiError(400, f"limit must be {low} to {high}, not {text!r}")
    after = request.query_params.get("starting_after")
    ids = [item["id"] for item in items]
    start = ids.index(after) + 1 if after in ids else 0
    page = items[start : start + int(text)]
    has_more = start + len(page) < len(items)
    return {"data": page, "has_more": has_more, "next_page": page[-1]["id"] if has_more else None}


ROUTES = [
    Route("/", status),
    Route("/access-token", access_token, methods=["POST"]),
    Route("/agents/calls", calls),
    Route("/agents/calls/{call_id}", call),
    Route("/agents/calls/{call_id}/audio", call_audio),
    Route("/v1/agents", agents, methods=["GET", "POST"]),
    Route("/v1/agents/models", models),
    Route("/v1/agents/tools", tools, methods=["GET", "POST"]),
    Route("/v1/agents/tools/{tool_id}", tool, methods=["GET", "PATCH", "DELETE"]),
    Route("/v1/agents/{agent_id}", agent, methods=["GET", "PATCH", "POST", "DELETE"]),
]
