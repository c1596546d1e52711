"""One session on the agent socket from `session_ready` to the close: client events, idle rule, timed faults.

Whoever ends the session raises `SessionOver`, which ends every task of it.
"""

import asyncio

from archer_bridge.devkit.cartesia.agent_link import AgentLink
from archer_bridge.devkit.cartesia.conversation import Conversation, Surroundings
from archer_bridge.devkit.cartesia.faults import CloseAfter
from archer_bridge.devkit.cartesia.frames import SessionOver
from archer_bridge.devkit.cartesia.rules import (
    AudioInput,
    ClientEvent,
    ClientToolResult,
    DtmfInput,
    RuleError,
    read_event,
)

_KEYS_AHEAD = 64


class AgentSession:
    """Runs one conversation over its link."""

    def __init__(self, link: AgentLink, world: Surroundings) -> None:
        self._link = link
        self._world = world
        self._keys: asyncio.Queue[str] = asyncio.Queue(_KEYS_AHEAD)
        self._last_event_at = asyncio.get_running_loop().time()
        self.conversation: Conversation | None = None

    async def run(self) -> None:
        """Converse until either side ends it.

        Raises:
            ExceptionGroup: of `SessionOver`, always.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self.conversation = Conversation(self._link, self._world, group)
                group.create_task(self._read(self.conversation), name="agent-reader")
                group.create_task(self._collect_digits(self.conversation), name="agent-keypad")
                group.create_task(self._watch_idle(), name="agent-idle-watch")
                await self._send_opening_faults()
                self._schedule_faults(group)
                self.conversation.start()
        finally:
            if self.conversation is not None:
                self.conversation.turns.abandon()

    async def _read(self, conversation: Conversation) -> None:
        while True:
            frame = await self._link.receive()
            try:
                if isinstance(frame, bytes):
                    raise RuleError("invalid_event", "expected a JSON text frame, got a binary frame")
                await self._take(read_event(frame), conversation)
            except RuleError as broken:
                self._world.counters.invalid_events += 1
                await self._link.send_error(broken.event_code, broken.message, fatal=False)
                continue
            self._last_event_at = asyncio.get_running_loop().time()

    async def _take(self, event: ClientEvent, conversation: Conversation) -> None:
        match event:
            case AudioInput():
                self._world.counters.audio_bytes_in += len(event.audio)
                await conversation.feed(event.audio)
            case DtmfInput():
                self._world.feed.publish("dtmf", call_id=self._link.call_id, digit=event.digit)
                await self._keys.put(event.digit)
            case ClientToolResult():
                conversation.desk.settle(event)
            case _:
                raise RuleError("invalid_event", "session_create may only be the first event")

    async def _collect_digits(self, conversation: Conversation) -> None:
        while True:
            digits, digit = "", await self._keys.get()
            try:
                while digit != "#":
                    digits += digit
                    async with asyncio.timeout(self._world.options.digits_pause_s):
                        digit = await self._keys.get()
            except TimeoutError:
                pass  # the pause ends the input, as # does
            if digits:
                conversation.pressed(digits)

    async def _watch_idle(self) -> None:
        loop = asyncio.get_running_loop()
        limit_s = self._world.options.idle_s
        left_s = limit_s
        while left_s > 0:  # each event moves the deadline; looking again when it was due costs no timer an event
            await asyncio.sleep(left_s)
            left_s = self._last_event_at + limit_s - loop.time()
        message = f"no valid client event for {limit_s:g} seconds"
        await self._link.fail("invalid_event", message, close_code=1008)

    async def _send_opening_faults(self) -> None:
        faults = self._link.faults
        if faults.garbage_frame:
            await self._link.send_text('{"type": "audio_output", "audio"')
        if faults.binary_frame:
            await self._link.send_bytes(b"\x00\xff" * 80)
        if faults.big_frame_bytes:
            frame = '{"type":"x_big_event","pad":"%s"}'
            await self._link.send_text(frame % ("x" * max(0, faults.big_frame_bytes - len(frame) + 2)))
        if faults.error_event:
            await self._link.send_error("invalid_event", "simulated: this event was ignored", fatal=False)

    def _schedule_faults(self, group: asyncio.TaskGroup) -> None:
        faults = self._link.faults
        if faults.close_after is not None:
            group.create_task(self._close_later(faults.close_after), name="fault-close")
        if faults.reset_after_s is not None:
            group.create_task(self._reset_later(faults.reset_after_s), name="fault-reset")
        if faults.stall_after_s is not None:
            group.create_task(self._stall_later(faults.stall_after_s), name="fault-stall")
        if faults.fatal_error_after_s is not None:
            group.create_task(self._fail_later(faults.fatal_error_after_s), name="fault-error")

    async def _close_later(self, fault: CloseAfter) -> None:
        await asyncio.sleep(fault.seconds)
        await self._link.hang_up(fault.code, fault.reason)

    async def _reset_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._link.reset()
        raise SessionOver("server", 1006, "reset")

    async def _stall_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._link.stalled = True

    async def _fail_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._link.fail("agent_failed", "simulated: the agent failed", close_code=1011)
