"""What the caller heard: the playout ledger. Pure: no clock of its own, no I/O.

Theory of operation. Agent audio is mu-law at 8000 bytes a second, so bytes are time. Positions count bytes accepted
since the stream began and never go back. Audio is *accepted* from the engine, then *sent* to Twilio (a prefix of what
was accepted), then *heard* (a prefix of what was sent) or *flushed* by a `clear`. A mark placed at a position is
echoed when everything before it was played; between echoes the position is bounded by
min(sent, max(acknowledged, elapsed)).

On a `clear` Twilio echoes every outstanding mark at once, so an echo alone proves nothing. Each mark's name carries a
generation, which a clear raises: an echo of an older generation says "flushed". The cut is what had played when the
clear reached Twilio: the position at that instant by the clock, no later than what was sent. A generation therefore
hears one run of positions, [its start, its cut).

Two clocks. The *careful* one says what was heard and is never ahead of the truth by more than the network's jitter:
audio starts one trip after it was sent, and every echo sets it to "here, one trip ago". The *pacing* one says how
full Twilio's buffer is at least: audio starts the moment it is sent and an echo that is late does not stop it, because
holding audio back for a late echo would make a hole in the speech.

No echo is faster than the way there, the playing of what was sent before the mark, and the way back; so each is an
upper bound of the round trip. The fastest tells it. Half of it is one trip; where the two ways differ, the error at
the start of audio and at the clear cancel out.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from dataclasses import dataclass

from archer_bridge.calls.lanes import make_outflow

BYTES_PER_S = 8000
BYTES_PER_MS = 8
LONGEST_TRIP_S = 0.25
"""Assumed until the first echo has come, where assuming less could count more than was heard."""
HAIR = 0.01
"""Bytes: what floating point may lose of a whole number of them."""
MOMENT = HAIR / BYTES_PER_S


@dataclass(slots=True)
class _Mark:
    position: int
    basis: float
    """The position is played no earlier than this plus its own length and one trip."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a clear did."""

    position: int
    """Everything before it was heard."""
    flushed: int
    """Bytes sent but never heard."""
    dropped: int
    """Bytes accepted but never sent."""


