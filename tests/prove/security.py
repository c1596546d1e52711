"""Try to get in, thousands of times: `python -m tests.prove.security [--quick] [--seed N]`. Loopback only.

Prints a table of goals and results, and `N passed, M failed`; exit code 1 when anything failed.
"""

import argparse
import asyncio
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from archer_bridge.adapters.sql import SqlStore, open_store, upgrade
from archer_bridge.devkit.phone import Caller, PhoneOptions
from archer_bridge.devkit.virtual_time import run
from archer_bridge.models import NewCall
from archer_bridge.protocols import twiml
from archer_bridge.protocols.stream_token import TokenKeys, TokenProblem
from archer_bridge.web.stream import UNAUTHENTICATED_LIMIT
from tests.support.asgi import ask, knock
from tests.support.forgery import SHARED_ID, SHARED_SECRET, UPGRADES, WEBHOOKS, genuine
from tests.support.streams import open_stream
from tests.support.twilio import voice_form
from tests.support.world import DANA, world

ROOT = Path(__file__).parents[2]
ACCOUNT = "AC" + "2" * 32
SHARED = {"ARCHER_TWILIO__SHARED_KEYS": f'{{"{SHARED_ID}": "{SHARED_SECRET}"}}'}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    seed: int
    forgeries: int
    tokens: int
    races: int
    sockets: int
    calls: int
    secrets: int
    documents: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    what: str
    goal: str
    result: str
    holds: bool


async def forged_webhooks(size: Size, folder: Path) -> list[Finding]:
    """Every class of forgery, many times each."""
    choose, answers, took = random.Random(size.seed), Counter[int](), []
    good = genuine("/webhooks/twilio/incoming", voice_form())
    async with world(folder, **SHARED) as here:
        for forge in WEBHOOKS.values():
            for _ in range(size.forgeries):
                bad = forge(good, choose)
                headers = [*bad.headers, (b"content-type", bad.content_type)]
                began = time.perf_counter()
                status, _ = await ask(here.app, bad.path, query=bad.query, headers=headers, body=bad.body)
                took.append(time.perf_counter() - began)
                answers[status] += 1
        upgrades = Counter[str]()
        for make in UPGRADES.values():
            for _ in range(size.forgeries):
                upgrades[await knock(here.app, "/ws/cartesia", headers=make(choose))] += 1
        rows, vendor = len(await here.store.list_calls()), here.simulator.counters.connections
    total, median = len(took), statistics.median(took) * 1000
    return [
        Finding(
            f"{total} forged webhooks of {len(WEBHOOKS)} classes",
            "all 403",
            str(dict(answers)),
            answers == {403: total},
        ),
        Finding("median time of one", "<= 2 ms", f"{median:.2f} ms", median <= 2),
        Finding(
            f"{upgrades.total()} forged upgrades of {len(UPGRADES)} classes",
            "all refused",
            str(dict(upgrades)),
            set(upgrades) == {"websocket.close"},
        ),
        Finding("rows and vendor connections after them", "0 and 0", f"{rows} and {vendor}", rows == vendor == 0),
    ]


def _mutated(token: str, choose: random.Random) -> str:
    at = choose.randrange(len(token))
    match choose.randrange(6):
        case 0:
            return token[:at] + chr(ord(token[at]) ^ (1 << choose.randrange(7))) + token[at + 1 :]
        case 1:
            return token[:at] + token[at + 1 :]
        case 2:
            return token[:at] + choose.choice("0aA._-é ") + token[at:]
        case 3:
            parts = token.split(".")
            parts[choose.randrange(6)] = choose.choice(["", "0", "v1", "9" * 12, parts[choose.randrange(6)]])
            return ".".join(parts)
        case 4:
            return token[:at] + token[at:].swapcase()
        case _:
            return token + choose.choice([".", "=", "A", "\n", "\x00"])


async def tokens(size: Size, folder: Path) -> list[Finding]:
    """Mutations and other calls' tokens at the check."""
    choose, keys, accepted, odd = random.Random(size.seed), TokenKeys(("one", "two")), 0, 0
    for number in range(size.tokens):
        call = f"CA{number:032x}"
        token = keys.issue(call, ACCOUNT, expires_at=1e9, token_id=f"{choose.getrandbits(128):032x}")
        attempts = [
            (_mutated(token, choose), call, ACCOUNT, 1e9),
            (token, f"CA{number + 1:032x}", ACCOUNT, 1e9),
            (token, call, "AC" + "3" * 32, 1e9),
            (token, call, ACCOUNT, 1e9 + 31),
        ]
        for given, sid, account, now in attempts:
            if given == token and (sid, account, now) == (call, ACCOUNT, 1e9):
                continue
            try:
                keys.check(given, call_sid=sid, account_sid=account, now=now)
                accepted += 1
            except TokenProblem:
                pass
            except Exception:
                odd += 1
    count = 4 * size.tokens
    return [
        Finding(
            f"{count} tokens mutated, of other calls or accounts, expired",
            "0 accepted",
            f"{accepted} accepted",
            accepted == 0,
        ),
        Finding("exceptions of any other kind", "0", str(odd), odd == 0),
    ]


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
    from tests.adapters.sql import postgres_server

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


