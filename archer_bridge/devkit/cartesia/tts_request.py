"""What a text-to-speech request must look like: https://docs.cartesia.ai/api-reference/tts/websocket"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archer_bridge.devkit.cartesia.auth import ApiError
from archer_bridge.devkit.cartesia.sound import TTS_ENCODINGS, Encoder
from archer_codecs import CodecError

SAMPLE_RATES = (8000, 16000, 22050, 24000, 44100, 48000)
_SUNSET_MODELS = {"sonic", "sonic-english", "sonic-multilingual", "sonic-2", "sonic-turbo"}
_MODEL_PREFIXES = ("sonic-3", "sonic-latest")
_MAX_BUFFER_DELAY_MS = 5000
_DEFAULT_BUFFER_DELAY_MS = 3000
_GENERATION_RANGES = {"speed": (0.6, 1.5), "volume": (0.5, 2.0)}


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """What must stay the same within a context."""

    model_id: str
    voice_id: str
    encoding: str
    rate: int

    def encoder(self, voice_rate: int) -> Encoder:
        """Make the way from the voice to these settings.

        Raises:
            ApiError: 400 unsupported_audio_format.
        """
        try:
            return Encoder(voice_rate, self.encoding, self.rate)
        except CodecError as problem:
            raise _bad_format(str(problem)) from problem


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One checked request."""

    settings: SpeechSettings
    transcript: str
    more_follows: bool
    flush: bool
    buffer_delay_s: float
    timestamps: bool


def read_request(body: Mapping[str, Any]) -> GenerationRequest:
    """Check one generation request of a context.

    Raises:
        ApiError: 400, naming the field and the rule.
    """
    delay_ms = body.get("max_buffer_delay_ms")
    delay_ms = _DEFAULT_BUFFER_DELAY_MS if delay_ms is None else delay_ms
    if not _is_number(delay_ms) or not 0 <= delay_ms <= _MAX_BUFFER_DELAY_MS:
        raise ApiError(400, f"max_buffer_delay_ms must be 0 to {_MAX_BUFFER_DELAY_MS}, not {delay_ms!r}")
    more_follows, flush = _switch(body, "continue"), _switch(body, "flush")
    request = GenerationRequest(
        settings=read_settings(body, containers=("raw",)),
        transcript=read_transcript(body),
        more_follows=more_follows,
        flush=flush,
        buffer_delay_s=delay_ms / 1000,
        timestamps=_switch(body, "add_timestamps"),
    )
    if request.flush and (request.transcript or not request.more_follows):
        raise ApiError(400, "flush needs an empty transcript and continue true")
    return request


def read_transcript(body: Mapping[str, Any]) -> str:
    """Return the transcript.

    Raises:
        ApiError: 400.
    """
    transcript = body.get("transcript")
    if not isinstance(transcript, str):
        raise ApiError(400, "transcript is required and must be a text")
    return transcript


def read_settings(body: Mapping[str, Any], *, containers: tuple[str, ...]) -> SpeechSettings:
    """Check model, voice, format and the settings that only have ranges.

    Raises:
        ApiError: 400.
    """
    if body.get("language") is not None and body.get("locale") is not None:
        raise ApiError(400, "language and locale may not both be set")
    generation = body.get("generation_config") or {}
    for name, (low, high) in _GENERATION_RANGES.items():
        value = generation.get(name)
        if value is not None and not (_is_number(value) and low <= value <= high):
            raise ApiError(400, f"generation_config.{name} must be {low} to {high}, not {value!r}")
    encoding, rate = _read_format(body.get("output_format"), containers)
    return SpeechSettings(_read_model(body.get("model_id")), _read_voice(body.get("voice")), encoding, rate)


def _read_model(model_id: Any) -> str:
    if not isinstance(model_id, str):
        raise ApiError(400, "model_id is required")
    if model_id in _SUNSET_MODELS:
        raise ApiError(400, f"model {model_id!r} has been sunset", error_code="model_sunsetted")
    if not model_id.startswith(_MODEL_PREFIXES):
        raise ApiError(404, f"no model {model_id!r}", error_code="model_not_found")
    return model_id


def _read_voice(voice: Any) -> str:
    voice_id = voice.get("id") if isinstance(voice, dict) else voice
    if not isinstance(voice_id, str) or not voice_id:
        raise ApiError(400, 'voice is required: an id, or {"id": …}', error_code="voice_not_found")
    return voice_id


def _read_format(output: Any, containers: tuple[str, ...]) -> tuple[str, int]:
    if not isinstance(output, dict):
        raise ApiError(400, "output_format is required")
    container, encoding, rate = (output.get(key) for key in ("container", "encoding", "sample_rate"))
    if container not in containers:
        raise _bad_format(f"container must be {' or '.join(containers)}, not {container!r}")
    if encoding not in TTS_ENCODINGS:
        raise _bad_format(f"encoding must be one of {', '.join(TTS_ENCODINGS)}, not {encoding!r}")
    if rate not in SAMPLE_RATES:
        raise _bad_format(f"sample_rate must be one of {', '.join(map(str, SAMPLE_RATES))}, not {rate!r}")
    return encoding, rate


def _bad_format(message: str) -> ApiError:
    return ApiError(400, message, error_code="unsupported_audio_format")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _switch(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise ApiError(400, f"{name} must be a boolean, not {value!r}")
    return bool(value)
