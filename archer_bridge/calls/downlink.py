"""Agent audio on its way to the caller: paced, marked, and cut the moment the caller barges in.

Audio goes out at once while little is in flight, base64 text untouched where no chain changes it. Beyond the lead it
waits here, so that Twilio's buffer stays short and a `clear` cheap; pieces under 20 ms wait for one another while
Twilio has something to play. While something waits, and only then, the process-wide ticker calls `pump` to send on.
Nothing here blocks, logs or makes a task.
"""

from collections.abc import Callable

from archer_bridge.calls.core_ports import AGENT, Note
from archer_bridge.calls.lanes import EngineLane, make_engine_lane
from archer_bridge.calls.playout import BYTES_PER_MS, BYTES_PER_S, HAIR, MOMENT, Playout
from archer_bridge.ports import EngineAudio, EngineEvent, TextSocket
from archer_bridge.protocols.twilio_media import MediaStream

SMALLEST_SEND = 20 * BYTES_PER_MS
"""Audio goes out in pieces of at least 20 ms, unless nothing more comes."""
NEARLY_DRY = 2 * SMALLEST_SEND
"""With no more than two beats' worth in Twilio's buffer even a smaller piece goes out."""
PAUSE_S = 0.1
"""The engine paces its audio more closely than this: after such a pause what was sent gets its mark."""
LOST_AFTER_S = 0.5
"""An echo this overdue is lost; another mark is sent in its place."""


class Downlink:
    """One call's way out. Times are seconds of the call's clock; audio is mu-law at 8000 Hz."""

    def __init__(
        self,
        stream: MediaStream,
        caller: TextSocket,
        playout: Playout,
        *,
        lead_ms: int,
        mark_every_ms: int,
        want_pump: Callable[[bool], None],
    ) -> None:
        """`want_pump` is told when `pump` has something to do, and when it has not any more."""
        self._want_pump = want_pump
        self._is_pumped = False
        self._stream = stream
        self._write = caller.write
        self._send = stream.sender(caller.write)
        self._playout = playout
        self._lead = lead_ms * BYTES_PER_MS
        self._mark_every = mark_every_ms * BYTES_PER_MS
        self._waiting = bytearray()
        self._out = playout.out

    def lane(
        self,
        *,
        otherwise: Callable[[EngineEvent], None],
        play: Callable[[bytes, bytes | None, float], None],
        clock: Callable[[], float],
        note: Note | None,
    ) -> EngineLane | None:
        """Return what sends on audio that fits into the lead; None: it was not compiled.

        Args:
            otherwise: gets every other event of the engine's, and all while the lane is closed.
            play: gets audio that has gone through the chain but does not fit, its base64 form or None, the time.
            clock: seconds.
            note: gets each piece; see `Tap`.
        """
        rules = (AGENT, self._lead, self._mark_every, SMALLEST_SEND, PAUSE_S, HAIR, MOMENT, BYTES_PER_S)
        restart = self._playout.restart_if_dry
        return make_engine_lane(
            self._out, EngineAudio, otherwise, play, clock, self._send, self._mark, restart, note, rules
        )

    @property
    def messages(self) -> int:
        """Media messages sent."""
        return self._out.messages

    @property
    def waiting(self) -> bool:
        """Whether audio waits for room, or for more of it."""
        return bool(self._waiting)

    def probe(self, now: float) -> None:
        """Send a mark while nothing plays: its echo measures the way there and back."""
        self._mark(now)

    def play(self, audio: bytes, text: bytes | None, now: float) -> None:
        """Take over agent audio; `text` is its base64 form if it exists."""
        if not self._waiting and len(audio) >= SMALLEST_SEND:
            unmarked = self._playout.pass_on(len(audio), self._lead, now)
            if unmarked >= 0:
                self._send(audio, text)
                self._out.messages += 1
                if unmarked >= self._mark_every or now - self._out.sent_at >= PAUSE_S:
                    # The first piece's mark proves early when the turn really began to sound.
                    self._mark(now)
                self._out.sent_at = now
                return
        self._playout.accept(len(audio), now)
        self._waiting += audio
        self._send_on(now, SMALLEST_SEND)
        if self._waiting and not self._is_pumped:
            self._is_pumped = True
            self._want_pump(True)

    def pump(self, now: float) -> None:
        """Send what fits into the lead now; call it every 20 ms while it is wanted."""
        if self._waiting:
            self._send_on(now, 1 if self._playout.in_flight(now) <= NEARLY_DRY else SMALLEST_SEND)
        if not self._waiting and self._is_pumped:
            self._is_pumped = False
            self._want_pump(False)

    def mind_marks(self, now: float) -> None:
        """Send the marks that are due because nothing else is sent; call it ten times a second."""
        if self._waiting:
            return
        if self._playout.unmarked:
            if now - self._out.sent_at >= PAUSE_S:
                self._mark(now)
        elif self._playout.unproved_s(now) >= LOST_AFTER_S:
            self._mark(now)

    def _send_on(self, now: float, smallest: int) -> None:
        """Send from what waits: as much as there is room for, but no crumbs because there is little room."""
        in_flight = self._playout.in_flight(now)
        n_bytes = min(len(self._waiting), self._lead - in_flight)
        if n_bytes < min(SMALLEST_SEND, len(self._waiting)) or n_bytes < smallest:
            return
        unmarked = self._playout.send(n_bytes, now)
        self._send(bytes(self._waiting[:n_bytes]), None)
        del self._waiting[:n_bytes]
        self._out.messages += 1
        if unmarked >= self._mark_every or now - self._out.sent_at >= PAUSE_S:
            self._mark(now)
        self._out.sent_at = now

    def finish_turn(self, now: float) -> None:
        """Nothing follows for now: send a last small piece, and mark the end."""
        if self._waiting:
            self._send_on(now, 1)
        if self._playout.unmarked and not self._waiting:
            self._mark(now)

    def _mark(self, now: float) -> None:
        self._write(self._stream.mark(self._playout.mark(now)))

    def clear(self) -> None:
        """Forget what waits, and make Twilio forget what it has not played; the ledger was cleared before."""
        self._waiting.clear()
        self._write(self._stream.clear())
