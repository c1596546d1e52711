"""The composition root: settings in, a Starlette app out. Routes and lifespan, nothing else."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog
from pydantic import SecretStr
from starlette.applications import Starlette

from archer_bridge.adapters.cartesia_rest import CartesiaRest
from archer_bridge.adapters.fast_client import best_dialer
from archer_bridge.adapters.fillers import FillerShelf
from archer_bridge.adapters.housekeeping import keep_house, settle_orphans
from archer_bridge.adapters.plugins import load_tools
from archer_bridge.adapters.sql import open_store
from archer_bridge.adapters.wav_file import WavFile
from archer_bridge.calls.limits import CallLimits
from archer_bridge.calls.playout import Playout
from archer_bridge.calls.recorder import Recorder
from archer_bridge.calls.registry import LiveCalls
from archer_bridge.calls.ticker import Heartbeats
from archer_bridge.calls.tool_loop import soon
from archer_bridge.calls.tool_runner import ToolLimits, ToolRunner
from archer_bridge.config import Settings
from archer_bridge.engines.agent import AgentEngine, AgentOptions
from archer_bridge.engines.archer import ArcherCallAgent, Persona
from archer_bridge.models import CallRow, Outcome
from archer_bridge.ports import Dialer, Engine, Store
from archer_bridge.protocols.stream_token import TokenKeys
from archer_bridge.protocols.twilio_signature import SignatureChecker
from archer_bridge.web import admin, health, stream, webhooks
from archer_bridge.web.admission import Admission
from archer_bridge.web.context import Gate, Service

log = structlog.get_logger(__name__)

TOOLS_DRAIN_S = 70.0
"""A side effect may go on for a minute after its timeout and is still recorded as what it was."""


def create_app(
    settings: Settings, *, store: Store | None = None, dialer: Dialer | None = None, isolate_tools: bool = True
) -> Starlette:
    """Return the public app.

    Args:
        settings: checked settings.
        store: an open store, which stays the caller's; None opens the configured database for the app's lifetime.
        dialer: opens the engine's socket; None takes the fastest that works here.
        isolate_tools: run tools on a loop of another thread, so that one that blocks stalls no audio; a test on a
            virtual clock keeps them on its own.

    Raises:
        PluginError: an enabled tool cannot be used; every problem is listed.
    """
    tools = load_tools(settings.tools.enabled, local=settings.tools.local, settings=settings.tools.settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        owner_id = uuid.uuid4().hex
        own_store = None if store is not None else await open_store(settings.database_url, owner_id=owner_id)
        opened = store if store is not None else own_store
        assert opened is not None
        house = None
        if own_store is not None:
            await settle_orphans(own_store)
            house = asyncio.create_task(keep_house(own_store), name="housekeeping")
        runner = ToolRunner(
            tools, opened, limits=tool_limits(settings, isolate=isolate_tools), settings=settings.tools.settings
        )
        shelf = FillerShelf(_rest(settings), settings.cartesia.voice_id)
        fetching = asyncio.create_task(shelf.load(), name="filler words")
        agent = _agent(settings, opened, runner, dialer or best_dialer(), shelf)
        app.state.service = _service(settings, opened, agent, owner_id=owner_id)
        log.info("service_started", tools=sorted(tools), audio_format=settings.cartesia.audio_format, owner=owner_id)
        try:
            yield
        finally:
            fetching.cancel()
            left = await runner.drain(TOOLS_DRAIN_S)
            log.info("service_stopped", tools_left=left)
            if house is not None:
                house.cancel()
            if own_store is not None:
                await own_store.close()

    return Starlette(routes=[*webhooks.ROUTES, *stream.ROUTES, *health.ROUTES], lifespan=lifespan)


def create_admin(app: Starlette, settings: Settings) -> Starlette:
    """Return the admin app that looks at the public app's service; it belongs on its own listener."""
    admin_app = Starlette(routes=admin.ROUTES, middleware=admin.guarded(settings.admin.token.get_secret_value()))
    admin_app.state.public = app
    return admin_app


