"""The agent socket: documented events in, exactly the documented fields out."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.errors import LocalProtocolError
from archer_bridge.models import ToolFinished, ToolRequest
from archer_bridge.ports import (
    EngineAudio,
    EngineClear,
    EngineDigit,
    EngineEvent,
    EngineFault,
    EngineIgnored,
    EngineReady,
    ToolCalled,
    TurnEnded,
    TurnStarted,
    TurnText,
)
from archer_bridge.protocols.cartesia_agent import HELD_BACK_MS, AgentSession, State, audio_message
from archer_bridge.protocols.frames import BadFrame

READY = {"type": "session_ready", "call_id": "ac_1", "agent_id": "a", "audio": {"input_format": "mulaw_8000"}}


def session() -> AgentSession:
    return AgentSession(bytes_per_ms=8)


def ready() -> AgentSession:
    made = session()
    made.create("mulaw_8000", "speaking_pace", {})
    made.receive(json.dumps(READY))
    return made


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        pytest.param(READY, EngineReady("ac_1"), id="ready"),
        pytest.param({"type": "audio_output", "audio": "/w=="}, EngineAudio(b"\xff", b"/w=="), id="audio"),
        pytest.param({"type": "audio_output_clear"}, EngineClear(), id="clear"),
        pytest.param({"type": "audio_output_clear", "why": "new field"}, EngineClear(), id="new-field"),
        pytest.param({"type": "dtmf_output", "digit": "5"}, EngineDigit("5"), id="dtmf"),
        pytest.param(
            {"type": "client_tool_call", "tool_call_id": "c", "tool_name": "t", "parameters": {"a": 1}},
            ToolCalled(ToolRequest("c", "t", {"a": 1}, True)),
            id="tool",
        ),
        pytest.param(
            {"type": "client_tool_call", "tool_call_id": "c", "tool_name": "t", "expects_response": False},
            ToolCalled(ToolRequest("c", "t", {}, False)),
            id="tool-without-answer",
        ),
        pytest.param({"type": "turn_started", "turn": 3, "role": "user"}, TurnStarted(3, "user"), id="started"),
        pytest.param(
            {"type": "turn_output_text_delta", "turn": 4, "role": "assistant", "text": " a"},
            TurnText(4, " a"),
            id="text",
        ),
        pytest.param(
            {"type": "turn_ended", "turn": 3, "role": "user", "text": "hi", "interrupted": True},
            TurnEnded(3, "user", "hi", True),
            id="ended",
        ),
        pytest.param(
            {"type": "error", "code": "invalid_event", "message": "m", "fatal": False},
            EngineFault("invalid_event", "m", False),
            id="error",
        ),
        pytest.param({"type": "hologram", "x": 1}, EngineIgnored("hologram"), id="unknown"),
    ],
)
def test_events(wire: dict[str, Any], event: EngineEvent) -> None:
    assert session().receive(json.dumps(wire)) == event


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param("x", "not_json", id="text"),
        pytest.param("{}", "not_json", id="no-type"),
        pytest.param('{"type":"audio_output","audio":"*"}', "bad_media", id="base64"),
        pytest.param('{"type":"turn_ended","turn":"x","role":"user"}', "bad_shape", id="types"),
    ],
)
def test_garbage_is_a_bad_frame(message: str, reason: str) -> None:
    with pytest.raises(BadFrame) as caught:
        session().receive(message)

    assert caught.value.reason == reason


def test_create_comes_first_once_and_has_the_documented_fields() -> None:
    made = session()

    message = json.loads(made.create("pcm_16000", "as_available", {"caller_number": "+1", "vip": True}))

    assert message == {
        "type": "session_create",
        "audio": {"input_format": "pcm_16000", "output_delivery": "as_available"},
        "dynamic_variables": {"caller_number": "+1", "vip": True},
    }
    assert made.state is State.CREATING
    with pytest.raises(LocalProtocolError, match="sent once"):
        made.create("pcm_16000", "as_available", {})


def test_too_many_variables_are_our_bug() -> None:
    with pytest.raises(LocalProtocolError, match="65 dynamic variables"):
        session().create("mulaw_8000", "speaking_pace", {f"v{n}": n for n in range(65)})


def test_audio_before_ready_is_kept_in_order() -> None:
    made = session()
    made.create("mulaw_8000", "speaking_pace", {})

    made.hold_back(audio_message(b"QUJD"), 160)
    made.hold_back(audio_message(b"REVG"), 160)
    made.receive(json.dumps(READY))
    held = [json.loads(message) for message in made.take_held()]

    assert held == [{"type": "audio_input", "audio": "QUJD"}, {"type": "audio_input", "audio": "REVG"}]
    assert made.take_held() == []


@given(st.lists(st.integers(1, 4000), max_size=40))
def test_what_is_held_back_is_bounded_and_the_newest(lengths: list[int]) -> None:
    made = session()
    for number, length in enumerate(lengths):
        made.hold_back(audio_message(str(number).encode()), length)

    kept = [int(json.loads(message)["audio"]) for message in made.take_held()]

    assert kept == list(range(len(lengths)))[len(lengths) - len(kept) :]
    assert sum(lengths[number] for number in kept) <= HELD_BACK_MS * 8
    assert made.dropped_ms == sum(lengths[: len(lengths) - len(kept)]) / 8


def test_tool_result_fields() -> None:
    finished = ToolFinished("c1", "t", '{"error":{}}', True, "not_verified", None, 1.0)

    assert json.loads(session().tool_result(finished)) == {
        "type": "client_tool_result",
        "tool_call_id": "c1",
        "result": '{"error":{}}',
        "is_error": True,
        "error_type": "not_verified",
    }


def test_a_result_over_the_limit_is_our_bug() -> None:
    with pytest.raises(LocalProtocolError, match="over 4096 bytes"):
        session().tool_result(ToolFinished("c", "t", "é" * 2049, False, None, None, 1.0))


@pytest.mark.parametrize(("digit", "sent"), [("5", True), ("#", True), ("A", False)])
def test_only_keys_that_the_vendor_takes_are_sent(digit: str, sent: bool) -> None:
    assert (AgentSession.digit(digit) is not None) == sent


@given(st.binary(max_size=300))
def test_any_bytes_are_an_event_or_a_bad_frame(message: bytes) -> None:
    with contextlib.suppress(BadFrame):
        ready().receive(message)
