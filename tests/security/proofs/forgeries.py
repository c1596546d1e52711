"""Forged webhooks, upgrades and tokens, thousands of each class."""

import random
import statistics
import time
from collections import Counter
from pathlib import Path

from archer_bridge.protocols.stream_token import TokenKeys, TokenProblem
from tests.security.proofs.findings import Finding, Size
from tests.support.asgi import ask, knock
from tests.support.forgery import SHARED_ID, SHARED_SECRET, UPGRADES, WEBHOOKS, genuine
from tests.support.twilio import voice_form
from tests.support.world import world

ACCOUNT = "AC" + "2" * 32
SHARED = {"ARCHER_TWILIO__SHARED_KEYS": f'{{"{SHARED_ID}": "{SHARED_SECRET}"}}'}


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
