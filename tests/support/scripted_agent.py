"""An agent that says exactly what a test wants, exactly when: the mind of one call on the simulated agent socket."""

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from archer_bridge.devkit.cartesia import AgentLink, SessionOver
from archer_bridge.devkit.cartesia.sound import AGENT_FORMATS
from archer_bridge.devkit.voices.tones import ToneVoice
from archer_codecs import PCM16_8K, Format, plan

Deltas = Literal["sounded", "with_audio", "early", "none"]


@dataclass(frozen=True, slots=True)
class Line:
    """What the agent says in one turn: audio in the wire's format, and words with the second at which each ends."""

    audio: bytes
    bytes_per_s: int
    words: tuple[tuple[float, str], ...] = ()

    @property
    def text(self) -> str:
        """All the words."""
        return "".join(word for _, word in self.words)

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return len(self.audio) / self.bytes_per_s


def noise(seed: int, seconds: float, audio_format: str = "mulaw_8000") -> Line:
    """Loud audio that occurs nowhere else, so that every byte of it can be found again."""
    format_ = AGENT_FORMATS[audio_format]
    return Line(random.Random(seed).randbytes(format_.bytes_for(seconds * 1000)), format_.bytes_for(1000))


def spoken(text: str, audio_format: str = "mulaw_8000") -> Line:
    """A text in tones, which can be read back from what was heard."""
    format_ = AGENT_FORMATS[audio_format]
    pcm, words, began = b"", [], 0.0
    voice = ToneVoice()
    for sentence in voice.speak(text):
        for word in sentence.words:
            words.append((began + word.end_ms / 1000, word.text if not words else f" {word.text}"))
        pcm += sentence.audio
        began += sentence.duration_ms / 1000
    chain = plan(Format(PCM16_8K.encoding, voice.rate), format_).build()
    return Line(chain.feed(pcm) + chain.flush(), format_.bytes_for(1000), tuple(words))


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a line goes out: in pieces of `chunk` bytes, `lead_s` ahead of the ear or `speed` times as fast as sound."""

    chunk: int = 320
    lead_s: float = 0.16
    speed: float | None = None
    deltas: Deltas = "sounded"

    def timeline(self, line: Line) -> list[tuple[float, bytes | str]]:
        """Return what goes out when: audio as bytes, words as text, in order."""
        events: list[tuple[float, bytes | str]] = []
        arrived: list[tuple[float, float]] = []
        for at in range(0, len(line.audio), self.chunk):
            sounds = at / line.bytes_per_s
            due = max(0.0, sounds - self.lead_s) if self.speed is None else sounds / self.speed
            events.append((due, line.audio[at : at + self.chunk]))
            arrived.append((sounds + self.chunk / line.bytes_per_s, due))
        for ends, word in line.words:
            if self.deltas == "sounded":
                events.append((ends, word))
            elif self.deltas == "early":
                events.append((-1.0, word))
            elif self.deltas == "with_audio":
                events.append((next((due for covers, due in arrived if covers >= ends), arrived[-1][1]), word))
        return sorted(events, key=lambda event: event[0])


PACED = Delivery()
BURST = Delivery(speed=10.0)


@dataclass(frozen=True, slots=True)
class Said:
    """One agent turn as the agent sees it."""

    number: int
    line: Line
    cleared_at: float | None = None
    """The loop's time at which it noticed the caller; None when it finished."""
    late: tuple[bytes, ...] = ()
    """Pieces sent after that, which were never sent before."""


