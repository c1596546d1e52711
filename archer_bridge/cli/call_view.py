"""One call on a terminal, readable at three in the morning."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from archer_bridge.cli.records import last_four, printable
from archer_bridge.models import Arrangement, CallEvent, CallRow, Outcome, ToolRow, ToolStatus, Turn

GOOD = frozenset({Outcome.COMPLETED, Outcome.TRANSFERRED, Outcome.CALLER_HANGUP})
TOOL_STYLES: Mapping[ToolStatus, str] = {
    ToolStatus.OK: "green",
    ToolStatus.STARTED: "yellow",
    ToolStatus.UNKNOWN: "bold red",
    ToolStatus.ERROR: "red",
    ToolStatus.DENIED: "magenta",
}


def call_table(calls: Sequence[CallRow], counts: Mapping[str, tuple[int, int]]) -> Table:
    """Return the newest calls, one a line."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("call", "started (UTC)", "from", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in ("duration", "turns", "tools"):
        table.add_column(name, justify="right", no_wrap=True)
    for call in calls:
        talk, tools = counts.get(call.call_sid, (0, 0))
        started = f"{call.created_at:%Y-%m-%d %H:%M:%S}"
        duration = _duration(call.duration_ms)
        table.add_row(
            call.call_sid, started, last_four(call.from_number), _outcome(call), duration, str(talk), str(tools)
        )
    return table


def show_call(
    console: Console,
    call: CallRow,
    *,
    turns: Sequence[Turn],
    tools: Sequence[ToolRow],
    arrangements: Sequence[Arrangement],
    events: Sequence[CallEvent],
) -> None:
    """Print everything about one call."""
    console.print(_header(call))
    _section(console, "Conversation", _conversation(turns), "nobody spoke")
    _section(console, "Tools", _tools(tools), "none was called")
    _section(console, "Arrangement", _arrangements(arrangements), "none was recorded")
    _section(console, "Timeline", _timeline(call.created_at, events), "empty")
    if call.numbers:
        _section(console, "Numbers", _facts(call.numbers.items()), "")


def _section(console: Console, title: str, body: RenderableType | None, otherwise: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))
    console.print(Padding(body if body is not None else Text(otherwise, style="dim"), (0, 0, 0, 2)))


def _header(call: CallRow) -> RenderableType:
    facts: list[tuple[str, Any]] = [
        ("call", call.call_sid),
        ("state", call.state.value),
        ("outcome", _outcome(call)),
        ("reason", call.reason or "-"),
        ("from", f"{last_four(call.from_number)} ({call.direction}) to {last_four(call.to_number)}"),
        ("customer", call.customer_id or "-"),
        ("started", f"{call.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("answered", "never" if call.answered_at is None else f"after {_seconds(call.created_at, call.answered_at)}"),
        ("ended", "not yet" if call.ended_at is None else f"after {_seconds(call.created_at, call.ended_at)}"),
        ("stream", f"{call.stream_sid or 'none'}, {_duration(call.duration_ms)}"),
        ("owner", call.owner_id or "-"),
    ]
    return _facts(facts)


def _facts(facts: Any) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(Text(printable(str(name))), value if isinstance(value, Text) else Text(printable(str(value))))
    return table


def _conversation(turns: Sequence[Turn]) -> RenderableType | None:
    if not turns:
        return None
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for turn in turns:
        words = Group(spoken_words(turn), *_latencies(turn))
        table.add_row(_clock(turn.started_ms), Text(turn.role, style="cyan" if turn.role == "agent" else "bold"), words)
    return table


def spoken_words(turn: Turn) -> Text:
    """Show what was heard as it is; what was said but never heard is struck through and marked."""
    text, heard = printable(turn.text), printable(turn.heard_text)
    words = Text(heard)
    unheard = text[len(heard) :] if text.startswith(heard) else f" {text}"
    if text != heard and unheard.strip():
        words.append(unheard, style="dim strike")
        words.append(" [not heard]", style="yellow")
    if turn.interrupted:
        words.append(" [interrupted]", style="yellow")
    elif turn.engine_interrupted:
        words.append(" [engine stopped]", style="yellow")
    return words


def _latencies(turn: Turn) -> list[Text]:
    named = (("response", turn.response_ms), ("engine", turn.engine_ms), ("bridge", turn.bridge_ms))
    known = [f"{name} {value:.0f} ms" for name, value in named if value is not None]
    if turn.heard_text != turn.text:
        known.append(f"heard {turn.heard_ms:.0f} of {turn.spoken_ms:.0f} ms")
    return [Text(", ".join(known), style="dim")] if known else []


def _tools(rows: Sequence[ToolRow]) -> RenderableType | None:
    if not rows:
        return None
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(overflow="fold")
    for row in rows:
        took = "" if row.duration_ms is None else f"{row.duration_ms:.0f} ms"
        again = "" if row.attempt == 1 else f" (try {row.attempt})"
        status = Text(f"{row.status.value}{again}", style=TOOL_STYLES[row.status])
        detail = Text(printable(f"{row.arguments_json} -> {row.result_json or '(no result)'}"))
        table.add_row(Text(printable(row.tool), style="bold"), status, Text(took, style="dim"), detail)
    return table


def _arrangements(found: Sequence[Arrangement]) -> RenderableType | None:
    if not found:
        return None
    blocks: list[RenderableType] = []
    for agreed in found:
        how = f"{agreed.option} by {agreed.payment_type}"
        total = f"{how}: {_money(agreed.total_cents)}, confirmation {agreed.confirmation}"
        blocks.append(Text(printable(total), style="bold"))
        blocks += [
            Text(f"  {payment.due.isoformat()}  {_money(payment.amount_cents):>12}") for payment in agreed.payments
        ]
    return Group(*blocks)


def _timeline(start: datetime, events: Sequence[CallEvent]) -> RenderableType | None:
    if not events:
        return None
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    for event in events:
        data = ", ".join(f"{name}={value}" for name, value in event.data.items() if name != "numbers")
        table.add_row(f"+{_seconds(start, event.at)}", Text(printable(event.kind)), Text(printable(data)))
    return table


def _outcome(call: CallRow) -> Text:
    if call.outcome is None:
        return Text(call.state.value, style="yellow")
    return Text(call.outcome.value, style="green" if call.outcome in GOOD else "red")


def _duration(milliseconds: int | None) -> str:
    return "-" if milliseconds is None else _clock(milliseconds)


def _clock(milliseconds: float) -> str:
    tenths = round(milliseconds / 100)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def _seconds(start: datetime, end: datetime) -> str:
    return f"{(end - start).total_seconds():.3f} s"


def _money(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02d}"
