"""The HTTP client against servers that misbehave byte by byte, and the overrides it obeys."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from archer_bridge.devkit.phone.errors import RequestFailed
from archer_bridge.devkit.phone.http import Response, Route, request
from archer_bridge.devkit.phone.options import HttpPolicy
from tests.support.virtual import virtual

URL = "https://bridge.example.test/voice?a=1"


@asynccontextmanager
async def server(*chunks: bytes, holds: bool = False) -> AsyncIterator[tuple[Route, list[bytes]]]:
    """Answer every connection with `chunks` and close it, or hold it until the client gives up; keep what was asked."""
    asked: list[bytes] = []
    given_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        for chunk in chunks:
            writer.write(chunk)
        await writer.drain()
        if holds:
            await reader.read()
            given_up.set()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        yield Route({"bridge.example.test": ("127.0.0.1", port)}), asked
        if holds:
            await given_up.wait()


async def fetch(route: Route, policy: HttpPolicy | None = None) -> Response:
    return await request(
        "POST", URL, headers=[("X-Test", "1")], body=b"a=b", route=route, policy=policy or HttpPolicy()
    )


@virtual
async def test_the_request_goes_to_the_override_with_the_public_host():
    async with server(b"HTTP/1.1 200 OK\r\nContent-Type: Text/XML; charset=utf-8\r\nContent-Length: 2\r\n\r\nhi") as (
        route,
        asked,
    ):
        response = await fetch(route)

    assert asked[0].startswith(b"POST /voice?a=1 HTTP/1.1\r\nHost: bridge.example.test\r\n")
    assert (response.status, response.content_type, response.body) == (200, "text/xml", b"hi")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("https://bridge.example.test/x", ("10.0.0.1", 99, False), id="override"),
        pytest.param("wss://bridge.example.test:444/x", ("10.0.0.1", 99, False), id="override of a socket"),
        pytest.param("https://other.example.test/x", ("other.example.test", 443, True), id="https"),
        pytest.param("http://other.example.test/x", ("other.example.test", 80, False), id="http"),
        pytest.param("wss://other.example.test:8443/x", ("other.example.test", 8443, True), id="port"),
    ],
)
def test_where_a_url_leads(url, expected):
    assert expected == Route({"bridge.example.test": ("10.0.0.1", 99)}).locate(url)


@pytest.mark.parametrize(
    ("chunks", "code", "stage"),
    [
        pytest.param([], 11205, "ct", id="closed without an answer"),
        pytest.param([b"nonsense\r\n\r\n"], 11206, "", id="not HTTP"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"], 11206, "", id="cut body"),
        pytest.param([b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 65537], 11750, "", id="too long"),
    ],
)
@virtual
async def test_broken_answers(chunks, code, stage):
    async with server(*chunks) as (route, _):
        with pytest.raises(RequestFailed) as caught:
            await fetch(route)

    assert (code, stage, URL) == (caught.value.code, caught.value.stage, caught.value.url)


@virtual
async def test_an_answer_that_does_not_come_in_time():
    async with server(holds=True) as (route, _):
        with pytest.raises(RequestFailed, match="no answer within 15 s") as caught:
            await fetch(route)

    assert (caught.value.code, caught.value.stage) == (11200, "rt")


@virtual
async def test_a_chunked_answer_is_read_whole():
    chunks = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nhi\r\n", b"3\r\nyou\r\n0\r\n\r\n")
    async with server(*chunks) as (route, _):
        response = await fetch(route)

    assert response.body == b"hiyou"


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        pytest.param("", HttpPolicy(), id="defaults"),
        pytest.param(
            "#ct=1000&rc=2&rp=ct,rt", HttpPolicy(connect_s=1.0, retries=2, retry_on=frozenset({"ct", "rt"})), id="given"
        ),
        pytest.param(
            "#ct=1&rt=99999&tt=200&rc=9",
            HttpPolicy(connect_s=0.1, read_s=15.0, total_s=0.2, retries=5),
            id="brought into the documented ranges",
        ),
    ],
)
def test_connection_overrides(fragment, expected):
    assert expected == HttpPolicy.from_url(f"https://h.test/voice{fragment}")
