"""The agent engine against the Cartesia simulator, its faults, and peers that do not answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from archer_bridge import log
from archer_bridge.adapters.client_socket import dial
from archer_bridge.devkit.cartesia import CartesiaSimulator, Faults, SimulatorOptions, create_simulator
from archer_bridge.devkit.dialogue import CallTool, HangUp, Say
from archer_bridge.devkit.serving import serving
from archer_bridge.engines.agent import BAD_FRAMES_IN_A_ROW, AgentEngine, AgentOptions, Briefing
from archer_bridge.errors import EngineError
from archer_bridge.models import ToolFinished
from archer_bridge.ports import (
    Closed,
    EngineAudio,
    EngineEvent,
    EngineFault,
    EngineReady,
    TextSocket,
    ToolCalled,
    TurnEnded,
)
from tests.devkit.cartesia.brains import Scripted, maker
from tests.support.virtual import virtual

SILENCE = b"\xff" * 160
VARIABLES = {"customer_first_name": "Dana", "greeting": "Hello."}


@dataclass
class Line:
    """A running engine and what it reported."""

    engine: AgentEngine
    simulator: CartesiaSimulator
    events: list[EngineEvent] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, event: EngineEvent) -> None:
        self.events.append(event)
        self.changed.set()

    async def until(self, kind: type, **facts: Any) -> Any:
        """Return the first event of this kind and with these facts."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and all(getattr(event, name) == facts[name] for name in facts):
                    return event
            self.changed.clear()
            await self.changed.wait()


@asynccontextmanager
async def line(
    brain: Scripted | None = None, faults: tuple[str, ...] = (), any_tool: bool = True, **options: Any
) -> AsyncIterator[Line]:
    """A simulator whose agent is `brain`, and an engine that is not running yet."""
    settings = SimulatorOptions(
        voice="tones", agent=maker(brain or Scripted()), faults=Faults.parse(faults), any_tool=any_tool
    )
    app = create_simulator(settings)
    async with serving(app) as served:
        where = AgentOptions("sk_car_simulator", "agent_archer", served.ws_url, **options)
        engine = AgentEngine(where, dial, lambda: Briefing(VARIABLES))
        yield Line(engine, app.state.simulator)
        await engine.close()
        names = {"cartesia writer", "agent ready"}
        assert [task for task in asyncio.all_tasks() if task.get_name() in names] == []


@virtual
async def test_a_conversation_from_create_to_close() -> None:
    brain = Scripted([Say("Hello.")], [[HangUp()]])
    async with line(brain) as here:
        run = asyncio.create_task(here.engine.run(here.take))
        await here.until(TurnEnded, role="assistant")
        here.engine.send_digit("5")
        here.engine.send_digit("#")
        closed = await run

        assert closed == Closed(1000, "call ended by agent")
        assert brain.got == [("pressed", "5")]
        assert isinstance(here.events[0], EngineReady)
        assert here.events[0].session_id == next(iter(here.simulator.calls))
        assert sum(len(event.data) for event in here.events if isinstance(event, EngineAudio)) > 8 * 200
        started = here.simulator.feed.named("session_started")[0]
        assert {name: started["variables"][name] for name in VARIABLES} == VARIABLES
        assert here.simulator.counters.invalid_events == 0


@pytest.mark.parametrize(
    ("audio_format", "name", "frame_bytes"),
    [
        ("mulaw_8000", "mulaw/8000/1", 160),
        ("pcm_16000", "pcm_s16le/16000/1", 640),
        ("pcm_24000", "pcm_s16le/24000/1", 960),
        ("pcm_44100", "pcm_s16le/44100/1", 1764),
    ],
)
@virtual
async def test_audio_before_ready_is_held_back_and_the_newest_two_seconds_arrive(
    audio_format: str, name: str, frame_bytes: int
) -> None:
    async with line(faults=("slow-ready=1",), audio_format=audio_format) as here:
        assert here.engine.format_name == name
        for _ in range(150):  # three seconds, before there is a connection
            here.engine.send_audio(bytes(frame_bytes), None)
        run = asyncio.create_task(here.engine.run(here.take))
        await here.until(EngineReady)
        here.engine.send_audio(bytes(frame_bytes), None)
        await asyncio.sleep(0.5)
        here.engine.send_audio(bytes(frame_bytes), None)
        await asyncio.sleep(0.5)

        assert here.simulator.counters.audio_bytes_in == 102 * frame_bytes
        assert here.simulator.counters.audio_dropped_before_ready == 0
        run.cancel()


