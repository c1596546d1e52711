"""Find out what became of tool calls whose end is not known, and write it down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from archer_bridge.calls.tool_result import encode_result, error_result
from archer_bridge.models import ToolRow, ToolStatus
from archer_bridge.tool_api import Tool, ToolStore


class SettlingStore(ToolStore, Protocol):
    """A store that can decide `unknown` rows."""

    async def tool_rows(self, call_sid: str | None = None, *, status: ToolStatus | None = None) -> Sequence[ToolRow]:
        """Return tool rows in order of their start."""

    async def settle_unknown(self, key: str, status: ToolStatus, result_json: str) -> bool:
        """Decide an `unknown` row; False if it was not unknown any more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about one row; `status` is None when it stays unknown, and `note` says why."""

    row: ToolRow
    status: ToolStatus | None
    note: str


async def reconcile(tools: Mapping[str, Tool], store: SettlingStore, *, dry_run: bool = False) -> list[Verdict]:
    """Ask each unknown row's tool whether its side effect happened, and settle the row by the answer.

    A tool says it happened by returning the value it should have returned, and None when nothing happened,
    after which the same request may be made again. Rows of tools that cannot say stay as they are. Run it when
    no such side effect can still be under way, or "nothing happened" may be true for a moment only.
    """
    return [await _decide(tools, store, row, dry_run) for row in await store.tool_rows(status=ToolStatus.UNKNOWN)]


async def settle(store: SettlingStore, key: str, status: ToolStatus) -> bool:
    """Settle one unknown row by a person's decision: ok (it happened) or error (it did not)."""
    if status is ToolStatus.OK:
        text = encode_result({"done": True, "notice": "settled by a person"})
    else:
        text = error_result("not_done", "this was not done; it may be requested again")
    return await store.settle_unknown(key, status, text)


async def _decide(tools: Mapping[str, Tool], store: SettlingStore, row: ToolRow, dry_run: bool) -> Verdict:
    tool = tools.get(row.tool)
    if tool is None or tool.reconcile is None:
        why = "is not enabled" if tool is None else "cannot say what became of it"
        return Verdict(row, None, f"the tool {why}: find out and use --done KEY or --not-done KEY")
    try:
        value = await tool.reconcile(store, row)
        if value is None:
            status, note = ToolStatus.ERROR, "nothing had happened"
            text = error_result("not_done", "this was not done; it may be requested again")
        else:
            status, note, text = ToolStatus.OK, "it had happened", encode_result(value)
    except Exception as error:  # the plugin's code; the row stays unknown, which is safe
        return Verdict(row, None, f"the tool failed to find out: {error!r}")
    if not dry_run and not await store.settle_unknown(row.key, status, text):
        return Verdict(row, None, "it was settled meanwhile")
    return Verdict(row, status, note)
