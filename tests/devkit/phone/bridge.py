"""A small bridge for the phone's own tests: scripted TwiML, a scripted socket, and everything it was sent."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from archer_bridge.devkit.phone import DEMO_ACCOUNT, Caller, CallerScript, CallReport, Phone, PhoneOptions
from archer_bridge.devkit.phone.tape import linear
from archer_bridge.devkit.serving import Served, connection_reset, serving
from archer_bridge.devkit.voices import heard_text

PUBLIC = "https://bridge.example.test"
MEDIA = "wss://bridge.example.test/media"
CALLER, CALLED = "+15550100001", "+15550199999"

TONE = bytes([0x2F, 0x1F, 0x2F, 0xFF, 0xAF, 0x9F, 0xAF, 0xFF])
"""One millisecond of a loud 1 kHz wave in mu-law."""


def tone(ms: int) -> bytes:
    return TONE * ms


def numbered(ms: int) -> bytes:
    """Loud audio in which every millisecond is different from its neighbours."""
    return b"".join(bytes([1 + (i * 7 + j) % 60]) for i in range(ms) for j in range(8))


def words(data: bytes) -> str:
    """The text that mu-law audio of the tones voice carries."""
    return heard_text(linear(data).astype("<i2").tobytes())


def twiml(body: str) -> Response:
    return Response(f"<?xml version='1.0'?><Response>{body}</Response>", media_type="text/xml")


def connect(after: str = "", *, attributes: str = "", stream: str = "", inside: str = "") -> Response:
    return twiml(f"<Connect{attributes}><Stream url='{MEDIA}'{stream}>{inside}</Stream></Connect>{after}")


@dataclass
class Peer:
    """The bridge's end of one media stream."""

    socket: WebSocket
    start: dict[str, Any] = field(default_factory=dict)
    received: list[dict[str, Any]] = field(default_factory=list)

    @property
    def sid(self) -> str:
        return str(self.start["streamSid"])

    async def raw(self, text: str | bytes) -> None:
        if isinstance(text, bytes):
            await self.socket.send_bytes(text)
        else:
            await self.socket.send_text(text)

    async def send(self, **message: Any) -> None:
        await self.socket.send_text(json.dumps({"streamSid": self.sid, **message}))

    async def media(self, data: bytes) -> None:
        await self.send(event="media", media={"payload": base64.b64encode(data).decode()})

    async def mark(self, name: str) -> None:
        await self.send(event="mark", mark={"name": name})

    async def clear(self) -> None:
        await self.send(event="clear")

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.socket.receive_text())
        self.received.append(message)
        if message["event"] == "start":
            self.start = message["start"]
        return message

    async def until(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Receive until `count` messages of that kind have come; return those."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            message = await self.receive()
            if message["event"] == event:
                found.append(message)
        return found

    async def drain(self) -> None:
        """Receive until the socket closes."""
        try:
            while True:
                await self.receive()
        except (WebSocketDisconnect, RuntimeError):
            return

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["event"] == event]

    def reset(self) -> None:
        connection_reset(self.socket.scope)()


Answer = Response | Callable[[Request], Awaitable[Response]]


@dataclass
class Bridge:
    """`answers` maps a path to its answers, in order; the last one is given again and again."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    stream: Callable[[Peer], Awaitable[None]] = Peer.drain
    accepts: bool = True
    requests: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    upgrades: list[dict[str, str]] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        routes = [
            Route("/{path:path}", self._http, methods=["GET", "POST"]),
            WebSocketRoute("/media", self._media),
        ]
        return Starlette(routes=routes)

    def forms(self, path: str) -> list[dict[str, str]]:
        return [form for asked, form, _ in self.requests if asked == path]

    async def _http(self, request: Request) -> Response:
        form = {key: str(value) for key, value in (await request.form()).items()}
        self.requests.append((request.url.path, form or dict(request.query_params), dict(request.headers)))
        answers = self.answers.get(request.url.path, [Response(status_code=404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, Response) else await answer(request)

    async def _media(self, socket: WebSocket) -> None:
        self.upgrades.append(dict(socket.headers))
        if not self.accepts:
            await socket.close()
            return
        await socket.accept()
        peer = Peer(socket)
        self.peers.append(peer)
        try:
            await self.stream(peer)
            await socket.close()
        except (WebSocketDisconnect, RuntimeError):
            return


async def started(peer: Peer) -> None:
    await peer.until("start")


async def silent(caller: Caller) -> None:
    await caller.ended.wait()


def hang_up_after(seconds: float) -> CallerScript:
    async def script(caller: Caller) -> None:
        await caller.wait(seconds)
        await caller.hang_up()

    return script


@asynccontextmanager
async def phone_for(bridge: Bridge, **settings: Any) -> AsyncIterator[Phone]:
    async with serving(bridge.app) as served:
        yield make_phone(served, **settings)


def make_phone(served: Served, **settings: Any) -> Phone:
    settings.setdefault("options", PhoneOptions(voice="tones"))
    settings.setdefault("connect_to", (served.host, served.port))
    return Phone(DEMO_ACCOUNT, CALLER, CALLED, f"{PUBLIC}/voice", **settings)


async def call(bridge: Bridge, script: CallerScript = silent, *, on_event: Any = None, **settings: Any) -> CallReport:
    """Serve the bridge, place one call, return its report."""
    async with phone_for(bridge, **settings) as phone:
        return await phone.call(script, on_event=on_event)
