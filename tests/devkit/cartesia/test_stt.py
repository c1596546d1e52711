import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from archer_bridge.devkit.cartesia import DEFAULT_API_KEY
from archer_bridge.devkit.voices import ToneVoice
from archer_codecs import MULAW_8K, PCM16_8K, plan
from tests.devkit.cartesia.agent_client import VERSION, simulator
from tests.support.virtual import virtual

MULAW = "model=ink-2&encoding=pcm_mulaw&sample_rate=8000"
PAUSE = bytes(2 * 8000)  # a second of silence, int16


def pcm(text: str) -> bytes:
    return b"".join(utterance.audio for utterance in ToneVoice(speaker="caller").speak(text)) + PAUSE


def mulaw(text: str) -> bytes:
    return plan(PCM16_8K, MULAW_8K).build().feed(pcm(text))


@asynccontextmanager
async def stt(query: str, path: str = "/stt/turns/websocket", **options: Any) -> AsyncIterator[ClientConnection]:
    async with simulator(**options) as (served, _):
        url = f"{served.ws_url}{path}?cartesia_version={VERSION}&{query}"
        headers = {"X-API-Key": DEFAULT_API_KEY}
        async with connect(url, additional_headers=headers, proxy=None, ping_interval=None) as socket:
            yield socket


async def rest_of(socket: ClientConnection) -> list[dict[str, Any]]:
    return [json.loads(frame) async for frame in socket]


def without_id(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in event.items() if key != "request_id"} for event in events]


@virtual
async def test_turns_are_heard() -> None:
    async with stt(MULAW) as socket:
        data = mulaw("hello there") + mulaw("good bye")
        for at in range(0, len(data), 800):
            await socket.send(data[at : at + 800])
        await socket.send('{"type":"close"}')
        events = await rest_of(socket)

    assert len({event["request_id"] for event in events}) == 1
    plain = [event for event in without_id(events) if event["type"] != "turn.update"]
    assert plain == [
        {"type": "connected"},
        {"type": "turn.start"},
        {"type": "turn.eager_end", "transcript": "hello there"},
        {"type": "turn.end", "transcript": "hello there"},
        {"type": "turn.start"},
        {"type": "turn.eager_end", "transcript": "good bye"},
        {"type": "turn.end", "transcript": "good bye"},
    ]


@virtual
async def test_updates_are_cumulative_and_never_revised() -> None:
    async with stt(MULAW, stt_eager_end=False) as socket:
        await socket.send(mulaw("several words in one turn"))
        await socket.send('{"type":"close"}')
        events = await rest_of(socket)
    texts = [event["transcript"] for event in events if "transcript" in event]

    assert texts[-1] == "several words in one turn"
    assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:], strict=False))
    assert "turn.eager_end" not in {event["type"] for event in events}


@virtual
async def test_a_turn_does_not_end_while_no_audio_comes() -> None:
    async with stt(MULAW) as socket:
        await socket.send(mulaw("unfinished")[: -8000 - 960])
        await asyncio.sleep(60)
        await socket.send('{"type":"config","turn":{"colour":1}}')
        kinds: list[str] = []
        while "error" not in kinds:
            kinds.append(json.loads(await socket.recv())["type"])
        await socket.send('{"type":"close"}')
        ended = [event["type"] for event in await rest_of(socket)]

    assert "turn.start" in kinds
    assert "turn.end" not in kinds
    assert ended[-1] == "turn.end"


