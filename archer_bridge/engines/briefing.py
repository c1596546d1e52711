"""What a new session is told of a call that it did not hear from its beginning. Pure."""

from archer_bridge.models import ToolStatus
from archer_bridge.ports import Recall

LONGEST = 6000
"""Characters of conversation: the newest; an event of the vendor's socket is bounded."""
LONGEST_RESULT = 1500

HEAD = """\
The line to you was interrupted in the middle of this call, and you go on now where it was left. You have apologised \
for the interruption with your first words. Do not greet again and do not begin from the start: say in half a \
sentence where you were, and go on with the next step."""
STILL_TRUE = "What the tools answered still holds: who is verified stays verified, what was offered stays offered."
PROVE_AGAIN = (
    "The caller has to be verified once more before any account detail is said, and the options fetched once more: "
    "say that this is needed because of the interruption."
)
UNANSWERED = (
    "These were being carried out when the line broke, and their answers did not reach you: {names}. What was asked "
    "for is done at most once. If you need an answer, call the tool again with the same arguments."
)
SPEAKERS = {"assistant": "You", "user": "Caller"}


def briefing(recall: Recall) -> str:
    """Return the instructions that are added for the rest of the call."""
    parts = [HEAD, STILL_TRUE if recall.same_tools else PROVE_AGAIN]
    if recall.tools:
        # To a caller who must be verified again no detail is told, so the agent is not given one.
        answers = [_result(one.status, one.result_json if recall.same_tools else "") for one in recall.tools]
        lines = [f"- {one.tool}: {answer}" for one, answer in zip(recall.tools, answers, strict=True)]
        parts.append("\n".join(["Tools that ran so far, and what they answered:", *lines]))
    if recall.running:
        parts.append(UNANSWERED.format(names=", ".join(recall.running)))
    if conversation := _conversation(recall):
        parts.append(f"The conversation so far, as far as the caller heard it:\n{conversation}")
    return "\n\n".join(parts)


def _result(status: ToolStatus, result_json: str) -> str:
    return result_json[:LONGEST_RESULT] if result_json else f"({status.value})"


def _conversation(recall: Recall) -> str:
    lines: list[str] = []
    length = 0
    for turn in reversed(recall.turns):
        text = " ".join(turn.heard_text.split())
        if not text:
            continue
        line = f"{SPEAKERS.get(turn.role, turn.role)}: {text}{' …(interrupted)' if turn.interrupted else ''}"
        length += len(line)
        if length > LONGEST:
            break
        lines.append(line)
    return "\n".join(reversed(lines))
