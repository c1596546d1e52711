"""Who said what, and how far the caller heard it. Pure: times and positions come in, finished turns go out.

An agent turn is finished twice: the engine says that it ended, and the playout ledger knows the fate of its last
byte. Only then is it written, with the words whose audio was heard; a turn cut by a barge-in keeps both the engine's
text and ours.

Where in the audio a word ends is told by when it came. Engines say a word when it has sounded: then it ends where
playback is. If nobody speaks so fast, the word came with its audio, which is still waiting to be played: then it ends
where the audio that had come by then ends. If that is too early as well, the word came before its audio, and its share
of the text is its share of the audio.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from archer_bridge.calls.playout import BYTES_PER_MS, Playout
from archer_bridge.models import Turn

AGENT = "assistant"
CALLER = "user"
FASTEST = 25 * BYTES_PER_MS
"""Audio that a character takes at least: 40 characters a second, twice as fast as fast speech."""


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    sounded: int
    """Bytes of its turn that had played when it came."""
    arrived: int
    """Bytes of its turn that the engine had given when it came."""


@dataclass(slots=True)
class _AgentTurn:
    number: int
    began_at: float
    pieces: list[tuple[int, int]] = field(default_factory=list)
    """Ledger positions of its audio, [start, end); several when a filler sounded in between."""
    words: list[_Word] = field(default_factory=list)
    text: str | None = None
    """What the engine says was spoken, once it has ended the turn."""
    engine_interrupted: bool = False
    cut: bool = False
    first_audio_at: float | None = None
    heard_from: float | None = None
    caller_until: float | None = None
    """When the caller's voice had ended, as this turn's first audio arrived."""

    @property
    def spoken(self) -> int:
        """Bytes of audio so far."""
        return sum(end - start for start, end in self.pieces)

    def before(self, position: int) -> int:
        """Bytes of its audio before a ledger position."""
        return sum(max(0, min(end, position) - start) for start, end in self.pieces)


class Transcript:
    """One call's turns. Times are seconds of one clock; on it the call `began` and this stream of it was `opened`."""

    def __init__(
        self, playout: Playout, *, began: float, emit: Callable[[Turn], None], opened: float | None = None
    ) -> None:
        self.first_heard_at: float | None = None
        self.last_turn = 0
        """The highest number of a turn so far."""
        self.responses_ms: list[float] = []
        """Per answered turn: the caller's last voiced audio to the first agent audio heard."""
        self.added_ms: list[float] = []
        """The part of each that this bridge added."""
        self._playout = playout
        self._began = began
        self._opened = began if opened is None else opened
        self._emit = emit
        self._open: _AgentTurn | None = None
        self._ended: list[_AgentTurn] = []
        self.in_run = False
        """Whether all audio that the ledger accepts is some turn's, which is known: see `agent_audio`."""
        self._run: _AgentTurn | None = None
        self._caller_began: dict[int, float] = {}
        self._answered_until: float | None = None

    @property
    def first_heard_ms(self) -> float | None:
        """From the stream's start to the first agent audio heard."""
        return None if self.first_heard_at is None else round((self.first_heard_at - self._opened) * 1000, 1)

    @property
    def agent_turn_open(self) -> bool:
        """Whether the engine has begun an agent turn and not ended it."""
        return self._open is not None

    @property
    def caller_turn_open(self) -> bool:
        """Whether the engine has begun a caller's turn and not ended it."""
        return bool(self._caller_began)

    @property
    def settled(self) -> bool:
        """Whether every agent turn is ended and its last byte's fate known."""
        return self._open is None and not self._ended

    def turn_started(self, number: int, role: str, now: float) -> None:
        """Begin a turn of either role."""
        self.last_turn = max(self.last_turn, number)
        if role != AGENT:
            self._caller_began[number] = now
            return
        if self._open is not None:
            self._end_open(self._words(self._open), interrupted=True)
        self.end_run()
        self._open = _AgentTurn(number, now)

    def agent_audio(self, start: int, *, now: float, heard_from: float, caller_until: float | None) -> None:
        """Attribute accepted audio to the open turn, or to the one before it if the engine is late.

        It begins a run: what the ledger accepts from now on is that turn's until `end_run`, and need not be told.

        Args:
            start: ledger position of its first byte.
            now: when it arrived.
            heard_from: when its first byte plays.
            caller_until: when the caller's voice had ended, if it ever began.
        """
        turn = self._open or (self._ended[-1] if self._ended else None)
        if turn is None:
            return
        self._run, self.in_run = turn, True
        if turn.pieces and turn.pieces[-1][1] == start:
            return
        if not turn.pieces:
            turn.first_audio_at = now
            turn.heard_from = heard_from
            if caller_until is not None and caller_until != self._answered_until:
                turn.caller_until = self._answered_until = caller_until
            if self.first_heard_at is None:
                self.first_heard_at = heard_from
        turn.pieces.append((start, start))

    def end_run(self) -> None:
        """What the ledger accepts from now on is nobody's until `agent_audio` says whose."""
        self._catch_up()
        self._run, self.in_run = None, False

    def _catch_up(self) -> None:
        """Let the run's last piece end where the ledger is."""
        if self._run is not None:
            self._run.pieces[-1] = (self._run.pieces[-1][0], self._playout.accepted)

    def agent_text(self, number: int, text: str, now: float) -> None:
        """Append about one word, which came at `now`."""
        turn = self._open
        if turn is not None and turn.number == number:
            # The engine's listener is nearer by one trip than the caller.
            self._catch_up()
            played = self._playout.position(now + self._playout.trip_s)
            turn.words.append(_Word(text, turn.before(played), turn.spoken))

    def turn_ended(self, number: int, role: str, text: str, interrupted: bool, now: float) -> None:
        """End a turn; a caller's is finished with that."""
        if role != AGENT:
            began = self._caller_began.pop(number, now)
            self._emit(
                Turn(
                    number,
                    CALLER,
                    text,
                    text,
                    interrupted,
                    self._ms(began),
                    self._ms(now),
                    engine_interrupted=interrupted,
                )
            )
        elif self._open is not None and self._open.number == number:
            self._end_open(text, interrupted=interrupted)

    def engine_lost(self, now: float) -> None:
        """The engine will not end what it began: its words so far were all, and the caller's are lost."""
        self.end_run()
        self._caller_began.clear()
        if self._open is not None:
            self._end_open(self._words(self._open), interrupted=True)
        self.settle(now)

    def unfinished(self, now: float) -> list[Turn]:
        """Return what is known now of agent turns that are not written yet: who said what, and what was heard."""
        self._catch_up()
        known = []
        for turn in (*self._ended, *([self._open] if self._open else [])):
            text = turn.text or self._words(turn)
            heard = sum(self._playout.heard(start, end, now) for start, end in turn.pieces)
            heard_text = text if heard >= turn.spoken else self._heard_text(turn, text, heard, turn.spoken)
            known.append(Turn(turn.number, AGENT, text, heard_text, turn.cut, self._ms(turn.began_at), self._ms(now)))
        return known

    def cleared(self) -> None:
        """The caller barged in: what is not heard by now never will be."""
        for turn in (*self._ended, *([self._open] if self._open else [])):
            turn.cut = True

    def settle(self, now: float, *, final: bool = False) -> None:
        """Write every turn whose fate is known; `final` at the call's end writes all."""
        if not self._ended and not final:
            return
        self._catch_up()
        if final and self._open is not None:
            self._end_open(self._words(self._open), interrupted=True)
        waiting = []
        for turn in self._ended:
            known = not turn.pieces or turn.cut or self._playout.acknowledged >= turn.pieces[-1][1]
            if known or final:
                self._emit(self._finished(turn, now))
            else:
                waiting.append(turn)
        self._ended = waiting

    def _end_open(self, text: str, *, interrupted: bool) -> None:
        turn, self._open = self._open, None
        if turn is not None:
            turn.text = text
            turn.engine_interrupted = interrupted
            self._ended.append(turn)

    @staticmethod
    def _words(turn: _AgentTurn) -> str:
        return "".join(word.text for word in turn.words)

    def _finished(self, turn: _AgentTurn, now: float) -> Turn:
        text = turn.text or ""
        spoken = turn.spoken
        heard = sum(self._playout.heard(start, end, now) for start, end in turn.pieces)
        response = engine = bridge = None
        if heard and turn.heard_from is not None and turn.first_audio_at is not None and turn.caller_until is not None:
            response = max(0.0, (turn.heard_from - turn.caller_until) * 1000)
            engine = max(0.0, (turn.first_audio_at - turn.caller_until) * 1000)
            bridge = response - engine
            self.responses_ms.append(response)
            self.added_ms.append(bridge)
        ended = turn.heard_from + heard / BYTES_PER_MS / 1000 if turn.heard_from is not None else now
        return Turn(
            turn.number,
            AGENT,
            text,
            text if heard >= spoken else self._heard_text(turn, text, heard, spoken),
            turn.cut and heard < spoken,
            self._ms(turn.heard_from or turn.began_at),
            self._ms(ended),
            heard_ms=heard / BYTES_PER_MS,
            spoken_ms=spoken / BYTES_PER_MS,
            engine_interrupted=turn.engine_interrupted,
            response_ms=response,
            engine_ms=engine,
            bridge_ms=bridge,
        )

    @staticmethod
    def _heard_text(turn: _AgentTurn, text: str, heard: int, spoken: int) -> str:
        """Return the words whose audio ended before the cut; by share of the audio if the engine gave no words."""
        if not turn.words:
            whole = text[: int(len(text) * heard / spoken)]
            return whole.rpartition(" ")[0] if len(whole) < len(text) else whole
        words, characters = "", 0
        for word in turn.words:
            characters += len(word.text)
            least = characters * FASTEST
            if word.sounded >= least:
                end = word.sounded
            elif word.arrived >= least:
                end = word.arrived
            else:
                end = max(word.arrived, spoken * characters // max(1, len(text), characters))
            if end > heard:
                break
            words += word.text
        return words

    def _ms(self, at: float) -> float:
        return round((at - self._began) * 1000, 1)
