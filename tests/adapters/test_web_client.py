"""One request: what it brings, and at which step it fails."""

import asyncio
import socket

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from archer_bridge.adapters.web_client import MAX_BODY, Answer, RequestFailed, Step, fetch
from archer_bridge.devkit.serving import serving


async def _echo(request: Request) -> Response:
    form = await request.form()
    return JSONResponse({"method": request.method, "form": dict(form), "x": request.headers.get("x-test")}, 201)


ROUTES = [
    Route("/echo", _echo, methods=["GET", "POST"]),
    Route("/moved", lambda _: RedirectResponse("/echo")),
    Route("/text", lambda _: PlainTextResponse("hello")),
    Route("/large", lambda _: Response(b"x" * (MAX_BODY + 70_000))),
]


async def test_a_form_is_posted():
    async with serving(Starlette(routes=ROUTES)) as served:
        answer = await fetch(f"{served.http_url}/echo", method="POST", form={"a": "1"}, headers={"X-Test": "y"})

    assert (answer.status, answer.json()) == (201, {"method": "POST", "form": {"a": "1"}, "x": "y"})


async def test_redirects_are_not_followed():
    async with serving(Starlette(routes=ROUTES)) as served:
        answer = await fetch(f"{served.http_url}/moved")

    assert answer.status == 307


async def test_what_is_not_json_is_none():
    async with serving(Starlette(routes=ROUTES)) as served:
        answer = await fetch(f"{served.http_url}/text")

    assert (Answer(200, b"hello"), None) == (answer, answer.json())


async def test_a_large_body_is_cut():
    async with serving(Starlette(routes=ROUTES)) as served:
        answer = await fetch(f"{served.http_url}/large")

    assert len(answer.body) == MAX_BODY


async def failure(url: str, **more: float) -> RequestFailed:
    with pytest.raises(RequestFailed) as caught:
        await fetch(url, **more)
    return caught.value


async def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    error = await failure(f"http://127.0.0.1:{port}/x")

    assert error.step is Step.CONNECT
    assert str(error).startswith(f"http://127.0.0.1:{port}/x: nobody answers there: ")


async def test_a_name_that_does_not_resolve(monkeypatch):
    def unknown(*_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    error = await failure("https://gone.example.test/healthz")

    assert error.step is Step.NAME
    assert str(error) == "https://gone.example.test/healthz: the name gone.example.test does not resolve"


async def test_no_tls():
    async with serving(Starlette(routes=ROUTES)) as served:
        error = await failure(f"https://127.0.0.1:{served.port}/text")

    assert error.step is Step.TLS


async def test_no_answer_in_time():
    never = asyncio.Event()

    async def silent(_request: Request) -> Response:
        await never.wait()
        return Response()

    async with serving(Starlette(routes=[Route("/", silent)])) as served:
        error = await failure(f"{served.http_url}/", timeout_s=0.1)
        never.set()

    assert (error.step, error.detail) == (Step.TIME, "no answer in 0.1 s")


async def test_no_http():
    async def banner(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.test ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(banner, "127.0.0.1", 0) as server:
        error = await failure(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert error.step is Step.ANSWER


@pytest.mark.parametrize("url", ["", "bridge.example.test", "http://"])
async def test_no_address(url):
    error = await failure(url)

    assert error.step is Step.ADDRESS
