"""The composition root: settings in, a Starlette app out. Routes and lifespan, nothing else."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.middleware import Middleware

from archer_bridge.adapters.cartesia_rest import CartesiaRest
from archer_bridge.adapters.fast_client import best_dialer
from archer_bridge.adapters.fillers import FillerShelf
from archer_bridge.adapters.housekeeping import keep_house, keep_retention, settle_orphans
from archer_bridge.adapters.plugins import load_tools
from archer_bridge.adapters.recordings import new_path
from archer_bridge.adapters.sql import SqlStore, open_store
from archer_bridge.adapters.vitals import Pulse, Vitals
from archer_bridge.adapters.wav_file import WavFile
from archer_bridge.calls.breaker import Breaker, BreakerState
from archer_bridge.calls.limits import CallLimits
from archer_bridge.calls.record_keeper import RecordKeeper
from archer_bridge.calls.recorder import Recorder
from archer_bridge.calls.registry import LiveCalls
from archer_bridge.calls.ticker import Heartbeats
from archer_bridge.calls.tool_loop import soon
from archer_bridge.calls.tool_runner import ToolLimits, ToolRunner
from archer_bridge.config import Settings
from archer_bridge.engines.agent import AgentOptions
from archer_bridge.engines.archer import ArcherCallAgent, Persona, resuming_agents
from archer_bridge.engines.resuming import ResumeLimits
from archer_bridge.models import CallRow, Outcome
from archer_bridge.ports import Dialer, Store
from archer_bridge.protocols.stream_token import TokenKeys
from archer_bridge.protocols.twilio_signature import SignatureChecker
from archer_bridge.web import admin, health, stream, webhooks
from archer_bridge.web.admission import Admission
from archer_bridge.web.context import Gate, Service
from archer_bridge.web.timing import WebhookTimer

log = structlog.get_logger(__name__)

RECORDS_DRAIN_S = 10.0
"""A database that is away for longer when the process ends costs the outcomes it has not taken."""
ASKED_WITHIN_S = 0.9
"""After the last call was hung up: the process ends within a second of it."""
LEAVE_S = 15.0
"""Every session has left the line by then: its record is waited for, and its peers, for seconds at most."""
HOPELESS_AFTER_S = 45.0
"""More than a stream token is good for after its time, with clocks that differ."""
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
        owner_id = settings.server.instance or uuid.uuid4().hex
        own_store = None if store is not None else await _open(settings, owner_id)
        opened = store if store is not None else own_store
        assert opened is not None
        chores: list[asyncio.Task[None]] = []
        vitals, breaker = Vitals(), _breaker(settings)
        live = LiveCalls(settings.server.max_calls, grace_s=settings.server.min_drain_s)
        if own_store is not None:
            vitals.pulse = Pulse()
            chores.append(asyncio.create_task(vitals.pulse.beat(), name="pulse"))
            await settle_orphans(own_store, vitals)
            chores.append(asyncio.create_task(keep_house(own_store, vitals), name="housekeeping"))
            retention = keep_retention(own_store, settings.retention, settings.recording)
            chores.append(asyncio.create_task(retention, name="retention"))
        runner = ToolRunner(
            tools,
            opened,
            limits=tool_limits(settings, isolate=isolate_tools),
            settings=settings.tools.settings,
            answered=live.totals.tool_answered,
        )
        shelf = FillerShelf(_rest(settings), settings.cartesia.voice_id)
        fetching = asyncio.create_task(shelf.load(), name="filler words")
        agent = _agent(
            settings, opened, runner, vitals.watched(dialer or best_dialer()), shelf=shelf, live=live, breaker=breaker
        )
        app.state.service = _service(settings, opened, agent, owner_id=owner_id, vitals=vitals, breaker=breaker)
        log.info("service_started", tools=sorted(tools), audio_format=settings.cartesia.audio_format, owner=owner_id)
        try:
            yield
        finally:
            fetching.cancel()
            left = await runner.drain(TOOLS_DRAIN_S)
            unwritten = await agent.keeper.close(RECORDS_DRAIN_S)
            log.info("service_stopped", tools_left=left, records_left=unwritten)
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)  # they use the store: it closes after them
            if own_store is not None:
                await own_store.close()

    routes = [*webhooks.ROUTES, *stream.ROUTES, *health.ROUTES]
    return Starlette(routes=routes, middleware=[Middleware(WebhookTimer)], lifespan=lifespan)


async def _open(settings: Settings, owner_id: str) -> SqlStore:
    """Open the record; a call whose token is over waits for its stream in vain."""
    wait = timedelta(seconds=settings.calls.token_ttl_s + HOPELESS_AFTER_S)
    return await open_store(settings.database_url, owner_id=owner_id, stream_wait=wait)


def create_admin(app: Starlette, settings: Settings) -> Starlette:
    """Return the admin app that looks at the public app's service; it belongs on its own listener."""
    admin_app = Starlette(routes=admin.ROUTES, middleware=admin.guarded(settings.admin.token.get_secret_value()))
    admin_app.state.public = app
    return admin_app