@dataclass(slots=True)
class ScriptedAgent:
    """One call's agent; give it to the simulator as `raw_session`."""

    script: Callable[["ScriptedAgent"], Awaitable[None]]
    received: bytearray = field(default_factory=bytearray)
    """Caller audio, as it came."""
    digits: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    turns: int = 0
    _link: AgentLink | None = None
    _answers: dict[str, "asyncio.Future[dict[str, Any]]"] = field(default_factory=dict)

    @property
    def link(self) -> AgentLink:
        """The socket."""
        assert self._link is not None
        return self._link

    async def __call__(self, link: AgentLink) -> None:
        """Run the script; its end is the agent's hanging up."""
        self._link = link
        self.variables = (await link.start())["dynamic_variables"]
        reader = asyncio.create_task(self._read(), name="scripted agent reader")
        script = asyncio.create_task(self._play(), name="scripted agent script")
        await asyncio.wait({reader, script}, return_when=asyncio.FIRST_COMPLETED)
        for task in (reader, script):
            task.cancel()
        done = await asyncio.gather(reader, script, return_exceptions=True)
        for problem in done:
            if isinstance(problem, Exception) and not isinstance(problem, SessionOver):
                raise problem

    async def _play(self) -> None:
        await self.script(self)
        await self.link.close(1000, "call ended by agent")

    async def _read(self) -> None:
        while True:
            event = await self.link.receive_event()
            if event["type"] == "audio_input":
                self.received += base64.b64decode(event["audio"])
            elif event["type"] == "dtmf_input":
                self.digits.append(event["digit"])
            elif event["type"] == "client_tool_result":
                self._answers.pop(event["tool_call_id"]).set_result(event)

    # ---- what it can do

    async def begin(self, role: str = "assistant") -> int:
        """Begin a turn."""
        self.turns += 1
        await self.link.send({"type": "turn_started", "turn": self.turns, "role": role, "start_time": 0.0})
        return self.turns

    async def end(self, text: str, *, role: str = "assistant", interrupted: bool = False) -> None:
        """End the turn."""
        await self.link.send(
            {"type": "turn_ended", "turn": self.turns, "role": role, "text": text, "interrupted": interrupted}
        )

    async def clear(self) -> None:
        """Say that the caller speaks."""
        await self.link.send({"type": "audio_output_clear"})

    async def say(self, line: Line, delivery: Delivery = PACED, *, until_s: float | None = None) -> str:
        """Send a line from now on, to its end or to `until_s`; returns the words given once that has sounded."""
        loop = asyncio.get_running_loop()
        began, given = loop.time(), ""
        end_s = line.seconds if until_s is None else until_s
        for due, what in delivery.timeline(line):
            if due >= end_s:
                break
            await asyncio.sleep(max(0.0, began + due - loop.time()))
            if isinstance(what, bytes):
                await self.link.send_audio(what)
            else:
                given += what
                await self.link.send(
                    {"type": "turn_output_text_delta", "turn": self.turns, "role": "assistant", "text": what}
                )
        await asyncio.sleep(max(0.0, began + end_s - loop.time()))
        return given

    async def turn(self, line: Line, delivery: Delivery = PACED) -> None:
        """Say one whole turn."""
        self.said.append(Said(await self.begin(), line))
        await self.say(line, delivery)
        await self.end(line.text)

    async def cut_turn(
        self, line: Line, until_s: float, delivery: Delivery = PACED, *, late: int = 0, end_first: bool = False
    ) -> None:
        """Say a turn until the caller interrupts; `late` pieces of it follow the clear, or even the turn's end."""
        number = await self.begin()
        given = await self.say(line, delivery, until_s=until_s)
        unsent = [what for due, what in delivery.timeline(line) if due >= until_s and isinstance(what, bytes)]
        self.said.append(Said(number, line, asyncio.get_running_loop().time(), tuple(unsent[:late])))
        await self.clear()
        if end_first:
            await self.end(given, interrupted=True)
        for piece in (unsent or [line.audio[-delivery.chunk :]])[:late]:
            await self.link.send_audio(piece)
        if not end_first:
            await self.end(given, interrupted=True)

    async def caller_turn(self, text: str = "wait", seconds: float = 0.2) -> None:
        """Report a turn of the caller's."""
        await self.begin("user")
        await asyncio.sleep(seconds)
        await self.end(text, role="user")

    async def use_tool(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Call a client tool and return the bridge's answer."""
        answer = self._answers[f"call_{self.turns}"] = asyncio.get_running_loop().create_future()
        await self.link.send(
            {
                "type": "client_tool_call",
                "tool_call_id": f"call_{self.turns}",
                "tool_name": name,
                "parameters": parameters,
                "expects_response": True,
            }
        )
        return await answer

    async def pause(self, seconds: float) -> None:
        """Say nothing for a while."""
        await asyncio.sleep(seconds)

    async def stay(self) -> None:
        """Do nothing until the caller is gone."""
        await asyncio.Event().wait()
