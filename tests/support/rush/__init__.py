"""Thousands of quick calls against a bridge that runs as a process of its own.

A Twilio and a vendor that cost next to nothing, so that the bridge is what is loaded: signed webhooks, real sockets,
20 ms frames, marks that come back when the audio was played. Each call may have faults of either side, its tools and
its store. The strict simulators of `archer_bridge.devkit` prove what is said; these prove what survives.
"""
