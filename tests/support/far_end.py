"""Twilio's side of a stream and the network before it, exactly: what the playout ledger is judged by.

Times are whole samples of one 8000 Hz clock, so nothing is rounded. The model knows which ledger positions each piece
of audio holds, and therefore exactly what was heard of them.
"""

from collections import deque
from dataclasses import dataclass, field

Message = tuple[str, object]


@dataclass(slots=True)
class Link:
    """One direction of the network: in order, `delay` samples and a jitter on top that the sender chooses."""

    delay: int
    _last: int = 0
    _waiting: deque[tuple[int, Message]] = field(default_factory=deque)

    def send(self, now: int, message: Message, jitter: int = 0) -> None:
        """Put a message on its way."""
        self._last = max(self._last, now + self.delay + jitter)
        self._waiting.append((self._last, message))

    @property
    def next_at(self) -> int | None:
        """When the next message arrives."""
        return self._waiting[0][0] if self._waiting else None

    def take(self) -> Message:
        """Take the message that has arrived."""
        return self._waiting.popleft()[1]


class Buffer:
    """What Twilio has buffered and played: a byte a sample, marks reached, everything echoed on `clear`."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, int]] = []
        """Ledger positions heard, as [start, end), in the order of hearing."""
        self._pieces: deque[tuple[int, int]] = deque()
        self._marks: deque[tuple[int, str]] = deque()
        self._cursor = 0
        self._free_at = 0

    def advance(self, now: int) -> list[tuple[int, str]]:
        """Play up to `now`; return the marks reached, each with its time."""
        while self._pieces and self._cursor < now:
            start, end = self._pieces[0]
            count = min(end - start, now - self._cursor)
            self.runs.append((start, start + count))
            self._cursor += count
            if start + count == end:
                self._pieces.popleft()
            else:
                self._pieces[0] = (start + count, end)
        reached = []
        while self._marks and self._marks[0][0] <= now:
            reached.append(self._marks.popleft())
        return reached

    def media(self, now: int, start: int, end: int) -> None:
        """Buffer audio that holds the positions [start, end)."""
        if not self._pieces:
            self._cursor = now
        self._pieces.append((start, end))
        self._free_at = self._cursor + sum(b - a for a, b in self._pieces)

    def mark(self, now: int, name: str) -> None:
        """Remember a mark, due when all that is buffered was played."""
        self._marks.append((max(now, self._free_at), name))

    def clear(self, now: int) -> list[tuple[int, str]]:
        """Forget the audio and give every mark back."""
        self._pieces.clear()
        self._free_at = now
        marks = [(now, name) for _, name in self._marks]
        self._marks.clear()
        return marks

    @property
    def next_at(self) -> int | None:
        """When the next mark is due."""
        return self._marks[0][0] if self._marks else None

    def heard(self, start: int, end: int) -> int:
        """Bytes heard of the positions [start, end)."""
        return sum(max(0, min(end, b) - max(start, a)) for a, b in self.runs)
