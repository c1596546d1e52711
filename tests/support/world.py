"""The whole product in one event loop over real loopback sockets: bridge, Cartesia simulator, phone.

Runs on a virtual clock (`tests.support.virtual`), so that a minute's call takes a second.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from archer_bridge.adapters.client_socket import dial
from archer_bridge.adapters.fast_client import dial_fast
from archer_bridge.adapters.server import PatientFastProtocol, PlainProtocol
from archer_bridge.adapters.sql import SqlStore, open_store
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.app import create_app
from archer_bridge.config import Settings, load_settings
from archer_bridge.devkit.cartesia import CartesiaSimulator, SimulatorOptions, create_simulator
from archer_bridge.devkit.phone import (
    ALL_STATUS_EVENTS,
    DEMO_ACCOUNT,
    CallerScript,
    CallReport,
    Phone,
    PhoneOptions,
    StatusCallback,
)
from archer_bridge.devkit.serving import Served, serving
from archer_bridge.web.context import Service
from archer_bridge.web.stream import straight

FAST = os.environ.get("ARCHER_TEST_WEBSOCKET_PATH", "fast") == "fast"
"""Set it to `plain` to run everything over the other path."""
PUBLIC = "https://bridge.example.test"
DANA = "+15550100001"
SAM = "+15550100002"
STRANGER = "+15550100099"
BRIDGE_NUMBER = "+15550199999"


@dataclass(frozen=True, slots=True)
class World:
    """Handles on everything."""

    app: Starlette
    bridge: Served
    simulator: CartesiaSimulator
    store: SqlStore
    served_simulator: Served

    @property
    def service(self) -> Service:
        """The bridge's inside."""
        service: Service = self.app.state.service
        return service

    def phone(self, number: str = DANA, options: PhoneOptions | None = None, **more: Any) -> Phone:
        """Return a phone whose calls reach the bridge."""
        return Phone(
            DEMO_ACCOUNT,
            number,
            BRIDGE_NUMBER,
            f"{PUBLIC}/webhooks/twilio/incoming",
            connect_to=(self.bridge.host, self.bridge.port),
            status_callback=StatusCallback(f"{PUBLIC}/webhooks/twilio/status", ALL_STATUS_EVENTS),
            options=options or PhoneOptions(voice="tones"),
            **more,
        )

    async def settled(self) -> None:
        """Wait until no call is on the line and every verdict is in the record, also on streams that broke off."""
        await self.service.live.wait_empty()
        await self.service.agent.keeper.close(60)

    async def call(self, script: CallerScript, number: str = DANA, options: PhoneOptions | None = None) -> CallReport:
        """Place one call to its end, and to its record's."""
        report = await self.phone(number, options).call(script)
        await self.service.live.wait_released(report.call_sid, 60)
        await self.service.agent.keeper.close(60)
        return report


def settings_for(simulator: Served, database: str, **changes: str) -> Settings:
    """Return settings of the demo account for this simulator; `changes` are environment names and values."""
    environment = {
        "WEBHOOK_BASE_URL": PUBLIC,
        "TWILIO_ACCOUNT_SID": DEMO_ACCOUNT.account_sid,
        "TWILIO_AUTH_TOKEN": DEMO_ACCOUNT.auth_token,
        "CARTESIA_API_KEY": "sk_car_simulator",
        "CARTESIA_AGENT_ID": "agent_archer",
        "CARTESIA_WS_URL": simulator.ws_url,
        "ARCHER_CARTESIA__REST_URL": simulator.http_url,
        "DATABASE_URL": database,
        "ARCHER_CALLS__PER_NUMBER": "0",  # many calls of few customers are the tests' daily bread
    }
    return load_settings(environ={**environment, **changes}, env_file="", serving=True)


@asynccontextmanager
async def world(
    folder: Path, *, simulator: SimulatorOptions | None = None, fast: bool = FAST, **changes: str
) -> AsyncIterator[World]:
    """Run everything until the block is left; the database is a file in `folder`, seeded with the demo customers.

    `fast`: both of the bridge's sockets take the fast path, as they do when it is served; else the plain one.
    """
    database = f"sqlite+aiosqlite:///{folder / 'archer.db'}"
    store = await open_store(database, owner_id="test")
    try:
        await store.add_customers(DEMO_CUSTOMERS)
        mind = create_simulator(simulator or SimulatorOptions(voice="tones"))
        async with serving(mind) as served:
            settings = settings_for(served, database, **changes)
            app = create_app(settings, store=store, dialer=dial_fast if fast else dial, isolate_tools=False)
            async with serving(straight(app), ws=PatientFastProtocol if fast else PlainProtocol) as bridge:
                yield World(app, bridge, mind.state.simulator, store, served)
    finally:
        await store.close()
