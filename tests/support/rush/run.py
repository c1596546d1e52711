"""A rush: so many calls, so many at once, faults all the while, and the judgement at its end."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

from tests.support.rush.bridge import BridgeProcess, Footprint, tidied
from tests.support.rush.caller import GIVEN_UP, QuickCall
from tests.support.rush.judge import Finding, Record, judge, none_of
from tests.support.rush.plan import Plan, new_plan
from tests.support.rush.storage import break_now
from tests.support.rush.vendor import Vendor

SETTLE_S = 10.0
"""How long after the last call everything must be at rest."""
LONGEST_CALL_S = 25.0
FROM_CALL = 2000
"""Memory is measured from here on: caches have filled by then."""
MOST_GROWTH_MIB = 10.0
CONNECT_FAULTS = 0.03
TOKENS_OVER_S = 75.0
"""Who was answered by a process that died then, and never came back, is settled when their token is over."""
RECOVERY_S = 2.0
"""How long a fault of the store may still be felt after it has passed."""
WARM_CALLS = 40
"""Calls at once before the baseline is taken: pools are full then."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it."""

    calls: int
    at_once: int
    seed: int
    kills: int = 0
    database: str = "sqlite"
    processes: int = 1
    """Bridges on the same database; each request of a call goes to any of them, as through a proxy."""
    store_fault_every_s: float = 5.0


