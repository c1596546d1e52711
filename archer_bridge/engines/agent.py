"""One session with a Cartesia Managed Agent: the sans-I/O protocol around an injected socket."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pybase64
import structlog

from archer_bridge.calls.breaker import Breaker
from archer_bridge.errors import EngineError
from archer_bridge.log import is_debug
from archer_bridge.log_raw import ShownSocket
from archer_bridge.models import ToolFinished
from archer_bridge.ports import Closed, Dialer, EngineEvent, EngineReady, TextSocket
from archer_bridge.protocols.cartesia_agent import AUDIO_HEAD, AUDIO_TAIL, FORMATS, AgentSession, audio_message
from archer_bridge.protocols.frames import BadFrame
from archer_bridge.protocols.scan import AudioSink, Sender

log = structlog.get_logger(__name__)

READY_WAIT_S = 5.0
"""A session that is accepted but not ready by then will not be."""
BAD_FRAMES_IN_A_ROW = 50
GIVEN_UP = 1002
"""The close code of a session that we had enough of."""
REFUSED_FOR_GOOD = frozenset({401, 402, 403})
"""Key, money, rights: every call will be refused until somebody acts."""

Variables = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Briefing:
    """What a session begins with."""

    variables: Variables
    turns_before: int = 0
    """Added to the numbers of the session's turns."""
    scope: str = ""
    """Goes before the ids of the session's tool calls."""


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
    connect_within_s: float = 2.5

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
    """One session; made, run once, closed."""

    def __init__(
        self,
        options: AgentOptions,
        dial: Dialer,
        brief: Callable[[], Briefing],
        *,
        breaker: Breaker | None = None,
        ready_by: float | None = None,
    ) -> None:
        """Prepare a session.

        Args:
            options: where the agent is.
            dial: opens its socket.
            brief: asked when the session is created; caller audio is kept from now on.
            breaker: is told how connecting went.
            ready_by: loop time by which the session must be ready; there is one try then.
        """
        self._options = options
        self._dial = dial
        self._brief = brief
        self._breaker = breaker
        self._ready_by = ready_by
        self._session = AgentSession(bytes_per_ms=_bytes_per_ms(options.audio_format))
        self._socket: TextSocket | None = None
        self._on_event: Callable[[EngineEvent], None] | None = None
        self.is_ready = False
        """The agent listens, or did."""
        self._is_over = False
        self._bad_in_a_row = 0
        self._trouble = ""
        self._patience = asyncio.Timeout(None)
        self._closed = False
        self._sender = Sender(AUDIO_HEAD, AUDIO_TAIL, self._send_audio, droppable=True)
        self.send_audio = self._sender.send
        """Takes caller audio in the session's format, and its base64 form or None; a function, for it is called
        50 times a second. What comes before the session is ready is kept, briefly."""
        self._audio: AudioSink | None = None

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
        try:
            closed = await self._run()
            if not self.is_ready and not self._closed:
                raise EngineError(self._why_never_ready(closed), status=closed.code, retryable=closed.code != 1008)
        except EngineError as error:
            self._failed(error)
            raise
        return closed

    async def _run(self) -> Closed:
        socket = await self._connect()
        self._socket = socket = self._shown(socket) if is_debug() else socket
        if self._closed:
            await socket.close()
            return Closed(1000, "closed before it was connected")
        socket.write(self._create())
        now = asyncio.get_running_loop().time()
        wait_s = READY_WAIT_S if self._ready_by is None else max(0.0, self._ready_by - now)
        self._trouble = f"accepted, but not ready in {wait_s:.3g} s"
        self._patience = asyncio.timeout(wait_s)
        assert self._on_event is not None
        self._audio = AudioSink(self._on_event, self._receive)
        self._audio.open(not self._is_over)
        try:
            async with self._patience:
                return await socket.pump(self._audio.receive)
        except TimeoutError:
            if not self._patience.expired():
                raise
            self._look_for_audio(False)
            self._is_over = True
            return Closed(GIVEN_UP, self._trouble)

    def _create(self) -> bytes:
        """Return the message that begins a session; what the agent is told is kept by nobody here."""
        options, briefing = self._options, self._brief()
        self._session.scoped(briefing.turns_before, briefing.scope)
        return self._session.create(options.audio_format, options.output_delivery, briefing.variables)

    def _look_for_audio(self, is_wanted: bool) -> None:
        """Let audio pass by `_receive`, or see it there."""
        if self._audio is not None:
            self._audio.open(is_wanted)

    def give_up(self, reason: str) -> None:
        """End `run` soon, without waiting for the peer; it is left to `close` to say so to them."""
        self._is_over = True
        self._look_for_audio(False)
        self._trouble = reason
        self._patience.reschedule(asyncio.get_running_loop().time())

    def _failed(self, error: EngineError) -> None:
        if self._breaker is not None and not self._closed:
            self._breaker.failed(error.status, str(error))
        if error.status in REFUSED_FOR_GOOD:
            log.error("engine_refuses_us", status=error.status, error=str(error), page=True)

    def _why_never_ready(self, closed: Closed) -> str:
        if self._is_over:
            return f"the agent was given up: {self._trouble}"
        return f"the agent closed before it was ready ({closed.code} {closed.reason})".replace(" )", ")")

    def _shown(self, socket: TextSocket) -> TextSocket:
        def show(direction: str, message: Any) -> None:
            log.debug("cartesia_message_raw", direction=direction, message=message)

        return ShownSocket(socket, show)

    async def _connect(self) -> TextSocket:
        options, loop = self._options, asyncio.get_running_loop()
        attempts = options.connect_attempts if self._ready_by is None else 1
        give_up_at = loop.time() + options.connect_within_s if self._ready_by is None else self._ready_by
        for attempt in range(1, attempts + 1):
            patience_s = max(0.0, min(options.connect_timeout_s, give_up_at - loop.time()))
            try:
                async with asyncio.timeout(patience_s):
                    return await self._dial(options.url(), options.headers())
            except TimeoutError:
                error = EngineError(f"no answer in {patience_s:.3g} s", retryable=True)
            except EngineError as refused:
                error = refused
            log.warning("engine_connect_failed", attempt=attempt, of=attempts, error=str(error), status=error.status)
            pause_s = random.uniform(0.1, 0.4)
            if attempt == attempts or not error.retryable or loop.time() + pause_s >= give_up_at:
                raise error
            await asyncio.sleep(pause_s)
        raise AssertionError("at least one attempt was made")

    def _receive(self, message: str | bytes) -> None:
        assert self._on_event is not None
        assert self._socket is not None
        if self._is_over:
            return  # given up: what still comes is too late
        try:
            event = self._session.receive(message)
        except BadFrame as error:
            self._bad_frame(error)
            return
        if self._bad_in_a_row:
            self._bad_in_a_row = 0
            self._look_for_audio(True)
        if type(event) is EngineReady and not self.is_ready:
            self._became_ready(self._socket)
        self._on_event(event)

    def _became_ready(self, socket: TextSocket) -> None:
        self.is_ready = True
        self._patience.reschedule(None)
        if self._breaker is not None:
            self._breaker.succeeded()
        for held in self._session.take_held():
            socket.write(held)  # two seconds at most, all at once: not to be taken for a slow peer
        self._sender.open(socket.write)

    def _bad_frame(self, error: BadFrame) -> None:
        self._bad_in_a_row += 1
        self._look_for_audio(False)  # the next one may end the row
        if self._bad_in_a_row in {1, BAD_FRAMES_IN_A_ROW}:
            log.warning("engine_bad_frame", reason=error.reason, in_a_row=self._bad_in_a_row)
        if self._bad_in_a_row == BAD_FRAMES_IN_A_ROW:
            self.give_up(f"{BAD_FRAMES_IN_A_ROW} unusable messages in a row, last: {error.reason}")

    def _send_audio(self, data: bytes, text: bytes | None) -> None:
        message = audio_message(text if text is not None else pybase64.b64encode(data))
        if not self.is_ready:
            self._session.hold_back(message, len(data))
        elif self._socket is not None:
            self._socket.write(message, droppable=True)

    def send_digit(self, digit: str) -> None:
        """Hand over one key press; the vendor takes 0-9, * and #."""
        message = self._session.digit(digit)
        if message is not None and self._socket is not None and self.is_ready:
            self._socket.write(message)

    def send_tool_result(self, finished: ToolFinished) -> None:
        """Answer a tool call; one of another session is not this one's to answer."""
        message = self._session.tool_result(finished)
        if message is not None and self._socket is not None:
            self._socket.write(message)

    async def close(self) -> None:
        """End the session as the vendor asks: by closing the socket, 1000."""
        self._closed = True
        if self._socket is not None:
            await self._socket.close(1000, "call over")


def _bytes_per_ms(audio_format: str) -> float:
    name, rate = audio_format.rsplit("_", 1)
    return int(rate) / 1000 * (1 if name == "mulaw" else 2)
