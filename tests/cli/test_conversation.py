"""The live view of a call: aligned, wrapped, masked."""

import asyncio
import io
from typing import Any

import pytest
from rich.console import Console

from archer_bridge.cli.conversation import Conversation, masked, summary
from archer_bridge.devkit.phone import PhoneEvent
from tests.support.virtual import virtual


def screen(width: int = 60) -> tuple[Conversation, io.StringIO]:
    out = io.StringIO()
    return Conversation(Console(file=out, width=width, highlight=False)), out


def shown(out: io.StringIO) -> list[str]:
    return [line.rstrip() for line in out.getvalue().replace("\N{NO-BREAK SPACE}", " ").splitlines()]


@virtual
async def test_a_conversation_reads_from_top_to_bottom() -> None:
    view, out = screen(76)
    view.phone(PhoneEvent("ringing", 0))
    view.phone(PhoneEvent("answered", 0))
    view.process("simulator", {"event": "turn_started", "role": "assistant"})
    await asyncio.sleep(2.5)
    view.process("simulator", {"event": "agent_said", "text": "Hello."})
    view.phone(PhoneEvent("caller_said", 0, "My account ends in 4821."))
    await asyncio.sleep(1)
    view.process("simulator", {"event": "agent_heard", "text": ""})
    parameters = {"account_last_4": "4821", "postal_code": "94107", "why": "asked"}
    view.process(
        "simulator", {"event": "tool_called", "tool_call_id": "t1", "name": "verify_account", "parameters": parameters}
    )
    await asyncio.sleep(0.065)
    result = '{"verified":true,"first_name":"Dana"}'
    view.process("simulator", {"event": "tool_result", "tool_call_id": "t1", "result": result, "is_error": False})
    view.phone(PhoneEvent("dtmf", 0, "7"))
    view.process("simulator", {"event": "agent_interrupted", "spoken": "Your balance"})
    view.process("bridge", {"event": "barge_in", "level": "info", "flushed_ms": 186.1})
    view.phone(PhoneEvent("twiml", 0, "Connect"))
    view.phone(PhoneEvent("twiml", 0, "Hangup"))
    view.phone(PhoneEvent("violation", 0, "31951 extra field"))
    view.phone(PhoneEvent("ended", 0, "bridge Hangup"))

    assert shown(out) == [
        "  0.0 s  line            ringing",
        "  0.0 s  line            answered",
        "  2.5 s  agent said      Hello. · 2.5 s",
        "  2.5 s  caller says     My account ends in 4821.",
        "  3.5 s  agent heard     (unintelligible)",
        "  3.5 s  tool called     verify_account(account_last_4=***1,",
        "                         postal_code=****7, why=asked)",
        "  3.6 s  tool result     verified: true, first_name: Dana · 65 ms",
        "  3.6 s  caller presses  *",
        "  3.6 s  agent said      Your balance — · 3.6 s, interrupted",
        "  3.6 s  line            cut off: 0.2 s of the agent's words were not heard",
        "  3.6 s  line            Twilio hangs up · <Hangup>",
        "  3.6 s  line            NOT ALLOWED BY TWILIO: 31951 extra field",
        "  3.6 s  line            over: bridge Hangup",
    ]


@pytest.mark.parametrize("width", [50, 80, 200])
@virtual
async def test_long_words_stay_in_their_column(width: int) -> None:
    view, out = screen(width)
    text = "Your balance is nine hundred dollars and it is forty-five days overdue, " * 4
    view.process("simulator", {"event": "agent_said", "text": text})

    lines = shown(out)
    assert all(len(line) <= width for line in lines)
    assert all(line.startswith(" " * 25) for line in lines[1:])
    assert " ".join(" ".join(line[25:] for line in lines).split()).startswith(text.strip())


@virtual
async def test_of_the_bridges_log_only_trouble_shows() -> None:
    view, out = screen(120)
    trouble: dict[str, Any] = {
        "event": "engine_connect_failed",
        "level": "warning",
        "ts": "x",
        "call_sid": "CA1",
        "of": 2,
    }
    view.process("bridge", {"event": "tool_called", "level": "info"})
    view.process("bridge", trouble)
    view.process("bridge", {"event": "call_failed", "level": "error", "exception": "Traceback"})
    view.process("simulator", {"event": "connected"})

    assert shown(out) == [
        "  0.0 s  bridge warning  engine_connect_failed · of: 2",
        "  0.0 s  bridge error    call_failed",
    ]


@virtual
async def test_markup_in_what_is_said_is_text() -> None:
    view, out = screen()
    view.phone(PhoneEvent("caller_said", 0, "[bold red]x[/] [/nothing]"))

    assert "[bold red]x[/] [/nothing]" in out.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("4821", "***1"),
        ("94107", "****7"),
        ("12", "12"),
        (4821, "***1"),
        ("payment_plan", "payment_plan"),
        (True, "True"),
    ],
)
def test_numbers_of_the_callers_are_masked(value: object, text: str) -> None:
    assert masked(value) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ('{"verified":false,"attempts_left":1,"message":"no"}', "verified: false, attempts_left: 1, message: no"),
        ('{"options":[{"a":1},{"a":2}],"total_cents":90000}', "options: 2 entries, total_cents: 90000"),
        ('{"error":{"code":"not_verified","message":"m"}}', 'error: {"code": "not_verified", "message": "m"}'),
        ('{"message":"' + "x" * 99 + '"}', f"message: {'x' * 60}…"),
        ("[1]", "[1]"),
        ("null", "None"),
        ("broken", "(not JSON)"),
    ],
)
def test_the_summary_of_a_result(result: str, text: str) -> None:
    assert summary(result) == text
