"""The TwiML documents we answer with, made by the official builder only.

Each follows `</Connect>` with verbs of its own or an `action`, so that a crash is never a silent hang-up.
Characters that XML 1.0 does not allow are removed: the builder would emit them and Twilio would play its error.
"""

import re
from collections.abc import Mapping

from twilio.twiml.voice_response import Connect, Dial, VoiceResponse

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_E164 = re.compile(r"\+[1-9][0-9]{3,14}")
PARAMETER_LIMIT = 499
"""Name and value of one `<Parameter>` together stay under 500 characters (Twilio, TwiML `<Stream>`)."""


def clean(text: str) -> str:
    """Return the text without the characters that XML 1.0 forbids."""
    return _ILLEGAL.sub("", text)


def connect_stream(
    *,
    stream_url: str,
    action_url: str,
    status_url: str,
    parameters: Mapping[str, str],
    language: str = "en-US",
) -> str:
    """Connect the call to our socket; `action_url` decides what follows."""
    response = VoiceResponse()
    connect = Connect(action=action_url, method="POST")
    stream = connect.stream(url=stream_url, status_callback=status_url, status_callback_method="POST")
    for name, value in parameters.items():
        stream.parameter(name=name, value=clean(value)[: PARAMETER_LIMIT - len(name)])
    response.append(connect)
    # Where `action` is not followed (a lost socket, a dead bridge) the caller still hears words, and another
    # process, or this one restarted, gets the call back.
    response.say("One moment, please.", language=language)
    response.redirect(action_url, method="POST")
    return str(response)


def say_and_hang_up(words: str, *, language: str = "en-US") -> str:
    """Speak, then end the call; with no words, just end it."""
    response = VoiceResponse()
    if words:
        response.say(clean(words), language=language)
    response.hangup()
    return str(response)


def transfer(to: str, *, action_url: str, caller_id: str = "", announce: str = "", language: str = "en-US") -> str:
    """Dial a person; `action_url` hears how it went.

    Args:
        to: E.164 or `sip:` address.
        action_url: absolute URL.
        caller_id: shown to the person called, when it is an E.164 number.
        announce: spoken before dialling.
        language: of the announcement.
    """
    response = VoiceResponse()
    if announce:
        response.say(clean(announce), language=language)
    extra = {"caller_id": caller_id} if _E164.fullmatch(caller_id) else {}
    dial = Dial(action=action_url, method="POST", timeout=30, **extra)
    if to.startswith(("sip:", "sips:")):
        dial.sip(clean(to))
    else:
        dial.number(clean(to))
    response.append(dial)
    return str(response)


def nothing() -> str:
    """Answer a status callback."""
    return str(VoiceResponse())
