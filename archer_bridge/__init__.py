"""Answers a Twilio call, connects it to a Cartesia voice agent, runs tools, keeps one truthful record."""

__version__ = "0.1.0"
