"""The front of the house: the shipped proxy cuts slow headers, and the server negotiates no compression."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from archer_bridge.devkit.serving import serving
from tests.support.streams import upgrade_headers
from tests.support.virtual import virtual
from tests.support.world import world

CONFIG = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")


@virtual
async def test_the_server_negotiates_no_compression(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        address = f"{here.bridge.ws_url}/ws/cartesia"
        async with connect(address, additional_headers=upgrade_headers(), proxy=None, ping_interval=None) as socket:
            assert socket.response is not None
            assert "Sec-WebSocket-Extensions" not in socket.response.headers


def test_the_shipped_limits_are_written_down() -> None:
    text = CONFIG.read_text(encoding="utf-8")

    assert re.search(r"timeout http-request 5s", text)
    assert re.search(r"maxconn \d+", text)
    assert "/metrics" not in text


@pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed")
async def test_a_slow_header_is_cut_by_the_shipped_proxy(tmp_path: Path, unused_tcp_port: int) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("no request may come through")

    assert HAPROXY is not None
    async with serving(_with_lifespan(app)) as served:
        text = CONFIG.read_text(encoding="utf-8")
        text = text.replace("bind 127.0.0.1:8080", f"bind 127.0.0.1:{unused_tcp_port}")
        text = text.replace(
            "timeout http-request 5s", "timeout http-request 500ms"
        )  # the test's patience, not the rule
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{served.port}").replace("option httpchk GET /readyz", "")
        path = tmp_path / "haproxy.cfg"
        path.write_text(text, encoding="utf-8")
        proxy = await asyncio.create_subprocess_exec(HAPROXY, "-db", "-f", str(path))
        try:
            reader, writer = await _dial(unused_tcp_port)
            writer.write(b"POST /webhooks/twilio/incoming HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            await writer.drain()
            async with asyncio.timeout(8):
                answer = await reader.read()
            writer.close()
        finally:
            proxy.terminate()
            await proxy.wait()

        assert b" 408 " in answer.splitlines()[0]


async def _dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(5):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)


def _with_lifespan(app):  # type: ignore[no-untyped-def]  # plain ASGI
    async def served(scope, receive, send):  # type: ignore[no-untyped-def]  # plain ASGI
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for _ in range(2):
            message = await receive()
            await send({"type": message["type"] + ".complete"})

    return served
