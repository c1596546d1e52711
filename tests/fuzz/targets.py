"""What is fuzzed: everything that reads a stranger's bytes. A target returns, whatever it is given.

With atheris (`pip install atheris`): `python -m tests.fuzz.run TARGET [libFuzzer options]`. Without it the suite runs
the committed corpus and mutations of it.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from starlette.datastructures import FormData

from archer_bridge.calls.tool_arguments import canonical, masked
from archer_bridge.protocols.cartesia_agent import AgentSession
from archer_bridge.protocols.frames import BadFrame
from archer_bridge.protocols.stream_token import TokenKeys, TokenProblem
from archer_bridge.protocols.twilio_media import MediaStream
from archer_bridge.protocols.twilio_signature import SignatureChecker
from archer_bridge.redaction import redact, redact_json
from archer_bridge.tool_api import InvalidArguments
from archer_tools.process_payment import process_payment
from archer_tools.verify_account import verify_account

STREAM = "MZ" + "1" * 32
START = json.dumps(
    {
        "event": "start",
        "streamSid": STREAM,
        "start": {
            "accountSid": "AC1",
            "callSid": "CA1",
            "streamSid": STREAM,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        },
    }
)
READY = b'{"type":"session_ready","agent_id":"a","call_id":"c"}'
CHECKER = SignatureChecker(["token"], "https://bridge.example.test", {"webhooks_sharedkey_1": "secret"})
KEYS = TokenKeys(["secret"])


def way(data: bytes, ways: int) -> int:
    """Draw how an input is used from the input itself, so that one execution is one message, one way."""
    return zlib.crc32(data) % ways


def twilio_frame(data: bytes) -> None:
    """A message on the media stream: before or after its start, as bytes or as text."""
    drawn = way(data, 4)
    stream = MediaStream()
    if drawn & 1:
        stream.receive(START)
    try:
        stream.receive(data if drawn & 2 else data.decode("utf-8", "surrogateescape"))
    except BadFrame as error:
        str(error)


def cartesia_frame(data: bytes) -> None:
    """A message on the agent's socket: before or after it is ready, as bytes or as text."""
    drawn = way(data, 4)
    session = AgentSession(bytes_per_ms=8.0)
    session.create("mulaw_8000", "speaking_pace", {})
    if drawn & 1:
        session.receive(READY)
    try:
        session.receive(data if drawn & 2 else data.decode("utf-8", "surrogateescape"))
    except BadFrame as error:
        str(error)


def webhook_form(data: bytes) -> None:
    """A form with a signature and a path of its own, or an upgrade, or a token, as far as the check; none passes."""
    signature, _, rest = data.partition(b"\n")
    path, _, body = rest.partition(b"\n")
    header = signature.decode("latin-1")
    drawn = way(data, 4)
    if drawn == 0:
        form = FormData(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
        assert not CHECKER.accepts_webhook("/" + path.decode("utf-8", "replace"), form, header)
    elif drawn == 1:
        form = FormData(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
        assert not CHECKER.accepts_webhook("/webhooks", form, header, settings=path.decode("latin-1"))
    elif drawn == 2:
        assert not CHECKER.accepts_upgrade("/ws/cartesia", header)
    else:
        try:
            KEYS.check(header, call_sid="CA1", account_sid="AC1", now=0.0)
        except TokenProblem:
            return
        raise AssertionError("a made-up token was accepted")


def tool_arguments(data: bytes) -> None:
    """A tool call's arguments: checked, and made fit to be kept."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(value, dict):
        return
    try:
        (process_payment, verify_account)[way(data, 2)].check(value)
    except InvalidArguments as error:
        str(error)
    kept = canonical(masked(value, {"pin"}))
    assert canonical(masked(value, {"pin"})) == kept


def redaction(data: bytes) -> None:
    """Any text: it terminates, never grows by much, and once is enough."""
    text = data.decode("utf-8", "replace")
    clean = redact(text)
    assert redact(clean) == clean
    redact_json(text)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (twilio_frame, cartesia_frame, webhook_form, tool_arguments, redaction)
}
