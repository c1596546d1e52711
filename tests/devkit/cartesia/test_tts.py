import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from archer_bridge.devkit.cartesia import DEFAULT_API_KEY
from archer_bridge.devkit.voices import heard_text
from archer_codecs import MULAW_8K, PCM16_8K, plan
from tests.devkit.cartesia.agent_client import VERSION, simulator
from tests.support.virtual import virtual

HEADERS = {"X-API-Key": DEFAULT_API_KEY, "Cartesia-Version": VERSION}
FORMAT = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}


def request(transcript: str, **fields: Any) -> dict[str, Any]:
    base = {"model_id": "sonic-3.6", "voice": {"id": "v"}, "output_format": FORMAT, "context_id": "c1"}
    return {**base, "transcript": transcript, "max_buffer_delay_ms": 0, **fields}


class Peer:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    async def send(self, event: Any) -> None:
        await self.socket.send(event if isinstance(event, str | bytes) else json.dumps(event))

    async def until(self, *kinds: str, context_id: str | None = None) -> dict[str, Any]:
        while True:
            event: dict[str, Any] = json.loads(await self.socket.recv())
            self.events.append(event)
            if event["type"] in kinds and context_id in (None, event.get("context_id")):
                return event

    def audio(self, context_id: str = "c1") -> bytes:
        chunks = [e for e in self.events if e["type"] == "chunk" and e["context_id"] == context_id]
        return b"".join(base64.b64decode(chunk["data"]) for chunk in chunks)

    def heard(self, context_id: str = "c1") -> str:
        return heard_text(plan(MULAW_8K, PCM16_8K).build().feed(self.audio(context_id)))


@asynccontextmanager
async def tts(**options: Any) -> AsyncIterator[Peer]:
    async with simulator(**options) as (served, _):
        url = f"{served.ws_url}/tts/websocket"
        async with connect(url, additional_headers=HEADERS, proxy=None, ping_interval=None) as socket:
            yield Peer(socket)


@virtual
async def test_a_request_is_spoken_and_done() -> None:
    async with tts() as peer:
        await peer.send(request("Hello there. How are you?"))
        await peer.until("done")

    assert peer.heard() == "Hello there. How are you?"
    assert {event["status_code"] for event in peer.events} == {206}
    assert [event["done"] for event in peer.events] == [False] * (len(peer.events) - 1) + [True]


@virtual
async def test_transcripts_of_a_context_are_joined_as_they_are() -> None:
    async with tts() as peer:
        for part in ("He", "llo ", "you."):
            await peer.send(request(part, **{"continue": True, "max_buffer_delay_ms": 3000}))
        await peer.send(request("", **{"continue": False, "max_buffer_delay_ms": 3000}))
        await peer.until("done")

    assert peer.heard() == "Hello you."


@virtual
async def test_buffered_text_is_spoken_after_the_delay() -> None:
    async with tts() as peer:
        await peer.send(request("no full stop", **{"continue": True, "max_buffer_delay_ms": 2000}))
        await peer.until("chunk")
        await peer.until("done")

    assert peer.heard() == "no full stop"


@virtual
async def test_a_context_expires_a_second_after_its_last_audio() -> None:
    async with tts() as peer:
        await peer.send(request("Hello.", **{"continue": True}))
        await peer.until("done")
        await peer.send(request("More.", **{"continue": True}))
        error = await peer.until("error")

    assert (error["context_id"], error["status_code"], error["done"]) == ("c1", 400, True)
    assert "has ended" in error["message"]


@virtual
async def test_timestamps_count_from_the_start_of_the_context() -> None:
    async with tts() as peer:
        await peer.send(request("One two. Three.", add_timestamps=True))
        await peer.until("done")
    stamps = [event["word_timestamps"] for event in peer.events if event["type"] == "timestamps"]

    assert [word for stamp in stamps for word in stamp["words"]] == ["One", "two.", "Three."]
    starts = [start for stamp in stamps for start in stamp["start"]]
    assert starts == sorted(starts)
    assert starts[2] == pytest.approx((8 * 60 + 120) / 1000)


@virtual
async def test_flushes_are_counted_from_one() -> None:
    async with tts() as peer:
        for text in ("First.", "Second."):
            await peer.send(request(text, **{"continue": True, "max_buffer_delay_ms": 3000}))
            await peer.send(request("", flush=True, **{"continue": True, "max_buffer_delay_ms": 3000}))
        await peer.send(request("", max_buffer_delay_ms=3000))
        await peer.until("done")
    order = [(event["type"], event.get("flush_id")) for event in peer.events]
    shape = [entry for n, entry in enumerate(order) if n == 0 or order[n - 1] != entry]

    assert shape == [("chunk", 1), ("flush_done", 1), ("chunk", 2), ("flush_done", 2), ("done", None)]


@virtual
async def test_cancel_lets_the_running_generation_finish() -> None:
    async with tts(tts_speed=2.0) as peer:
        await peer.send(request("This one goes on and on.", **{"continue": True}))
        await peer.send(request("This one has not begun.", **{"continue": True}))
        await peer.until("chunk")
        await peer.send({"context_id": "c1", "cancel": True})
        await peer.until("done")

    assert peer.heard() == "This one goes on and on."


@virtual
async def test_contexts_share_a_socket() -> None:
    async with tts() as peer:
        await peer.send(request("The first one.", context_id="a"))
        await peer.send(request("The second one.", context_id="b"))
        await peer.until("done")
        await peer.until("done")

    assert (peer.heard("a"), peer.heard("b")) == ("The first one.", "The second one.")


