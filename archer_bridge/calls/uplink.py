"""Caller audio on its way to the engine: gaps filled, voice noticed.

An engine that finds turns by listening needs an unbroken stream: where Twilio's timestamps jump, or nothing comes at
all, silence is sent in its place, and once only: what was filled while nothing came is no hole afterwards. Timestamps
jitter by a few milliseconds around a grid of frames, so a hole is counted in whole frames. Frames that were late, not
lost, are sent when they come: better late than unheard. Nothing here waits, logs or makes a task.
"""

from collections.abc import Callable

import pybase64

from archer_bridge.calls.core_ports import CALLER, Note
from archer_bridge.calls.lanes import NEVER, CallerLane, Outflow, make_caller_lane, make_inflow
from archer_bridge.ports import Engine
from archer_bridge.protocols.twilio_media import FRAME_MS, Audio
from archer_codecs import Chain

SILENCE = b"\xff"
"""Mu-law silence; 0x00 would be a loud click."""
LONGEST_FILL_MS = 5000
FILL_AFTER_S = 0.2
"""Twilio may be late by a few frames; after this long without one the engine gets silence."""
CLOCK_CREEP_S = 2e-6
"""Twilio's clock may drift against ours: 100 ppm, a frame at a time."""
BYTES_PER_MS = 8
VOICED_SHARE = 8
"""A frame counts as voiced when one byte in this many is louder than the threshold."""
FOLLOW = 8
"""The grid follows the timestamps by one part in this of every deviation, so that jitter averages out."""


def _quiet_codes() -> bytes:
    """Return the mu-law codes whose magnitude is under about -36 dBFS.

    ITU-T G.711: a code's complement holds 3 bits of segment and 4 of step; segments 0-2 stay below 480 of 32768.
    """
    return bytes(code for code in range(256) if ((~code >> 4) & 0x07) <= 2)


QUIET = _quiet_codes()


class Uplink:
    """One call's way in. `*_ms` lie on the timeline of Twilio's stream, `now` and `*_at` on the call's clock (s)."""

    def __init__(self, chain: Chain) -> None:
        self.way = make_inflow()
        """What is known of the frames so far; what carries frames past this code keeps it up to date, too."""
        self.filled_ms = 0
        self.gaps = 0
        self._chain = chain
        self._untouched = chain.source == chain.sink

    @property
    def frames(self) -> int:
        """How many have come."""
        return self.way.frames

    @property
    def missing(self) -> int:
        """Messages that never came, by sequence number."""
        return self.way.missing

    def lane(self, engine: Engine, out: Outflow, clock: Callable[[], float], note: Note | None) -> CallerLane | None:
        """Return what does as `caller` does with frames that are where they are expected; None: it was not compiled."""
        rules = (CALLER, FRAME_MS, FOLLOW, CLOCK_CREEP_S, VOICED_SHARE, BYTES_PER_MS * 1000)
        return make_caller_lane(self.way, out, clock, engine, self._chain.live, note, rules)

    def caller(self, audio: Audio, engine: Engine, now: float) -> None:
        """Carry one piece of caller audio over."""
        way, data = self.way, audio.data
        length_ms = len(data) / BYTES_PER_MS
        if not way.frames:
            way.next_ms = float(audio.timestamp_ms)
        way.frames += 1
        way.missing += audio.missing
        way.last_ms, way.last_at = audio.timestamp_ms, now
        way.offset = min(way.offset + CLOCK_CREEP_S, now - audio.timestamp_ms / 1000)
        late_ms = audio.timestamp_ms - way.next_ms
        hole_ms = round(late_ms / FRAME_MS) * FRAME_MS if late_ms > FRAME_MS / 2 else 0
        if hole_ms > way.ahead_ms:
            self._silence(min(hole_ms - way.ahead_ms, LONGEST_FILL_MS), engine)
        way.ahead_ms = 0
        way.next_ms += hole_ms + (late_ms - hole_ms) / FOLLOW + length_ms
        if len(data.translate(None, QUIET)) * VOICED_SHARE >= len(data):
            way.voiced_until_ms = audio.timestamp_ms + length_ms
        if self._untouched:
            engine.send_audio(data, audio.text)
        elif converted := self._chain.feed(data):
            engine.send_audio(converted, None)

    def fill_gap(self, engine: Engine, now: float) -> None:
        """Send silence for as long as no audio has come, if that is long; call it a few times a second."""
        # The next frame is due one frame after the last: only what is missing by now is filled.
        quiet_s = now - self.way.last_at - (FRAME_MS + self.way.ahead_ms) / 1000
        if quiet_s >= FILL_AFTER_S and self.way.frames:
            whole = int(quiet_s * 1000)
            self._silence(whole, engine)
            self.way.ahead_ms += whole

    @property
    def voice_ended_at(self) -> float | None:
        """When the caller's last voiced audio ended and had come here, on the call's clock."""
        until_ms = self.way.voiced_until_ms
        return None if until_ms == NEVER else self.way.offset + until_ms / 1000

    @property
    def ended_at(self) -> float | None:
        """When the last frame so far had come here, half a frame give or take, on the call's clock."""
        return self.way.offset + (self.way.last_ms + FRAME_MS / 2) / 1000 if self.way.frames else None

    def _silence(self, milliseconds: int, engine: Engine) -> None:
        self.gaps += 1
        self.filled_ms += milliseconds
        silence = SILENCE * (milliseconds * BYTES_PER_MS)
        if self._untouched:
            engine.send_audio(silence, pybase64.b64encode(silence))
        elif converted := self._chain.feed(silence):
            engine.send_audio(converted, None)
