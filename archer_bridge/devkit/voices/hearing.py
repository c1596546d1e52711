"""An ear for tones: speech start by level, words by decoding, end of turn by silence."""

from archer_bridge.devkit.voices.base import EarEvent, Heard, Partial, SpeechStarted
from archer_bridge.devkit.voices.decoding import BLOCK_MS, Blocks, Decoder, Samples, Symbol, joined_text

_STARTED_BLOCKS = 16  # 40 ms of sound is speech, less is a click
_CONFIRM_BLOCKS = 24  # an onset is reported 60 ms after it, like a voice detector does
_CLICK_BLOCKS = 12  # 30 ms of silence discard what was too short to be speech


class ToneEar:
    """Hears the tones of `archer_bridge.devkit.voices.tones`; `endpoint_ms` of silence end an utterance."""

    blocking = False

    def __init__(self, *, endpoint_ms: float = 500.0) -> None:
        self._endpoint_blocks = round(endpoint_ms / BLOCK_MS)
        self._blocks = Blocks()
        self._decoder = Decoder()
        self._index = 0
        self._listen_anew()

    def _listen_anew(self) -> None:
        self._onset: int | None = None
        self._last_on = 0
        self._on_count = 0
        self._is_speech = False
        self._symbols: list[Symbol] = []

    def warm(self) -> None:
        """Do nothing: there is no model to load."""

    def feed(self, audio: bytes) -> list[EarEvent]:
        """Listen; see `Ear.feed`."""
        return [event for block, is_on in self._blocks.feed(audio) for event in self._push(block, is_on)]

    def flush(self) -> list[EarEvent]:
        """End the audio; see `Ear.flush`."""
        events = [event for block, is_on in self._blocks.flush() for event in self._push(block, is_on)]
        self._symbols.extend(self._decoder.flush())
        if self._onset is not None and self._on_count >= _STARTED_BLOCKS:
            if not self._is_speech:
                events.append(SpeechStarted(self._onset * BLOCK_MS))
            events.append(self._heard(self._onset))
        self._listen_anew()
        return events

    def _push(self, block: Samples, is_on: bool) -> list[EarEvent]:
        new = self._decoder.push(block, is_on)
        self._index += 1
        if is_on:
            self._onset = self._index - 1 if self._onset is None else self._onset
            self._last_on = self._index
            self._on_count += 1
        if self._onset is None:
            return []
        self._symbols.extend(new)
        events: list[EarEvent] = []
        silent = self._index - self._last_on
        if not self._is_speech:
            if self._on_count >= _STARTED_BLOCKS and self._index - self._onset >= _CONFIRM_BLOCKS:
                self._is_speech = True
                events.append(SpeechStarted(self._onset * BLOCK_MS))
            elif self._on_count < _STARTED_BLOCKS and silent >= _CLICK_BLOCKS:
                self._listen_anew()
                return []
        if any(symbol.char == " " for symbol in new):
            events.append(Partial(joined_text(self._symbols)))
        if self._is_speech and silent >= self._endpoint_blocks:
            events.append(self._heard(self._onset))
            self._listen_anew()
        return events

    def _heard(self, onset: int) -> Heard:
        return Heard(joined_text(self._symbols), onset * BLOCK_MS, self._last_on * BLOCK_MS)