@virtual
async def test_the_context_limit_is_an_event() -> None:
    async with tts(tts_concurrency=1) as peer:
        await peer.send(request("Long enough to be busy.", context_id="a"))
        await peer.send(request("Too much.", context_id="b"))
        error = await peer.until("error")
        await peer.until("done", context_id="a")
        await peer.send(request("Now.", context_id="c"))
        await peer.until("done", context_id="c")

    assert (error["context_id"], error["status_code"], error["error_code"]) == ("b", 429, "concurrency_limited")


@pytest.mark.parametrize(
    ("event", "known", "code"),
    [
        pytest.param("{", False, None, id="not-json"),
        pytest.param("[]", False, None, id="not-object"),
        pytest.param(b"\x00", False, None, id="binary"),
        pytest.param({"transcript": "x"}, False, None, id="no-context"),
        pytest.param(request("x", model_id=None), True, None, id="no-model"),
        pytest.param(request("x", model_id="sonic-2"), True, "model_sunsetted", id="sunset"),
        pytest.param(request("x", model_id="tone-1"), True, "model_not_found", id="unknown-model"),
        pytest.param(request("x", voice=None), True, "voice_not_found", id="no-voice"),
        pytest.param({**request("x"), "transcript": None}, True, None, id="no-transcript"),
        pytest.param(request("x", output_format=None), True, None, id="no-format"),
        pytest.param(
            request("x", output_format={**FORMAT, "container": "mp3"}), True, "unsupported_audio_format", id="mp3"
        ),
        pytest.param(
            request("x", output_format={**FORMAT, "sample_rate": 11025}), True, "unsupported_audio_format", id="rate"
        ),
        pytest.param(request("x", max_buffer_delay_ms=5001), True, None, id="delay"),
        pytest.param(request("x", language="en", locale="en-GB"), True, None, id="language-and-locale"),
        pytest.param(request("x", generation_config={"speed": 2}), True, None, id="speed"),
        pytest.param(request("x", flush=True), True, None, id="flush-with-text"),
        pytest.param(request("x", **{"continue": "yes"}), True, None, id="continue-text"),
    ],
)
@virtual
async def test_bad_requests_are_error_events(event: Any, known: bool, code: str | None) -> None:
    async with tts() as peer:
        await peer.send(event)
        error = await peer.until("error")
        await peer.send(request("Fine.", context_id="next"))
        await peer.until("done", context_id="next")

    assert ("context_id" in error) is known
    assert error["error_code"] == code
    assert {"type", "done", "status_code", "title", "message", "request_id"} <= set(error)


@virtual
async def test_settings_may_not_change_within_a_context() -> None:
    async with tts() as peer:
        await peer.send(request("One two three four.", **{"continue": True}))
        await peer.send(request("x", voice="another", **{"continue": True}))
        error = await peer.until("error")

    assert "other settings" in error["message"]


@virtual
async def test_an_idle_socket_is_closed_with_1000() -> None:
    async with tts(tts_idle_s=30) as peer:
        await peer.send(request("Hello."))
        with pytest.raises(ConnectionClosed):
            await peer.until("never")

    assert (peer.socket.close_code, peer.socket.close_reason) == (1000, "connection idle timeout")


@virtual
async def test_the_upgrade_needs_a_credential() -> None:
    async with simulator() as (served, _):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{served.ws_url}/tts/websocket?cartesia_version={VERSION}", proxy=None)

    assert refused.value.response.status_code == 401


@virtual
async def test_a_lost_client_ends_its_contexts() -> None:
    async with tts(tts_speed=1.0) as peer:
        await peer.send(request("A long sentence that is still being spoken when the client goes."))
        await peer.until("chunk")
        peer.socket.transport.abort()
        names = {"tts-c1"}
        while names:
            await asyncio.sleep(0.1)
            names = {task.get_name() for task in asyncio.all_tasks()} & {"tts-c1"}

    assert names == set()


# -- POST /tts/bytes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "dtype"),
    [
        pytest.param({"container": "raw", "encoding": "pcm_s16le", "sample_rate": 8000}, "<i2", id="s16-8k"),
        pytest.param({"container": "raw", "encoding": "pcm_f32le", "sample_rate": 8000}, "<f4", id="f32-8k"),
    ],
)
@virtual
async def test_bytes(output: dict[str, Any], dtype: str) -> None:
    async with simulator() as (served, _), httpx.AsyncClient(headers=HEADERS, trust_env=False) as client:
        answer = await client.post(f"{served.http_url}/tts/bytes", json=request("Hello.", output_format=output))
    samples = np.frombuffer(answer.content, dtype).astype(np.float64) * (1 if dtype == "<i2" else 32768)

    assert answer.status_code == 200
    assert heard_text(samples.astype("<i2").tobytes()) == "Hello."


@virtual
async def test_bytes_in_a_wav() -> None:
    output = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 8000}
    async with simulator() as (served, _), httpx.AsyncClient(headers=HEADERS, trust_env=False) as client:
        answer = await client.post(f"{served.http_url}/tts/bytes", json=request("Hello.", output_format=output))
        refused = await client.post(f"{served.http_url}/tts/bytes", content="{")

    assert answer.content[:4] == b"RIFF"
    assert int.from_bytes(answer.content[4:8], "little") == len(answer.content) - 8
    assert heard_text(answer.content[44:]) == "Hello."
    assert refused.status_code == 400
