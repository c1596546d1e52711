"""The vendor's own SDK, unmodified, as the independent judge of REST, speech to text and text to speech.

It has no client for the agent socket; that is judged by the schema of its documentation (schema.py).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from cartesia import AsyncCartesia, AuthenticationError, BadRequestError, NotFoundError

from archer_bridge.devkit.cartesia import DEFAULT_API_KEY, CartesiaSimulator
from archer_bridge.devkit.dialogue import HangUp, Say
from archer_bridge.devkit.serving import Served
from archer_bridge.devkit.voices import ToneVoice, heard_text
from archer_codecs import MULAW_8K, PCM16_8K, plan
from tests.devkit.cartesia.agent_client import agent_client, simulator
from tests.devkit.cartesia.brains import Scripted, maker
from tests.support.virtual import virtual

FORMAT: Any = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}
DIRECT: Any = {"proxy": None, "ping_interval": None}
PAUSE = b"\xff" * 8000


@asynccontextmanager
async def sdk(
    *, api_key: str = DEFAULT_API_KEY, **options: Any
) -> AsyncIterator[tuple[AsyncCartesia, CartesiaSimulator, Served]]:
    async with simulator(**options) as (served, sim), httpx.AsyncClient(trust_env=False) as http:
        client = AsyncCartesia(
            api_key=api_key, base_url=served.http_url, websocket_base_url=served.ws_url, http_client=http, max_retries=0
        )
        yield client, sim, served


def decoded(data: bytes) -> str:
    return heard_text(plan(MULAW_8K, PCM16_8K).build().feed(data))


def caller(text: str) -> bytes:
    audio = b"".join(utterance.audio for utterance in ToneVoice(speaker="caller").speak(text))
    return plan(PCM16_8K, MULAW_8K).build().feed(audio) + PAUSE


@virtual
async def test_status_and_access_token() -> None:
    async with sdk() as (client, sim, _):
        status = await client.get_status()
        answer = await client.access_token.create(grants={"tts": True, "agent": True}, expires_in=60)

    assert status.ok
    assert answer.token.startswith("eyJ")


@virtual
async def test_refusals_are_the_sdks_exceptions() -> None:
    async with sdk() as (client, _, _):
        with pytest.raises(NotFoundError):
            await client.agents.calls.retrieve("ac_none")
        with pytest.raises(BadRequestError):
            await client.access_token.create(expires_in=99999)
    async with sdk(api_key="sk_car_wrong") as (client, _, _):
        with pytest.raises(AuthenticationError):
            await client.access_token.create()


@virtual
async def test_an_agent_call_is_retrieved_and_listed() -> None:
    brain = Scripted([Say("Thank you. Bye."), HangUp()])
    async with sdk(agent=maker(brain)) as (client, _, served):
        async with agent_client(served) as caller_end:
            ready = await caller_end.start()
            await caller_end.closed()
        call = await client.agents.calls.retrieve(ready["call_id"])
        listed = [item.id async for item in client.agents.calls.list(agent_id="agent_archer", expand="transcript")]

    assert (call.id, call.status, call.agent_id) == (ready["call_id"], "completed", "agent_archer")
    assert [turn.text for turn in call.transcript or []] == ["Thank you. Bye."]
    assert call.end_time is not None
    assert listed == [ready["call_id"]]


@virtual
async def test_a_context_speaks_with_timestamps_and_flush() -> None:
    async with (
        sdk() as (client, _, _),
        client.tts.websocket_connect(websocket_connection_options=DIRECT) as connection,
    ):
        context = connection.context(
            model_id="sonic-3.6", voice="v", output_format=FORMAT, add_timestamps=True, timeout=10
        )
        await context.push("Hello ")
        await context.push("there.")
        await context.push("", flush=True)
        await context.push("Good bye.")
        await context.no_more_inputs()
        events = [event async for event in context.receive()]

    audio = b"".join(event.audio or b"" for event in events if event.type == "chunk")
    words = [word for event in events if event.type == "timestamps" for word in event.word_timestamps.words]
    assert decoded(audio) == "Hello there. Good bye."
    assert words == ["Hello", "there.", "Good", "bye."]
    assert [event.flush_id for event in events if event.type == "flush_done"] == [1]
    assert events[-1].type == "done"


@virtual
async def test_cancelling_a_context_leaves_the_socket_usable() -> None:
    async with (
        sdk(tts_speed=2.0) as (client, _, _),
        client.tts.websocket_connect(websocket_connection_options=DIRECT) as connection,
    ):
        first = connection.context(model_id="sonic-3.6", voice="v", output_format=FORMAT, timeout=10)
        await first.push("This will be cut off by the caller.")
        await first.cancel()
        second = connection.context(model_id="sonic-3.6", voice="v", output_format=FORMAT, timeout=10)
        await second.push("This not.")
        await second.no_more_inputs()
        audio = b"".join([event.audio or b"" async for event in second.receive() if event.type == "chunk"])

    assert decoded(audio) == "This not."


@virtual
async def test_generate_answers_with_bytes() -> None:
    async with sdk() as (client, _, _):
        answer = await client.tts.generate(
            model_id="sonic-3.6", transcript="All at once.", voice={"id": "v"}, output_format=FORMAT
        )
        data = await answer.read()

    assert decoded(data) == "All at once."


@virtual
async def test_turns_are_transcribed() -> None:
    async with (
        sdk() as (client, _, _),
        client.stt.auto_finalize.websocket(
            model="ink-2", encoding="pcm_mulaw", sample_rate=8000, websocket_connection_options=DIRECT
        ) as connection,
    ):
        data = caller("my account ends in 4821")
        for at in range(0, len(data), 800):
            await connection.send_raw(data[at : at + 800])
        await connection.send({"type": "config", "turn": {"end_threshold": 0.2}})
        await connection.send({"type": "close"})
        events = [event async for event in connection]

    assert events[0].type == "connected"
    assert [event.transcript for event in events if event.type == "turn.end"] == ["my account ends in 4821"]
    assert "error" not in {event.type for event in events}


@virtual
async def test_what_the_sdk_speaks_it_also_transcribes() -> None:
    async with sdk() as (client, _, _):
        async with client.tts.websocket_connect(websocket_connection_options=DIRECT) as connection:
            context = connection.context(model_id="sonic-3.6", voice="v", output_format=FORMAT, timeout=10)
            await context.push("The circle is closed.")
            await context.no_more_inputs()
            audio = b"".join([event.audio or b"" async for event in context.receive() if event.type == "chunk"])
        async with client.stt.manual_finalize.websocket(
            model="ink-2", encoding="pcm_mulaw", sample_rate=8000, language="en", websocket_connection_options=DIRECT
        ) as connection:
            await connection.send_raw(audio)
            await connection.send("finalize")
            await connection.send("close")
            events = [event async for event in connection]

    assert "".join(e.text for e in events if e.type == "transcript" and e.is_final) == "The circle is closed."
    assert [event.type for event in events if event.type != "transcript"] == ["flush_done", "done"]
