"""The far engine, whose agent asks for an abusive tool again and again in calls that are marked for it.

    python -m tests.bench.abusive_engine      prints its port

A call is marked in its SID: `CAabad1dea` and two digits, the number of the tool in `tests.support.abusive_tools.NAMES`.
"""

import asyncio
import itertools
import json

import uvloop

from tests.bench.far_engine import FarEngine, serve, server_frame
from tests.support.abusive_tools import NAMES

EVERY_S = 0.5
MARK = "abad1dea"


def mark(name: str) -> str:
    """Return how the SID of a call begins whose agent asks for this tool."""
    return f"{MARK}{NAMES.index(name):02d}"


class AbusiveEngine(FarEngine):
    """One connection; in a marked call it asks twice a second, answered or not."""

    def _begin(self, first: bytes) -> None:
        super()._begin(first)
        call_sid = json.loads(first)["dynamic_variables"]["call_sid"]
        if call_sid.startswith(f"CA{MARK}"):
            self._ask(NAMES[int(call_sid[2 + len(MARK) :][:2])], itertools.count())

    def _ask(self, name: str, numbers: "itertools.count[int]") -> None:
        if self.transport.is_closing():
            return
        event = {
            "type": "client_tool_call",
            "tool_call_id": f"call_{next(numbers)}",
            "tool_name": name,
            "parameters": {},
            "expects_response": True,
        }
        self.transport.write(server_frame(json.dumps(event).encode()))
        asyncio.get_running_loop().call_later(EVERY_S, self._ask, name, numbers)


if __name__ == "__main__":
    uvloop.run(serve(AbusiveEngine))
