"""The filler's words: from the vendor once, from disk afterwards, tones in between and instead."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archer_bridge.adapters.cartesia_rest import CartesiaRest
from archer_bridge.adapters.fillers import FillerShelf, sign_of_life
from archer_bridge.devkit.cartesia import SimulatorOptions, create_simulator
from archer_bridge.devkit.phone.tape import linear
from archer_bridge.devkit.serving import serving
from archer_bridge.devkit.voices import ToneEar, transcribe
from tests.support.virtual import virtual

KEY = "sk_car_simulator"
VOICE = "a0e99841-438c-4a64-b679-ae501e7d6091"
SIGN = sign_of_life()


def shelf_at(url: str, folder: Path, **more: Any) -> FillerShelf:
    rest = CartesiaRest(url, KEY, version="2026-08-14", timeout_s=5.0)
    return FillerShelf(rest, VOICE, folder=folder, **more)


def said(words: bytes) -> list[str]:
    return [heard.text for heard in transcribe(linear(words).astype("<i2").tobytes(), ear=ToneEar())]


def test_the_sign_of_life_is_soft_and_short() -> None:
    level = np.abs(linear(SIGN).astype(np.int32))

    assert len(SIGN) == 240 * 8
    assert 800 < level.max() < 1600
    assert level[:8].max() < 100


@virtual
async def test_words_come_from_the_vendor_once_and_from_disk_afterwards(tmp_path: Path) -> None:
    app = create_simulator(SimulatorOptions(voice="tones"))
    async with serving(app) as vendor:
        first = shelf_at(vendor.http_url, tmp_path)
        before = first.audio
        await first.load()
    second = shelf_at("http://127.0.0.1:9", tmp_path)  # the discard port: nobody answers
    await second.load()

    assert (before.words, before.sign) == (SIGN, SIGN)
    assert said(first.audio.words) == ["One moment, please."]
    assert second.audio == first.audio
    assert second.audio.sign == SIGN
    assert [path.suffix for path in tmp_path.iterdir()] == [".ulaw"]


@virtual
async def test_without_a_voice_or_a_key_tones_say_it_all(tmp_path: Path) -> None:
    for shelf in (FillerShelf(None, VOICE, folder=tmp_path), FillerShelf(None, "", folder=tmp_path)):
        await shelf.load()

        assert shelf.audio.words == SIGN
    assert list(tmp_path.iterdir()) == []


Send = Callable[[dict[str, Any]], Awaitable[None]]


class Vendor:
    """Answers `/tts/bytes` with a list of statuses and bodies, one after another."""

    def __init__(self, *answers: tuple[int, bytes], delay_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.asked = 0
        self._delay_s = delay_s

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        self.asked += 1
        await asyncio.sleep(self._delay_s)
        status, body = self.answers.pop(0)
        await send({"type": "http.response.start", "status": status, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        pytest.param([(503, b"")] * 3, SIGN, id="down"),
        pytest.param([(200, b"")] * 3, SIGN, id="empty"),
        pytest.param([(200, b"x" * 80_000)] * 3, SIGN, id="no-few-words"),
        pytest.param([(503, b""), (200, b"w" * 8000)], b"w" * 8000, id="back-again"),
    ],
)
@virtual
async def test_a_vendor_in_trouble_is_asked_again_later(
    answers: list[tuple[int, bytes]], words: bytes, tmp_path: Path
) -> None:
    vendor = Vendor(*answers)
    async with serving(vendor) as served:  # type: ignore[arg-type]  # a plain ASGI callable
        shelf = shelf_at(served.http_url, tmp_path, retries_s=(3.0, 5.0))
        await shelf.load()

    assert shelf.audio.words == words
    assert (vendor.asked, vendor.answers) == (len(answers), [])
    assert bool(list(tmp_path.iterdir())) == (words != SIGN)


@virtual
async def test_a_slow_vendor_keeps_nobody_waiting(tmp_path: Path) -> None:
    vendor = Vendor((200, b"w" * 8000), delay_s=3.0)
    async with serving(vendor) as served:  # type: ignore[arg-type]  # a plain ASGI callable
        shelf = shelf_at(served.http_url, tmp_path)
        loading = asyncio.ensure_future(shelf.load())
        await asyncio.sleep(1)
        meanwhile = shelf.audio
        await loading

    assert meanwhile.words == SIGN
    assert shelf.audio.words == b"w" * 8000


@virtual
async def test_a_disk_that_keeps_nothing_is_no_reason_for_tones(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    vendor = Vendor((200, b"w" * 8000))
    async with serving(vendor) as served:  # type: ignore[arg-type]  # a plain ASGI callable
        shelf = shelf_at(served.http_url, tmp_path / "taken")
        await shelf.load()

    assert shelf.audio.words == b"w" * 8000
