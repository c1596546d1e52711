import pytest

from archer_bridge.calls.tool_arguments import canonical, digest, masked


@pytest.mark.parametrize(
    ("arguments", "names", "kept"),
    [
        pytest.param({"pin": "1", "a": 2}, {"pin"}, {"pin": "***", "a": 2}, id="named"),
        pytest.param({"a": "pay 4242-4242-4242-4242 now"}, set(), {"a": "pay *** now"}, id="card"),
        pytest.param({"a": "order 4242424242424241"}, set(), {"a": "order 4242424242424241"}, id="not-a-card"),
        pytest.param({"a": 4242424242424242}, set(), {"a": "***"}, id="card-as-number"),
        pytest.param({"a": [{"b": "5500 0000 0000 0004"}]}, set(), {"a": [{"b": "***"}]}, id="nested"),
        pytest.param({"a": "cvv 123, dana@example.com"}, set(), {"a": "cvv ***, ***"}, id="code-and-e-mail"),
        pytest.param({"cvv": 123, "b": {"token": "x"}}, set(), {"cvv": "***", "b": {"token": "***"}}, id="by-name"),
        pytest.param({"x" * 52 + " 4242 4242 4242 4242": 1}, set(), {"x" * 52 + " ***": 1}, id="name-cut-after-it"),
        pytest.param({"a": "x" * 600}, set(), {"a": "x" * 500}, id="long"),
        pytest.param({"a": object()}, set(), {"a": "***"}, id="strange"),
        pytest.param({"a": None, "b": True, "c": 1.5}, set(), {"a": None, "b": True, "c": 1.5}, id="plain"),
    ],
)
def test_secrets_are_masked(arguments, names, kept):
    assert kept == masked(arguments, names)


def test_equal_arguments_have_equal_text():
    assert canonical({"b": 1, "a": "ü\ud800"}) == canonical({"a": "ü\ud800", "b": 1}) == '{"a":"ü?","b":1}'
    assert len(digest("x")) == 64
