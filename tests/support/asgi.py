"""An app asked directly, without a socket in between: exact bytes in headers, and thousands of requests a second."""

import asyncio
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message

Headers = Iterable[tuple[bytes, bytes]]


def _scope(kind: str, path: str, query: str, headers: Headers) -> dict[str, Any]:
    pairs = list(headers)
    if not any(name == b"host" for name, _ in pairs):
        pairs.append((b"host", b"127.0.0.1:8000"))
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": pairs,
        "client": ("192.0.2.1", 40000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


async def ask(
    app: ASGIApp, path: str, *, method: str = "POST", query: str = "", headers: Headers = (), body: bytes = b""
) -> tuple[int, bytes]:
    """Return status and body of one request."""
    scope = _scope("http", path, query, headers) | {"method": method}
    sent: list[Message] = []
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return int(sent[0]["status"]), content


async def knock(app: ASGIApp, path: str, *, query: str = "", headers: Headers = ()) -> str:
    """Ask for a WebSocket; return the type of the app's first answer (`websocket.accept` or `websocket.close`)."""
    first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting: list[Message] = [{"type": "websocket.connect"}]

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Message) -> None:
        if not first.done():
            first.set_result(str(message["type"]))

    await app(_scope("websocket", path, query, headers) | {"subprotocols": []}, receive, send)
    return first.result()
