"""Every setting that can weaken security or privacy: when it is weak, where it is set, and what to do about it.

One table, so that a new setting is one entry, and a test can ask for a weak and a good value of each. What is missing
altogether, the form of the public address and recordings have checks of their own. Redaction has no setting: it cannot
be switched off.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from archer_bridge.cli.checks.verdict import Check, Status
from archer_bridge.config import Settings
from archer_bridge.config_sources import ALIASES, dotenv_values

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
SHORTEST_TOKEN = 16
SHORTEST_KEY = 32
"""Characters of a SharedKey: 128 bits in hexadecimal, as Twilio's auth tokens are."""
LONGEST_TOKEN_LIFE_S = 120.0
LONGEST_CALL_S = 4 * 3600.0
LONG_WORDS_DAYS = 400
LONG_CALLS_DAYS = 1200
MANY_CALLS = 20
"""Live calls of one number that no single household or office has."""

SIP = re.compile(r"sips?:[^@\s]+@[^@\s]+")
E164 = re.compile(r"\+[1-9]\d{7,14}")
_NAMES = {path: name for name, path in ALIASES.items()}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where settings are read from, the strongest first."""

    environ: Mapping[str, str]
    env_file: Path
    toml_file: Path

    def of(self, setting: str) -> str:
        """Return where a dotted setting is set now, for people."""
        names = {environment_name(setting), "ARCHER_" + setting.replace(".", "__").upper()}
        for name in sorted(names):
            if name in self.environ:
                return f"{name} in the environment"
        written = dotenv_values(self.env_file) if self.env_file.is_file() else {}
        for name in sorted(names):
            if name in written:
                return f"{name} in {self.env_file}"
        return f"{self.toml_file}" if _is_in_toml(self.toml_file, setting) else "the default"


@dataclass(frozen=True, slots=True)
class Weakness:
    """A setting that is weak: its dotted name, what is weak about it, and how to mend it."""

    setting: str
    problem: str
    fix: str


def environment_name(setting: str) -> str:
    """Return the environment name that sets a dotted setting, whatever else sets it."""
    return _NAMES.get(tuple(setting.split("."))) or "ARCHER_" + setting.replace(".", "__").upper()


def _is_in_toml(file: Path, setting: str) -> bool:
    try:
        value: Any = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False  # the settings' own check tells
    for part in setting.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def checks(settings: Settings, sources: Sources) -> list[Check]:
    """Return one line for each weak setting, or one that says there is none."""
    found = [
        Check(
            weak.setting,
            Status.WARN,
            f"{weak.problem} (from {sources.of(weak.setting)})",
            f"{weak.fix}: {environment_name(weak.setting)}",
        )
        for weak in weaknesses(settings)
    ]
    return found or [Check("weak settings", Status.OK, f"none of {len(RULES)}")]


Rule = Callable[[Settings], Iterator[tuple[str, str]]]
"""Yields (what is weak, how to mend it)."""


def weaknesses(settings: Settings) -> list[Weakness]:
    """Return everything that is weak, in the order of the table; no secret is in it."""
    return [Weakness(name, problem, fix) for name, rule in RULES.items() for problem, fix in rule(settings)]


def _insecure_dev(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.server.insecure_dev:
        yield "on: whoever reaches the port can start calls without a signature", "set it to false"


def _server_host(settings: Settings) -> Iterator[tuple[str, str]]:
    host = settings.server.host
    if host not in LOOPBACK:
        yield (
            f"{host}: reached without the proxy that bounds slow headers and connections of one source",
            "set it to 127.0.0.1 behind the proxy of deploy/haproxy.cfg, or let a firewall admit the proxy only",
        )


def _auth_token(settings: Settings) -> Iterator[tuple[str, str]]:
    token = settings.twilio.auth_token.get_secret_value()
    if token and len(token) < SHORTEST_KEY:
        yield f"{len(token)} characters; Twilio's have {SHORTEST_KEY}", "copy it whole from Twilio's console"


def _secondary(settings: Settings) -> Iterator[tuple[str, str]]:
    token = settings.twilio.auth_token_secondary.get_secret_value()
    if token and token == settings.twilio.auth_token.get_secret_value():
        yield "the same as twilio.auth_token: nothing is being rotated", "remove it"
    elif token and len(token) < SHORTEST_KEY:
        yield f"{len(token)} characters; Twilio's have {SHORTEST_KEY}", "copy it whole, or remove it after rotating"


def _shared_keys(settings: Settings) -> Iterator[tuple[str, str]]:
    for key_id, secret in sorted(settings.twilio.shared_keys.items()):
        length = len(secret.get_secret_value())
        if length < SHORTEST_KEY:
            yield (
                f"the secret of {key_id} has {length} characters",
                f"make one of at least {SHORTEST_KEY} in Twilio's console, and remove this one",
            )


def _api_base_url(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from _clear_text(settings.twilio.api_base_url, "https://api.twilio.com")


def _rest_url(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from _clear_text(settings.cartesia.rest_url, "https://api.cartesia.ai")


def _ws_url(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from _clear_text(settings.cartesia.ws_url, "wss://api.cartesia.ai")


def _clear_text(url: str, good: str) -> Iterator[tuple[str, str]]:
    parts = urlsplit(url)
    if parts.scheme in {"https", "wss"}:
        return
    if parts.hostname in LOOPBACK:
        yield f"{url}: a stand-in on this machine, not the vendor", f"for real calls set it to {good}"
    else:
        yield f"{url}: keys would cross the wire in the clear", f"set it to {good}"


def _transfer_to(settings: Settings) -> Iterator[tuple[str, str]]:
    number = settings.twilio.transfer_to
    if number and not E164.fullmatch(number) and not SIP.fullmatch(number):
        yield f"{number!r} is neither a number like +15550100200 nor sip:USER@HOST", "correct it; transfers fail"
    elif number and number == settings.twilio.phone_number:
        yield "the bridge's own number: a transfer would come back here", "set it to a person's number"


def _token_ttl(settings: Settings) -> Iterator[tuple[str, str]]:
    life = settings.calls.token_ttl_s
    if life > LONGEST_TOKEN_LIFE_S:
        yield (
            f"{life:g} s: a stream's token that leaked is good for that long",
            f"set it to at most {LONGEST_TOKEN_LIFE_S:g}",
        )


def _start_timeout(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.calls.start_timeout_s > 10:
        yield f"{settings.calls.start_timeout_s:g} s: strangers hold sockets that long", "set it to 5"


def _idle_timeout(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.calls.idle_timeout_s > 120:
        yield f"{settings.calls.idle_timeout_s:g} s: a dead line is paid for that long", "set it to 20"


def _max_duration(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.calls.max_duration_s > LONGEST_CALL_S:
        yield (
            f"{settings.calls.max_duration_s:g} s: one call can cost that much",
            "set it to the longest call you have, 3300 as it comes",
        )


def _per_number(settings: Settings) -> Iterator[tuple[str, str]]:
    allowed = settings.calls.per_number
    if allowed == 0:
        yield "0: one number can take every line", "set it to what one caller needs, 5 as it comes"
    elif allowed > MANY_CALLS:
        yield f"{allowed}: one number can take that many lines", "set it to what one caller needs, 5 as it comes"


def _daily_minutes(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.calls.daily_minutes == 0:
        yield "0: a day's cost has no bound", "set it to your busiest day's minutes and some more"


def _bad_frames(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.calls.bad_frames_in_a_row > 500:
        yield f"{settings.calls.bad_frames_in_a_row}: ten seconds of rubbish and more are read", "set it to 50"


def _words_days(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from _kept(settings.retention.words_days, LONG_WORDS_DAYS, "transcripts and what tools were told")


def _calls_days(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from _kept(settings.retention.calls_days, LONG_CALLS_DAYS, "phone numbers and timelines")


def _kept(days: int, most: int, what: str) -> Iterator[tuple[str, str]]:
    if days == 0 or days > most:
        told = f"{days} days" if days else "ever"
        yield f"{what} are kept for {told}", "set it to the days you must keep them"


def _admin_host(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.admin.enabled and settings.admin.host not in LOOPBACK:
        yield (
            f"{settings.admin.host}: metrics and the drain are offered to the network, without TLS",
            "set it to 127.0.0.1, or let a firewall admit your monitoring only",
        )


def _admin_token(settings: Settings) -> Iterator[tuple[str, str]]:
    token, is_local = settings.admin.token.get_secret_value(), settings.admin.host in LOOPBACK
    make = f"use at least {SHORTEST_TOKEN} random characters: openssl rand -hex 16"
    if not settings.admin.enabled:
        return
    if not token:
        if not is_local:
            yield "not set: whoever reaches the port can drain the bridge", make
    elif len(token) < SHORTEST_TOKEN:
        yield f"{len(token)} characters", make
    elif len(set(token)) < 6:
        yield f"only {len(set(token))} different characters", make


def _log_level(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.log.level == "debug":
        yield "debug: every message of every call is printed, redacted as far as rules can", "set it to info"


def _database(settings: Settings) -> Iterator[tuple[str, str]]:
    parts = urlsplit(settings.database_url)
    if not parts.scheme.startswith("postgres") or parts.hostname in {None, *LOOPBACK}:
        return
    if not re.search(r"(^|&)ssl(mode)?=(require|verify-ca|verify-full)(&|$)", parts.query):
        yield (
            "the record crosses the network and TLS is not required",
            "add ?sslmode=verify-full to the address, or =require",
        )


RULES: Mapping[str, Rule] = {
    "server.insecure_dev": _insecure_dev,
    "server.host": _server_host,
    "twilio.auth_token": _auth_token,
    "twilio.auth_token_secondary": _secondary,
    "twilio.shared_keys": _shared_keys,
    "twilio.api_base_url": _api_base_url,
    "twilio.transfer_to": _transfer_to,
    "cartesia.ws_url": _ws_url,
    "cartesia.rest_url": _rest_url,
    "calls.token_ttl_s": _token_ttl,
    "calls.start_timeout_s": _start_timeout,
    "calls.idle_timeout_s": _idle_timeout,
    "calls.max_duration_s": _max_duration,
    "calls.per_number": _per_number,
    "calls.daily_minutes": _daily_minutes,
    "calls.bad_frames_in_a_row": _bad_frames,
    "retention.words_days": _words_days,
    "retention.calls_days": _calls_days,
    "admin.host": _admin_host,
    "admin.token": _admin_token,
    "log.level": _log_level,
    "database_url": _database,
}
