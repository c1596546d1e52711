"""Calls written down: what a caller says and does, and what should come of it.

A scenario is a TOML file:

    description = "..."
    from = "+15550100001"             # the caller's number

    [expect]                          # every key is optional; what is absent is not checked
    outcome = "completed"             # of the call record
    tools = ["verify_account"]        # in the order called
    arrangement = "payment_plan"      # the option recorded, or false for none

    [[steps]]                         # done in order; one action each
    wait_for_agent = true             # until the agent has spoken and is quiet
    quiet_ms = 900                    #   how long quiet (default)
    timeout_s = 60                    #   how long to wait (default)

    [[steps]]
    say = "It is 4821."
    interrupt_after_ms = 1500         #   optional: when the agent has spoken that long
    hang_up_after_ms = 800            #   optional: in the middle of the sentence

    [[steps]]
    press = "4821#"                   # keys: 0-9 * # A-D, w waits half a second

    [[steps]]
    wait_s = 2.5

    [[steps]]
    hang_up = true
    after_agent_ms = 1000             #   optional: when the agent has spoken that long

After the last step the caller listens until the call ends.
"""

from archer_bridge.devkit.scenarios.loader import ScenarioError, list_scenarios, load_scenario
from archer_bridge.devkit.scenarios.scenario import (
    Expectation,
    HangUp,
    Press,
    Say,
    Scenario,
    ScenarioScript,
    Step,
    Wait,
    WaitForAgent,
)

__all__ = [
    "Expectation",
    "HangUp",
    "Press",
    "Say",
    "Scenario",
    "ScenarioError",
    "ScenarioScript",
    "Step",
    "Wait",
    "WaitForAgent",
    "list_scenarios",
    "load_scenario",
]
