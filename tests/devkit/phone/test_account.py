"""The account, and the package's surface."""

import pytest

from archer_bridge.devkit import phone
from archer_bridge.devkit.phone import DEMO_ACCOUNT, Account
from archer_bridge.devkit.phone.account import new_sid


@pytest.mark.parametrize(
    ("sid", "token", "says"),
    [
        pytest.param("AC123", "t", "expected AC and 32 lower-case hex digits", id="short"),
        pytest.param("SK" + "0" * 32, "t", "expected AC", id="a key"),
        pytest.param("AC" + "0" * 32, "", "auth_token is empty", id="no token"),
    ],
)
def test_a_wrong_account_is_refused(sid, token, says):
    with pytest.raises(ValueError, match=says):
        Account(sid, token)


def test_secrets_do_not_print():
    account = Account("AC" + "0" * 32, "tok-secret", api_secret="key-secret")

    assert "secret" not in repr(account).replace("api_secret", "")


def test_sids_look_like_twilios_and_differ():
    assert new_sid("CA") != new_sid("CA")
    assert len(new_sid("MZ")) == 34


def test_everything_exported_exists_and_the_list_is_sorted():
    assert all(hasattr(phone, name) for name in phone.__all__)
    assert sorted(phone.__all__, key=lambda name: (not name.isupper(), name)) == phone.__all__
    assert DEMO_ACCOUNT.account_sid.startswith("AC")
