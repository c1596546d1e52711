"""A bare media stream towards the bridge: what Twilio's end of the socket does, message by message."""

import base64
import json
import xml.etree.ElementTree as ElementTree
from typing import Any

from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect

from archer_bridge.devkit.phone import DEMO_ACCOUNT
from tests.support.twilio import CALL_SID, post, voice_form
from tests.support.world import PUBLIC, World

UPGRADE_URL = PUBLIC.replace("https://", "wss://") + "/ws/cartesia"
STREAM_SID = "MZ" + "1" * 32
FRAME = base64.b64encode(b"\xff" * 160).decode()


def upgrade_headers(url: str = UPGRADE_URL, token: str = DEMO_ACCOUNT.auth_token) -> dict[str, str]:
    """Sign an upgrade as Twilio does."""
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(url, {})}


async def open_stream(here: World, headers: dict[str, str] | None = None) -> ClientConnection:
    """Open a signed socket, unless `headers` are given."""
    return await connect(
        f"{here.bridge.ws_url}/ws/cartesia",
        additional_headers=upgrade_headers() if headers is None else headers,
        compression=None,
        proxy=None,
        ping_interval=None,
        open_timeout=None,
    )


async def stream_token(here: World, call_sid: str = CALL_SID, **fields: str) -> str:
    """Ring, and return the token that the answer gives."""
    response = await post(here, "/webhooks/twilio/incoming", voice_form(CallSid=call_sid, **fields))
    root = ElementTree.fromstring(response.text)
    return next(item.attrib["value"] for item in root.iter("Parameter") if item.attrib["name"] == "token")


def start_message(token: str, *, parameters: dict[str, str] | None = None, **changes: Any) -> str:
    """Return the stream's `start`."""
    body = {
        "accountSid": DEMO_ACCOUNT.account_sid,
        "callSid": CALL_SID,
        "streamSid": STREAM_SID,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token, **(parameters or {})},
        **changes,
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": STREAM_SID, "start": body})


def message(event: str, number: int, **body: Any) -> str:
    """Return any other message of the stream."""
    return json.dumps({"event": event, "sequenceNumber": str(number), "streamSid": STREAM_SID, **body})
