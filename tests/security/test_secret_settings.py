"""Secrets in the settings, those in tables too, print as stars wherever settings are shown."""

import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

from archer_bridge.cli import doctor
from archer_bridge.config import Settings, load_settings
from archer_bridge.errors import ConfigError

SHARED = "sharedsecretsharedsecret"
ENVIRONMENT = {
    "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
    "TWILIO_AUTH_TOKEN": "authtokenauthtokenauthtokenauth1",
    "ARCHER_TWILIO__AUTH_TOKEN_SECONDARY": "secondarytokensecondarytoken0002",
    "ARCHER_TWILIO__SHARED_KEYS": f'{{"key_1": "{SHARED}", "key_2": "{SHARED}2"}}',
    "TWILIO_API_KEY": "SK00000000000000000000000000000001",
    "TWILIO_API_SECRET": "apisecretapisecretapisecret",
    "CARTESIA_API_KEY": "sk_car_keykeykeykeykey",
    "ARCHER_ADMIN__TOKEN": "admintokenadmintoken",
}
NEEDLES = [
    SHARED,
    *(
        value
        for name, value in ENVIRONMENT.items()
        if name not in {"TWILIO_ACCOUNT_SID", "TWILIO_API_KEY", "ARCHER_TWILIO__SHARED_KEYS"}
    ),
]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _found(text: str) -> list[str]:
    return [needle for needle in NEEDLES if needle in text]


def test_no_way_of_printing_settings_shows_one() -> None:
    settings = load_settings(environ=ENVIRONMENT, env_file="")
    shown = [repr(settings), str(settings), f"{settings.twilio!r}", str(settings.model_dump())]
    shown += [settings.model_dump_json(), str(vars(settings.twilio)), repr(settings.twilio.shared_keys)]

    assert _found("\n".join(shown)) == []
    assert "**********" in repr(settings.twilio.shared_keys)


def test_every_secret_looking_setting_is_secret() -> None:
    """A new key, token or secret cannot be a plain string."""
    plain = [
        f"{section}.{name}"
        for section, info in Settings.model_fields.items()
        for name, field in getattr(info.annotation, "model_fields", {}).items()
        if any(word in name for word in ("token", "secret", "key", "password")) and field.annotation is str
    ]

    assert plain == ["twilio.api_key"]  # an id, as the account's: its secret is api_secret
    assert Settings.model_fields["twilio"].annotation.model_fields["shared_keys"].annotation == dict[str, SecretStr]


async def test_the_doctor_shows_none() -> None:
    text = repr(await doctor.examine(ENVIRONMENT, offline=True))

    assert _found(text) == []


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(f'{{"key_1": ["{SHARED}"]}}', id="a-list"),
        pytest.param(f'{{"key_1": "{SHARED}"', id="broken-json"),
        pytest.param(f'["{SHARED}"]', id="no-table"),
        pytest.param(SHARED, id="no-json"),
        pytest.param(f'{{"key_1": {{"x": "{SHARED}"}}}}', id="too-deep"),
    ],
)
def test_an_error_about_shared_keys_does_not_tell_them(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(environ=ENVIRONMENT | {"ARCHER_TWILIO__SHARED_KEYS": value}, env_file="")
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)

    assert SHARED not in told
    assert "shared_keys" in told.lower()
