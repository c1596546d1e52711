"""The one-time token: good for one call of one account until its expiry, and for nothing else."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archer_bridge.protocols.stream_token import CLOCK_TOLERANCE_S, TokenKeys, TokenProblem

CALL = "CA" + "1" * 32
ACCOUNT = "AC" + "2" * 32
KEYS = TokenKeys(("primary", "secondary"))
JTI = secrets.token_hex(16)
TOKEN = KEYS.issue(CALL, ACCOUNT, expires_at=1000.0, token_id=JTI)


def check(token: str, *, keys: TokenKeys = KEYS, call: str = CALL, account: str = ACCOUNT, now: float = 999.0) -> str:
    return keys.check(token, call_sid=call, account_sid=account, now=now)


def test_a_good_token_gives_its_id_and_fits_a_parameter() -> None:
    assert check(TOKEN) == JTI
    assert len(TOKEN) < 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"call": "CA" + "3" * 32}, "wrong_call", id="other-call"),
        pytest.param({"account": "AC" + "3" * 32}, "forged", id="other-account"),
        pytest.param({"now": 1000.0 + CLOCK_TOLERANCE_S + 1}, "expired", id="late"),
        pytest.param({"keys": TokenKeys(("other",))}, "unknown_key", id="other-key"),
    ],
)
def test_a_token_is_bound(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(TokenProblem, match=reason):
        check(TOKEN, **changes)  # type: ignore[arg-type]  # one of check's own arguments


def test_clocks_may_differ_a_little() -> None:
    assert check(TOKEN, now=1000.0 + CLOCK_TOLERANCE_S) == JTI


def test_a_rotated_key_still_counts() -> None:
    old = TokenKeys(("secondary",)).issue(CALL, ACCOUNT, expires_at=1000.0, token_id=JTI)

    assert check(old) == JTI


@pytest.mark.parametrize("token", ["", ".", "v1", TOKEN + ".x", "v2" + TOKEN[2:], "é" + TOKEN, "v1." + "a" * 4000])
def test_nonsense_is_malformed(token: str) -> None:
    with pytest.raises(TokenProblem, match="malformed"):
        check(token)


@given(st.integers(0, len(TOKEN) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_any_other_character_anywhere_is_refused(position: int, character: str) -> None:
    mutated = TOKEN[:position] + character + TOKEN[position + 1 :]
    if mutated == TOKEN:
        return

    with pytest.raises(TokenProblem):
        check(mutated)


@given(st.text(max_size=300))
def test_any_text_is_refused_and_never_raises_anything_else(token: str) -> None:
    with pytest.raises(TokenProblem):
        check(token)
