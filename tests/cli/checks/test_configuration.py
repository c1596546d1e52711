"""Checks of the settings themselves."""

from pathlib import Path

import pytest

from archer_bridge.cli.checks import configuration
from archer_bridge.cli.checks.verdict import Status
from archer_bridge.config import Settings, load_settings

COMPLETE = {
    "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
    "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
    "WEBHOOK_BASE_URL": "https://bridge.example.test",
    "CARTESIA_API_KEY": "sk_car_0123456789",
    "CARTESIA_AGENT_ID": "agent_1",
}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(**changes: str) -> Settings:
    return load_settings(environ=changes, env_file="")


def test_what_is_missing_is_listed():
    found = configuration.required(settings(TWILIO_AUTH_TOKEN="x"))

    assert found.status is Status.FAIL
    assert found.found.splitlines() == [
        "TWILIO_ACCOUNT_SID (the AC… id of your Twilio account) is not set",
        "WEBHOOK_BASE_URL (the public https address that Twilio reaches) is not set",
        "CARTESIA_API_KEY is not set",
        "CARTESIA_AGENT_ID is not set",
    ]


def test_what_is_there_is_shown_by_its_end():
    found = configuration.required(settings(**COMPLETE))

    expected = (
        "TWILIO_AUTH_TOKEN ***cdef, CARTESIA_API_KEY ***6789, CARTESIA_AGENT_ID agent_1, TWILIO_ACCOUNT_SID ***0001"
    )
    assert (Status.OK, expected) == (found.status, found.found)


@pytest.mark.parametrize(
    ("check", "changes", "status", "found"),
    [
        pytest.param("twilio_key", {}, "ok", "none: REST calls use the auth token", id="no key"),
        pytest.param(
            "twilio_key",
            {"TWILIO_API_KEY": "SK000000000000000000000000000000ab", "TWILIO_API_SECRET": "s"},
            "ok",
            "API key ***00ab",
            id="key and secret",
        ),
        pytest.param(
            "twilio_key", {"TWILIO_API_KEY": "SK1"}, "FAIL", "TWILIO_API_KEY is set and TWILIO_API_SECRET is not"
        ),
        pytest.param(
            "twilio_key", {"TWILIO_API_SECRET": "s"}, "FAIL", "TWILIO_API_SECRET is set and TWILIO_API_KEY is not"
        ),
        pytest.param("recording", {}, "ok", "off", id="no recording"),
        pytest.param(
            "recording",
            {"ARCHER_RECORDING__ENABLED": "true"},
            "ok",
            "on, var/recordings, 30 days; callers must be told",
            id="recording",
        ),
        pytest.param(
            "recording",
            {"ARCHER_RECORDING__ENABLED": "true", "ARCHER_RECORDING__RETENTION_DAYS": "365"},
            "warn",
            "on, var/recordings, 365 days, which is long",
            id="kept for a year",
        ),
        pytest.param(
            "persona", {}, "warn", "the agent says it calls for 'Example Credit', the example", id="the example"
        ),
        pytest.param(
            "persona",
            {"ARCHER_AGENT__COMPANY": "Acme"},
            "warn",
            "callers who want a person are told that nobody is there",
            id="nobody there",
        ),
        pytest.param(
            "persona",
            {"ARCHER_AGENT__COMPANY": "Acme", "ARCHER_TWILIO__TRANSFER_TO": "+15550100200"},
            "ok",
            "Archer of Acme",
            id="own persona",
        ),
    ],
)
def test_weak_settings_are_named(check, changes, status, found):
    verdict = getattr(configuration, check)(settings(**changes))

    assert (status, found) == (verdict.status, verdict.found)
    assert (status == "ok") == (verdict.fix == "")


def test_recordings_that_all_can_read_are_named(tmp_path):
    folder = tmp_path / "calls"
    folder.mkdir(mode=0o755)
    enabled = settings(ARCHER_RECORDING__ENABLED="true", ARCHER_RECORDING__FOLDER=str(folder))
    open_to_all = configuration.recording(enabled)
    folder.chmod(0o700)

    assert open_to_all.found == f"on, {folder}, 30 days; every user of this machine can read it"
    assert (open_to_all.status, configuration.recording(enabled).status) == (Status.WARN, Status.OK)


@pytest.mark.parametrize(
    ("toml", "env", "mode", "status", "found"),
    [
        pytest.param(None, None, 0, "ok", "none in config.toml", id="no files"),
        pytest.param('[twilio]\nauth_token = ""\n', "A=1", 0o600, "ok", "none in config.toml, .env is private"),
        pytest.param('[twilio]\nauth_token = "x"\n', "A=1", 0o600, "warn", "config.toml holds twilio.auth_token"),
        pytest.param(
            '[admin]\ntoken = "x"\n[cartesia]\napi_key = "y"\nagent_id = "z"\n',
            None,
            0,
            "warn",
            "config.toml holds cartesia.api_key, admin.token",
            id="two in config.toml",
        ),
        pytest.param(None, "A=1", 0o644, "warn", ".env can be read by other users of this machine", id="open .env"),
        pytest.param("[twilio", None, 0, "ok", "none in config.toml", id="broken TOML"),
    ],
)
def test_where_secrets_are(tmp_path, toml, env, mode, status, found):
    if toml is not None:
        (tmp_path / "config.toml").write_text(toml)
    if env is not None:
        (tmp_path / ".env").write_text(env)
        (tmp_path / ".env").chmod(mode)

    verdict = configuration.secrets_place({})

    assert (status, found) == (verdict.status, verdict.found)


def test_other_files_can_be_named(tmp_path):
    (tmp_path / "mine.toml").write_text('[admin]\ntoken = "x"\n')

    verdict = configuration.secrets_place({"ARCHER_CONFIG": "mine.toml", "ARCHER_ENV_FILE": ""})

    assert verdict.found == "mine.toml holds admin.token"


def test_every_secret_is_known():
    changes = {
        "ARCHER_ADMIN__TOKEN": "admin-token-of-mine",
        "TWILIO_API_SECRET": "api-secret",
        "ARCHER_TWILIO__AUTH_TOKEN_SECONDARY": "second",
        "ARCHER_TWILIO__SHARED_KEYS": '{"key_1": "secret-of-key-1"}',
        "ARCHER_TOOLS__LOCAL": '{"crm": "crm:TOOL"}',
        "ARCHER_TOOLS__CRM__API_KEY": "key-of-the-crm",
        "ARCHER_TOOLS__CRM__URL": "https://crm.example.test",
    }

    found = configuration.secret_values(settings(**COMPLETE, **changes))

    assert {
        COMPLETE["TWILIO_AUTH_TOKEN"],
        COMPLETE["CARTESIA_API_KEY"],
        "admin-token-of-mine",
        "api-secret",
        "second",
        "secret-of-key-1",
        "key-of-the-crm",
    } == set(found)


@pytest.mark.parametrize(("secret", "shown"), [("", "***"), ("12345678901", "***"), ("123456789012", "***9012")])
def test_a_secret_is_shown_by_its_end_only_if_it_is_long(secret, shown):
    assert shown == configuration.masked(secret)
