"""Who speaks when: the caller's voice on one side, the brain's actions on the other.

Theory of operation. The *listener* feeds caller audio to the ear and learns when the caller speaks and what
was said. The *director* takes the brain's actions one by one and performs them. Say is a task of its own, so
that the caller's speech can cut it: the listener cancels it, drops whatever else was to be said, sends
`audio_output_clear`, and closes the assistant's turn with the words that had sounded. Tool calls and hanging
up are decisions already taken; they survive a barge-in. The agent never starts to speak while the caller's
turn is open.
"""

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from archer_bridge.devkit.cartesia.agent_link import AgentLink
from archer_bridge.devkit.cartesia.events import Counters, EventFeed
from archer_bridge.devkit.cartesia.options import AgentBrain, SimulatorOptions
from archer_bridge.devkit.cartesia.sound import AGENT_FORMATS, Listener
from archer_bridge.devkit.cartesia.speech import Delivery, Speech
from archer_bridge.devkit.cartesia.tool_desk import ToolDesk
from archer_bridge.devkit.cartesia.turns import TurnBook
from archer_bridge.devkit.dialogue import Action, CallTool, HangUp, Say
from archer_bridge.devkit.voices import EarEvent, Heard, Partial, SpeechStarted, Voice

HANG_UP_REASON = "call ended by agent"
_AUDIO_BACKLOG = 500  # frames; above it `feed` waits, which holds the client back


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a conversation needs from its simulator."""

    options: SimulatorOptions
    feed: EventFeed
    counters: Counters
    voice: Voice
    listener: Listener
    brain: AgentBrain
    tools: dict[str, dict[str, Any]]
    audio_format: str
    delivery: str


class Conversation:
    """One conversation; made when the session is ready, runs in the session's task group."""

    def __init__(self, link: AgentLink, world: Surroundings, group: asyncio.TaskGroup) -> None:
        self._link = link
        self._world = world
        self._group = group
        self._chance = random.Random(world.options.seed)
        self.turns = TurnBook(link, world.feed, asyncio.get_running_loop().time())
        self.desk = ToolDesk(link, world.tools, world.feed, world.counters, self._chance)
        self._audio: asyncio.Queue[bytes] = asyncio.Queue(_AUDIO_BACKLOG)
        self._actions: deque[Action] = deque()
        self._wake = asyncio.Event()
        self._caller_silent = asyncio.Event()
        self._caller_silent.set()
        self._saying: asyncio.Task[float] | None = None
        self._speech: Speech | None = None
        self._played_until = 0.0

    def start(self) -> None:
        """Start the tasks, and with them the agent's first words."""
        self._group.create_task(self._listen(), name="agent-listener")
        self._group.create_task(self._direct(), name="agent-director")

    async def feed(self, audio: bytes) -> None:
        """Hear caller audio in the session's format."""
        await self._audio.put(audio)

    def pressed(self, digits: str) -> None:
        """Take what the caller typed."""
        self._plan(self._world.brain.pressed(digits))

    # -- the caller's voice

    async def _listen(self) -> None:
        while True:
            data = await self._audio.get()
            while not self._audio.empty():
                data += self._audio.get_nowait()
            for event in await self._world.listener.feed(data):
                await self._hear(event)

    async def _hear(self, event: EarEvent) -> None:
        match event:
            case SpeechStarted(at_ms=at_ms):
                await self._caller_started(ago_s=max(0.0, self._world.listener.fed_ms - at_ms) / 1000)
            case Heard(text=text, start_ms=start_ms, end_ms=end_ms):
                if not self.turns.is_open("user"):
                    await self._caller_started(ago_s=max(0.0, end_ms - start_ms) / 1000)
                await self._caller_ended(text, spoke_ms=end_ms - start_ms)
            case Partial():
                pass  # the wire has no event for it: user text comes only in turn_ended

    async def _caller_started(self, *, ago_s: float) -> None:
        if self.turns.is_open("user"):
            return
        self._caller_silent.clear()
        cut = self._cut_speech()
        ended = self.turns.take("assistant", interrupted=True)
        faults = self._link.faults
        if (cut is not None or self._world.options.clear_when_silent) and not faults.no_clear:
            for _ in range(2 if faults.double_clear else 1):
                await self._link.send({"type": "audio_output_clear"})
        if ended is not None:
            self._publish("agent_interrupted", spoken=ended["text"])
            await self._link.send(ended)
        for chunk in cut.leftover(faults.late_chunks) if cut is not None else ():
            await self._link.send_audio(chunk)
        await self.turns.start("user", ago=ago_s)

    def _cut_speech(self) -> Speech | None:
        """Stop speaking at once; return what was being said, if anything was."""
        for action in [action for action in self._actions if isinstance(action, Say)]:
            self._actions.remove(action)
        if self._saying is None or self._saying.done():
            return None
        self._saying.cancel()
        self._played_until = 0.0
        return self._speech

    async def _caller_ended(self, text: str, *, spoke_ms: float) -> None:
        ended = self.turns.take("user", text=text)
        assert ended is not None
        self._publish("agent_heard", text=text, ms=round(spoke_ms))
        await self._link.send({**ended, "eager_end_timestamp": ended["end_time"]})
        self._caller_silent.set()
        self._plan(self._world.brain.heard(text))

    # -- the agent's actions

    def _plan(self, actions: Iterable[Action], *, first: bool = False) -> None:
        if first:
            self._actions.extendleft(reversed(list(actions)))
        else:
            self._actions.extend(actions)
        self._wake.set()

    async def _direct(self) -> None:
        if self._link.faults.unknown_tool:
            stray = self.desk.call(self.desk.new_id(), "no_such_tool", {"why": "fault"})
            self._group.create_task(stray, name="agent-unknown-tool")
        self._plan(self._world.brain.open())
        while True:
            while self._actions:
                await self._perform(self._actions.popleft())
            if ended := self.turns.take("assistant"):
                self._publish("agent_said", text=ended["text"])
                await self._link.send(ended)
            self._wake.clear()
            if not self._actions:
                await self._wake.wait()

    async def _perform(self, action: Action) -> None:
        match action:
            case Say(text=text):
                await self._say(text)
            case CallTool(name=name, arguments=arguments):
                tool = self._world.tools.get(name, {})
                if tool.get("execution_mode") == "async":
                    self._group.create_task(self._call_tool(name, arguments), name=f"agent-tool-{name}")
                else:
                    await self._call_tool(name, arguments)
            case HangUp():
                await self._hang_up()

    async def _say(self, text: str) -> None:
        if not self.turns.is_open("assistant"):
            await self._await_the_floor()
            await self.turns.start("assistant")
            if not self.turns.is_open("assistant"):
                return  # the caller began to speak just then, which ended the turn
        self._speech = Speech(
            text,
            self._world.voice,
            AGENT_FORMATS[self._world.audio_format],
            self._delivery(),
            send=self._link.send_audio,
            on_word=self.turns.spoke,
            begin_at=self._played_until,
        )
        self._saying = self._group.create_task(self._speech.play(), name="agent-say")
        await asyncio.wait({self._saying})
        if not self._saying.cancelled():
            self._played_until = self._saying.result()

    async def _await_the_floor(self) -> None:
        while True:
            await self._caller_silent.wait()
            await asyncio.sleep(self._world.options.thinking_s)
            if self._caller_silent.is_set():
                return

    async def _call_tool(self, name: str, arguments: dict[str, Any]) -> None:
        if name not in self._world.tools and not self._world.options.any_tool:
            self._plan(self._world.brain.tool_result(name, f"the agent has no tool {name!r}", True), first=True)
            return
        call_id = self.desk.new_id()
        note = self.turns.note_tool_call(call_id, name, arguments)
        answer = await self.desk.call(call_id, name, arguments)
        if answer is not None:
            note["result"] = answer[0]
            self._plan(self._world.brain.tool_result(name, *answer), first=True)

    async def _hang_up(self) -> None:
        ended = self.turns.take("assistant")
        if ended is not None:
            self._publish("agent_said", text=ended["text"])
            if self._world.options.end_turn_before_hangup:
                await self._link.send(ended)
        await self._link.hang_up(1000, HANG_UP_REASON)

    def _delivery(self) -> Delivery:
        options, faults = self._world.options, self._link.faults
        at_once = faults.burst or self._world.delivery == "as_available"
        return Delivery(
            chunk_ms=None if faults.oversized_events else options.chunk_ms,
            lead_s=None if at_once else options.lead_ms / 1000,
            odd_sizes=faults.odd_chunks,
            seed=self._chance.getrandbits(32),
        )

    def _publish(self, event: str, **facts: Any) -> None:
        self._world.feed.publish(event, call_id=self._link.call_id, **facts)