async def drain(app: Starlette, settings: Settings) -> None:
    """Take no new call, serve on for the proxy's sake, and let live calls end: by themselves until the deadline."""
    service: Service = app.state.service
    live = service.live
    service.stopping = True
    live.drain()
    await asyncio.sleep(settings.server.min_drain_s)  # a proxy must see "not ready" before the port closes
    log.info("drain_waiting", live_calls=len(live))
    try:
        async with asyncio.timeout(settings.server.max_drain_s):
            await live.wait_empty()
    except TimeoutError:
        log.warning("drain_deadline", live_calls=len(live))
        live.end_all(Outcome.DRAINED, "the bridge is restarting")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await live.wait_empty()
    if service.unanswered:
        with contextlib.suppress(TimeoutError):  # Twilio asks at once, and is told what follows: words, or a transfer
            async with asyncio.timeout(ASKED_WITHIN_S):
                await service.all_asked.wait()
    log.info("drained", live_calls=len(live))


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


def _agent(
    settings: Settings,
    store: Store,
    runner: ToolRunner,
    dialer: Dialer,
    *,
    shelf: FillerShelf,
    live: LiveCalls,
    breaker: Breaker,
) -> ArcherCallAgent:
    recording, cartesia = settings.recording, settings.cartesia
    resume = ResumeLimits(within_s=cartesia.resume_within_s, at_most=cartesia.resume_at_most)

    def make_recorder(row: CallRow) -> Recorder:
        loop = asyncio.get_running_loop()

        def failed(error: str) -> None:  # in the writing thread
            soon(loop, store.note, row.call_sid, "recording_failed", {"error": error})

        file = WavFile(new_path(recording.folder, row.call_sid), recording.encoding, failed)
        return Recorder(file.write, file.close)

    return ArcherCallAgent(
        persona=Persona(**settings.agent.model_dump()),
        make_engine=resuming_agents(_agent_options(settings), dialer, resume, breaker),
        store=store,
        tools=runner,
        live=live,
        keeper=RecordKeeper(store, ended=live.note_end),
        limits=_limits(settings),
        beats=Heartbeats.standard(),
        filler=lambda: shelf.audio,
        on_turn=lambda _, turn: live.totals.turn_heard(turn),
        make_recorder=make_recorder if recording.enabled else None,
    )


def _breaker(settings: Settings) -> Breaker:
    def tell(state: BreakerState, why: str) -> None:
        if state is BreakerState.OPEN:
            log.error("breaker_opened", reason=why, for_s=settings.cartesia.breaker_open_s)
        else:
            log.info("breaker_closed", reason=why)

    return Breaker(
        failures=settings.cartesia.breaker_failures,
        open_s=settings.cartesia.breaker_open_s,
        clock=asyncio.get_running_loop().time,
        tell=tell,
    )


def _service(
    settings: Settings, store: Store, agent: ArcherCallAgent, *, owner_id: str, vitals: Vitals, breaker: Breaker
) -> Service:
    twilio = settings.twilio
    tokens = [token for token in (_plain(twilio.auth_token), _plain(twilio.auth_token_secondary)) if token]
    return Service(
        store=store,
        agent=agent,
        live=agent.live,
        vitals=vitals,
        breaker=breaker,
        stream_resumes=settings.calls.stream_resumes,
        checker=SignatureChecker(
            tokens,
            settings.server.public_url,
            {key_id: _plain(secret) for key_id, secret in twilio.shared_keys.items()},
        ),
        admission=Admission(agent.live, store, settings.calls.per_number, settings.calls.daily_minutes, breaker),
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
        connect_within_s=cartesia.connect_within_s,
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