@virtual
async def test_audio_text_is_carried_over_untouched() -> None:
    async with line() as here:
        run = asyncio.create_task(here.engine.run(here.take))
        await here.until(EngineReady)
        here.engine.send_audio(b"ignored when there is text", b"/////w==")
        await asyncio.sleep(0.2)

        assert here.simulator.counters.audio_bytes_in == 4
        run.cancel()


@virtual
async def test_tool_calls_are_answered() -> None:
    brain = Scripted([CallTool("get_customer_options", {"a": 1})], [[HangUp()]])
    async with line(brain) as here:
        run = asyncio.create_task(here.engine.run(here.take))
        request = (await here.until(ToolCalled)).request
        here.engine.send_tool_result(
            ToolFinished(request.tool_call_id, request.name, '{"é": 1}', True, "not_verified", None, 3.0)
        )
        await run

        assert (request.name, request.arguments) == ("get_customer_options", {"a": 1})
        assert brain.got == [("tool_result", "get_customer_options", '{"é": 1}', True)]


@pytest.mark.parametrize("key", ["A", "B", "C", "D"])
@virtual
async def test_keys_that_the_vendor_does_not_take_are_not_sent(key: str) -> None:
    async with line() as here:
        run = asyncio.create_task(here.engine.run(here.take))
        await here.until(EngineReady)
        here.engine.send_digit(key)
        await asyncio.sleep(0.1)

        assert here.simulator.feed.named("dtmf") == []
        assert here.simulator.counters.invalid_events == 0
        run.cancel()


@virtual
async def test_a_bad_frame_now_and_then_harms_nothing() -> None:
    with structlog.testing.capture_logs() as logs:
        async with line(Scripted([Say("Hi."), HangUp()]), ("garbage-frame", "binary-frame", "error-event")) as here:
            closed = await here.engine.run(here.take)

    assert closed.code == 1000
    assert [event.code for event in here.events if isinstance(event, EngineFault)] == ["invalid_event"]
    assert [entry["in_a_row"] for entry in logs if entry["event"] == "engine_bad_frame"] == [1]


async def nonsense(link: Any) -> None:
    await link.receive()
    for _ in range(BAD_FRAMES_IN_A_ROW + 20):
        await link.send_text("not json")
    await link.receive()


@virtual
async def test_nothing_but_bad_frames_gives_the_agent_up() -> None:
    app = create_simulator(SimulatorOptions(voice="tones", raw_session=nonsense))
    async with serving(app) as served:
        engine = AgentEngine(
            AgentOptions("sk_car_simulator", "agent_archer", served.ws_url), dial, lambda: Briefing({})
        )
        with pytest.raises(EngineError) as caught:
            await engine.run(lambda event: None)

    assert str(caught.value) == "the agent was given up: 50 unusable messages in a row, last: not_json"
    assert caught.value.status == 1002


@pytest.mark.parametrize(
    ("fault", "text", "status"),
    [
        ("never-ready", "the agent was given up: accepted, but not ready in 5 s", 1002),
        ("refuse=401", "refused with HTTP 401", 401),
        ("refuse=402", "refused with HTTP 402", 402),
    ],
)
@virtual
async def test_an_agent_that_never_gets_ready(fault: str, text: str, status: int) -> None:
    loop = asyncio.get_running_loop()
    async with line(faults=(fault,)) as here:
        with pytest.raises(EngineError) as caught:
            await here.engine.run(here.take)

        assert str(caught.value).startswith(text)
        assert "sk_car_simulator" not in str(caught.value)
        assert caught.value.status == status
        assert here.events == []
        assert here.simulator.counters.connections == 1
    assert loop.time() < 8.0  # virtual


@pytest.mark.parametrize(
    ("fault", "code"),
    [("close-after=0.2:1011:agent failed", 1011), ("reset-after=0.2", 1006), ("close-after=0.2:1000:x", 1000)],
)
@virtual
async def test_how_a_ready_agent_left_is_reported(fault: str, code: int) -> None:
    async with line(faults=(fault,)) as here:
        closed = await here.engine.run(here.take)

        assert closed.code == code


@virtual
async def test_closing_ends_the_run_politely() -> None:
    async with line() as here:
        run = asyncio.create_task(here.engine.run(here.take))
        await here.until(EngineReady)
        await asyncio.gather(here.engine.close(), here.engine.close())

        assert await run == Closed(1000, "call over")
        closed = await here.simulator.feed.expect("closed")
        assert (closed["by"], closed["code"]) == ("client", 1000)


# ---- connecting ----------------------------------------------------------------------------------------------


