"""Every fault that a quick call may have: one table of names, sides and the outcomes that are right with it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from archer_bridge.models import Outcome

DONE = frozenset({Outcome.COMPLETED, Outcome.TRANSFERRED})
GONE = frozenset({Outcome.CALLER_HANGUP})
NO_STREAM = frozenset({Outcome.NO_STREAM})
UNREACHED = frozenset({Outcome.VENDOR_UNAVAILABLE})
LOST = DONE | frozenset({Outcome.VENDOR_LOST})
"""A lost session may be had again, or a person takes over; DONE has both."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind; `outcomes` are right when it strikes, beside those of a healthy call when it may be survived."""

    name: str
    side: str
    what: str
    outcomes: frozenset[Outcome] = DONE


TWILIO = (
    Fault("no-stop", "twilio", "the socket closes, `stop` never comes", DONE | GONE),
    Fault("abrupt", "twilio", "the socket is reset in mid-call", GONE),
    Fault("hang-up", "twilio", "the caller hangs up early", GONE),
    Fault("late-start", "twilio", "`start` comes half a second late"),
    Fault("never-start", "twilio", "`start` never comes", NO_STREAM),
    Fault("duplicate-start", "twilio", "`start` comes twice on one socket"),
    Fault("second-socket", "twilio", "a second socket for the same call, with the same token"),
    Fault("stolen-token", "twilio", "a socket brings another call's token", NO_STREAM),
    Fault("forged-upgrade", "twilio", "a socket that Twilio did not sign", NO_STREAM),
    Fault("never-connects", "twilio", "no socket comes at all", NO_STREAM),
    Fault("lost-marks", "twilio", "no mark ever comes back"),
    Fault("late-marks", "twilio", "marks come back 0.3 s late"),
    Fault("not-json", "twilio", "text frames that are no JSON"),
    Fault("bad-base64", "twilio", "audio that is no base64"),
    Fault("other-stream", "twilio", "media of another streamSid"),
    Fault("binary", "twilio", "binary frames"),
    Fault("too-big", "twilio", "one frame of 70 KB, on each of its streams", GONE | DONE),
    Fault("early-media", "twilio", "media before `start`"),
    Fault("gaps", "twilio", "every third frame is lost"),
    Fault("bursts", "twilio", "frames held back, then sent at once"),
    Fault("dribble", "twilio", "frames cut into pieces of a few bytes"),
    Fault("slow-reader", "twilio", "the socket is not read for 0.5 s"),
    Fault("half-dead", "twilio", "nothing is sent or read any more, the socket stays open", GONE | DONE),
    Fault("digits", "twilio", "thirty keys are pressed"),
    Fault("twice", "twilio", "the webhook comes twice at once"),
    Fault("replayed", "twilio", "the webhook comes again after the end"),
    Fault("early-status", "twilio", "the status callback `completed` overtakes the stream", DONE | NO_STREAM),
    Fault("stranger", "twilio", "a number that no customer has", frozenset({Outcome.UNKNOWN_CALLER})),
)
VENDOR = (
    Fault("slow-ready", "vendor", "session_ready comes 0.4 s late"),
    Fault("never-ready", "vendor", "session_ready never comes", UNREACHED),
    Fault("closes-1000", "vendor", "closes politely in mid-call"),
    Fault("closes-1008", "vendor", "closes with 1008 in mid-call", LOST),
    Fault("closes-1011", "vendor", "closes with 1011 in mid-call", LOST),
    Fault("resets", "vendor", "resets the connection in mid-call", LOST),
    Fault("half-frame", "vendor", "resets the connection inside a frame", LOST),
    Fault("bad-opcode", "vendor", "sends a frame with a reserved opcode", LOST),
    Fault("garbage", "vendor", "sends text that is no JSON"),
    Fault("binary-vendor", "vendor", "sends binary frames"),
    Fault("huge-frame", "vendor", "sends one frame of 2 MB", LOST),
    Fault("unknown-event", "vendor", "sends events nobody documented"),
    Fault("error-event", "vendor", "sends an error event that is not fatal"),
    Fault("fatal-error", "vendor", "sends a fatal error and closes", LOST),
    Fault("double-clear", "vendor", "clears twice in mid-turn"),
    Fault("odd-chunks", "vendor", "cuts audio into odd sizes"),
    Fault("burst-audio", "vendor", "sends all audio at once"),
    Fault("stalls", "vendor", "falls silent and keeps the socket open", LOST),
    Fault("does-not-read", "vendor", "never reads what the caller says"),
)
TOOLS = (
    Fault("repeats-call", "tools", "every tool call comes twice with one id"),
    Fault("asks-again", "tools", "the payment is asked for twice under two ids"),
    Fault("unknown-tool", "tools", "a tool that nobody registered"),
    Fault("pays-at-once", "tools", "the payment is asked for before anything was verified"),
    Fault("pays-badly", "tools", "the payment's arguments are nonsense"),
    Fault("wrong-details", "tools", "the caller gives wrong details twice", frozenset({Outcome.VERIFICATION_FAILED})),
    Fault("gone-at-payment", "tools", "the caller hangs up while the payment runs", GONE | DONE),
    Fault("tool-raises", "tools", "a tool raises"),
    Fault("tool-exits", "tools", "a tool raises SystemExit"),
    Fault("tool-hangs", "tools", "a tool never returns"),
    Fault("tool-blocks", "tools", "a tool blocks its thread"),
    Fault("tool-huge", "tools", "a tool returns 200 KB"),
    Fault("tool-odd", "tools", "a tool returns what has no JSON"),
    Fault("slow-charge", "tools", "a side effect outlasts its timeout"),
)
AT_CONNECT = {
    "connect-reset": "the connection is reset",
    "connect-silent": "the upgrade is never answered",
    "connect-401": "the upgrade is refused with 401",
    "connect-402": "the upgrade is refused with 402",
    "connect-429": "the upgrade is refused with 429",
    "connect-500": "the upgrade is refused with 500",
    "connect-503": "the upgrade is refused with 503",
    "connect-garbage": "the upgrade is answered with nonsense",
}
"""Faults of the vendor before it can know which call it is; drawn by connection."""
STORE = {
    "locked": "somebody else holds the database's lock for 0.4 s",
    "no-space": "the database's files may not grow for 0.4 s",
}
POSTGRES_STORE = {
    "locked": "somebody else holds the table's lock for 0.4 s",
    "cut": "the server cuts every connection of the bridge",
}
FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in (*TWILIO, *VENDOR, *TOOLS)}


def draw(choose: random.Random) -> dict[str, Fault]:
    """Return the faults of one call: one, or one of each of two sides."""
    sides = choose.sample((TWILIO, VENDOR, TOOLS), 2 if choose.random() < 0.3 else 1)
    return {fault.name: fault for fault in (choose.choice(side) for side in sides)}
