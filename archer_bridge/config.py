"""Settings: `config.toml` < `.env` < environment, checked whole before anything starts.

Every key has a default in `config_models` and a line in `config.toml`. Any key can be set from the
environment as `ARCHER_SECTION__KEY`; the names that operators know (`TWILIO_AUTH_TOKEN`, `DATABASE_URL`, …)
are aliases listed in `ALIASES`. All problems are reported together, as one `ConfigError`. Secrets are
`SecretStr` and print as stars.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from archer_bridge.config_models import Settings, ToolsSettings
from archer_bridge.config_sources import ALIASES, AliasSource, TomlSource, dotenv_values, unknown_names
from archer_bridge.errors import ConfigError

__all__ = ["ALIASES", "Settings", "load_settings"]


def load_settings(
    *,
    config_file: Path | str | None = None,
    env_file: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
    serving: bool = False,
) -> Settings:
    """Read and check every setting.

    Args:
        config_file: the TOML file; None means `$ARCHER_CONFIG`, else `config.toml` if it exists.
        env_file: a file of `NAME=value` lines, read if it exists; None means `$ARCHER_ENV_FILE`, else `.env`;
            "" reads none.
        environ: the environment; None means the process's own.
        serving: also require what taking calls needs.

    Raises:
        ConfigError: listing every problem found, none of them with a secret's value in it.
    """
    environment = dict(os.environ if environ is None else environ)
    problems: list[str] = []
    merged: dict[str, Any] = {}
    toml = _read_toml(config_file, environment, problems)
    if env_file is None:
        env_file = environment.get("ARCHER_ENV_FILE", ".env")
    dotenv = dotenv_values(Path(env_file)) if env_file and Path(env_file).is_file() else {}
    problems += unknown_names(environment, Settings, "the environment")
    problems += unknown_names(dotenv, Settings, str(env_file))
    for source in (TomlSource(toml), AliasSource(dotenv, Settings), AliasSource(environment, Settings)):
        source.merge_into(merged, problems)
    settings = _validated(merged, problems)
    if settings is not None:
        problems += _tool_tables(settings)
        if serving:
            problems += settings.serving_problems()
    if problems or settings is None:
        raise ConfigError(problems)
    return settings


def _read_toml(config_file: Path | str | None, environment: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    named = config_file or environment.get("ARCHER_CONFIG")
    path = Path(named or "config.toml")
    if not path.is_file():
        if named:
            problems.append(f"{path}: no such file")
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{path}: not valid TOML: {error}")
        return {}


def _validated(merged: dict[str, Any], problems: list[str]) -> Settings | None:
    try:
        return Settings(**merged)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            where = ".".join(str(part) for part in item["loc"])
            hint = " (unknown key)" if item["type"] == "extra_forbidden" else ""
            problems.append(f"{where}: {item['msg']}{hint}")
        return None


def _tool_tables(settings: Settings) -> list[str]:
    known = {*settings.tools.enabled, *settings.tools.local}
    extra = settings.tools.model_extra or {}
    return [
        f"tools.{name}: unknown key; the keys of [tools] are {', '.join(ToolsSettings.model_fields)}, "
        f"and a table [tools.NAME] for each enabled tool"
        for name in sorted(extra)
        if not isinstance(extra[name], dict) or name not in known
    ]