def widened(text: str, dtype: str) -> bytes:
    samples = np.frombuffer(pcm(text), "<i2").astype(np.float64)
    scaled = samples * 65536 if dtype == "<i4" else samples / 32768
    return scaled.astype(dtype).tobytes()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        pytest.param("pcm_s16le", pcm("hello"), id="s16"),
        pytest.param("pcm_s32le", widened("hello", "<i4"), id="s32"),
        pytest.param("pcm_f16le", widened("hello", "<f2"), id="f16"),
        pytest.param("pcm_f32le", widened("hello", "<f4"), id="f32"),
    ],
)
@virtual
async def test_encodings_cut_anywhere(encoding: str, data: bytes) -> None:
    async with stt(f"model=ink-2&encoding={encoding}&sample_rate=8000") as socket:
        for at in range(0, len(data), 1001):
            await socket.send(data[at : at + 1001])
        await socket.send('{"type":"close"}')
        events = await rest_of(socket)

    assert (events[-1]["type"], events[-1]["transcript"]) == ("turn.end", "hello")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param("encoding=pcm_mulaw&sample_rate=8000", "model_not_found", id="no-model"),
        pytest.param("model=ink-whisper&encoding=pcm_mulaw&sample_rate=8000", "model_not_found", id="manual-model"),
        pytest.param("model=ink-2&encoding=mp3&sample_rate=8000", "unsupported_audio_format", id="encoding"),
        pytest.param("model=ink-2&encoding=pcm_mulaw", "unsupported_audio_format", id="no-rate"),
        pytest.param("model=ink-2&encoding=pcm_mulaw&sample_rate=0", "unsupported_audio_format", id="rate-0"),
        pytest.param(f"{MULAW}&turn_start_threshold=0.95", None, id="threshold-high"),
        pytest.param(f"{MULAW}&turn_end_threshold=abc", None, id="threshold-text"),
        pytest.param(f"{MULAW}&turn_end_threshold=0.5&turn_eager_end_threshold=0.4", None, id="threshold-order"),
        pytest.param(f"{MULAW}&turn_end_timeout_ms=100", None, id="timeout"),
        pytest.param(f"{MULAW}" + "&keyterm=x" * 101, None, id="keyterms"),
        pytest.param(f"{MULAW}&keyterm=" + "x" * 1201, None, id="keyterm-length"),
    ],
)
@virtual
async def test_bad_settings_are_told_after_the_upgrade(query: str, code: str | None) -> None:
    async with stt(query) as socket:
        first = json.loads(await socket.recv())
        with pytest.raises(ConnectionClosed):
            await socket.recv()

    assert (first["type"], first["status_code"], first["error_code"]) == ("error", 400, code)


@pytest.mark.parametrize(
    ("text", "is_error"),
    [
        pytest.param('{"type":"config","turn":{"end_threshold":0.1}}', False, id="config"),
        pytest.param('{"type":"config"}', False, id="empty-config"),
        pytest.param('{"type":"config","turn":{"end_threshold":0.9}}', True, id="bad-config"),
        pytest.param('{"type":"config","turn":{"colour":1}}', True, id="unknown-setting"),
        pytest.param('{"type":"finalize"}', True, id="unknown-command"),
        pytest.param("finalize", True, id="not-json"),
    ],
)
@virtual
async def test_commands(text: str, is_error: bool) -> None:
    async with stt(MULAW) as socket:
        await socket.send(text)
        await socket.send(mulaw("go on"))
        await socket.send('{"type":"close"}')
        events = await rest_of(socket)

    assert ("error" in {event["type"] for event in events}) is is_error
    assert events[-1]["transcript"] == "go on"


@pytest.mark.parametrize("path", ["/stt/turns/websocket", "/stt/websocket"])
@virtual
async def test_the_upgrade_needs_a_credential(path: str) -> None:
    async with simulator() as (served, _):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{served.ws_url}{path}?cartesia_version={VERSION}&{MULAW}", proxy=None)

    assert refused.value.response.status_code == 401


# -- manual --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["close", "done"])
@virtual
async def test_manual_finals_are_deltas(last: str) -> None:
    async with stt(MULAW, "/stt/websocket") as socket:
        await socket.send(mulaw("hello there"))
        await socket.send(mulaw("my friend")[:-8000])
        await socket.send("finalize")
        await socket.send(mulaw("bye"))
        await socket.send(last)
        events = await rest_of(socket)
    finals = [event for event in events if event["type"] == "transcript" and event["is_final"]]
    kinds = [event["type"] for event in events if event["type"] != "transcript"]

    assert "".join(event["text"] for event in finals) == "hello there my friend bye"
    assert all(event["duration"] > 0 for event in finals)
    assert kinds == ["flush_done", "done"]


@virtual
async def test_manual_refuses_other_words_and_goes_on() -> None:
    async with stt(MULAW, "/stt/websocket") as socket:
        await socket.send("hello")
        error = json.loads(await socket.recv())
        await socket.send("finalize")
        done = json.loads(await socket.recv())

    assert (error["type"], done["type"]) == ("error", "flush_done")


@virtual
async def test_manual_bad_settings() -> None:
    async with stt("model=ink-9", "/stt/websocket") as socket:
        first = json.loads(await socket.recv())

    assert first["error_code"] == "model_not_found"


@virtual
async def test_manual_idle_close() -> None:
    async with stt(MULAW, "/stt/websocket") as socket:
        assert await rest_of(socket) == []

    assert (socket.close_code, socket.close_reason) == (1000, "connection idle timeout")
