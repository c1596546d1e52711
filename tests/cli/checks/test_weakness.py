"""Each setting that can be weak: named when it is, with where it is set and what to do; silent when it is not."""

from pathlib import Path

import pytest

from archer_bridge.cli import doctor
from archer_bridge.cli.checks import weakness
from archer_bridge.cli.checks.verdict import Check, Status
from archer_bridge.config import Settings, load_settings

GOOD = {
    "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
    "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
    "WEBHOOK_BASE_URL": "https://bridge.example.test",
    "CARTESIA_API_KEY": "sk_car_0123456789",
    "CARTESIA_AGENT_ID": "agent_1",
    "ARCHER_CALLS__DAILY_MINUTES": "600",
}
KEYS = "ARCHER_TWILIO__SHARED_KEYS"
CASES = [
    ("server.insecure_dev", {"ARCHER_SERVER__INSECURE_DEV": "true"}, "without a signature"),
    ("server.host", {"ARCHER_SERVER__HOST": "0.0.0.0"}, "reached without the proxy"),
    ("twilio.auth_token", {"TWILIO_AUTH_TOKEN": "short"}, "5 characters"),
    ("twilio.auth_token_secondary", {"ARCHER_TWILIO__AUTH_TOKEN_SECONDARY": "short"}, "5 characters"),
    (
        "twilio.auth_token_secondary",
        {"ARCHER_TWILIO__AUTH_TOKEN_SECONDARY": GOOD["TWILIO_AUTH_TOKEN"]},
        "the same as twilio.auth_token",
    ),
    ("twilio.shared_keys", {KEYS: '{"key_1": "tooshort"}'}, "the secret of key_1 has 8 characters"),
    ("twilio.api_base_url", {"ARCHER_TWILIO__API_BASE_URL": "http://twilio.example.test"}, "in the clear"),
    ("twilio.api_base_url", {"ARCHER_TWILIO__API_BASE_URL": "http://127.0.0.1:9"}, "a stand-in"),
    ("twilio.transfer_to", {"ARCHER_TWILIO__TRANSFER_TO": "555-0100"}, "neither a number"),
    ("twilio.transfer_to", {"ARCHER_TWILIO__TRANSFER_TO": "sip:nobody"}, "neither a number"),
    (
        "twilio.transfer_to",
        {"ARCHER_TWILIO__TRANSFER_TO": "+15550100200", "ARCHER_TWILIO__PHONE_NUMBER": "+15550100200"},
        "the bridge's own number",
    ),
    ("cartesia.ws_url", {"CARTESIA_WS_URL": "ws://127.0.0.1:9"}, "a stand-in"),
    ("cartesia.rest_url", {"ARCHER_CARTESIA__REST_URL": "http://cartesia.example.test"}, "in the clear"),
    ("calls.token_ttl_s", {"ARCHER_CALLS__TOKEN_TTL_S": "300"}, "300 s"),
    ("calls.start_timeout_s", {"ARCHER_CALLS__START_TIMEOUT_S": "60"}, "60 s"),
    ("calls.idle_timeout_s", {"ARCHER_CALLS__IDLE_TIMEOUT_S": "900"}, "900 s"),
    ("calls.max_duration_s", {"ARCHER_CALLS__MAX_DURATION_S": "86400"}, "86400 s"),
    ("calls.per_number", {"ARCHER_CALLS__PER_NUMBER": "0"}, "every line"),
    ("calls.per_number", {"ARCHER_CALLS__PER_NUMBER": "90"}, "that many lines"),
    ("calls.daily_minutes", {"ARCHER_CALLS__DAILY_MINUTES": "0"}, "no bound"),
    ("calls.bad_frames_in_a_row", {"ARCHER_CALLS__BAD_FRAMES_IN_A_ROW": "5000"}, "rubbish"),
    ("retention.words_days", {"ARCHER_RETENTION__WORDS_DAYS": "0"}, "kept for ever"),
    ("retention.calls_days", {"ARCHER_RETENTION__CALLS_DAYS": "9999"}, "kept for 9999 days"),
    ("admin.host", {"ARCHER_ADMIN__HOST": "0.0.0.0", "ARCHER_ADMIN__TOKEN": "0123456789abcdef"}, "to the network"),
    ("admin.token", {"ARCHER_ADMIN__TOKEN": "short"}, "5 characters"),
    ("admin.token", {"ARCHER_ADMIN__TOKEN": "x" * 40}, "only 1 different"),
    ("admin.token", {"ARCHER_ADMIN__HOST": "0.0.0.0"}, "not set"),
    ("log.level", {"ARCHER_LOG__LEVEL": "debug"}, "every message"),
    ("database_url", {"DATABASE_URL": "postgresql://db.example.test/archer"}, "TLS is not required"),
]
IDS = [f"{setting}-{problem}" for setting, _, problem in CASES]
ELSEWHERE = [
    pytest.param({"WEBHOOK_BASE_URL": "http://127.0.0.1:8000"}, "public address", "this machine only", id="http"),
    pytest.param({"WEBHOOK_BASE_URL": ""}, "required settings", "WEBHOOK_BASE_URL", id="no-address"),
    pytest.param({"TWILIO_ACCOUNT_SID": ""}, "required settings", "TWILIO_ACCOUNT_SID", id="no-account"),
    pytest.param({"TWILIO_AUTH_TOKEN": ""}, "required settings", "TWILIO_AUTH_TOKEN", id="no-auth-token"),
    pytest.param(
        {"ARCHER_RECORDING__ENABLED": "true", "ARCHER_RECORDING__RETENTION_DAYS": "999"},
        "recording",
        "999 days, which is long",
        id="recordings",
    ),
]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _settings(changes: dict[str, str]) -> Settings:
    return load_settings(environ=GOOD | changes, env_file="")


