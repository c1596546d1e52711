"""Settings: sources in order, every problem at once, secrets never shown."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from archer_bridge.config import ALIASES, Settings, load_settings
from archer_bridge.errors import ConfigError

ROOT = Path(__file__).parent.parent
SECRET = "do-not-print-me-4f1c"  # a marker that must appear nowhere
COMPLETE = {
    "WEBHOOK_BASE_URL": "https://bridge.example.com",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": SECRET,
    "CARTESIA_API_KEY": SECRET,
    "CARTESIA_AGENT_ID": "agent_1",
}


def load(environ: dict[str, str] | None = None, **more: Any) -> Settings:
    more.setdefault("env_file", "")
    more.setdefault("config_file", ROOT / "config.toml")
    return load_settings(environ=environ or {}, **more)


def problems(environ: dict[str, str], **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(environ, **more)
    return list(caught.value.problems)


def test_config_toml_has_every_key_with_its_default() -> None:
    written = tomllib.loads((ROOT / "config.toml").read_text())
    written["tools"].pop("local")
    defaults = load_settings(environ={}, env_file="", config_file=ROOT / "config.toml")

    for section, info in Settings.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys = set(kind.model_fields) - {"local"}
            assert set(written[section]) == keys, section
            assert getattr(defaults, section) == kind(), section
    assert written["database_url"] == defaults.database_url


def test_every_key_of_config_toml_has_a_comment() -> None:
    lines = (ROOT / "config.toml").read_text().splitlines()
    keys = [line for line in lines if "=" in line and not line.startswith("#")]

    assert [line for line in keys if "#" not in line and not line.startswith("database_url")] == []


def test_environment_wins_over_dotenv_wins_over_toml(tmp_path: Path) -> None:
    toml = tmp_path / "config.toml"
    toml.write_text("[server]\nport = 1\nmax_calls = 1\n[calls]\nidle_timeout_s = 1\n")
    dotenv = tmp_path / ".env"
    dotenv.write_text("ARCHER_SERVER__PORT=2\nARCHER_SERVER__MAX_CALLS=2\n")

    settings = load({"ARCHER_SERVER__PORT": "3"}, config_file=toml, env_file=dotenv)

    assert (settings.server.port, settings.server.max_calls, settings.calls.idle_timeout_s) == (3, 2, 1.0)


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_every_alias_reaches_its_key(name: str) -> None:
    value = {
        "WEBHOOK_BASE_URL": "https://x.example.com",
        "TWILIO_ACCOUNT_SID": "AC" + "a" * 32,
        "CARTESIA_WS_URL": "wss://other.example.com",
        "DATABASE_URL": "postgresql://db/archer",
    }.get(name, "value")
    found: Any = load({name: value})
    for part in ALIASES[name]:
        found = getattr(found, part)

    shown = found.get_secret_value() if hasattr(found, "get_secret_value") else found
    assert shown == ("postgresql+asyncpg://db/archer" if name == "DATABASE_URL" else value)


def test_all_problems_are_listed_together() -> None:
    found = problems(
        {
            "ARCHER_SERVER__PORT": "99999",
            "ARCHER_NO_SUCH__KEY": "1",
            "CARTESIA_WS_URL": "https://api.cartesia.ai",
            "DATABASE_URL": "mysql://x",
            "WEBHOOK_BASE_URL": "ftp://x",
        }
    )

    assert [text.split(":")[0].split(" ")[0] for text in found] == [
        "ARCHER_NO_SUCH__KEY",
        "server.port",
        "server.public_url",
        "cartesia.ws_url",
        "database_url",
    ]


def test_serving_names_every_missing_secret() -> None:
    found = problems({}, serving=True)

    assert [name for name in ALIASES if any(name in text for text in found)] == [
        "WEBHOOK_BASE_URL",
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "CARTESIA_API_KEY",
        "CARTESIA_AGENT_ID",
    ]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param(
            {"ARCHER_SERVER__INSECURE_DEV": "true", "ARCHER_SERVER__HOST": "0.0.0.0"},
            "use it on 127.0.0.1",
            id="insecure",
        ),
        pytest.param(
            {"ARCHER_ADMIN__HOST": "0.0.0.0", "ARCHER_ADMIN__TOKEN": "short"}, "at least 16 characters", id="weak-admin"
        ),
        pytest.param({"CARTESIA_WS_URL": "ws://api.cartesia.ai"}, "in the clear", id="plain-socket"),
        pytest.param({"WEBHOOK_BASE_URL": "http://bridge.example.com"}, "need TLS", id="plain-webhook"),
        pytest.param({"WEBHOOK_BASE_URL": "https://my_host.example.com"}, "underscore", id="underscore"),
    ],
)
def test_unsafe_settings_are_refused(environ: dict[str, str], expected: str) -> None:
    found = problems({**COMPLETE, **environ}, serving=True)

    assert any(expected in text for text in found), found


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        pytest.param("[server]\nprot = 1\n", "server.prot", id="unknown-key"),
        pytest.param("[nothing]\nx = 1\n", "nothing", id="unknown-table"),
        pytest.param("[tools.absent]\nx = 1\n", "tools.absent", id="table-of-a-tool-not-enabled"),
        pytest.param("[tools]\nenable = []\n", "tools.enable", id="unknown-tools-key"),
        pytest.param("server = 1\n", "server", id="scalar-for-table"),
        pytest.param("[server\n", "not valid TOML", id="broken"),
    ],
)
def test_a_wrong_file_says_where(toml: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(toml)

    found = problems({}, config_file=path)

    assert any(expected in text for text in found), found


def test_a_named_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert problems({}, config_file=tmp_path / "none.toml") == [f"{tmp_path / 'none.toml'}: no such file"]


def test_tool_tables_come_through(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[tools]\nenabled = ["crm"]\n[tools.local]\ncrm = "acme.crm:TOOL"\n[tools.crm]\nurl = "x"\n')

    settings = load({}, config_file=path)

    assert settings.tools.settings == {"crm": {"url": "x"}}
    assert settings.tools.local == {"crm": "acme.crm:TOOL"}


def test_secrets_are_never_shown() -> None:
    settings = load({**COMPLETE, "TWILIO_API_SECRET": SECRET, "ARCHER_ADMIN__TOKEN": SECRET}, serving=True)

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())
    assert SECRET not in settings.model_dump_json()
    assert SECRET not in "\n".join(problems({**COMPLETE, "ARCHER_SERVER__PORT": "x", "TWILIO_ACCOUNT_SID": SECRET}))


def test_the_stream_address_follows_the_public_one() -> None:
    assert load(COMPLETE).websocket_url() == "wss://bridge.example.com/ws/cartesia"
