"""Every route, with every kind of caller: who gets in is written down here, and a route that is not, fails."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from archer_bridge.app import create_admin, create_app
from archer_bridge.devkit.serving import serving
from tests.support.asgi import ask, knock
from tests.support.forgery import SIGNATURE, genuine, sign, upgrade_signature
from tests.support.twilio import CALL_SID, voice_form
from tests.support.virtual import virtual
from tests.support.world import PUBLIC, World, settings_for, world

OTHER_ACCOUNT = "AC" + "9" * 32
TOKEN = "a-long-token-of-the-operators"
WEBHOOKS = ("incoming", "stream-ended", "status", "stream-status")
PUBLIC_TABLE: dict[tuple[str, str], dict[str, Any]] = {
    **{
        ("POST", f"/webhooks/twilio/{name}"): {
            "unsigned": 403,
            "wrong": 403,
            "other route's": 403,
            "other account": 403,
            "replayed": 200,
            "genuine": 200,
        }
        for name in WEBHOOKS
    },
    ("GET", "/healthz"): dict.fromkeys(("unsigned", "wrong"), 200),
    ("GET", "/readyz"): dict.fromkeys(("unsigned", "wrong"), 200),
    ("WS", "/ws/cartesia"): {
        "unsigned": "websocket.close",
        "wrong": "websocket.close",
        "other route's": "websocket.close",
        "genuine": "websocket.accept",
    },
}
"""Method and path, then who asks and what they get. `replayed`: the same signed bytes a second time."""
ADMIN_READS = ("/metrics", "/api/calls")
ADMIN_WRITES = ("/api/drain", "/api/undrain")


def routes(app: Starlette) -> set[tuple[str, str]]:
    """Return every route, HEAD counted as the GET that it is."""
    found = set()
    for route in app.routes:
        if isinstance(route, WebSocketRoute):
            found.add(("WS", route.path))
        else:
            assert isinstance(route, Route), f"{route!r} is a kind of route that this matrix cannot ask"
            found |= {(method, route.path) for method in (route.methods or set()) - {"HEAD"}}
    return found


def headers_of(who: str, path: str, form: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return what this caller sends."""
    kind = [(b"content-type", b"application/x-www-form-urlencoded")]
    match who:
        case "unsigned":
            return kind
        case "wrong":
            return [*kind, (SIGNATURE, sign(path, form, token="wrong"))]
        case "other route's":
            return [*kind, (SIGNATURE, sign(path + "/other", form))]
        case _:
            return [*kind, (SIGNATURE, sign(path, form))]


async def answer(here: World, method: str, path: str, who: str) -> int | str:
    """Ask as this caller."""
    if method == "WS":
        wss = PUBLIC.replace("https", "wss")
        urls = {"unsigned": None, "wrong": f"https://x{path}", "other route's": f"{wss}/ws", "genuine": wss + path}
        url = urls[who]
        return await knock(here.app, path, headers=[(SIGNATURE, upgrade_signature(url))] if url else [])
    form = voice_form(**({"AccountSid": OTHER_ACCOUNT} if who == "other account" else {}))
    body = genuine(path, form).body
    for _ in range(2 if who == "replayed" else 1):
        status, _ = await ask(here.app, path, method=method, headers=headers_of(who, path, form), body=body)
    return status


def test_every_public_route_is_in_the_table(tmp_path: Path) -> None:
    settings = settings_for_nobody()

    assert routes(create_app(settings)) == set(PUBLIC_TABLE)


def test_every_admin_route_is_in_the_table() -> None:
    settings = settings_for_nobody()
    expected = {("GET", path) for path in ADMIN_READS} | {("POST", path) for path in ADMIN_WRITES}

    assert routes(create_admin(create_app(settings), settings)) == expected


def settings_for_nobody() -> Any:
    from archer_bridge.devkit.serving import Served

    return settings_for(Served("127.0.0.1", 1), "sqlite:///unused.db")


@pytest.mark.parametrize(("method", "path"), list(PUBLIC_TABLE), ids=lambda value: str(value))
@virtual
async def test_the_public_table_holds(method: str, path: str, tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        if path != "/webhooks/twilio/incoming":
            await answer(here, "POST", "/webhooks/twilio/incoming", "genuine")
        before = await here.store.get_call(CALL_SID)
        expected = PUBLIC_TABLE[method, path]
        got = {who: await answer(here, method, path, who) for who in expected}
        after = await here.store.get_call(CALL_SID)

        assert got == expected
        assert before is None or after is not None
        assert len(await here.store.list_calls()) == 1


@pytest.mark.parametrize(
    "path", ["/metrics", "/api/calls", "/api/drain", "/console", "/docs", "/openapi.json", "/", "/.env"]
)
@virtual
async def test_the_public_listener_has_nothing_else(path: str, tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        assert (await ask(here.app, path, method="GET"))[0] == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@virtual
async def test_webhooks_take_posts_only(method: str, tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        assert {(await ask(here.app, f"/webhooks/twilio/{name}", method=method))[0] for name in WEBHOOKS} == {405}


@virtual
async def test_the_admin_table_holds(tmp_path: Path) -> None:
    changes = {"ARCHER_ADMIN__TOKEN": TOKEN}
    good, write = {"Authorization": f"Bearer {TOKEN}"}, {"X-Archer-Admin": "1"}
    bad: list[dict[str, str]] = [
        {},
        {"Authorization": ""},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Cookie": f"token={TOKEN}"},
        {"X-Archer-Admin": TOKEN},
    ]
    async with world(tmp_path) as here:
        settings = settings_for(here.bridge, "sqlite:///unused.db", **changes)
        async with (
            serving(create_admin(here.app, settings)) as admin,
            httpx.AsyncClient(base_url=admin.http_url, trust_env=False) as client,
        ):
            for path in ADMIN_READS:
                assert {(await client.get(path, headers=headers)).status_code for headers in bad} == {401}
                assert (await client.get(path, headers=good)).status_code == 200
            for path in ADMIN_WRITES:
                assert {(await client.post(path, headers=headers)).status_code for headers in bad} == {401}
                assert (await client.post(path, headers=good)).status_code == 403
                assert (await client.post(path, headers=good | write)).status_code == 200
            assert (await client.get("/metrics?token=" + TOKEN)).status_code == 401


@virtual
async def test_without_a_token_a_web_page_still_cannot_write(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        settings = settings_for(here.bridge, "sqlite:///unused.db")
        async with (
            serving(create_admin(here.app, settings)) as admin,
            httpx.AsyncClient(base_url=admin.http_url, trust_env=False) as client,
        ):
            simple = {"Origin": "https://evil.example.org", "Content-Type": "text/plain"}

            assert (await client.post("/api/drain", headers=simple)).status_code == 403
            assert here.service.live.draining is False
