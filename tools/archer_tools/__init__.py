"""The tools of Archer, the payment-arrangement agent: each one an `archer_bridge.tool_api.Tool`."""
