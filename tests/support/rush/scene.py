"""One or several bridges, a vendor and a database, and healthy calls as long as a proof needs them."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from tests.support.rush.bridge import BridgeProcess, tidied
from tests.support.rush.caller import QuickCall
from tests.support.rush.plan import Plan
from tests.support.rush.storage import storage
from tests.support.rush.vendor import Vendor

LONGEST_CALL_S = 120.0


class Scene:
    """What a proof works with; `address` is where Twilio calls."""

    def __init__(self, bridges: Sequence[BridgeProcess], vendor: Vendor, url: str, seed: int) -> None:
        self.bridges = bridges
        self.vendor = vendor
        self.url = url
        self.plans: dict[str, Plan] = {}
        self.address = bridges[0].address
        self._choose = random.Random(seed)
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def bridge(self) -> BridgeProcess:
        """The first of them."""
        return self.bridges[0]

    def plan(self, *, talk_s: float, **more: Any) -> Plan:
        """Return a healthy call whose agent talks this long, twice."""
        number = len(self.plans)
        sid = f"CA{self._choose.getrandbits(128):032x}"
        plan = Plan(sid, number, DEMO_CUSTOMERS[number % len(DEMO_CUSTOMERS)], {}, talk_s=talk_s, **more)
        self.plans[sid] = plan
        return plan

    def place(self, plan: Plan) -> "asyncio.Task[None]":
        """Begin a call."""
        call = QuickCall(plan, lambda: self.address, stolen=lambda: "", longest_s=LONGEST_CALL_S)
        task = asyncio.create_task(call.run(), name=f"call {plan.number}")
        self._calls.add(task)
        return task

    async def talking(self, plans: Sequence[Plan]) -> None:
        """Return once the caller of each hears the agent."""
        async with asyncio.timeout(60):
            while not all(plan.audio_at for plan in plans):
                await asyncio.sleep(0.02)

    async def all_over(self) -> None:
        """Return once every call placed has ended; what went wrong in one is raised."""
        await asyncio.gather(*self._calls)


@asynccontextmanager
async def scene(
    folder: Path,
    settings: Mapping[str, str] = MappingProxyType({}),
    *,
    seed: int,
    database: str = "sqlite",
    url: str = "",
    bridges: int = 1,
) -> AsyncIterator[Scene]:
    """Start everything, with a database of its own unless one is named; leave nothing behind.

    `settings` are environment names and values for every bridge.
    """
    async with AsyncExitStack() as stack:
        url = url or await stack.enter_async_context(storage(database, folder))
        plans: dict[str, Plan] = {}
        vendor = await stack.enter_async_context(Vendor(plans, seed=seed).listening())
        made = [
            BridgeProcess(
                folder, url, vendor.port, name=f"bridge{number}", ARCHER_SERVER__INSTANCE=f"bridge{number}", **settings
            )
            for number in range(bridges)
        ]
        stack.enter_context(tidied(*made))
        await asyncio.gather(*(bridge.start() for bridge in made))
        opened = Scene(made, vendor, url, seed)
        opened.plans = plans
        yield opened
