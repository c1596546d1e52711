"""Place randomised calls through the whole product and judge what was heard, byte for byte, by the phone's own tape.

    python -m tests.prove.heard --calls 1000 --seed 1

Agents that speak in every rhythm, callers who interrupt at any instant, marks lost, echoes late, audio that comes after
the interruption, goodbyes by hanging up and by tool. Real sockets, virtual time. A call that fails is named by its
seed; run it alone with --seed N --calls 1. Exit code 1 when anything was stale, lost, deaf or wrong.
"""

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import structlog

from archer_bridge.devkit.phone import Caller, PhoneOptions, Span, StreamFaults
from archer_bridge.devkit.virtual_time import run
from archer_bridge.models import Outcome
from tests.support.heard import Judge, Judgement, judged
from tests.support.scripted_agent import BURST, PACED, Delivery, Line, ScriptedAgent, noise

DELIVERIES = (
    PACED,
    BURST,
    Delivery(chunk=79),
    Delivery(chunk=641, speed=4.0),
    Delivery(chunk=160, lead_s=0.06),
    Delivery(chunk=2000, lead_s=0.4),
    Delivery(chunk=40, speed=10.0),
)
BATCH = 25
"""Calls on one bridge process, one after another."""
MAX_SPEED = 10.0
"""Virtual seconds a real one: what the database takes is real, and must not look like seconds."""
TOTALS = ("stale frames", "lost goodbyes", "deaf periods", "ledger errors")


class Scenario:
    """One call, decided by its seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._chance = random.Random(f"agent {seed}")
        self._caller_chance = random.Random(f"caller {seed}")  # its own: the two act side by side
        self._lines = 0
        self.ending = self._chance.choices(("leaves", "in mid-turn", "tool", "caller"), (40, 15, 25, 20))[0]
        self.goodbye = noise(seed * 1000, self._chance.uniform(0.3, 1.2))
        self._loses_marks = self._chance.random() < 0.3

    @property
    def options(self) -> PhoneOptions:
        """The phone and its line's troubles."""
        chance = self._caller_chance
        faults = StreamFaults(
            lost_marks=frozenset(n for n in range(2, 100) if self._loses_marks and chance.random() < 0.25),
            mark_echo_delay_ms=80.0 if self.ending != "caller" and chance.random() < 0.2 else 0.0,
            gaps=(Span(300, 200),) if chance.random() < 0.2 else (),
            bursts=(Span(600, 300),) if chance.random() < 0.2 else (),
        )
        return PhoneOptions(voice="tones", seed=self.seed, faults=faults)

    def _line(self, seconds: float) -> Line:
        self._lines += 1
        return noise(self.seed * 1000 + self._lines, seconds)

    async def agent(self, agent: ScriptedAgent) -> None:
        """Play the agent."""
        chance = self._chance
        await agent.pause(0.2)  # no agent is ready sooner than the stream's first echo is back
        for _ in range(chance.randint(1, 4)):
            await self._act(agent)
        if self.ending == "caller":
            await agent.turn(self._line(4.0), chance.choice(DELIVERIES))
            await agent.stay()
        elif self.ending == "in mid-turn":
            await agent.begin()
            await agent.say(self.goodbye, BURST, until_s=self.goodbye.seconds / 10 + 0.001)
        else:
            if self.ending == "tool":
                await agent.use_tool("end_call", reason="done")
                await agent.pause(chance.uniform(0, 1.2))
            await agent.turn(self.goodbye, chance.choice(DELIVERIES))
            if self.ending == "tool":
                await agent.stay()

    async def _act(self, agent: ScriptedAgent) -> None:
        chance = self._chance
        match chance.choices(("turn", "cut", "caller", "pause"), (25, 50, 15, 10))[0]:
            case "turn":
                await agent.turn(self._line(chance.uniform(0.2, 1.2)), chance.choice(DELIVERIES))
            case "cut":
                await self._cut(agent, chance.choice((chance.uniform(0, 1.2), chance.randint(0, 60) * 0.02, 0.4, 0.8)))
                if chance.random() < 0.3:
                    await agent.clear()
                if chance.random() < 0.3:
                    await self._cut(agent, chance.uniform(0, 0.3))
                if chance.random() < 0.5:
                    await agent.caller_turn(seconds=chance.uniform(0.05, 0.3))
            case "caller":
                await agent.caller_turn(seconds=chance.uniform(0.05, 0.3))
            case "pause":
                await agent.pause(chance.uniform(0, 0.4))

    async def _cut(self, agent: ScriptedAgent, until_s: float) -> None:
        chance = self._chance
        delivery, late = chance.choice(DELIVERIES), chance.randint(0, 5)
        await agent.cut_turn(self._line(2.5), until_s, delivery, late=late, end_first=chance.random() < 0.5)

    async def caller(self, phone: Caller) -> None:
        """Play the caller."""
        if self._caller_chance.random() < 0.3:
            await phone.press("42#")
        if self.ending == "caller":
            await phone.wait(self._caller_chance.uniform(1.0, 4.0))
            await phone.hang_up()
        await phone.ended.wait()

    def problems(self, call: Judgement) -> list[str]:
        """Return what was wrong, each beginning with its kind."""
        found = list(call.problems)
        if self.ending == "caller":
            expected = Outcome.CALLER_HANGUP
        else:
            expected = Outcome.COMPLETED
            heard = call.heard_of(self.goodbye.audio)[0]
            unplayed = call.report.streams[0].unplayed_bytes
            if heard < len(self.goodbye.audio) or unplayed:
                found.append(f"goodbye: {heard} of {len(self.goodbye.audio)} bytes heard, {unplayed} left unplayed")
        if call.end.outcome is not expected:
            found.append(f"outcome {call.end.outcome}: expected {expected}; {call.end.reason}")
        return found


