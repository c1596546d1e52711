"""The agent's audio on its way to the caller: what may be heard, through which filters, and what is taken back."""

from collections.abc import Callable

from archer_bridge.calls.core_ports import AGENT, CoreListener, Tap
from archer_bridge.calls.downlink import Downlink
from archer_bridge.calls.lanes import NEVER
from archer_bridge.calls.playout import BYTES_PER_MS, Cut, Playout
from archer_bridge.calls.transcript import Transcript
from archer_bridge.calls.uplink import Uplink
from archer_bridge.ports import EngineAudio, EngineEvent
from archer_codecs import Chain, FormatGuard, Plan

STALE_AFTER_CLEAR_S = 2.0
"""After a barge-in, audio is dropped until the engine begins a new agent turn, or for this long at most."""


class Speech:
    """One call's agent audio, until it is the downlink's."""

    def __init__(
        self,
        *,
        downlink: Downlink,
        playout: Playout,
        uplink: Uplink,
        plan: Plan,
        transcript: Transcript,
        listener: CoreListener,
        clock: Callable[[], float],
        on_event: Callable[[EngineEvent], None],
        tap: Tap | None,
    ) -> None:
        """`on_event` takes every event of the engine's, audio included; `sink` spares it most of the audio."""
        self.stale_frames = 0
        self.barge_ins = 0
        self.owed_since: float | None = None
        """Since when the agent owes words: it is ready, or ended a caller's turn, and gave no audio since."""
        self.is_finished = False
        """Whether the call has its outcome: nothing is heard any more."""
        self._downlink = downlink
        self._playout = playout
        self._uplink = uplink
        self._plan = plan
        self._chain: Chain = plan.build()
        self._untouched = plan.is_passthrough
        self._transcript = transcript
        self._listener = listener
        self._tap = tap
        self._stale_until: float | None = None
        self._filler_end = 0
        self._guard: FormatGuard | None = FormatGuard(plan.source)
        note = None if tap is None else tap.note
        self._lane = downlink.lane(otherwise=on_event, play=self._play, clock=clock, note=note)
        self.sink = on_event if self._lane is None else self._lane.take
        """Takes each event of the engine's: a lane where there is one, and `on_event` whatever that leaves."""

    @property
    def last_audio_at(self) -> float | None:
        """When the engine last gave audio."""
        at = self._playout.out.accepted_at
        return None if at == NEVER else at

    @property
    def pieces_taken(self) -> int:
        """How many pieces of audio `on_event` was spared."""
        return 0 if self._lane is None else self._lane.taken

    # ---- the lane --------------------------------------------------------------------------------------------

    def open_lane(self) -> None:
        """Let audio pass by this code if that would do nothing to it but send it on."""
        lane = self._lane
        if lane is None:
            return
        is_watched = self._stale_until is not None or self._guard is not None
        is_first = self.owed_since is not None or not self._transcript.in_run
        follows_filler = self._filler_end > self._playout.acknowledged
        lane.converts = self._chain.live
        lane.is_open = not (is_watched or is_first or follows_filler or self.is_finished)

    def close_lane(self) -> None:
        """Let `on_event` have everything."""
        if self._lane is not None:
            self._lane.is_open = False

    # ---- audio -----------------------------------------------------------------------------------------------

    def audio(self, event: EngineAudio, now: float) -> None:
        """Take a piece; the lane is closed."""
        if (self._stale_until is not None or self._guard is not None) and not self._admits(event, now):
            return
        audio, text = (event.data, event.text) if self._untouched else (self._chain.feed(event.data), None)
        if audio:
            self._play(audio, text, now)

    def _play(self, audio: bytes, text: bytes | None, now: float) -> None:
        """Let the caller hear what came through the chain, and open the lane for what follows if it may be."""
        self.owed_since = None
        if self._filler_end > self._playout.acknowledged:
            self._stop_filler(now)
        start = self._playout.accepted
        self._downlink.play(audio, text, now)
        self._playout.out.accepted_at = now
        if self._tap is not None or not self._transcript.in_run:
            self._book(start, audio, now)
        if self._lane is not None:
            self.open_lane()

    def _admits(self, event: EngineAudio, now: float) -> bool:
        """Whether audio is of a turn that may still be heard; the first of a call is looked at more closely."""
        if self._stale_until is not None:
            if now < self._stale_until:
                self.stale_frames += 1
                return False
            self._stale_until = None
        if self._guard is not None:
            self._guard = watched("engine", self._guard, event.data, self._listener)
        return True

    def _book(self, start: int, audio: bytes, now: float) -> None:
        """Say whose the audio at `start` is, and let the tap have it."""
        if not self._transcript.in_run:
            heard_from = self._playout.starts_at(start, now)
            caller_until = self._uplink.voice_ended_at
            self._transcript.agent_audio(start, now=now, heard_from=heard_from, caller_until=caller_until)
        self._note(start, audio)

    def _note(self, start: int, audio: bytes) -> None:
        if self._tap is not None:
            self._tap.note((AGENT, start, audio, self._playout.plays_at(start)))

    def play_filler(self, audio: bytes, now: float) -> None:
        """Play something that is no turn of the agent's; the agent's next audio takes its place."""
        self.close_lane()
        self._transcript.end_run()
        start = self._playout.accepted
        self._downlink.play(audio, None, now)
        self._filler_end = start + len(audio)
        self._note(start, audio)

    # ---- ends ------------------------------------------------------------------------------------------------

    def turn_started(self) -> None:
        """The agent begins anew: what it says is not stale."""
        self._stale_until = None

    def turn_ended(self, now: float) -> None:
        """Nothing follows for now: give out what the filters hold, mark the end."""
        self.close_lane()
        if not self._untouched:
            tail = self._chain.flush()
            self._chain = self._plan.build()
            if tail:
                start = self._playout.accepted
                self._downlink.play(tail, None, now)
                self._book(start, tail, now)
        self._downlink.finish_turn(now)

    def lost(self, now: float) -> None:
        """The session broke off: nothing follows of what it said, and it owes nothing."""
        self.turn_ended(now)
        self._stale_until = self.owed_since = None

    def finish(self, now: float) -> None:
        """The call has its outcome: what is not heard by now is taken back, and nothing follows; so the record is true.

        The line stays open until the record is written, which may take seconds, and the engine may go on talking.
        """
        self.is_finished = True
        self.close_lane()
        if (cut := self._playout.clear(now)) is not None:
            self._take_back(cut, now)
            self._transcript.cleared()

    # ---- taking back -----------------------------------------------------------------------------------------

    def barge_in(self, now: float) -> None:
        """New generation, then no more of the old turn, then fresh filters, then `clear`: in this order."""
        cut = self._playout.clear(now)
        if cut is not None or self._transcript.agent_turn_open:
            self._stale_until = now + STALE_AFTER_CLEAR_S
        self._chain = self._plan.build()
        if cut is None:
            return
        self._take_back(cut, now)
        self._transcript.cleared()
        self._transcript.settle(now)
        if cut.flushed or cut.dropped:
            self.barge_ins += 1
            self._listener.barged_in((cut.flushed + cut.dropped) / BYTES_PER_MS)

    def _stop_filler(self, now: float) -> None:
        self._filler_end = 0
        if self._playout.position(now) < self._playout.accepted and (cut := self._playout.clear(now)) is not None:
            self._take_back(cut, now)

    def _take_back(self, cut: Cut, now: float) -> None:
        """Put a new generation into effect: what waits is forgotten, `clear` is written."""
        self._filler_end = 0
        self._downlink.clear()
        if self._tap is not None:
            self._tap.cut(cut.position, now)


def watched(side: str, guard: FormatGuard, data: bytes, listener: CoreListener) -> FormatGuard | None:
    """Look at the first 200 ms of one side; after that there is no guard any more."""
    evidence = guard.feed(data)
    if evidence is not None:
        listener.wrong_format(side, str(evidence))
    return None if guard.is_done else guard
