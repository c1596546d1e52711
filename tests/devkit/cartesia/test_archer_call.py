"""The default agent over the wire: a caller who settles a debt, tools answered by the client."""

import contextlib
import json
from typing import Any

from websockets.exceptions import ConnectionClosedOK

from tests.devkit.cartesia.agent_client import AgentClient, agent_client, simulator
from tests.support.virtual import virtual

PLAN = {
    "option": "payment_plan",
    "total_cents": 90000,
    "payments": [{"due": f"2027-0{month}-22", "amount_cents": 15000} for month in range(1, 7)],
}
RESULTS: dict[str, Any] = {
    "verify_account": {"verified": True, "first_name": "Dana"},
    "get_customer_options": {
        "balance_cents": 90000,
        "days_overdue": 45,
        "options": [{"option": "full_payment", "total_cents": 90000}, PLAN],
    },
    "process_payment": {**PLAN, "recorded": True, "payment_type": "payment_plan", "confirmation": "A-ABC123"},
    "end_call": {"ending": True},
}
CALLER = [
    "My account ends in 4821 and my zip is 94107.",
    "Yes please, tell me the options.",
    "The payment plan please.",
    "Yes, that is right.",
    "No, that is all. Goodbye.",
]


async def converse(client: AgentClient) -> None:
    """Answer tools, and say the next line after each of the agent's turns, until the agent hangs up."""
    lines = iter(CALLER)
    while True:
        event = await client.next()
        if event["type"] == "client_tool_call":
            result = json.dumps(RESULTS[event["tool_name"]])
            answer = {"type": "client_tool_result", "tool_call_id": event["tool_call_id"], "result": result}
            await client.send(answer)
        elif event["type"] == "turn_ended" and event["role"] == "assistant":
            await client.speak(next(lines))


@virtual
async def test_archer_settles_a_debt() -> None:
    async with simulator() as (served, sim), agent_client(served) as client:
        await client.start(
            dynamic_variables={
                "call_sid": "CA0",
                "caller_number": "+15550100001",
                "customer_first_name": "Dana",
                "greeting": "Hello, this is Archer.",
                "persona": "Calm.",
            }
        )
        with contextlib.suppress(ConnectionClosedOK):
            await converse(client)
        closed = await sim.feed.expect("closed")
        record = sim.calls[closed["call_id"]]

    tools = [event["tool_name"] for event in client.named("client_tool_call")]
    assert tools == ["verify_account", "get_customer_options", "process_payment"]
    assert client.named("client_tool_call")[0]["parameters"] == {"account_last_4": "4821", "postal_code": "94107"}
    assert client.named("client_tool_call")[2]["parameters"] == {
        "option": "payment_plan",
        "payment_type": "payment_plan",
    }
    assert [turn["text"] for turn in record.transcript if turn["role"] == "user"] == CALLER
    assert (closed["by"], closed["code"]) == ("server", 1000)
    assert sim.failures == []
