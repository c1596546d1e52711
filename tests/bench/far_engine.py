"""The engine that bridges are measured against: one answer for each message, from bytes made before. Cheap on purpose.

    python -m tests.bench.far_engine      prints its port

It speaks WebSocket as a server, masks off nothing but the first message, and answers frame for frame: 20 ms of agent
audio in the session's format, or, when the first message is Twilio's (a bare relay is in between), Twilio's own media.
"""

import asyncio
import base64
import hashlib
import json
import random
import re
from typing import cast

import uvloop

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BYTES_20_MS = {"mulaw_8000": 160, "pcm_16000": 640, "pcm_24000": 960, "pcm_44100": 1764}
STREAM = "MZ" + "0" * 32


def server_frame(message: bytes) -> bytes:
    """Return one text frame as a server sends it."""
    size = len(message)
    return (bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")) + message


def audio(size: int) -> str:
    """Return loud audio in base64."""
    return base64.b64encode(random.Random(size).randbytes(size)).decode()


ANSWERS = {
    name: server_frame(b'{"type":"audio_output","audio":"' + audio(size).encode() + b'"}')
    for name, size in BYTES_20_MS.items()
}
TWILIO = server_frame(f'{{"event":"media","streamSid":"{STREAM}","media":{{"payload":"{audio(160)}"}}}}'.encode())


class FarEngine(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = b""
        self.is_open = False
        self.answer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.is_open and not self._shake_hands():
            return
        self._frames()

    def _shake_hands(self) -> bool:
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
        if key is None:  # a plain request: there is nothing here but sockets
            self.transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.transport.close()
            return False
        accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())  # RFC 6455, 4.2.2
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.buffer, self.is_open = rest, True
        return True

    def _frames(self) -> None:
        buffer, at, answers = self.buffer, 0, 0
        while at + 2 <= len(buffer):
            length, head = buffer[at + 1] & 0x7F, 6
            if length == 126:
                if at + 4 > len(buffer):
                    break
                length, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 8
            if at + head + length > len(buffer):
                break
            body = buffer[at + head : at + head + length]
            if buffer[at] == 0x81:
                if self.answer:
                    answers += 1
                else:
                    self._begin(bytes(a ^ buffer[at + head - 4 + i % 4] for i, a in enumerate(body)))
            elif buffer[at] == 0x88:
                self.transport.write(b"\x88\x02\x03\xe8")
                self.transport.close()
                return
            at += head + length
        self.buffer = buffer[at:]
        if answers:
            self.transport.write(self.answer * answers)

    def _begin(self, first: bytes) -> None:
        message = json.loads(first)
        if message.get("type") != "session_create":
            self.answer = TWILIO
            return
        self.answer = ANSWERS[message["audio"]["input_format"]]
        for event in (
            {"type": "session_ready", "call_id": "ac_1"},
            {"type": "turn_started", "turn": 1, "role": "assistant", "start_time": 0.0},
        ):
            self.transport.write(server_frame(json.dumps(event).encode()))


async def main() -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(FarEngine, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