@pytest.mark.parametrize(("setting", "changes", "problem"), CASES, ids=IDS)
async def test_the_doctor_names_it_where_it_is_set_and_what_to_do(
    setting: str, changes: dict[str, str], problem: str
) -> None:
    found = [check for check in await doctor.examine(GOOD | changes, offline=True) if check.name == setting]
    name = weakness.environment_name(setting)

    assert len(found) == 1
    assert found[0].status is Status.WARN
    assert problem in found[0].found
    assert f"{name} in the environment" in found[0].found or problem == "not set"
    assert found[0].fix.endswith(f": {name}")


@pytest.mark.parametrize(("changes", "name", "problem"), ELSEWHERE)
async def test_what_has_a_check_of_its_own_is_named_there(changes: dict[str, str], name: str, problem: str) -> None:
    (found,) = [check for check in await doctor.examine(GOOD | changes, offline=True) if check.name == name]

    assert found.status in {Status.WARN, Status.FAIL}
    assert problem in found.found
    assert found.fix


def test_every_rule_has_a_weak_case() -> None:
    assert set(weakness.RULES) == {setting for setting, _, _ in CASES}


def test_good_settings_are_not_weak() -> None:
    good = {
        KEYS: '{"key_1": "0123456789abcdef0123456789abcdef"}',
        "ARCHER_TWILIO__TRANSFER_TO": "sip:desk@example.test",
        "ARCHER_ADMIN__TOKEN": "0123456789abcdef",
        "DATABASE_URL": "postgresql://db.example.test/archer?sslmode=verify-full",
    }

    assert weakness.weaknesses(_settings(good)) == []


def test_only_the_budget_is_weak_as_it_comes() -> None:
    found = weakness.weaknesses(_settings({"ARCHER_CALLS__DAILY_MINUTES": "0"}))

    assert [weak.setting for weak in found] == ["calls.daily_minutes"]


@pytest.mark.parametrize(
    ("environ", "env", "toml", "place"),
    [
        pytest.param({}, "", "", "the default", id="default"),
        pytest.param({}, "", "[calls]\nper_number = 0\n", "config.toml", id="toml"),
        pytest.param({}, "ARCHER_CALLS__PER_NUMBER=0", "[calls]\nper_number = 5\n", ".env", id="env-file"),
        pytest.param({"ARCHER_CALLS__PER_NUMBER": "0"}, "ARCHER_CALLS__PER_NUMBER=5", "", "environment", id="environ"),
        pytest.param({}, "", "[calls", "the default", id="broken-toml"),
    ],
)
def test_where_a_setting_comes_from(environ: dict[str, str], env: str, toml: str, place: str) -> None:
    Path(".env").write_text(env)
    Path("config.toml").write_text(toml)
    sources = weakness.Sources(environ, Path(".env"), Path("config.toml"))

    assert place in sources.of("calls.per_number")


def test_nothing_weak_is_one_good_line() -> None:
    sources = weakness.Sources({}, Path(".env"), Path("config.toml"))

    assert weakness.checks(_settings({}), sources) == [
        Check("weak settings", Status.OK, f"none of {len(weakness.RULES)}")
    ]


def test_redaction_has_no_switch() -> None:
    assert [name for name in str(Settings.model_json_schema()).split("'") if "redact" in name.lower()] == []
