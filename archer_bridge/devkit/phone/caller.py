"""The person on the phone: what a script can do during a call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from archer_bridge.devkit.phone.errors import AgentSilent, CallEnded
from archer_bridge.devkit.phone.interrupt import HangUp, Interrupt
from archer_bridge.devkit.phone.record import Record
from archer_bridge.devkit.phone.report import CallerTurn
from archer_bridge.devkit.phone.speaker import Speaker
from archer_bridge.devkit.phone.tape import SAMPLES_PER_MS

KEYS = frozenset("0123456789*#ABCD")
_KEY_GAP_S = 0.2
_PAUSE_S = 0.5

CallerScript = Callable[["Caller"], Awaitable[None]]
"""What the caller does, from the moment the call is answered."""


@runtime_checkable
class HasLines(Protocol):
    """A script that says beforehand what the caller will say, so that it can be synthesised before the call."""

    @property
    def lines(self) -> Sequence[str]:
        """The texts, in any order."""


class Caller:
    """One caller in one call. Every method raises `CallEnded` once the call is over.

    Methods may run at the same time in several tasks: two `say` follow one another, and saying something while the
    agent talks is a barge-in.
    """

    def __init__(self, record: Record, speaker: Speaker, interrupt: Interrupt) -> None:
        self._record = record
        self._line = record.line
        self._clock = record.line.clock
        self._speaker = speaker
        self._interrupt = interrupt
        self._since = 0  # sample: agent audio before it is an answer to nothing the script still waits for
        self.ended = asyncio.Event()
        """Set when the call is over."""

    @property
    def now_ms(self) -> float:
        """Milliseconds since the call was answered."""
        return self._clock.now_ms()

    @property
    def heard(self) -> bytes:
        """Everything heard so far, mu-law, from the answer."""
        return self._line.heard.read(0, self._clock.now())

    async def say(self, text: str, *, for_ms: float | None = None) -> None:
        """Say a text in real time; return when it has been said, or after `for_ms` of it while the rest goes on."""
        self._check()
        await self._utter(await self._speaker.speak(text), text, for_ms)

    async def say_audio(self, data: bytes, text: str = "", *, for_ms: float | None = None) -> None:
        """Say mu-law 8 kHz audio in real time, as `say`; `text` is only noted."""
        self._check()
        await self._utter(data, text, for_ms)

    async def press(self, digits: str) -> None:
        """Press keys (0-9 * # A-D; `w` waits half a second), five a second. Lost when no stream is up."""
        for digit in digits:
            self._check()
            if digit in "wW":
                await self._sleep(_PAUSE_S)
                continue
            if digit not in KEYS:
                raise ValueError(f"key {digit!r} in {digits!r}: expected 0-9 * # A-D or w")
            plug = self._line.plug
            if plug is not None and plug.digit(digit):
                self._record.pressed.append((self.now_ms, digit))
                self._line.emit("dtmf", digit)
            await self._sleep(_KEY_GAP_S)
        self._since = self._clock.now()

    async def agent_finished(self, *, quiet_ms: float = 700, timeout_s: float = 30) -> None:
        """Wait until the agent has spoken since the caller's last words or keys, and then been quiet.

        Raises:
            AgentSilent: not within `timeout_s`.
        """
        monitor = self._line.monitor
        deadline = self._clock.now() + timeout_s * 1000 * SAMPLES_PER_MS
        while monitor.last_voiced <= self._since or (
            self._clock.now() - monitor.last_voiced < quiet_ms * SAMPLES_PER_MS
        ):
            waiting_for = "speak" if monitor.last_voiced <= self._since else "stop speaking"
            await self._tick(deadline, waiting_for, timeout_s)
        self._since = monitor.last_voiced

    async def agent_speaking(self, *, after_ms: float = 0, timeout_s: float = 30) -> None:
        """Wait until the agent has been heard speaking for `after_ms` (since the caller's last words).

        Raises:
            AgentSilent: not within `timeout_s`.
        """
        monitor = self._line.monitor
        deadline = self._clock.now() + timeout_s * 1000 * SAMPLES_PER_MS
        while monitor.run_start is None or (
            self._clock.now() - max(monitor.run_start, self._since) < after_ms * SAMPLES_PER_MS
        ):
            await self._tick(deadline, f"have spoken for {after_ms:g} ms", timeout_s)

    async def wait(self, seconds: float) -> None:
        """Be silent for a while."""
        await self._sleep(seconds)

    async def hang_up(self) -> None:
        """Hang up, in the middle of whatever goes on, and wait until the call is over."""
        self._check()
        self._interrupt.fire(HangUp("caller"))
        await self.ended.wait()

    def end(self) -> None:
        """Tell the script that the call is over (the phone does)."""
        self.ended.set()
        self._line.pulse()

    async def _utter(self, data: bytes, text: str, for_ms: float | None) -> None:
        said = self._line.said
        start = max(self._clock.now(), len(said))
        said.write(start, data)
        end = start + len(data)
        self._record.turns.append(CallerTurn(text, start / SAMPLES_PER_MS, end / SAMPLES_PER_MS))
        self._line.emit("caller_said", text)
        self._since = end
        until = end if for_ms is None else min(end, start + round(for_ms * SAMPLES_PER_MS))
        await self._sleep(self._clock.time_of(until) - asyncio.get_running_loop().time())

    async def _sleep(self, seconds: float) -> None:
        self._check()
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            return
        raise CallEnded

    async def _tick(self, deadline: float, waiting_for: str, timeout_s: float) -> None:
        if self._clock.now() >= deadline:
            raise AgentSilent(waiting_for, timeout_s, self.now_ms)
        await self._line.next_tick()
        self._check()

    def _check(self) -> None:
        if self.ended.is_set():
            raise CallEnded