async def drain(app: Starlette, settings: Settings) -> None:
    """Take no new call, serve on for the proxy's sake, and let live calls end: by themselves until the deadline."""
    service: Service = app.state.service
    live = service.live
    service.stopping = live.draining = True
    await asyncio.sleep(settings.server.min_drain_s)  # a proxy must see "not ready" before the port closes
    log.info("drain_waiting", live_calls=len(live))
    try:
        async with asyncio.timeout(settings.server.max_drain_s):
            await live.wait_empty()
    except TimeoutError:
        log.warning("drain_deadline", live_calls=len(live))
        for session in live:
            session.end_now(Outcome.DRAINED, "the bridge is restarting")
        await live.wait_empty()
    log.info("drained")


def tool_limits(settings: Settings, *, isolate: bool) -> ToolLimits:
    """Return the runner's limits as configured."""
    return ToolLimits(
        timeout_s=settings.tools.timeout_s,
        per_call=settings.tools.per_call,
        in_all=settings.tools.in_all,
        isolate=isolate,
    )


def _rest(settings: Settings) -> CartesiaRest | None:
    key = settings.cartesia.api_key.get_secret_value()
    return CartesiaRest(settings.cartesia.rest_url, key, version=settings.cartesia.version) if key else None


def _agent(settings: Settings, store: Store, runner: ToolRunner, dialer: Dialer, shelf: FillerShelf) -> ArcherCallAgent:
    options = _agent_options(settings)
    recording = settings.recording

    def make_engine(variables: Mapping[str, str | int | float | bool]) -> Engine:
        return AgentEngine(options, dialer, variables)

    def make_recorder(row: CallRow, playout: Playout) -> Recorder:
        loop = asyncio.get_running_loop()

        def failed(error: str) -> None:  # in the writing thread
            soon(loop, store.note, row.call_sid, "recording_failed", {"error": error})

        file = WavFile(recording.folder / f"{row.call_sid}.wav", recording.encoding, failed)
        return Recorder(playout, file.write, file.close)

    return ArcherCallAgent(
        persona=Persona(settings.agent.name, settings.agent.company, settings.agent.greeting),
        allowed_tools=list(runner.tools),
        make_engine=make_engine,
        store=store,
        tools=runner,
        live=LiveCalls(settings.server.max_calls),
        limits=_limits(settings),
        beats=Heartbeats.standard(),
        filler=lambda: shelf.audio,
        make_recorder=make_recorder if recording.enabled else None,
    )


def _service(settings: Settings, store: Store, agent: ArcherCallAgent, *, owner_id: str) -> Service:
    twilio = settings.twilio
    tokens = [token for token in (_plain(twilio.auth_token), _plain(twilio.auth_token_secondary)) if token]
    return Service(
        store=store,
        agent=agent,
        live=agent.live,
        checker=SignatureChecker(
            tokens,
            settings.server.public_url,
            {key_id: _plain(secret) for key_id, secret in twilio.shared_keys.items()},
        ),
        admission=Admission(agent.live, store, settings.calls.per_number, settings.calls.daily_minutes),
        keys=TokenKeys(tokens or [uuid.uuid4().hex]),
        gate=Gate(),
        account_sid=twilio.account_sid,
        public_url=settings.server.public_url,
        stream_url=settings.websocket_url(),
        owner_id=owner_id,
        insecure_dev=settings.server.insecure_dev,
        token_ttl_s=settings.calls.token_ttl_s,
        start_timeout_s=settings.calls.start_timeout_s,
        transfer_to=twilio.transfer_to,
        language=settings.calls.language,
    )


def _plain(secret: SecretStr) -> str:
    return secret.get_secret_value()


def _agent_options(settings: Settings) -> AgentOptions:
    cartesia = settings.cartesia
    return AgentOptions(
        api_key=cartesia.api_key.get_secret_value(),
        agent_id=cartesia.agent_id,
        ws_url=cartesia.ws_url,
        version=cartesia.version,
        audio_format=cartesia.audio_format,
        output_delivery=cartesia.output_delivery,
        connect_timeout_s=cartesia.connect_timeout_s,
        connect_attempts=cartesia.connect_attempts,
    )


def _limits(settings: Settings) -> CallLimits:
    calls, audio = settings.calls, settings.audio
    return CallLimits(
        idle_timeout_s=calls.idle_timeout_s,
        max_duration_s=calls.max_duration_s,
        bad_frames_in_a_row=calls.bad_frames_in_a_row,
        goodbye_wait_s=calls.goodbye_wait_s,
        dead_air_s=calls.dead_air_s,
        lead_ms=audio.lead_ms,
        mark_every_ms=audio.mark_every_ms,
    )
