"""The far engine as an echo: it says what it hears, message for message, so that a marker in the audio comes back.

python -m tests.bench.echo_engine      prints its port
"""

import json

import uvloop
from websockets.speedups import apply_mask

from tests.bench.far_engine import FarEngine, serve, server_frame, twilio_media


class EchoEngine(FarEngine):
    """One connection; what is no audio is not answered."""

    def _answer(self, body: bytes, key: bytes) -> bytes:
        message = json.loads(apply_mask(body, key))
        if message.get("event") == "media":
            return twilio_media(message["media"]["payload"])
        if message.get("type") == "audio_input":
            return server_frame(json.dumps({"type": "audio_output", "audio": message["audio"]}).encode())
        return b""


if __name__ == "__main__":
    uvloop.run(serve(EchoEngine))
