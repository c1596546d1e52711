"""The engine that bridges are measured against: as much audio as it hears, from bytes made before. Cheap on purpose.

    python -m tests.bench.far_engine [--tls CERTIFICATE KEY]      prints its port

It speaks WebSocket as a server, and answers with agent audio in the session's format: 20 ms of it for each message that
is as long as its 20 ms are, which it does not read, and for others as many times 20 ms as were heard. When the first
message is Twilio's (a bare relay is in between), each message is answered with Twilio's own media.
"""

import asyncio
import base64
import hashlib
import json
import random
import re
import ssl
import sys
from typing import cast

import uvloop
from websockets.speedups import apply_mask

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BYTES_20_MS = {"mulaw_8000": 160, "pcm_16000": 640, "pcm_24000": 960, "pcm_44100": 1764, "pcm_8000": 320}
"""A frame in each of Cartesia's formats, and in one more that lets pipecat do without a resampler."""
STREAM = "MZ" + "0" * 32


def server_frame(message: bytes) -> bytes:
    """Return one text frame as a server sends it."""
    size = len(message)
    return (bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")) + message


def audio(size: int) -> str:
    """Return loud audio in base64."""
    return base64.b64encode(random.Random(size).randbytes(size)).decode()


def twilio_media(payload: str) -> bytes:
    """Return one frame with Twilio's media message."""
    return server_frame(f'{{"event":"media","streamSid":"{STREAM}","media":{{"payload":"{payload}"}}}}'.encode())


ANSWERS = {
    name: server_frame(b'{"type":"audio_output","audio":"' + audio(size).encode() + b'"}')
    for name, size in BYTES_20_MS.items()
}
TWILIO = twilio_media(audio(160))


class FarEngine(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = b""
        self.is_open = False
        self.answer = b""
        self.frame_bytes = 0
        """Of 20 ms in the session's format; 0 behind a bare relay."""
        self.usual = 0
        """Length of a message that holds 20 ms."""
        self.unanswered = 0
        """Bytes of audio heard that are no whole frame yet."""

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
        buffer, at, answers = self.buffer, 0, []
        while at + 2 <= len(buffer):
            length, head = buffer[at + 1] & 0x7F, 6
            if length >= 126:
                size = 2 if length == 126 else 8
                if at + 2 + size > len(buffer):
                    break
                length, head = int.from_bytes(buffer[at + 2 : at + 2 + size], "big"), 6 + size
            if at + head + length > len(buffer):
                break
            if buffer[at] == 0x81:
                key, body = buffer[at + head - 4 : at + head], buffer[at + head : at + head + length]
                if self.answer:
                    answers.append(self._answer(body, key))
                else:
                    self._begin(apply_mask(body, key))
            elif buffer[at] == 0x89:  # one that is not answered ends the connection
                key, body = buffer[at + head - 4 : at + head], buffer[at + head : at + head + length]
                answers.append(bytes((0x8A, length)) + apply_mask(body, key))
            elif buffer[at] == 0x88:
                self.transport.write(b"\x88\x02\x03\xe8")
                self.transport.close()
                return
            at += head + length
        self.buffer = buffer[at:]
        if answers:
            self.transport.write(b"".join(answers))

    def _answer(self, body: bytes, key: bytes) -> bytes:
        """Return what is said to one masked message."""
        if not self.frame_bytes or len(body) == self.usual:
            return self.answer
        message = json.loads(apply_mask(body, key))
        if message["type"] != "audio_input":
            return b""
        heard = len(base64.b64decode(message["audio"]))
        if heard == self.frame_bytes:
            self.usual = len(body)
        frames, self.unanswered = divmod(self.unanswered + heard, self.frame_bytes)
        return self.answer * frames

    def _begin(self, first: bytes) -> None:
        message = json.loads(first)
        if message.get("type") != "session_create":
            self.answer = TWILIO
            return
        format_name = message["audio"]["input_format"]
        self.answer, self.frame_bytes = ANSWERS[format_name], BYTES_20_MS[format_name]
        for event in (
            {"type": "session_ready", "call_id": "ac_1"},
            {"type": "turn_started", "turn": 1, "role": "assistant", "start_time": 0.0},
        ):
            self.transport.write(server_frame(json.dumps(event).encode()))


async def serve(engine: type[FarEngine], *, tls: ssl.SSLContext | None = None) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(engine, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve in clear, or with the certificate and key that are named."""
    tls = None
    if sys.argv[1:2] == ["--tls"]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[2], sys.argv[3])
    uvloop.run(serve(FarEngine, tls=tls))


if __name__ == "__main__":
    main()
