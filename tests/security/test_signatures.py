"""Signatures: Twilio's own requests pass with either kind of key; every class of forgery is refused at no cost."""

import random
from pathlib import Path

import pytest

from tests.support.asgi import ask, knock
from tests.support.forgery import (
    SHARED_ID,
    SHARED_SECRET,
    SIGNATURE,
    UPGRADES,
    WEBHOOKS,
    Forged,
    genuine,
    upgrade_signature,
)
from tests.support.twilio import CALL_SID, voice_form
from tests.support.virtual import virtual
from tests.support.world import PUBLIC, World, world

INCOMING = "/webhooks/twilio/incoming"
SHARED = {"ARCHER_TWILIO__SHARED_KEYS": f'{{"{SHARED_ID}": "{SHARED_SECRET}"}}'}
TIMES = 5


async def send(here: World, request: Forged) -> int:
    headers = [*request.headers, (b"content-type", request.content_type)]
    status, body = await ask(here.app, request.path, query=request.query, headers=headers, body=request.body)
    assert status == 200 or body == b""
    return status


@virtual
async def test_every_class_of_forged_webhook_is_403_and_leaves_nothing(tmp_path: Path) -> None:
    choose = random.Random(1)
    good = genuine(INCOMING, voice_form())
    async with world(tmp_path, **SHARED) as here:
        answers = {
            name: {await send(here, forge(good, choose)) for _ in range(TIMES)} for name, forge in WEBHOOKS.items()
        }

        assert answers == dict.fromkeys(WEBHOOKS, {403})
        assert len(WEBHOOKS) >= 30
        assert here.service.gate.counts.total() == TIMES * len(WEBHOOKS)
        assert await here.store.list_calls() == []
        assert here.simulator.counters.connections == 0


@pytest.mark.parametrize("shared", [False, True], ids=["auth-token", "shared-key"])
@virtual
async def test_twilios_own_request_is_answered(shared: bool, tmp_path: Path) -> None:
    async with world(tmp_path, **SHARED) as here:
        assert await send(here, genuine(INCOMING, voice_form(), shared=shared)) == 200
        assert await here.store.get_call(CALL_SID) is not None


@virtual
async def test_a_shared_key_counts_only_where_it_is_configured(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        assert await send(here, genuine(INCOMING, voice_form(), shared=True)) == 403


@virtual
async def test_fields_shifted_across_their_boundary_reach_nothing(tmp_path: Path) -> None:
    """Names and values are signed without a mark between them, so such a form has a valid signature."""
    good = genuine(INCOMING, voice_form())
    shifted = [
        tuple((name[:-1], name[-1] + value) if name == moved else (name, value) for name, value in good.form)
        for moved in ("CallSid", "From", "AccountSid")
    ]
    async with world(tmp_path) as here:
        answers = [
            await ask(
                here.app,
                INCOMING,
                headers=[*good.headers, (b"content-type", good.content_type)],
                body=Forged(INCOMING, form, ()).body,
            )
            for form in shifted
        ]

        assert {status for status, _ in answers} <= {400, 403}
        assert await here.store.list_calls() == []


@virtual
async def test_every_class_of_forged_upgrade_is_refused_before_accept(tmp_path: Path) -> None:
    choose = random.Random(1)
    async with world(tmp_path, **SHARED) as here:
        answers = {
            name: {await knock(here.app, "/ws/cartesia", headers=forge(choose)) for _ in range(TIMES)}
            for name, forge in UPGRADES.items()
        }

        assert answers == dict.fromkeys(UPGRADES, {"websocket.close"})
        assert here.service.unauthenticated == 0


@pytest.mark.parametrize("origin", [None, PUBLIC, PUBLIC.upper()])
@virtual
async def test_twilio_sends_no_origin_and_our_own_is_harmless(origin: str | None, tmp_path: Path) -> None:
    wss = PUBLIC.replace("https", "wss") + "/ws/cartesia"
    headers = [(SIGNATURE, upgrade_signature(wss)), *([(b"origin", origin.encode())] if origin else [])]
    async with world(tmp_path) as here:
        assert await knock(here.app, "/ws/cartesia", headers=headers) == "websocket.accept"