class Playout:
    """One stream's ledger. All times are seconds of one monotonic clock, all amounts bytes of mu-law."""

    def __init__(self) -> None:
        self.out = make_outflow()
        """How far everything is; what carries frames past this code keeps it up to date, too."""
        self.generation = 0
        self.heard_before = 0
        """Bytes heard in all earlier generations."""
        self.marks_sent = 0
        self.marks_played = 0
        self.marks_flushed = 0
        self.marks_unknown = 0
        self._round_trip_s: float | None = None
        self._generation_start = 0
        self._runs: list[tuple[int, int]] = []
        self._anchor = (0, 0.0)
        self.out.careful_trip_s = LONGEST_TRIP_S
        self._restarts: list[tuple[int, float]] = []  # a deque takes ten times the memory
        """Positions before which the buffer ran dry, and when the audio from there on arrived."""
        self._marks: dict[str, _Mark] = {}
        self._stale: set[str] = set()
        self._marked_at = 0.0
        self._ended_at: float | None = None

    @property
    def accepted(self) -> int:
        """Bytes taken over from the engine."""
        return self.out.accepted

    @property
    def sent(self) -> int:
        """Bytes handed to Twilio's socket."""
        return self.out.sent

    @property
    def acknowledged(self) -> int:
        """Everything before this position is proved heard, or was flushed."""
        return self.out.acknowledged

    @property
    def trip_s(self) -> float:
        """One way, half of the fastest round trip; 0 until the first echo."""
        return self.out.trip_s

    # ---- going out -------------------------------------------------------------------------------------------

    def accept(self, n_bytes: int, now: float) -> None:
        """Note audio taken over from the engine."""
        if self.out.accepted == self.out.sent:
            self.restart_if_dry(now)
        self.out.accepted += n_bytes

    def send(self, n_bytes: int, now: float) -> int:
        """Note that the next `n_bytes` accepted ones were handed to the socket; returns those since the last mark."""
        self.restart_if_dry(now)
        self.out.ends += n_bytes / BYTES_PER_S
        self.out.sent += n_bytes
        return self.out.sent - self.out.marked

    def pass_on(self, n_bytes: int, lead: int, now: float) -> int:
        """Do what `accept` and `send` do, in one step, when nothing waits and this fits into the lead.

        Returns the bytes sent since the last mark, or -1 if it does not fit: then nothing was noted. One method, for
        it is nearly every frame's.
        """
        out = self.out
        ahead = out.sent - int((now - out.zero) * BYTES_PER_S + HAIR)
        if max(0, min(ahead, out.sent - out.acknowledged)) + n_bytes > lead:
            return -1
        if out.zero + out.sent / BYTES_PER_S < now - MOMENT or out.ends < now + out.careful_trip_s - MOMENT:
            self.restart_if_dry(now)
        out.ends += n_bytes / BYTES_PER_S
        out.accepted += n_bytes
        out.sent += n_bytes
        return out.sent - out.marked

    def restart_if_dry(self, now: float) -> None:
        """Note where the buffer may have nothing left to play when what is sent now arrives, by either clock.

        An echo may yet tell which clock was right.
        """
        played, arrival = self.out.sent / BYTES_PER_S, now + self.out.careful_trip_s
        if self.out.zero + played >= now - MOMENT and self.out.ends >= arrival - MOMENT:
            return
        self.out.zero = max(self.out.zero, now - played)
        while self._restarts:  # those that are over become the anchor, so that few are kept
            head, arrived = self._restarts[0]
            position, since = self._anchor
            start = max(since + (head - position) / BYTES_PER_S, arrived)
            if start > now:
                break
            self._anchor = (head, start)
            del self._restarts[0]
        self._restarts.append((self.out.sent, arrival))
        self.out.ends = max(self.out.ends, arrival)

    def mark(self, now: float) -> str:
        """Return the name of a mark placed after everything sent so far."""
        self.marks_sent += 1
        name = f"g{self.generation}:{self.marks_sent}"
        self._marks[name] = _Mark(self.out.sent, max(self.out.zero, now - self.out.sent / BYTES_PER_S))
        self.out.marked = self.out.sent
        self._marked_at = now
        return name

    @property
    def unmarked(self) -> int:
        """Bytes sent since the last mark."""
        return self.out.sent - self.out.marked

    def unproved_s(self, now: float) -> float:
        """How long an echo is overdue without which something sent is unproved, or the round trip unknown."""
        if self.unmarked or not self.marks_sent:
            return 0.0
        if self.out.acknowledged >= self.out.sent and self._round_trip_s is not None:
            return 0.0
        due = max(self._marked_at, self.out.zero + self.out.sent / BYTES_PER_S) + (self._round_trip_s or 0.0)
        return max(0.0, now - due)

    # ---- coming back -----------------------------------------------------------------------------------------

    def echo(self, name: str, now: float) -> bool:
        """Note a mark's echo; True when it proves playback: not flushed, ours, and before the end."""
        mark = self._marks.pop(name, None)
        if mark is None or self._ended_at is not None:
            if name in self._stale:
                self._stale.discard(name)
                self.marks_flushed += 1
            else:
                self.marks_unknown += 1
            return False
        self.marks_played += 1
        round_trip = max(0.0, now - mark.basis - mark.position / BYTES_PER_S)
        if self._round_trip_s is None or round_trip < self._round_trip_s:
            self._round_trip_s = round_trip
            self.out.trip_s = self.out.careful_trip_s = round_trip / 2
        self._prove(mark.position, now)
        return True

    def _prove(self, position: int, now: float) -> None:
        # Marks before this one are proved with it, should their echoes be lost.
        while self._marks:
            name = next(iter(self._marks))
            if self._marks[name].position >= position:
                break
            del self._marks[name]
        self.out.acknowledged = max(self.out.acknowledged, position)
        if position > self._anchor[0]:
            # Playback was exactly here one trip ago. A mark at or before the anchor says nothing new.
            self._anchor = (position, now - self.out.trip_s)
            while self._restarts and self._restarts[0][0] < position:
                del self._restarts[0]
            position, since = self._anchor
            for head, arrived in self._restarts:
                position, since = head, max(since + (head - position) / BYTES_PER_S, arrived)
            self.out.ends = since + (self.out.sent - position) / BYTES_PER_S

    def clear(self, now: float) -> Cut | None:
        """Start a new generation; None when every byte is proved heard, so that there is nothing to clear."""
        if not self.has_unheard:
            return None
        position = self.position(now + self.out.trip_s)
        cut = Cut(position, self.out.sent - position, self.out.accepted - self.out.sent)
        self._runs.append((self._generation_start, position))
        self.heard_before += position - self._generation_start
        self.generation += 1
        self._stale.update(self._marks)
        self._marks.clear()
        self.out.sent = self.out.accepted
        self.out.acknowledged = self._generation_start = self.out.marked = self.out.sent
        self._anchor = (self.out.sent, now)
        self.out.ends = now
        self._restarts.clear()
        self.out.zero = now - self.out.sent / BYTES_PER_S
        return cut

    def stop(self, now: float) -> None:
        """The news of the stream's end comes at `now`: nothing was heard since one trip ago."""
        if self._ended_at is None:
            self._ended_at = now - self.out.careful_trip_s

    # ---- the truth -------------------------------------------------------------------------------------------

    def position(self, now: float) -> int:
        """How far playback is: everything of this generation before it was heard."""
        if self._ended_at is not None:
            now = min(now, self._ended_at)
        return min(self.out.sent, max(self.out.acknowledged, self._elapsed(now), self._generation_start))

    def _elapsed(self, now: float) -> int:
        """The careful clock."""
        position, since = self._anchor
        for head, arrived in self._restarts:
            start = max(since + (head - position) / BYTES_PER_S, arrived)
            if now < start:
                return min(head, position + int((now - since) * BYTES_PER_S + HAIR))
            position, since = head, start
        return position + int((now - since) * BYTES_PER_S + HAIR)

    def in_flight(self, now: float) -> int:
        """Bytes that Twilio has still to play when what is sent now arrives, by the pacing clock."""
        left = self.out.sent - int((now - self.out.zero) * BYTES_PER_S + HAIR)
        return max(0, min(left, self.out.sent - self.out.acknowledged))

    def heard(self, start: int, end: int, now: float) -> int:
        """Bytes heard of the positions [start, end)."""
        total = max(0, min(end, self.position(now)) - max(start, self._generation_start))
        for run_start, run_end in reversed(self._runs):
            if run_end <= start and run_start < start:
                break
            total += max(0, min(end, run_end) - max(start, run_start))
        return total

    def heard_total(self, now: float) -> int:
        """Bytes heard since the stream began."""
        return self.heard_before + self.position(now) - self._generation_start

    @property
    def has_unheard(self) -> bool:
        """Whether anything accepted is not proved heard: then a barge-in must clear."""
        return self.out.accepted > self.out.acknowledged

    def starts_at(self, position: int, now: float) -> float:
        """When the audio at `position` plays, at the earliest."""
        return max(now, self.plays_at(position))

    def plays_at(self, position: int) -> float:
        """When the audio at `position` plays, or played, if nothing is missing before it."""
        return self.out.zero + position / BYTES_PER_S + self.out.trip_s
