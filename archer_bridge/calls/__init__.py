"""One phone call: its synchronous core, its life cycle, its record and its tools."""
