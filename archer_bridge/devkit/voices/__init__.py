"""Voices that speak and ears that listen, without a network: real speech if installed, tones always."""

from archer_bridge.devkit.voices.base import (
    Ear,
    EarEvent,
    Heard,
    Partial,
    SpeechStarted,
    Utterance,
    Voice,
    Word,
)
from archer_bridge.devkit.voices.catalog import LOCAL_HINT, have_local, open_ear, open_voice
from archer_bridge.devkit.voices.decoding import decode_tones, heard_text
from archer_bridge.devkit.voices.hearing import ToneEar
from archer_bridge.devkit.voices.judge import transcribe, transcribe_file, word_error_rate
from archer_bridge.devkit.voices.tones import ToneVoice, spoken

__all__ = [
    "LOCAL_HINT",
    "Ear",
    "EarEvent",
    "Heard",
    "Partial",
    "SpeechStarted",
    "ToneEar",
    "ToneVoice",
    "Utterance",
    "Voice",
    "Word",
    "decode_tones",
    "have_local",
    "heard_text",
    "open_ear",
    "open_voice",
    "spoken",
    "transcribe",
    "transcribe_file",
    "word_error_rate",
]
