"""The settings themselves: what is missing, and what is weak."""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from archer_bridge.cli.checks.verdict import Verdict, fail, ok, warn
from archer_bridge.config import Settings
from archer_bridge.config_models import AgentSettings

LONG_RETENTION_DAYS = 180


def required(settings: Settings) -> Verdict:
    """Whether everything is set that taking calls needs."""
    problems = settings.serving_problems()
    if problems:
        return fail("\n".join(problems), "set them in .env or the environment; config.toml names every setting")
    cartesia, twilio = settings.cartesia, settings.twilio
    known = {
        "TWILIO_AUTH_TOKEN": masked(twilio.auth_token.get_secret_value()),
        "CARTESIA_API_KEY": masked(cartesia.api_key.get_secret_value()),
        "CARTESIA_AGENT_ID": cartesia.agent_id,
        "TWILIO_ACCOUNT_SID": masked(twilio.account_sid),
    }
    return ok(", ".join(f"{name} {value}" for name, value in known.items()))


def twilio_key(settings: Settings) -> Verdict:
    """Whether the API key has its secret, and the other way round."""
    key, secret = settings.twilio.api_key, settings.twilio.api_secret.get_secret_value()
    if bool(key) != bool(secret):
        have, lack = ("TWILIO_API_KEY", "TWILIO_API_SECRET") if key else ("TWILIO_API_SECRET", "TWILIO_API_KEY")
        return fail(f"{have} is set and {lack} is not", f"set {lack} too, or neither: then the auth token is used")
    return ok(f"API key {masked(key)}" if key else "none: REST calls use the auth token")


def sources(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Return where the settings' TOML and .env files are, or would be."""
    return Path(environ.get("ARCHER_CONFIG") or "config.toml"), Path(
        environ.get("ARCHER_ENV_FILE", ".env") or os.devnull
    )


def secrets_place(environ: Mapping[str, str]) -> Verdict:
    """Whether the files that hold secrets are not for everyone to read."""
    table, env = sources(environ)
    if written := _secrets_in(table):
        fix = "move them to .env or the environment: config.toml is shared with the code"
        return warn(f"{table} holds {', '.join(written)}", fix)
    if env.is_file() and env.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return warn(f"{env} can be read by other users of this machine", f"chmod 600 {env}")
    return ok("none in config.toml" + (f", {env} is private" if env.is_file() else ""))


def recording(settings: Settings) -> Verdict:
    """Whether callers are recorded, for how long, and who can read it."""
    kept = settings.recording
    if not kept.enabled:
        return ok("off")
    found = f"on, {kept.folder}, {kept.retention_days} days"
    if kept.retention_days > LONG_RETENTION_DAYS:
        return warn(f"{found}, which is long", "keep them only as long as you must: recording.retention_days")
    if kept.folder.is_dir() and kept.folder.stat().st_mode & stat.S_IRWXO:
        return warn(f"{found}; every user of this machine can read it", f"chmod 700 {kept.folder}")
    return ok(f"{found}; callers must be told")


def persona(settings: Settings) -> Verdict:
    """Whether the agent speaks for you, and where callers go who want a person."""
    if settings.agent.company == AgentSettings().company:
        return warn(
            f"the agent says it calls for {settings.agent.company!r}, the example",
            "set agent.company and agent.greeting in config.toml",
        )
    if not settings.twilio.transfer_to and "transfer_to_human" in settings.tools.enabled:
        return warn(
            "callers who want a person are told that nobody is there",
            "set twilio.transfer_to to a number or sip: address, or do not enable transfer_to_human",
        )
    return ok(f"{settings.agent.name} of {settings.agent.company}")


def masked(secret: str) -> str:
    """Return what may be shown of a secret: its last four characters, if that leaves enough unsaid."""
    return f"***{secret[-4:]}" if len(secret) >= 12 else "***"


def secret_values(settings: Settings) -> list[str]:
    """Return every secret, for taking them out of a text; what is too short to be one is left out."""
    found = [value.get_secret_value() for value in _fields(settings) if isinstance(value, SecretStr)]
    found += [value.get_secret_value() for value in settings.twilio.shared_keys.values()]
    for table in settings.tools.settings.values():
        found += [str(value) for name, value in table.items() if _sounds_secret(name)]
    return sorted({value for value in found if len(value) >= 6}, key=len, reverse=True)


def _fields(model: BaseModel) -> list[Any]:
    values: list[Any] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        values += _fields(value) if isinstance(value, BaseModel) else [value]
    return values


def _sounds_secret(name: str) -> bool:
    return any(word in name.lower() for word in ("key", "secret", "token", "password"))


def _secrets_in(file: Path) -> list[str]:
    """Return the dotted names of secrets that this TOML file gives a value."""
    if not file.is_file():
        return []
    try:
        table: Mapping[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return []  # the settings' own check tells
    return [
        f"{section}.{name}"
        for section, info in Settings.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
        for name, field in info.annotation.model_fields.items()
        if field.annotation is SecretStr and isinstance(table.get(section), dict) and table[section].get(name)
    ]