async def strangers(size: Size, folder: Path) -> list[Finding]:
    """Signed sockets that never prove themselves, beside calls that are live."""
    loop = asyncio.get_running_loop()

    async def listen(caller: Caller) -> None:
        await caller.wait(9)
        await caller.hang_up()

    async with world(folder, ARCHER_SERVER__MAX_CALLS="200") as here:
        calls = [asyncio.create_task(here.call(listen, options=PhoneOptions(voice="tones"))) for _ in range(size.calls)]
        while here.simulator.counters.connections < size.calls:
            await asyncio.sleep(0.1)
        began, vendor = loop.time(), here.simulator.counters.connections
        opened = await asyncio.gather(*(open_stream(here) for _ in range(size.sockets)), return_exceptions=True)
        sockets = [socket for socket in opened if not isinstance(socket, BaseException)]
        await asyncio.gather(*(socket.wait_closed() for socket in sockets))
        took, refused = loop.time() - began, size.sockets - len(sockets)
        extra = here.simulator.counters.connections - vendor
        await asyncio.gather(*calls)
        rows = await here.store.list_calls(limit=1000)
    lost = sum(row.numbers.get("frames_missing", 0) + sum(row.numbers.get("bad_frames", {}).values()) for row in rows)
    frames = sum(row.numbers.get("frames_in", 0) for row in rows)
    return [
        Finding(
            f"{size.sockets} unproved sockets: accepted",
            f"<= {UNAUTHENTICATED_LIMIT}",
            f"{len(sockets)}, {refused} refused",
            len(sockets) <= UNAUTHENTICATED_LIMIT,
        ),
        Finding("all closed", "<= 6 s", f"{took:.1f} s of the call's clock", took <= 6),
        Finding(
            "vendor connections and rows for them",
            "0 and 0",
            f"{extra} and {len(rows) - size.calls}",
            (extra, len(rows)) == (0, size.calls),
        ),
        Finding(
            f"frames lost by {size.calls} live calls",
            "0",
            f"{lost} of {frames}",
            lost == 0 and frames >= 400 * size.calls,
        ),
    ]


async def documents(size: Size, folder: Path) -> list[Finding]:
    """Hostile values in every TwiML document."""
    choose, broken = random.Random(size.seed), 0
    alphabet = [
        "<",
        ">",
        "&",
        '"',
        "'",
        "]]>",
        "<!--",
        "<?x",
        "\x00",
        "\x0b",
        "\ud800",
        "\ufffe",
        "é",
        "x",
        "</Say><Dial>1</Dial>",
        "&#0;",
        "\U0001f600",
        "\x1b",
        "\u2028",
    ]
    for _ in range(size.documents):
        value = "".join(choose.choice(alphabet) for _ in range(choose.randrange(200)))
        made = [
            (
                twiml.connect_stream(
                    stream_url="wss://b.example/ws",
                    action_url="https://b.example/a",
                    status_url="https://b.example/s",
                    parameters={"customer_id": value},
                    before=value or "x",
                ),
                ["Response", "Say", "Connect", "Stream", "Parameter", "Say", "Redirect"],
            ),
            (twiml.say_and_hang_up(value or "x"), ["Response", "Say", "Hangup"]),
            (
                twiml.transfer(value or "x", action_url="https://b.example/a", caller_id=value),
                ["Response", "Dial", "Number"],
            ),
        ]
        for document, tags in made:
            try:
                broken += [item.tag for item in ElementTree.fromstring(document).iter()] != tags
            except ElementTree.ParseError:
                broken += 1
    return [
        Finding(
            f"{3 * size.documents} TwiML documents with hostile values",
            "all parse, only our tags",
            f"{broken} wrong",
            broken == 0,
        )
    ]


async def canaries(size: Size, folder: Path) -> list[Finding]:
    """Planted secrets in every sink; a process of its own."""
    if not size.secrets:  # the suite has a test of its own for them
        return []
    command = [sys.executable, "-m", "tests.support.canary", "--secrets", str(size.secrets), "--seed", str(size.seed)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, cwd=ROOT, check=False)
    finds = done.stdout.partition('"finds": ')[2].strip(" }\n") or done.stderr[-300:]
    return [
        Finding(
            f"{size.secrets} secrets through every entry",
            "0 found in any sink",
            "0" if finds == "[]" else finds,
            finds == "[]",
        )
    ]


Proof = Callable[[Size, Path], Awaitable[list[Finding]]]
PROOFS: tuple[tuple[Proof, bool], ...] = (
    (forged_webhooks, True),
    (tokens, False),
    (races, False),
    (strangers, True),
    (documents, False),
    (canaries, False),
)
"""And whether it runs on virtual time."""


def main() -> int:
    """Run every proof and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few of everything, for the test suite")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    size = (
        Size(options.seed, forgeries=5, tokens=500, races=20, sockets=300, calls=2, secrets=0, documents=300)
        if options.quick
        else Size(
            options.seed,
            forgeries=1000,
            tokens=10_000,
            races=500,
            sockets=1000,
            calls=50,
            secrets=200,
            documents=10_000,
        )
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    findings: list[Finding] = []
    for proof, is_virtual in PROOFS:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            work = proof(size, Path(folder))
            findings += run(work) if is_virtual else asyncio.run(work)  # type: ignore[arg-type]  # coroutines both
        print(f"{proof.__name__}: {time.perf_counter() - began:.1f} s", flush=True)
    print(f"seed {size.seed}")
    for finding in findings:
        print(f"{'ok  ' if finding.holds else 'FAIL'} {finding.what:62} goal {finding.goal:26} result {finding.result}")
    failed = sum(not finding.holds for finding in findings)
    print(f"{len(findings) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
