"""Where settings come from: a TOML table, a .env file, the environment; later ones win key by key."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from dotenv import dotenv_values as _dotenv_values
from pydantic_settings import BaseSettings

PREFIX = "ARCHER_"
NOT_SETTINGS = frozenset({"ARCHER_CONFIG", "ARCHER_ENV_FILE"})

ALIASES: Mapping[str, tuple[str, ...]] = {
    "WEBHOOK_BASE_URL": ("server", "public_url"),
    "TWILIO_ACCOUNT_SID": ("twilio", "account_sid"),
    "TWILIO_AUTH_TOKEN": ("twilio", "auth_token"),
    "TWILIO_API_KEY": ("twilio", "api_key"),
    "TWILIO_API_SECRET": ("twilio", "api_secret"),
    "CARTESIA_API_KEY": ("cartesia", "api_key"),
    "CARTESIA_AGENT_ID": ("cartesia", "agent_id"),
    "CARTESIA_VOICE_ID": ("cartesia", "voice_id"),
    "CARTESIA_WS_URL": ("cartesia", "ws_url"),
    "DATABASE_URL": ("database_url",),
}
"""Environment names that operators know, and the key each one sets."""


def dotenv_values(path: Path) -> dict[str, str]:
    """Read a .env file; a name without a value is left out."""
    return {name: value for name, value in _dotenv_values(path).items() if value is not None}


def _paths(settings: type[BaseSettings]) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Return every environment name with the key it sets and that key's type."""
    found: dict[str, tuple[tuple[str, ...], Any]] = {}
    for section, info in settings.model_fields.items():
        fields = getattr(info.annotation, "model_fields", None)
        if fields is None:
            found[f"{PREFIX}{section}".upper()] = ((section,), info.annotation)
            continue
        for key, field in fields.items():
            found[f"{PREFIX}{section}__{key}".upper()] = ((section, key), field.annotation)
    for name, path in ALIASES.items():
        found[name] = (path, str)
    return found


def unknown_names(values: Mapping[str, str], settings: type[BaseSettings], where: str) -> list[str]:
    """Return a sentence for every ARCHER_ name that sets nothing."""
    known = _paths(settings)
    return [
        f"{name} in {where} is no setting; names are {PREFIX}SECTION__KEY, as in config.toml"
        for name in sorted(values)
        if name.startswith(PREFIX)
        and name not in known
        and name not in NOT_SETTINGS
        and not name.startswith(f"{PREFIX}TOOLS__")
    ]


def _put(merged: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        step = merged.setdefault(part, {})
        if not isinstance(step, dict):
            return  # a scalar where a table belongs: validation names it
        merged = step
    merged[path[-1]] = value


class TomlSource:
    """The tables of config.toml."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table

    def merge_into(self, merged: dict[str, Any], problems: list[str]) -> None:
        """Lay the tables under what comes later."""
        for section, value in self._table.items():
            if isinstance(value, dict):
                for key, item in value.items():
                    _put(merged, (section, key), item)
            else:
                _put(merged, (section,), value)


class AliasSource:
    """`NAME=value` pairs of a .env file or the environment."""

    def __init__(self, values: Mapping[str, str], settings: type[BaseSettings]) -> None:
        self._values = values
        self._paths = _paths(settings)

    def merge_into(self, merged: dict[str, Any], problems: list[str]) -> None:
        """Set every key that has a name here; lists and tables are JSON."""
        for name, value in self._values.items():
            if name.startswith(f"{PREFIX}TOOLS__") and name not in self._paths:
                path = (
                    "tools",
                    *(part.lower() for part in name.removeprefix(f"{PREFIX}TOOLS__").split("__")),
                )
                _put(merged, path, value)
                continue
            if name not in self._paths:
                continue
            path, kind = self._paths[name]
            if get_origin(kind) in {list, dict}:
                try:
                    _put(merged, path, json.loads(value))
                except ValueError:
                    problems.append(f"{name}: expected JSON, such as '[\"end_call\"]'")
            else:
                _put(merged, path, value)
