"""`/v1/agents/websocket/{agent_id}`: refuse or accept, open the session, run it, keep the record."""

import asyncio
import uuid

from starlette.websockets import WebSocket

from archer_bridge.devkit.cartesia.agent_link import AgentLink
from archer_bridge.devkit.cartesia.agent_session import AgentSession
from archer_bridge.devkit.cartesia.auth import ApiError, Credential
from archer_bridge.devkit.cartesia.conversation import Surroundings
from archer_bridge.devkit.cartesia.frames import SessionOver
from archer_bridge.devkit.cartesia.rules import (
    AudioInput,
    RuleError,
    SessionCreate,
    Variables,
    check_variables,
    read_event,
)
from archer_bridge.devkit.cartesia.simulator import CallRecord, CartesiaSimulator
from archer_bridge.devkit.cartesia.sound import AGENT_FORMATS, Listener


async def agent_endpoint(websocket: WebSocket) -> None:
    """Serve one agent socket."""
    simulator: CartesiaSimulator = websocket.app.state.simulator
    simulator.counters.connections += 1
    agent_id: str = websocket.path_params["agent_id"]
    try:
        credential = simulator.admit_agent(websocket, agent_id)
    except ApiError as refusal:
        simulator.counters.refused += 1
        await websocket.send_denial_response(refusal.response(websocket))
        return
    call = simulator.begin_call(agent_id)
    link = AgentLink(websocket, agent_id=agent_id, call_id=call.id, options=simulator.options)
    simulator.sessions[call.id] = link
    simulator.feed.publish("connected", call_id=call.id, agent_id=agent_id)
    over = SessionOver("server", 1012, "shut down")
    try:
        await websocket.accept(headers=[(b"x-request-id", str(uuid.uuid4()).encode())])
        over = await _run(_Opening(simulator, link, call, credential))
    finally:
        del simulator.sessions[call.id]
        simulator.end_call(call, by=over.by, code=over.code, reason=over.reason)


async def _run(opening: "_Opening") -> SessionOver:
    """Run the session to its end and say how it ended; a bug of the agent's is a failed agent, 1011."""
    try:
        await opening.run()
    except SessionOver as over:
        return over
    except BaseExceptionGroup as group:
        bugs = group.split(SessionOver)[1]
        if bugs is not None:
            opening.simulator.failures.append(bugs)
            await opening.link.send_error("agent_failed", "the simulated agent has a bug", fatal=True)
            await opening.link.close(1011, "agent failed")
            raise bugs from None
        return _first_over(group)
    except Exception as bug:
        opening.simulator.failures.append(bug)
        raise
    await opening.link.close(1000)  # a raw session that simply returned
    return SessionOver("server", 1000)


def _first_over(group: BaseExceptionGroup[BaseException]) -> SessionOver:
    for problem in group.exceptions:
        if isinstance(problem, SessionOver):
            return problem
        if isinstance(problem, BaseExceptionGroup):
            return _first_over(problem)
    raise AssertionError(f"no SessionOver in {group!r}")


class _Opening:
    """From the accepted socket to a running session."""

    def __init__(self, simulator: CartesiaSimulator, link: AgentLink, call: CallRecord, credential: Credential) -> None:
        self.link = link
        self.simulator = simulator
        self._options = simulator.options
        self._call = call
        self._credential = credential

    async def run(self) -> None:
        if self._options.raw_session is not None:
            await self._options.raw_session(self.link)
            return
        create = await self._first_event()
        variables = await self._variables(create)
        source = AGENT_FORMATS[create.audio.input_format]
        encoding = create.audio.input_format.split("_")[0]
        listener = await self.simulator.open_listener(f"pcm_{'mulaw' if encoding == 'mulaw' else 's16le'}", source.rate)
        await self._drop_audio_until_ready()
        await self.link.send_ready(
            {"input_format": create.audio.input_format, "output_delivery": create.audio.output_delivery}
        )
        self.simulator.counters.sessions += 1
        self.simulator.feed.publish(
            "session_started", call_id=self.link.call_id, agent_id=self.link.agent_id, variables=variables
        )
        await self._converse(self._surroundings(create, variables, listener))

    async def _converse(self, world: Surroundings) -> None:
        session = AgentSession(self.link, world)
        self.simulator.counters.active_sessions += 1
        try:
            await session.run()
        finally:
            self.simulator.counters.active_sessions -= 1
            if session.conversation is not None:
                self._call.transcript = session.conversation.turns.transcript

    async def _first_event(self) -> SessionCreate:
        limit_s = self._options.first_event_s
        try:
            async with asyncio.timeout(limit_s):
                frame = await self.link.receive()
        except TimeoutError:
            await self.link.fail("invalid_event", f"no session_create within {limit_s:g} seconds", close_code=1008)
        while self.link.faults.never_ready:
            await self.link.receive()
        try:
            event = read_event(frame) if isinstance(frame, str) else None
        except RuleError as broken:
            await self.link.fail(broken.event_code, broken.message, close_code=1008)
        if not isinstance(event, SessionCreate):
            await self.link.fail("invalid_event", "the first event must be session_create", close_code=1008)
        return event

    async def _variables(self, create: SessionCreate) -> Variables:
        needed = self.simulator.account.needed_variables(self.link.agent_id)
        by_key = self._credential.kind == "key"
        try:
            return check_variables(create.dynamic_variables, by_key=by_key, needed=needed)
        except RuleError as broken:
            await self.link.fail(broken.event_code, broken.message, close_code=1008)

    async def _drop_audio_until_ready(self) -> None:
        wait_s = self.link.faults.slow_ready_s or self._options.ready_s
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    await self._drop(await self.link.receive())
        except TimeoutError:
            return  # the time is up: ready

    async def _drop(self, frame: str | bytes) -> None:
        try:
            event = read_event(frame) if isinstance(frame, str) else None
            if not isinstance(event, AudioInput):
                raise RuleError("invalid_event", "the session is not ready")
        except RuleError as broken:
            self.simulator.counters.invalid_events += 1
            await self.link.send_error(broken.event_code, broken.message, fatal=False)
        else:
            self.simulator.counters.audio_dropped_before_ready += len(event.audio)

    def _surroundings(self, create: SessionCreate, variables: Variables, listener: Listener) -> Surroundings:
        return Surroundings(
            options=self._options,
            feed=self.simulator.feed,
            counters=self.simulator.counters,
            voice=self.simulator.voice,
            listener=listener,
            brain=self._options.agent(variables),
            tools=self.simulator.account.client_tools(self.link.agent_id),
            audio_format=create.audio.input_format,
            delivery=create.audio.output_delivery,
        )
