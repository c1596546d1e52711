"""Judges what the bridge believes that the caller heard by what the caller heard, byte for byte."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from archer_bridge.calls.core_ports import AGENT, Piece
from archer_bridge.calls.playout import Playout
from archer_bridge.devkit.cartesia import SimulatorOptions
from archer_bridge.devkit.phone import Caller, CallerScript, CallReport, PhoneOptions
from archer_bridge.models import CallEnd, CallRow, Turn
from tests.support.scripted_agent import Said, ScriptedAgent
from tests.support.world import World, world

FRAME = 160


@dataclass(slots=True)
class Ledger:
    """Stands where a recorder stands and keeps the agent's audio by ledger position."""

    playout: Callable[[], Playout]
    accepted: bytearray = field(default_factory=bytearray)
    starts: list[int] = field(default_factory=lambda: [0])
    """Where each generation begins."""
    heard_ends: list[int] = field(default_factory=list)
    """Where the heard part of each generation ends."""
    _now: float = 0.0

    def note(self, piece: Piece) -> None:
        """Keep what was accepted; the caller is not judged here."""
        side, start, audio, _ = piece
        if side == AGENT:
            assert start == len(self.accepted)
            self.accepted += audio

    def cut(self, position: int, now: float) -> None:
        """Close a generation."""
        self.heard_ends.append(position)
        self.starts.append(len(self.accepted))

    def advance(self, now: float) -> None:
        """Nothing is given out while the call runs."""

    def finish(self, now: float) -> None:
        """Close the last generation."""
        self.heard_ends.append(self.playout().position(now))


@dataclass(frozen=True, slots=True)
class Judgement:
    """One call, from both ends."""

    report: CallReport
    ledger: Ledger
    agent: ScriptedAgent | None
    end: CallEnd
    turns: tuple[Turn, ...]
    origin_s: float
    """The loop's time at which the call was answered."""

    @property
    def numbers(self) -> dict[str, Any]:
        """The call's numbers in its record."""
        return dict(self.end.numbers)

    @property
    def truth(self) -> list[bytes]:
        """What the caller heard, generation by generation."""
        cleared = [math.floor(at * 8 + 0.05) / 8 for at in self.report.clears_ms]
        # A clear that the caller's hanging up overtook made a generation of which nothing was heard.
        generations = [b""] * max(len(cleared) + 1, len(self.ledger.starts))
        for segment in self.report.played:
            generations[sum(at <= segment.start_ms for at in cleared)] += segment.data
        return generations

    @property
    def stale_bytes(self) -> int:
        """Bytes heard that the ledger's generation does not hold at that place."""
        ends = [*self.ledger.starts[1:], len(self.ledger.accepted)]
        stale = 0
        for heard, start, end in zip(self.truth, self.ledger.starts, ends, strict=True):
            expected = self.ledger.accepted[start:end]
            stale += len(heard) if not expected.startswith(heard) else 0
        return stale

    @property
    def errors(self) -> list[int]:
        """Per generation, bytes that the ledger believes heard beyond the truth (negative: fewer)."""
        spans = zip(self.ledger.starts, self.ledger.heard_ends, strict=True)
        return [end - start - len(heard) for heard, (start, end) in zip(self.truth, spans, strict=True)]

    def heard_of(self, audio: bytes) -> tuple[int, float]:
        """How many bytes of a line that occurs nowhere else were heard, and when (call time, ms) the last of them."""
        heard, end_ms = 0, 0.0
        for segment in self.report.played:
            at = segment.data.find(audio[heard : heard + 32])
            if at >= 0:
                count = _common(memoryview(segment.data)[at:], memoryview(audio)[heard:])
                heard, end_ms = heard + count, segment.start_ms + (at + count) / 8
        return heard, end_ms

    @property
    def problems(self) -> list[str]:
        """Everything in which the bridge was wrong about what was heard, or let be heard what it should not."""
        found = [f"stale: {self.stale_bytes} bytes"] if self.stale_bytes else []
        found += [f"ledger {error} bytes off" for error in self.errors if abs(error) > FRAME]
        total_ms = sum(map(len, self.truth)) / 8
        if abs(self.numbers["agent_ms_heard"] - total_ms) > 20 * len(self.errors):
            found.append(f"record says {self.numbers['agent_ms_heard']} ms heard, it was {total_ms}")
        media = [warning for warning in self.report.violations if 31900 <= warning.code < 32000]
        found += [f"Twilio warns: {warning.code} {warning.detail}" for warning in media]
        written = {turn.number: turn for turn in self.turns if turn.role == "assistant"}
        for said in self.agent.said if self.agent is not None else ():
            found += self._judge_turn(said, written.get(said.number))
        return found

    def _judge_turn(self, said: Said, turn: Turn | None) -> list[str]:
        heard, end_ms = self.heard_of(said.line.audio)
        if turn is None:
            # Begun when the caller was gone already: only then is there nothing to write.
            return [f"turn {said.number} was not written, and {heard} bytes of it heard"] if heard else []
        found = []
        if abs(turn.heard_ms - heard / 8) > 20:
            found.append(f"turn {said.number} has {turn.heard_ms} ms heard, it was {heard / 8}")
        if said.cleared_at is None:
            return found
        cleared_ms = (said.cleared_at - self.origin_s) * 1000
        if heard and end_ms > cleared_ms + 20:
            found.append(f"deaf: turn {said.number} was heard until {end_ms}, {end_ms - cleared_ms:.1f} ms too long")
        if any(piece[:32] in segment.data for piece in said.late for segment in self.report.played):
            found.append(f"stale: turn {said.number} was heard after its end")
        return found


