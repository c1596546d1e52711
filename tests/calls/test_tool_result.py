import dataclasses
import json
from datetime import date
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from archer_bridge.calls.tool_result import MAX_RESULT_BYTES, NOTICE, UnserialisableResult, encode_result, error_result


class Kind(Enum):
    ONE = "one"


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    when: date


class Model(BaseModel):
    name: str
    points: list[int] = []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "null", id="none"),
        pytest.param(True, "true", id="bool"),
        pytest.param({"a": [1, 2.5, "ü"]}, '{"a":[1,2.5,"ü"]}', id="json"),
        pytest.param((1, (2,)), "[1,[2]]", id="tuples"),
        pytest.param(Point(1, date(2026, 11, 22)), '{"x":1,"when":"2026-11-22"}', id="dataclass"),
        pytest.param(Model(name="m", points=[1]), '{"name":"m","points":[1]}', id="pydantic"),
        pytest.param({Kind.ONE: Kind.ONE, 2: Decimal("1.20")}, '{"one":"one","2":"1.20"}', id="keys-and-decimals"),
        pytest.param(UUID(int=1), '"00000000-0000-0000-0000-000000000001"', id="uuid"),
        pytest.param("a\ud800b", '"a?b"', id="lone-surrogate"),
        pytest.param('\x00\n"', '"\\u0000\\n\\""', id="escapes"),
    ],
)
def test_values_become_json(value, text):
    assert text == encode_result(value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param(object(), "a object at result;", id="object"),
        pytest.param({"a": [b"x"]}, "a bytes at result.a[0];", id="bytes"),
        pytest.param({1, 2}, "a set at result;", id="set"),
        pytest.param(float("nan"), "the number nan at result;", id="nan"),
        pytest.param({(1,): 2}, "a tuple as a key at result;", id="key"),
        pytest.param(10**5000, "an integer of thousands of digits", id="huge-integer"),
        pytest.param(Point, "a type at result;", id="class"),
    ],
)
def test_what_has_no_json_is_named_with_its_place(value, says):
    with pytest.raises(UnserialisableResult) as caught:
        encode_result(value)

    assert says in str(caught.value)


def test_a_value_that_holds_itself_is_refused():
    loop: list[object] = []
    loop.append(loop)

    with pytest.raises(UnserialisableResult, match="nested deeper than 32"):
        encode_result(loop)


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀", '"', "\\", "\x01"])
def test_the_limit_is_counted_in_bytes_and_kept_to_the_byte(letter):
    cost = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
    fits = letter * ((MAX_RESULT_BYTES - 2) // cost)
    whole, cut = encode_result(fits), encode_result(fits + letter)

    assert fits == json.loads(whole)
    assert json.loads(cut)["notice"] == NOTICE
    assert MAX_RESULT_BYTES - 8 <= len(cut.encode()) <= MAX_RESULT_BYTES
    assert json.dumps(fits + letter, ensure_ascii=False).startswith(json.loads(cut)["partial"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)


@settings(max_examples=50, deadline=None)
@given(JSON, st.integers(200, 400))
def test_any_json_is_whole_or_cut_within_the_limit(value, limit):
    text = encode_result(value, limit)
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    assert len(text.encode()) <= limit
    if len(plain.encode()) <= limit:
        assert value == json.loads(text)
    else:
        assert plain.startswith(json.loads(text)["partial"])


@settings(max_examples=50, deadline=None)
@given(JSON)
def test_a_cut_never_makes_a_short_value_longer(value):
    assert json.dumps(value, ensure_ascii=False, separators=(",", ":")) == encode_result(value, 10_000_000)


def test_an_error_has_a_code_a_message_and_facts():
    value = json.loads(error_result("closed", "x" * 5000, fields={"a": "b"}))

    assert value["error"] == {"code": "closed", "message": "x" * 1000, "fields": {"a": "b"}}