async def place(judge: Judge, seed: int) -> tuple[list[str], Counter[str]]:
    """Place one call; return its problems, and counts of what happened."""
    scenario = Scenario(seed)
    call = await judge.call(scenario.caller, ScriptedAgent(scenario.agent), scenario.options)
    problems = scenario.problems(call)
    counts = Counter(
        {
            "barge-ins": int(call.numbers["barge_ins"]),
            "late chunks dropped": int(call.numbers["stale_frames"]),
            "goodbyes": scenario.ending != "caller",
            "agent audio heard, s": round(sum(map(len, call.truth)) / 8000),
            "largest ledger error, bytes": max(abs(error) for error in call.errors),
            "stale frames": sum(problem.startswith("stale") for problem in problems),
            "lost goodbyes": sum(problem.startswith("goodbye") for problem in problems),
            "deaf periods": sum(problem.startswith("deaf") for problem in problems),
            "ledger errors": sum(problem.startswith(("ledger", "turn", "record")) for problem in problems),
        }
    )
    return problems, counts


async def place_many(seeds: Iterable[int]) -> list[tuple[int, list[str], Counter[str]]]:
    """Place calls on one bridge."""
    with tempfile.TemporaryDirectory() as folder:
        async with judged(Path(folder)) as judge:
            return [(seed, *await place(judge, seed)) for seed in seeds]


def work(seeds: list[int]) -> list[tuple[int, list[str], Counter[str]]]:
    """Be one process's share."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return run(place_many(seeds), max_speed=MAX_SPEED)


def main() -> int:
    """Place the calls and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="the first call's; each next call has the next")
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1))
    options = parser.parse_args()
    seeds = list(range(options.seed, options.seed + options.calls))
    batches = [seeds[at : at + BATCH] for at in range(0, len(seeds), BATCH)]
    total, failed, worst, began = Counter[str](), 0, 0, time.monotonic()
    with ProcessPoolExecutor(options.jobs) as pool:
        for results in pool.map(work, batches):
            for seed, problems, counts in results:
                worst = max(worst, counts.pop("largest ledger error, bytes"))
                total += counts
                failed += bool(problems)
                for problem in problems:
                    print(f"seed {seed}: {problem}", flush=True)
    for name in (*TOTALS, *sorted(set(total) - set(TOTALS))):
        print(f"{name:22} {total[name]}")
    print(f"{'largest ledger error':22} {worst / 8:.3f} ms")
    print(f"{options.calls / (time.monotonic() - began):.2f} calls a second")
    print(f"{options.calls - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