def _common(one: memoryview, other: memoryview) -> int:
    """Length of what both begin with."""
    size = min(len(one), len(other))
    if one[:size] == other[:size]:
        return size
    return next(n for n in range(size) if one[n] != other[n])


@dataclass(slots=True)
class Judge:
    """A running world whose calls are judged."""

    world: World
    _ledgers: dict[str, Ledger] = field(default_factory=dict)

    def listen(self) -> None:
        """Put a ledger where each call's recorder would be."""
        service = self.world.service
        service.agent = replace(service.agent, make_recorder=self._make_ledger)

    def _make_ledger(self, row: CallRow) -> Any:
        def playout() -> Playout:
            session = self.world.service.agent.live.session(row.call_sid)
            assert session is not None, "it is released after its end"
            return session.line.playout

        ledger = self._ledgers[row.call_sid] = Ledger(playout)
        return ledger

    async def call(
        self, caller: CallerScript, agent: ScriptedAgent | None = None, options: PhoneOptions | None = None
    ) -> Judgement:
        """Place one call and judge it when its record is complete."""
        simulator = self.world.simulator
        simulator.options = replace(simulator.options, raw_session=agent)
        origin_s = 0.0

        async def noted(phone: Caller) -> None:
            nonlocal origin_s
            origin_s = asyncio.get_running_loop().time() - phone.now_ms / 1000
            await caller(phone)

        report = await self.world.call(noted, options=options)
        await self.world.service.live.wait_empty()  # its record may be younger than the caller's hanging up
        row = await self.world.store.get_call(report.call_sid)
        assert row is not None
        assert row.outcome is not None
        end = CallEnd(row.outcome, row.reason or "", row.duration_ms or 0, row.numbers)
        turns = tuple(await self.world.store.turns(report.call_sid))
        return Judgement(report, self._ledgers.pop(report.call_sid), agent, end, turns, origin_s)


async def listens(caller: Caller) -> None:
    """A caller who says nothing and waits for the end."""
    await caller.ended.wait()


@asynccontextmanager
async def judged(folder: Path, *, simulator: SimulatorOptions | None = None, **changes: str) -> AsyncIterator[Judge]:
    """Run the whole product, its ledgers laid open."""
    async with world(folder, simulator=simulator, **changes) as running:
        judge = Judge(running)
        judge.listen()
        yield judge