class Dialer:
    """Fails as told, then waits for ever or connects."""

    def __init__(self, *results: EngineError | None) -> None:
        self.results = list(results)
        self.dialled: list[tuple[str, Mapping[str, str]]] = []

    async def __call__(self, url: str, headers: Mapping[str, str]) -> TextSocket:
        self.dialled.append((url, headers))
        if self.results and (result := self.results.pop(0)) is not None:
            raise result
        await asyncio.Event().wait()
        raise AssertionError


def busy() -> EngineError:
    return EngineError("refused with HTTP 429", status=429, retryable=True)


def denied() -> EngineError:
    return EngineError("refused with HTTP 401", status=401)


@pytest.mark.parametrize(
    ("results", "attempts", "dialled", "text"),
    [
        pytest.param([busy(), busy(), busy()], 1, 1, "refused with HTTP 429", id="one-try"),
        pytest.param([busy(), busy(), busy()], 3, 3, "refused with HTTP 429", id="three-tries"),
        pytest.param([denied()], 5, 1, "refused with HTTP 401", id="no-retry-when-denied"),
        pytest.param([busy(), denied()], 5, 2, "refused with HTTP 401", id="then-denied"),
        pytest.param([], 2, 2, "no answer in 0.", id="silence-for-2.5-s"),
        pytest.param([busy(), None], 2, 2, "no answer in 2 s", id="busy-then-silence"),
    ],
)
@virtual
async def test_how_often_it_is_tried(results: list[EngineError], attempts: int, dialled: int, text: str) -> None:
    dialer, began = Dialer(*results), asyncio.get_running_loop().time()
    engine = AgentEngine(AgentOptions("k", "a", connect_attempts=attempts), dialer, lambda: Briefing({}))
    with structlog.testing.capture_logs() as logs, pytest.raises(EngineError) as caught:
        await engine.run(lambda event: None)

    failed = [entry["attempt"] for entry in logs if entry["event"] == "engine_connect_failed"]
    paged = [entry["log_level"] for entry in logs if entry["event"] == "engine_refuses_us"]

    assert str(caught.value).startswith(text)
    assert len(dialer.dialled) == dialled
    assert failed == list(range(1, dialled + 1))
    assert paged == ["error"] * ("401" in text)
    assert asyncio.get_running_loop().time() - began <= 2.5


@virtual
async def test_a_second_try_that_works_is_a_call() -> None:
    async with line(Scripted([HangUp()]), ("refuse=503:1",)) as here:
        closed = await here.engine.run(here.take)

        assert closed.code == 1000


@pytest.mark.parametrize(
    ("ws_url", "agent_id", "url"),
    [
        ("wss://api.cartesia.ai", "agent_1", "wss://api.cartesia.ai/v1/agents/websocket/agent_1?cartesia_version=2026-08-14"),
        ("wss://api.cartesia.ai/", "agent_1", "wss://api.cartesia.ai/v1/agents/websocket/agent_1?cartesia_version=2026-08-14"),
        ("ws://127.0.0.1:8791", "a/b?c", "ws://127.0.0.1:8791/v1/agents/websocket/a%2Fb%3Fc?cartesia_version=2026-08-14"),
        ("ws://[::1]:8791", "a", "ws://[::1]:8791/v1/agents/websocket/a?cartesia_version=2026-08-14"),
        ("wss://h?region=eu", "a", "wss://h/v1/agents/websocket/a?region=eu&cartesia_version=2026-08-14"),
        ("wss://h/my/agent", "a", "wss://h/my/agent"),
        ("wss://h/my/agent?x=1", "a", "wss://h/my/agent?x=1"),
    ],
)  # fmt: skip
def test_where_the_agent_is(ws_url: str, agent_id: str, url: str) -> None:
    assert AgentOptions("k", agent_id, ws_url).url() == url


def test_the_key_is_in_a_header_and_nowhere_else() -> None:
    options = AgentOptions("sk_car_secret", "agent_1")

    assert options.headers() == {"X-API-Key": "sk_car_secret", "Cartesia-Version": "2026-08-14"}
    assert "sk_car_secret" not in f"{options!r}{options}{options.url()}"


# ---- debug ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("debug", [True, False])
@virtual
async def test_raw_messages_show_at_debug_only(debug: bool) -> None:
    wanted = log._level
    log._level = 10 if debug else 20
    try:
        with structlog.testing.capture_logs() as logs:
            async with line(Scripted([Say("Hi."), HangUp()])) as here:
                await here.engine.run(here.take)
    finally:
        log._level = wanted

    raw = [entry for entry in logs if entry["event"] == "cartesia_message_raw"]
    kinds = {(entry["direction"], entry["message"]["type"]) for entry in raw}
    assert (len(raw) > 3) is debug
    assert not debug or {("out", "session_create"), ("in", "session_ready"), ("in", "audio_output")} <= kinds
    assert "Dana" not in str(raw)
