"""Bytes that are no HTTP and no WebSocket: the connection ends, and no stranger writes a traceback into our log."""

import asyncio
import base64
import logging
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.streams import upgrade_headers
from tests.support.virtual import virtual
from tests.support.wire import BINARY, CONT, TEXT, close, frame, text
from tests.support.world import World, world

KEY = base64.b64encode(b"0123456789abcdef").decode()
BAD_TEXT = {
    "bad-utf8": [text(b"\xff\xfe")],
    "surrogate": [text(b"\xed\xa0\x80")],
    "cut-character": [text(b"\xc3")],
    "bad-utf8-in-fragments": [frame(TEXT, b"ok \xff", fin=False), frame(CONT, b"x")],
    "after-good-ones": [text("{}"), text("[]"), text(b"\x80")],
}
BAD_FRAMES = {
    "unmasked": [text("x", masked=False)],
    "reserved-bit": [b"\xc1\x80abcd"],
    "reserved-opcode": [b"\x83\x80abcd"],
    "continuation-of-nothing": [frame(CONT, b"c")],
    "too-large": [b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"abcd"],
    "negative-length": [b"\x81\xff" + b"\xff" * 8 + b"abcd"],
    "oversized-ping": [b"\x89\xfe\x00\x7eabcd" + bytes(126)],
    "fragmented-ping": [b"\x09\x81abcd\x11"],
    "binary-then-text-inside": [frame(BINARY, b"a", fin=False), text("x")],
    "bad-close-code": [frame(8, (1004).to_bytes(2, "big"))],
    "bad-close-reason": [frame(8, (1000).to_bytes(2, "big") + b"\xff")],
    "short-close": [frame(8, b"\x03")],
    "close-and-more": [close(1000), text("x"), close(1000)],
}
BAD_REQUESTS = {
    "nothing-like-http": b"\x16\x03\x01\x02\x00\x01\x00" + b"\x00" * 64 + b"\r\n\r\n",
    "no-key": b"GET /ws/cartesia HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "odd-key": b"GET /ws/cartesia HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\xfe=\r\n\r\n",
    "odd-header": b"GET /ws/cartesia HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, \xff\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: ;;;\xe9=\r\nSec-WebSocket-Protocol: ,,\r\n"
    b"Sec-WebSocket-Key: " + KEY.encode() + b"\r\n\r\n",
    "odd-path": b"GET /%ff%00/../ws/cartesia?%zz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY.encode() + b"\r\n\r\n",
    "odd-host": b"GET /ws/cartesia HTTP/1.1\r\nHost: [\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nX-Twilio-Signature: x\r\nSec-WebSocket-Key: " + KEY.encode() + b"\r\n\r\n",
    "webhook-odd-host": b"POST /webhooks/twilio/incoming HTTP/1.1\r\nHost: [\r\nContent-Length: 0\r\n\r\n",
    "webhook-odd-type": b"POST /webhooks/twilio/incoming HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Content-Type: multipart/form-data; boundary=\xff\r\nX-Twilio-Signature: \xe9\r\n\r\na=b",
}


async def _ended(here: World, request: bytes, frames: list[bytes]) -> bytes:
    """Send it all and return everything that came back until the connection was closed."""
    reader, writer = await asyncio.open_connection(here.bridge.host, here.bridge.port)
    writer.write(request)
    came = b""
    if frames:
        came = await reader.readuntil(b"\r\n\r\n")
        assert came.startswith(b"HTTP/1.1 101 ")
        writer.write(b"".join(frames))
    with suppress(ConnectionResetError):  # closed, too
        came += await reader.read()
    writer.close()
    return came


def _upgrade() -> bytes:
    headers = {
        "Host": "bridge.example.test",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
        **upgrade_headers(),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET /ws/cartesia HTTP/1.1\r\n{lines}\r\n".encode()


PATHS = [pytest.param(True, id="fast"), pytest.param(False, id="plain")]


def _tracebacks(caplog: pytest.LogCaptureFixture, lines: list[dict[str, object]]) -> list[str]:
    """Return what was logged with a traceback, or as an error, by libraries or by us."""
    odd = [record.getMessage() for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    return odd + [str(line) for line in lines if "exc_info" in line or line["log_level"] == "error"]


@pytest.mark.parametrize("fast", PATHS)
@pytest.mark.parametrize("frames", list((BAD_TEXT | BAD_FRAMES).values()), ids=list(BAD_TEXT | BAD_FRAMES))
@virtual
async def test_bad_frames_leave_no_traceback(
    frames: list[bytes], fast: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "uvicorn"), caplog.at_level(logging.DEBUG, "asyncio"):
        async with world(tmp_path, fast=fast) as here:
            with capture_logs() as lines:
                came = await _ended(here, _upgrade(), frames)
                await asyncio.sleep(1)
            unproved = here.service.unauthenticated

    assert _tracebacks(caplog, lines) == []
    assert unproved == 0
    if frames in BAD_TEXT.values():
        assert came.endswith(frame(8, (1007).to_bytes(2, "big"), masked=False))


@pytest.mark.parametrize("fast", PATHS)
@pytest.mark.parametrize("request_bytes", list(BAD_REQUESTS.values()), ids=list(BAD_REQUESTS))
@virtual
async def test_bad_requests_leave_no_traceback(
    request_bytes: bytes, fast: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "uvicorn"), caplog.at_level(logging.DEBUG, "asyncio"):
        async with world(tmp_path, fast=fast) as here:
            with capture_logs() as lines:
                came = await _ended(here, request_bytes, [])
                await asyncio.sleep(1)

    assert _tracebacks(caplog, lines) == []
    assert came.split(b" ", 2)[1] in {b"400", b"403", b"404", b"413", b"415", b"426"}, came
