"""The Cartesia Managed Agent as an engine: the sans-I/O session around an injected socket."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pybase64
import structlog

from archer_bridge.errors import EngineError
from archer_bridge.log import is_debug
from archer_bridge.log_raw import ShownSocket
from archer_bridge.models import ToolFinished
from archer_bridge.ports import Closed, Dialer, EngineEvent, EngineReady, TextSocket
from archer_bridge.protocols.cartesia_agent import FORMATS, AgentSession
from archer_bridge.protocols.frames import BadFrame

log = structlog.get_logger(__name__)

READY_WAIT_S = 5.0
"""A session that is accepted but not ready by then will not be."""
BAD_FRAMES_IN_A_ROW = 50


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """Where the agent is and how to talk to it; see [cartesia] in config.toml."""

    api_key: str
    agent_id: str
    ws_url: str = "wss://api.cartesia.ai"
    version: str = "2026-08-14"
    audio_format: str = "mulaw_8000"
    output_delivery: str = "speaking_pace"
    connect_timeout_s: float = 2.0
    connect_attempts: int = 2

    def __repr__(self) -> str:
        return f"AgentOptions(agent_id={self.agent_id!r}, ws_url={self.ws_url!r}, audio_format={self.audio_format!r})"

    def url(self) -> str:
        """Return the agent socket's address; a configured one with a path is used as it is.

        The version is in the headers, too; where both are given, the vendor believes the query.
        """
        base = urlsplit(self.ws_url)
        if base.path.strip("/"):
            return self.ws_url
        path = f"/v1/agents/websocket/{quote(self.agent_id, safe='')}"
        query = "&".join(part for part in (base.query, f"cartesia_version={self.version}") if part)
        return urlunsplit((base.scheme, base.netloc, path, query, ""))

    def headers(self) -> Mapping[str, str]:
        """Return the upgrade's headers: this socket documents X-API-Key for servers."""
        return {"X-API-Key": self.api_key, "Cartesia-Version": self.version}


class AgentEngine:
    """One call's agent session; implements `ports.Engine`."""

    def __init__(self, options: AgentOptions, dial: Dialer, variables: Mapping[str, str | int | float | bool]) -> None:
        self._options = options
        self._dial = dial
        self._variables = variables
        self._session = AgentSession(bytes_per_ms=_bytes_per_ms(options.audio_format))
        self._socket: TextSocket | None = None
        self._on_event: Callable[[EngineEvent], None] | None = None
        self._is_ready = False
        self._bad_in_a_row = 0
        self._trouble = ""
        self._patience = asyncio.Timeout(None)
        self._closed = False

    @property
    def format_name(self) -> str:
        """The audio format both ways, as text."""
        return FORMATS[self._options.audio_format]

    async def run(self, on_event: Callable[[EngineEvent], None]) -> Closed:
        """Connect, create the session, and report every event until the socket closes; called once.

        Raises:
            EngineError: not reachable within the allowed attempts, refused, or never ready.
        """
        self._on_event = on_event
        socket = await self._connect()
        self._socket = socket = self._shown(socket) if is_debug() else socket
        if self._closed:
            await socket.close()
            return Closed(1000, "closed before it was connected")
        options = self._options
        socket.write(self._session.create(options.audio_format, options.output_delivery, self._variables))
        self._trouble = f"accepted, but not ready in {READY_WAIT_S:g} s"
        self._patience = asyncio.timeout(READY_WAIT_S)
        try:
            async with self._patience:
                closed = await socket.pump(self._receive)
        except TimeoutError:
            if not self._patience.expired():
                raise
            await socket.close(1000, "given up")
            closed = Closed(1002, self._trouble)
        if not self._is_ready and not self._closed:
            raise EngineError(self._why_never_ready(closed), status=closed.code)
        return closed

    def _why_never_ready(self, closed: Closed) -> str:
        if self._patience.expired():
            return f"the agent was given up: {self._trouble}"
        return f"the agent closed before it was ready ({closed.code} {closed.reason})".replace(" )", ")")

    def _shown(self, socket: TextSocket) -> TextSocket:
        def show(direction: str, message: Any) -> None:
            log.debug("cartesia_message_raw", direction=direction, message=message)

        return ShownSocket(socket, show)

    async def _connect(self) -> TextSocket:
        attempts = self._options.connect_attempts
        for attempt in range(1, attempts + 1):
            try:
                async with asyncio.timeout(self._options.connect_timeout_s):
                    return await self._dial(self._options.url(), self._options.headers())
            except TimeoutError:
                error = EngineError(f"no answer in {self._options.connect_timeout_s:g} s", retryable=True)
            except EngineError as refused:
                error = refused
            log.warning("engine_connect_failed", attempt=attempt, of=attempts, error=str(error), status=error.status)
            if attempt == attempts or not error.retryable:
                raise error
            await asyncio.sleep(random.uniform(0.1, 0.4))
        raise AssertionError("at least one attempt was made")

    def _receive(self, message: str | bytes) -> None:
        assert self._on_event is not None
        assert self._socket is not None
        if not self._is_ready and self._patience.expired():
            return  # given up: what still comes is too late
        try:
            event = self._session.receive(message)
        except BadFrame as error:
            self._bad_frame(error)
            return
        self._bad_in_a_row = 0
        if type(event) is EngineReady and not self._is_ready:
            self._is_ready = True
            self._patience.reschedule(None)
            for held in self._session.take_held():
                self._socket.write(held)  # two seconds at most, all at once: not to be taken for a slow peer
        self._on_event(event)

    def _bad_frame(self, error: BadFrame) -> None:
        self._bad_in_a_row += 1
        if self._bad_in_a_row in {1, BAD_FRAMES_IN_A_ROW}:
            log.warning("engine_bad_frame", reason=error.reason, in_a_row=self._bad_in_a_row)
        if self._bad_in_a_row == BAD_FRAMES_IN_A_ROW:
            self._trouble = f"{BAD_FRAMES_IN_A_ROW} unusable messages in a row, last: {error.reason}"
            self._patience.reschedule(asyncio.get_running_loop().time())

    def send_audio(self, data: bytes, text: str | None) -> None:
        """Hand over caller audio in the session's format; what comes before it is ready is kept, briefly."""
        payload = text.encode() if text is not None else pybase64.b64encode(data)
        message = self._session.audio(payload, len(data))
        if message is not None and self._socket is not None:
            self._socket.write(message, droppable=True)

    def send_digit(self, digit: str) -> None:
        """Hand over one key press; the vendor takes 0-9, * and #."""
        message = self._session.digit(digit)
        if message is not None and self._socket is not None and self._is_ready:
            self._socket.write(message)

    def send_tool_result(self, finished: ToolFinished) -> None:
        """Answer a tool call."""
        if self._socket is not None:
            self._socket.write(self._session.tool_result(finished))

    async def close(self) -> None:
        """End the session as the vendor asks: by closing the socket, 1000."""
        self._closed = True
        if self._socket is not None:
            await self._socket.close(1000, "call over")


def _bytes_per_ms(audio_format: str) -> float:
    name, rate = audio_format.rsplit("_", 1)
    return int(rate) / 1000 * (1 if name == "mulaw" else 2)