class Rush:
    """Places the calls and judges what is left."""

    def __init__(self, size: Size, folder: Path, url: str) -> None:
        self._size = size
        self._folder = folder
        self._url = url
        self._choose = random.Random(size.seed)
        self._route = random.Random(size.seed + 2)
        self.plans: dict[str, Plan] = {}
        self._tokens: list[str] = []
        self._struck = Counter[str]()
        self._settled_s: list[float] = []
        self._away: list[tuple[float, float]] = []
        self._is_up = asyncio.Event()
        self._is_up.set()
        self._turn = asyncio.Lock()
        """Faults of the store and kills take turns: one that holds the file of a dead process would tidy it up."""
        self._up: list[BridgeProcess] = []
        """Those that a proxy would send to."""
        self._late: list[Footprint] = []
        """Taken when `FROM_CALL` calls were placed."""

    async def run(self) -> list[Finding]:
        """Run everything; return the findings."""
        size, loop = self._size, asyncio.get_running_loop()
        vendor = Vendor(self.plans, seed=size.seed + 1, connect_faults=CONNECT_FAULTS)
        async with vendor.listening():
            bridges = [
                BridgeProcess(
                    self._folder, self._url, vendor.port, name=f"bridge{number}",
                    ARCHER_SERVER__INSTANCE=f"chaos{number}" if size.kills or size.processes > 1 else "",
                )
                for number in range(size.processes)
            ]  # fmt: skip
            with tidied(*bridges):
                for bridge in bridges:
                    await bridge.start()
                self._up = list(bridges)
                await self._warm_up()
                before = await footprints(bridges)
                began = loop.time()
                await self._place(bridges)
                took_s = loop.time() - began
                rest_s = await self._come_to_rest(bridges, before)
                after = await footprints(bridges)
                self._describe(vendor, took_s, before, after)
                findings = await judge(Record(self._url), self.plans, away=None if size.kills else self._away)
                findings += self._about_the_run(bridges, rest_s)
                findings += self._about_kills() if size.kills else self._about_footprints(before, after)
        return findings

    async def _warm_up(self) -> None:
        """A few healthy calls, so that what is made once is made before the baseline."""
        async with asyncio.TaskGroup() as group:
            for number in range(WARM_CALLS * self._size.processes):
                plan = new_plan(self._choose, number, faulty=False)
                self.plans[plan.call_sid] = plan
                group.create_task(self._call(plan))

    async def _place(self, bridges: Sequence[BridgeProcess]) -> None:
        size, room = self._size, asyncio.Semaphore(self._size.at_once)
        faults = asyncio.create_task(self._break_store(bridges), name="store faults")

        async def place(plan: Plan) -> None:
            try:
                await self._call(plan)
            finally:
                room.release()

        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill(bridges), name="kills")  # its failure ends everything, for it ends the kills
            for number in range(len(self.plans), size.calls):
                await room.acquire()
                await self._is_up.wait()
                plan = new_plan(self._choose, number)
                self.plans[plan.call_sid] = plan
                group.create_task(place(plan))
                if number == FROM_CALL and not size.kills:
                    self._late = await footprints(bridges)
        faults.cancel()
        await asyncio.gather(faults, return_exceptions=True)

    async def _call(self, plan: Plan) -> None:
        call = QuickCall(plan, self._address, stolen=self._steal, longest_s=LONGEST_CALL_S)
        await call.run()
        if call.token:
            self._tokens = [*self._tokens[-50:], call.token]

    def _address(self) -> tuple[str, int]:
        return self._route.choice(self._up).address

    def _steal(self) -> str:
        return self._choose.choice(self._tokens) if self._tokens else "v1.nothing"

    async def _break_store(self, bridges: Sequence[BridgeProcess]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._choose.uniform(0.5, 1.5) * self._size.store_fault_every_s)
            async with self._turn:
                began = loop.time()
                try:
                    self._struck[await break_now(self._url, self._choose.choice(bridges), self._choose)] += 1
                    self._away.append((began, loop.time() + RECOVERY_S))
                except Exception as error:  # a bridge that is busy with the lock itself, for one
                    self._struck[f"missed: {type(error).__name__}"] += 1

    async def _kill(self, bridges: Sequence[BridgeProcess]) -> None:
        """Kill and start again, evenly over the calls."""
        loop = asyncio.get_running_loop()
        for number in range(self._size.kills):
            due = self._size.calls * (number + 0.7) / self._size.kills
            while len(self.plans) < due:
                await asyncio.sleep(0.05)
            bridge = bridges[number % len(bridges)]
            self._up = [other for other in bridges if other is not bridge] or [bridge]
            if self._up == [bridge]:
                self._is_up.clear()
            async with self._turn:
                await bridge.kill()
                self._struck["SIGKILL"] += 1
                killed_rows = set(await self._claimed(bridge))
                await bridge.start()
            self._up = list(bridges)
            self._is_up.set()
            began = loop.time()
            while killed_rows & set(await self._claimed(bridge)):
                await asyncio.sleep(0.1)
            self._settled_s.append(loop.time() - began)

    async def _claimed(self, bridge: BridgeProcess) -> list[tuple[object, ...]]:
        return await Record(self._url).ask(
            f"SELECT call_sid FROM calls WHERE state <> 'ended' AND owner_id = '{bridge.instance}'"
        )

    async def _come_to_rest(self, bridges: Sequence[BridgeProcess], before: Sequence[Footprint]) -> float:
        """Wait until nothing is open and tasks are back; return the seconds, at most twice the limit."""
        loop, record = asyncio.get_running_loop(), Record(self._url)
        began = loop.time()
        waits = "" if not self._size.kills else "AND owner_id IS NOT NULL"
        queries = (
            f"SELECT call_sid FROM calls WHERE state <> 'ended' {waits}",
            "SELECT key FROM tool_calls WHERE status = 'started'",
        )
        waited_for = ""
        while loop.time() - began < 2 * SETTLE_S:
            open_rows = [str(name) for query in queries for (name,) in await record.ask(query)]
            now = await footprints(bridges)
            if not open_rows and all(has.tasks <= had.tasks for has, had in zip(now, before, strict=True)):
                break
            faults = ["+".join(plan.faults) for row in open_rows if (plan := self.plans.get(row))]
            waited_for = f"{len(open_rows)} rows {faults[:3]}, {[has.tasks for has in now]} tasks"
            await asyncio.sleep(0.2)
        took = loop.time() - began
        print(f"at rest after {took:.1f} s; waited last for {waited_for or 'nothing'}")
        while self._size.kills and await record.ask("SELECT 1 FROM calls WHERE state <> 'ended'"):
            if loop.time() - began > TOKENS_OVER_S:
                break  # said by the judge
            await asyncio.sleep(1.0)
        return took

    def _describe(self, vendor: Vendor, took_s: float, before: Sequence[Footprint], after: Sequence[Footprint]) -> None:
        size = self._size
        kinds = Counter(name for plan in self.plans.values() for name in plan.faults)
        kinds += Counter({name: n for name, n in vendor.counts.items() if name.startswith("connect-")})
        kinds += self._struck
        spread = ", ".join(f"{name} {count}" for name, count in sorted(kinds.items()))
        print(
            f"{size.calls} calls, {size.at_once} at once, {size.processes} processes on {size.database}, "
            f"{took_s:.0f} s, {size.calls / took_s:.1f} a second"
        )
        print(f"{len(kinds)} kinds of fault: {spread}")
        each = 1000 / size.calls
        here_s = sum(has.cpu_s - had.cpu_s for has, had in zip(after, before, strict=True))
        print(f"ms of processor a call: {here_s * each:.1f} here, {process_time() * each:.1f} there")
        for moment, found in (("before", before), (f"at {FROM_CALL}", self._late), ("after", after)):
            for footprint in found:
                print(f"{moment:9} {footprint}")

    def _about_the_run(self, bridges: Sequence[BridgeProcess], rest_s: float) -> list[Finding]:
        given_up = [
            f"{plan.call_sid} ({'+'.join(plan.faults)}; {plan.sessions} sessions; {plan.step})"
            for plan in self.plans.values()
            if GIVEN_UP in plan.documents
        ]
        complaints = [line for bridge in bridges for line in bridge.complaints()]
        return [
            Finding("seconds until everything was at rest", f"<= {SETTLE_S:g}", f"{rest_s:.1f}", rest_s <= SETTLE_S),
            none_of(f"calls that lasted {LONGEST_CALL_S:g} s and longer", given_up),
            none_of("complaints of a bug in the bridge's log", complaints),
        ]

    def _about_kills(self) -> list[Finding]:
        due, worst, count = self._size.kills, max(self._settled_s, default=float("nan")), len(self._settled_s)
        return [
            Finding("times killed and started again", str(due), str(count), count == due),
            Finding("orphans settled after boot, seconds", "<= 10", f"{worst:.1f}", worst <= 10),
        ]

    def _about_footprints(self, before: Sequence[Footprint], after: Sequence[Footprint]) -> list[Finding]:
        findings = []
        for number, (had, has) in enumerate(zip(before, after, strict=True), 1):
            whose = f" of process {number}" if self._size.processes > 1 else ""
            for name in ("tasks", "descriptors", "threads"):
                least, most = getattr(has, name), getattr(had, name)
                findings.append(Finding(f"{name}{whose} back to the baseline", f"<= {most}", str(least), least <= most))
            if self._late:
                grown, goal = has.rss_mib - self._late[number - 1].rss_mib, f"<= {MOST_GROWTH_MIB:g} MiB"
                what = f"memory{whose} grown since call {FROM_CALL}"
                findings.append(Finding(what, goal, f"{grown:.1f} MiB", grown <= MOST_GROWTH_MIB))
        return findings


async def footprints(bridges: Sequence[BridgeProcess]) -> list[Footprint]:
    """Return what each of them holds now."""
    return [await bridge.footprint() for bridge in bridges]
