"""Turn events of one call: one counter, one open turn at a time, and the transcript they make."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from archer_bridge.devkit.cartesia.agent_link import AgentLink
from archer_bridge.devkit.cartesia.events import EventFeed

Event = dict[str, Any]


@dataclass(slots=True)
class _OpenTurn:
    number: int
    role: str
    start: float
    text: str = ""


@dataclass(slots=True)
class TurnBook:
    """Makes `turn_*` events; times are seconds since the session was ready."""

    link: AgentLink
    feed: EventFeed
    began: float
    transcript: list[Event] = field(default_factory=list)
    _number: int = 0
    _open: _OpenTurn | None = None
    _tool_calls: list[Event] = field(default_factory=list)

    def now(self) -> float:
        """Seconds since the session was ready."""
        return round(asyncio.get_running_loop().time() - self.began, 3)

    def is_open(self, role: str) -> bool:
        """Whether a turn of this role is open."""
        return self._open is not None and self._open.role == role

    async def start(self, role: str, *, ago: float = 0.0) -> None:
        """Open a turn that began `ago` seconds before now; the previous one must be closed."""
        assert self._open is None, f"turn {self._open} is open"
        self._number += 1
        turn = self._open = _OpenTurn(self._number, role, max(0.0, round(self.now() - ago, 3)))
        self.feed.publish("turn_started", call_id=self.link.call_id, turn=turn.number, role=role)
        await self.link.send({"type": "turn_started", "turn": turn.number, "role": role, "start_time": turn.start})

    async def spoke(self, word: str) -> str:
        """Add a spoken word to the open assistant turn; return the delta that was sent."""
        assert self._open is not None
        assert self._open.role == "assistant"
        delta = f" {word}" if self._open.text else word
        self._open.text += delta
        await self.link.send(
            {
                "type": "turn_output_text_delta",
                "turn": self._open.number,
                "role": "assistant",
                "text": delta,
            }
        )
        return delta

    def note_tool_call(self, call_id: str, name: str, arguments: dict[str, Any]) -> Event:
        """Put a tool call into the assistant turn that ends next; its result may be added until then."""
        call = {"id": call_id, "name": name, "arguments": arguments}
        self._tool_calls.append(call)
        return call

    def take(self, role: str, *, text: str | None = None, interrupted: bool = False) -> Event | None:
        """Close the open turn of this role and return its `turn_ended`, or None if there is none.

        Nothing is sent here: closing is atomic, sending is not.
        """
        if self._open is None or self._open.role != role:
            return None
        turn, self._open = self._open, None
        calls: list[Event] = []
        if role == "assistant":
            calls, self._tool_calls = self._tool_calls, []
        event = {
            "type": "turn_ended",
            "turn": turn.number,
            "role": role,
            "text": turn.text if text is None else text,
            "interrupted": interrupted,
            "start_time": turn.start,
            "end_time": self.now(),
            "tool_calls": [dict(call) for call in calls],
        }
        self._record(event)
        return event

    def abandon(self) -> None:
        """Close what is open without an event: the call is over."""
        for role in ("assistant", "user"):
            self.take(role, interrupted=True)

    def _record(self, event: Event) -> None:
        ended = "interrupted" if event["interrupted"] else "tts_completed"
        entry = {
            "role": event["role"],
            "text": event["text"],
            "start_timestamp": event["start_time"],
            "end_timestamp": event["end_time"],
        }
        if event["role"] == "assistant":
            entry["end_reason"] = ended
            entry["tool_calls"] = [
                {
                    "id": call["id"],
                    "name": call["name"],
                    "arguments": {key: str(value) for key, value in call["arguments"].items()},
                }
                for call in event["tool_calls"]
            ]
        self.transcript.append(entry)
