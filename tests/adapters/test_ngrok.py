"""ngrok's local API against a stand-in, and an executable that serves it."""

import os
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from archer_bridge.adapters.ngrok import (
    NgrokError,
    Tunnel,
    is_ngrok_address,
    public_url,
    read_tunnels,
    started_ngrok,
)
from archer_bridge.devkit.serving import serving
from tests.support.ngrok_agent import (
    PUBLIC,
    install_failing_ngrok,
    install_ngrok,
    ngrok_api,
    said_by_ngrok,
    tunnel,
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        pytest.param("http://localhost:8000", "127.0.0.1", True, id="localhost"),
        pytest.param("http://127.0.0.1:8000", "0.0.0.0", True, id="loopback to any"),
        pytest.param("http://[::1]:8000", "127.0.0.1", True, id="IPv6 loopback"),
        pytest.param("localhost:8000", "127.0.0.1", True, id="no scheme"),
        pytest.param("8000", "127.0.0.1", True, id="port only"),
        pytest.param("http://192.168.1.5:8000", "192.168.1.5", True, id="our own address"),
        pytest.param("http://localhost:8001", "127.0.0.1", False, id="another port"),
        pytest.param("http://localhost", "127.0.0.1", False, id="port 80"),
        pytest.param("https://localhost:8000", "127.0.0.1", False, id="TLS, which we do not speak"),
        pytest.param("http://192.168.1.5:8000", "127.0.0.1", False, id="another machine"),
        pytest.param("http://localhost:99999", "127.0.0.1", False, id="no port at all"),
        pytest.param("file:///srv", "127.0.0.1", False, id="a folder"),
        pytest.param("", "127.0.0.1", False, id="nothing"),
    ],
)
def test_a_tunnel_leads_to_our_server(target, host, expected):
    found = Tunnel(PUBLIC, target).leads_to(host, 8000)

    assert expected == found


async def test_the_https_tunnel_to_our_port_is_found():
    tunnels = [
        tunnel("tcp://0.tcp.ngrok.io:1234", "localhost:8000"),
        tunnel("http://plain.ngrok.io", "http://localhost:8000"),
        tunnel("https://other.ngrok-free.app", "http://localhost:3000"),
        tunnel(PUBLIC, "http://localhost:8000"),
    ]
    async with serving(ngrok_api(tunnels)) as served:
        found = await read_tunnels(served.http_url)

    assert found is not None
    assert (public_url(found, "127.0.0.1", 8000), public_url(found, "127.0.0.1", 8001)) == (PUBLIC, None)
    assert [item["public_url"] for item in tunnels] == [item.public_url for item in found]


async def test_nothing_at_the_address_means_no_ngrok():
    found = await read_tunnels(f"http://127.0.0.1:{free_port()}")

    assert found is None


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(PlainTextResponse("hello"), 200, id="not JSON"),
        pytest.param(JSONResponse({"tunnels": "none"}), 200, id="no list"),
        pytest.param(JSONResponse([]), 200, id="no object"),
        pytest.param(JSONResponse({"tunnels": []}, 500), 500, id="an error"),
    ],
)
async def test_something_else_at_the_address_is_told(answer, status):
    async with serving(Starlette(routes=[Route("/api/tunnels", lambda _: answer)])) as served:
        with pytest.raises(NgrokError) as caught:
            await read_tunnels(served.http_url)

    expected = (
        f"{served.http_url}/api/tunnels answered {status}, and not as ngrok's API does: "
        "give its address with --ngrok-api (web_addr in ngrok's configuration)"
    )
    assert expected == str(caught.value)


async def test_items_that_are_no_tunnels_are_passed_over():
    async with serving(ngrok_api(["x", {}, {"config": None, "public_url": PUBLIC}])) as served:
        found = await read_tunnels(served.http_url)

    assert [Tunnel("", ""), Tunnel(PUBLIC, "")] == found


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (PUBLIC, True),
        ("https://a.ngrok.io", True),
        ("https://bridge.example.com", False),
        ("https://ngrok.io.example.com", False),
        ("", False),
    ],
)
def test_addresses_of_ngrok_are_known(url, expected):
    assert expected == is_ngrok_address(url)


async def test_ngrok_is_started_and_stopped(tmp_path):
    api_port = free_port()
    said_file = install_ngrok(tmp_path, api_port=api_port, port=8123)

    binary, api_url = str(tmp_path / "ngrok"), f"http://127.0.0.1:{api_port}"
    async with started_ngrok(binary, "127.0.0.1", 8123, api_url=api_url) as url:
        said = said_by_ngrok(said_file)

    assert url == PUBLIC
    assert said["arguments"] == ["http", "8123", "--log=stdout", "--log-level=warn"]
    with pytest.raises(ProcessLookupError):
        os.kill(said["pid"], 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(
            't=2026-02-07T19:59:52 lvl=eror msg="failed to reconnect session" obj=tunnels.session err="authentication '
            r"failed: Your authtoken: 1yaP1QLD0cVVKBknmtX9\nInstall it: https://dash.ngrok.com\r\n\r\nERR_NGROK_4018"
            r'\r\n"',
            "it said: authentication failed: Your authtoken: *** Install it: https://dash.ngrok.com ERR_NGROK_4018",
            id="its log, without the token",
        ),
        pytest.param("ERROR:  unknown flag: --log", "it said: ERROR: unknown flag: --log", id="plain words"),
        pytest.param("", "it said nothing", id="silence"),
    ],
)
async def test_ngrok_that_ends_is_told_in_its_words(tmp_path, words, told):
    install_failing_ngrok(tmp_path, words)

    with pytest.raises(NgrokError) as caught:
        async with started_ngrok(str(tmp_path / "ngrok"), "127.0.0.1", 8123, api_url="http://127.0.0.1:9"):
            pytest.fail("there is no tunnel")

    assert f"ngrok ended at once with code 1; {told}" == str(caught.value)


async def test_ngrok_without_our_tunnel_is_given_up_and_stopped(tmp_path):
    api_port = free_port()
    said_file = install_ngrok(tmp_path, api_port=api_port, port=9999)
    api_url = f"http://127.0.0.1:{api_port}"

    with pytest.raises(NgrokError) as caught:
        async with started_ngrok(str(tmp_path / "ngrok"), "127.0.0.1", 8123, api_url=api_url, wait_s=1.5):
            pytest.fail("there is no tunnel")

    expected = f"ngrok started, but {api_url} showed no https tunnel to port 8123 in 1.5 s; it said nothing"
    assert expected == str(caught.value)
    with pytest.raises(ProcessLookupError):
        os.kill(said_by_ngrok(said_file)["pid"], 0)
