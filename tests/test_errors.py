"""The bridge's errors: one tree, stable codes, whole sentences."""

import re

import pytest

from archer_bridge import errors
from archer_bridge.errors import ArcherError, ConfigError, EngineError, PluginError, RemoteProtocolError


def tree(kind: type[BaseException]) -> set[type[BaseException]]:
    return {kind, *(below for child in kind.__subclasses__() for below in tree(child))}


OURS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ArcherError)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"^[│├└─ ]*(\w+)(?: {2,}|$)", str(errors.__doc__), re.MULTILINE)

    assert [name for name in drawn if name[0].isupper()] == [kind.__name__ for kind in OURS]


def test_codes_are_stable_words_and_differ() -> None:
    codes = [str(vars(kind)["code"]) for kind in OURS]

    assert [code for code in codes if not re.fullmatch(r"[a-z_]+", code)] == []
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConfigError(["a is wrong"]), "1 configuration problem:\n  - a is wrong"),
        (ConfigError(["a", "b"]), "2 configuration problems:\n  - a\n  - b"),
        (PluginError(["a", "b"]), "a\nb"),
        (RemoteProtocolError("too late", close_code=1002), "too late"),
        (EngineError("refused with HTTP 401", status=401), "refused with HTTP 401"),
    ],
)
def test_sentences(error: ArcherError, sentence: str) -> None:
    assert str(error) == sentence


def test_what_errors_hold() -> None:
    assert ConfigError(["a", "b"]).problems == ("a", "b")
    assert RemoteProtocolError("x").close_code == 1008
    error = EngineError("x", status=429, retryable=True)
    assert (error.detail, error.status, error.retryable) == ("x", 429, True)
    assert (EngineError("x").status, EngineError("x").retryable) == (None, False)
