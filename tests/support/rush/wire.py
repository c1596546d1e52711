"""WebSocket frames and form posts, as cheap as they get."""

import asyncio
import base64
import json
import os
import urllib.parse
from collections.abc import Callable, Mapping
from typing import cast

OPEN_TIMEOUT_S = 10.0


def masked(payload: bytes, opcode: int = 1) -> bytes:
    """Return one client frame; the key is zero, which unmasks for the same price."""
    return _head(opcode, len(payload), mask=0x80) + bytes(4) + payload


def unmasked(payload: bytes, opcode: int = 1) -> bytes:
    """Return one server frame."""
    return _head(opcode, len(payload), mask=0) + payload


def _head(opcode: int, size: int, *, mask: int) -> bytes:
    first = bytes((0x80 | opcode,))
    if size < 126:
        return first + bytes((mask | size,))
    if size < 1 << 16:
        return first + bytes((mask | 126,)) + size.to_bytes(2, "big")
    return first + bytes((mask | 127,)) + size.to_bytes(8, "big")


class Frames:
    """Cuts a byte stream into frames; (opcode, payload) each, unmasked."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take bytes; return the frames that are complete."""
        buffer, found, at = self._buffer + data, [], 0
        while at + 2 <= len(buffer):
            size, head = buffer[at + 1] & 0x7F, 2
            if size == 126:
                size, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
            has_mask = buffer[at + 1] & 0x80
            head += 4 if has_mask else 0
            if at + head + size > len(buffer):
                break
            body = buffer[at + head : at + head + size]
            found.append((buffer[at] & 0x0F, _unmask(buffer[at + head - 4 : at + head], body) if has_mask else body))
            at += head + size
        self._buffer = buffer[at:]
        return found


def _unmask(key: bytes, body: bytes) -> bytes:
    if key == b"\0\0\0\0" or not body:
        return body
    size = len(body)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(body, "big") ^ mask).to_bytes(size, "big")


class ClientSocket(asyncio.Protocol):
    """A client's WebSocket: `on_text` gets each message, `closed` the close code (1006: none came)."""

    def __init__(self, request: bytes, on_text: Callable[[bytes], None]) -> None:
        self._request = request
        self._on_text = on_text
        self._frames = Frames()
        self._head = b""
        self._is_open = False
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[int] = loop.create_future()
        """The status of the upgrade; 0 when the connection was lost before."""
        self.closed: asyncio.Future[int] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._is_open = True
            if not self.opened.done():  # the caller gave up waiting
                self.opened.set_result(int(head.split(b" ", 2)[1]))
        for opcode, body in self._frames.feed(data):
            if opcode == 1:
                self._on_text(body)
            elif opcode == 9:
                self.send(body, opcode=10)
            elif opcode == 8:
                if not self.closed.done():
                    self.closed.set_result(int.from_bytes(body[:2], "big") if body else 1005)
                self.send(body[:2], opcode=8)
                self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        for future, value in ((self.opened, 0), (self.closed, 1006)):
            if not future.done():
                future.set_result(value)

    def send(self, payload: bytes, opcode: int = 1) -> None:
        """Send one message, unless the connection is gone."""
        if not self.transport.is_closing():
            self.transport.write(masked(payload, opcode))

    def dribble(self, payload: bytes) -> None:
        """Send one message in pieces of a few bytes."""
        whole = masked(payload)
        for at in range(0, len(whole), 50):
            if not self.transport.is_closing():
                self.transport.write(whole[at : at + 50])


async def connect(
    address: tuple[str, int], path: str, headers: Mapping[str, str], on_text: Callable[[bytes], None]
) -> tuple[ClientSocket | None, int]:
    """Open a WebSocket; return it with 101, or None with the status of the refusal (0: no answer)."""
    lines = {
        "Host": "bridge.example.test",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **headers,
    }
    request = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            _, socket = await loop.create_connection(lambda: ClientSocket(request.encode(), on_text), *address)
            status = await socket.opened
    except (OSError, TimeoutError):
        return None, 0
    if status != 101:
        socket.transport.close()
        return None, status
    return socket, status


async def post(
    address: tuple[str, int], path: str, form: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[int, str]:
    """Post a form; return status and body, or status 0 when nothing came back."""
    body = urllib.parse.urlencode(form).encode()
    lines = {
        "Host": "bridge.example.test",
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    return await _ask(address, head.encode() + body)


async def fetch(address: tuple[str, int], path: str) -> tuple[int, str]:
    """Get a page; return status and body, or status 0 when nothing came back."""
    return await _ask(address, f"GET {path} HTTP/1.1\r\nHost: {address[0]}\r\nConnection: close\r\n\r\n".encode())


async def _ask(address: tuple[str, int], request: bytes) -> tuple[int, str]:
    try:
        async with asyncio.timeout(15.0):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(request)
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0, ""
    head, _, text = answer.partition(b"\r\n\r\n")
    return (int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/") else 0), text.decode("utf-8", "replace")


def message(**fields: object) -> bytes:
    """Return JSON."""
    return json.dumps(fields, separators=(",", ":")).encode()
