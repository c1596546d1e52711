"""Checks of the public address, against the bridge itself and against what is none."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from archer_bridge.app import create_app
from archer_bridge.cli.checks import address
from archer_bridge.cli.checks.verdict import Status, Verdict
from archer_bridge.config import Settings, load_settings
from archer_bridge.devkit.serving import serving
from archer_bridge.protocols.twilio_signature import SignatureChecker
from archer_bridge.web import stream

TOKEN = "0123456789abcdef0123456789abcdef"
OWN = "https://bridge.example.test"
NOT_OURS = "{{url}}/healthz answers {}, and it is not this bridge"
KEYS = {
    "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
    "TWILIO_AUTH_TOKEN": TOKEN,
    "CARTESIA_API_KEY": "sk_car_simulator",
    "CARTESIA_AGENT_ID": "agent_archer",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def settings(url: str = OWN, **changes: str) -> Settings:
    return load_settings(environ={**KEYS, "WEBHOOK_BASE_URL": url, **changes}, env_file="")


@asynccontextmanager
async def bridge(folder: Path, **changes: str) -> AsyncIterator[str]:
    """A bridge; gives its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = create_app(settings(url, DATABASE_URL=f"sqlite:///{folder}/archer.db", **changes))
    async with serving(app, port=port):
        yield url


@pytest.mark.parametrize(
    ("url", "status", "found"),
    [
        pytest.param("", "skip", "WEBHOOK_BASE_URL is not set", id="none"),
        pytest.param(OWN, "ok", OWN, id="https"),
        pytest.param("http://127.0.0.1:8000", "warn", "http://127.0.0.1:8000 is this machine only", id="local"),
        pytest.param(f"{OWN}/voice", "warn", f"{OWN}/voice has a path", id="path"),
        pytest.param(
            "https://a.ngrok-free.app",
            "ok",
            "https://a.ngrok-free.app (ngrok; a new one with every start unless it is reserved)",
            id="ngrok",
        ),
    ],
)
def test_the_form_of_the_address(url, status, found):
    verdict = address.public_url(settings(url))

    assert (status, found) == (verdict.status, verdict.found)


@pytest.mark.parametrize("url", [OWN, f"{OWN}:8443", f"{OWN}/voice", "http://127.0.0.1:8000"])
@pytest.mark.parametrize("second", ["", "ffffffffffffffffffffffffffffffff"])
def test_signatures_go_round(url, second):
    configured = settings(url, ARCHER_TWILIO__AUTH_TOKEN_SECONDARY=second)

    verdict = address.signature(configured)

    expected = f"webhook and {configured.websocket_url()} verified, forged one refused"
    assert Verdict(Status.OK, expected) == verdict


@pytest.mark.parametrize(
    ("method", "answer", "start"),
    [
        ("accepts_webhook", False, f"a good signature of {OWN}/webhooks/twilio/incoming is refused"),
        ("accepts_upgrade", False, "a good signature of wss://bridge.example.test/ws/cartesia is refused"),
        ("accepts_webhook", True, "a signature by another token is accepted"),
    ],
)
def test_a_checker_that_is_wrong_is_found_out(monkeypatch, method, answer, start):
    monkeypatch.setattr(SignatureChecker, method, lambda *_: answer)

    verdict = address.signature(settings())

    assert (Status.FAIL, start) == (verdict.status, verdict.found)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"WEBHOOK_BASE_URL": ""}, "WEBHOOK_BASE_URL is not set"),
        ({"TWILIO_AUTH_TOKEN": ""}, "TWILIO_AUTH_TOKEN is not set"),
    ],
)
async def test_without_address_or_token_there_is_nothing_to_sign(changes, why):
    configured = settings(url=changes.get("WEBHOOK_BASE_URL", OWN), **changes)

    found = [address.signature(configured), await address.signed_request(configured)]

    assert [Verdict(Status.SKIP, why)] * 2 == found


def test_the_socket_path_is_the_route_of_the_bridge():
    assert address.STREAM_PATH in {route.path for route in stream.ROUTES}


async def test_the_bridge_is_found_at_its_address(tmp_path):
    async with bridge(tmp_path) as url:
        reached, signed = await address.reachable(settings(url)), await address.signed_request(settings(url))

    assert (reached.status, reached.found.startswith("archer-bridge ")) == (Status.OK, True)
    expected = "the bridge there takes our signature and refuses a request without one"
    assert Verdict(Status.OK, expected) == signed


async def test_a_bridge_with_another_token_is_told(tmp_path):
    async with bridge(tmp_path, TWILIO_AUTH_TOKEN="f" * 32) as url:
        signed = await address.signed_request(settings(url))

    assert (signed.status, signed.found) == (Status.FAIL, "the bridge there refuses our signature")


async def test_a_bridge_that_takes_everything_is_told(tmp_path):
    async with bridge(tmp_path, ARCHER_SERVER__INSECURE_DEV="true") as url:
        signed = await address.signed_request(settings(url))

    assert (signed.status, signed.found) == (Status.FAIL, "the bridge there takes requests that nobody signed")


@pytest.mark.parametrize(
    ("answer", "status", "found"),
    [
        pytest.param(Response(status_code=502), "warn", "something answers 502 there, but no bridge", id="proxy only"),
        pytest.param(Response(status_code=404), "FAIL", NOT_OURS.format(404), id="no page"),
        pytest.param(JSONResponse({"ok": True}), "FAIL", NOT_OURS.format(200), id="another's"),
    ],
)
async def test_what_is_no_bridge_is_told(answer, status, found):
    async with serving(Starlette(routes=[Route("/healthz", lambda _: answer)])) as served:
        reached = await address.reachable(settings(served.http_url))
        signed = await address.signed_request(settings(served.http_url))

    assert (status, found.format(url=served.http_url)) == (reached.status, reached.found)
    assert Verdict(Status.SKIP, "no bridge answers there: 404") == signed


async def test_nobody_there_is_told():
    url = f"http://127.0.0.1:{free_port()}"

    reached, signed = await address.reachable(settings(url)), await address.signed_request(settings(url))

    assert (reached.status, signed.status) == (Status.WARN, Status.SKIP)
    assert reached.found.startswith("the name resolves, but nobody answers there: ")


async def test_a_name_that_is_gone_is_told(monkeypatch):
    def unknown(*_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    found = await address.reachable(settings())

    assert (found.status, found.found) == (Status.FAIL, "the name bridge.example.test does not resolve")


async def test_no_tls_is_told():
    async with serving(Starlette()) as served:
        found = await address.reachable(settings(f"https://127.0.0.1:{served.port}"))

    assert (found.status, found.found.startswith("no good TLS: ")) == (Status.FAIL, True)
