import inspect
from enum import Enum
from typing import Annotated, Literal

import pytest
from pydantic import Field

from archer_bridge import tool_api
from archer_bridge.devkit.cartesia.toolrules import check_tool
from archer_bridge.errors import PluginError
from archer_bridge.tool_api import EndCall, InvalidArguments, Tool, ToolContext, tool


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@tool
async def everything(
    ctx: ToolContext,
    text: str,
    count: Annotated[int, Field(ge=1, le=9, description="how many")],
    ratio: Annotated[float, "how much"],
    sure: Annotated[bool, "whether"],
    colour: Colour,
    size: Annotated[Literal["s", "m"], "which"],
    names: Annotated[list[str], "who"],
    code: Annotated[str, Field(pattern="^[A-Z]{2}$", description="which country")] = "DE",
    maybe: Annotated[int | None, "perhaps"] = None,
    copy: Annotated[bool, "shares its name with a method of pydantic"] = False,
) -> None:
    """Take everything.

    It has a second paragraph.

    Args:
        text: what to say,
            on two lines
        colour (Colour): what colour
    """


def test_the_schema_is_what_the_vendor_takes():
    expected = {
        "text": {"type": "string", "description": "what to say, on two lines"},
        "count": {"type": "integer", "description": "how many"},
        "ratio": {"type": "number", "description": "how much"},
        "sure": {"type": "boolean", "description": "whether"},
        "colour": {"type": "string", "enum": ["red", "blue"], "description": "what colour"},
        "size": {"type": "string", "enum": ["s", "m"], "description": "which"},
        "names": {"type": "array", "items": {"type": "string"}, "description": "who"},
        "code": {"type": "string", "description": "which country (pattern ^[A-Z]{2}$)"},
        "maybe": {"type": "integer", "description": "perhaps"},
        "copy": {"type": "boolean", "description": "shares its name with a method of pydantic"},
    }

    assert expected == everything.parameters["properties"]
    assert everything.parameters["required"] == ["text", "count", "ratio", "sure", "colour", "size", "names"]
    assert everything.description == "Take everything.\n\nIt has a second paragraph."
    assert everything.context == "ctx"
    check_tool({"type": "client", "name": everything.name, "description": everything.description,
                "parameters": everything.parameters})  # fmt: skip


GOOD = {"text": "a", "count": 2, "ratio": 1, "sure": True, "colour": "red", "size": "s", "names": ["x"]}


def test_fitting_arguments_are_converted():
    checked = everything.check({**GOOD, "text": 12, "count": "3"})

    assert checked == {
        **GOOD, "text": "12", "count": 3, "colour": Colour.RED, "code": "DE", "maybe": None, "copy": False
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        pytest.param({"count": 10}, {"count": "Input should be less than or equal to 9"}, id="range"),
        pytest.param({"size": "xl"}, {"size": "Input should be 's' or 'm'"}, id="enum"),
        pytest.param({"code": "de"}, {"code": "String should match pattern '^[A-Z]{2}$'"}, id="pattern"),
        pytest.param({"names": [None]}, {"names.0": "Input should be a valid string"}, id="list"),
        pytest.param({"customer": 1}, {"customer": "this parameter does not exist, leave it out"}, id="extra"),
        pytest.param({"ratio": float("inf")}, {"ratio": "Input should be a finite number"}, id="infinite"),
        pytest.param({"text": True}, {"text": "Input should be a valid string"}, id="bool-for-text"),
    ],
)
def test_what_does_not_fit_is_named_without_its_value(change, problems):
    with pytest.raises(InvalidArguments) as caught:
        everything.check({**GOOD, **change})

    assert problems == caught.value.problems


def test_a_class_or_a_plain_function_is_a_tool_too():
    @tool(name="greet", timeout_s=3)
    def say_hello() -> EndCall:
        """Greet."""
        return EndCall()

    assert (say_hello.name, say_hello.context, say_hello.is_async, say_hello.timeout_s) == ("greet", None, False, 3)
    assert say_hello.parameters == {"type": "object", "properties": {}}


def undocumented(a: Annotated[int, "a"]) -> None: ...


def untyped(a) -> None:
    """Do."""


def undescribed(a: int) -> None:
    """Do."""


def nested(a: Annotated[dict[str, int], "a"]) -> None:
    """Do."""


def nested_list(a: Annotated[list[list[int]], "a"]) -> None:
    """Do."""


def number_enum(a: Annotated[Literal[1, 2], "a"]) -> None:
    """Do."""


def union(a: Annotated[int | str, "a"]) -> None:
    """Do."""


def variadic(*a: int) -> None:
    """Do."""


def unknown_name(a: "Nowhere") -> None:  # noqa: F821
    """Do."""


class Thing: ...


def arbitrary(a: Annotated[Thing, "a"]) -> None:
    """Do."""


def long_text(a: Annotated[int, "x" * 2001]) -> None:
    """Do."""


def Shouting() -> None:
    """Do."""


def fine() -> None:
    """Do."""


@pytest.mark.parametrize(
    ("function", "options", "says"),
    [
        pytest.param(undocumented, {}, "it has no docstring", id="no-docstring"),
        pytest.param(untyped, {}, "parameter a: has no type; use str", id="no-type"),
        pytest.param(
            undescribed, {}, 'parameter a: is not described; write Annotated[..., "what it is"]', id="no-text"
        ),
        pytest.param(nested, {}, "parameter a: is not a flat value", id="dict"),
        pytest.param(nested_list, {}, "parameter a: is a list of something nested", id="nested-list"),
        pytest.param(number_enum, {}, "the vendor enumerates strings only", id="number-enum"),
        pytest.param(union, {}, "parameter a: is not a flat value", id="union"),
        pytest.param(variadic, {}, "must be a plain named parameter, not variadic positional", id="variadic"),
        pytest.param(unknown_name, {}, "its annotations cannot be evaluated", id="unknown-name"),
        pytest.param(arbitrary, {}, "its parameters have types that cannot be checked", id="arbitrary-type"),
        pytest.param(long_text, {}, "its description is longer than 2000", id="long-description"),
        pytest.param(Shouting, {}, "its name must match [a-z][a-z0-9_]{0,63}; give another", id="name"),
        pytest.param(fine, {"name": "x" * 65}, "its name must match", id="long-name"),
        pytest.param(fine, {"masked": ["pin"]}, "masked names no parameter of it: pin", id="masked"),
        pytest.param(fine, {"timeout_s": 0}, "timeout_s must be above 0", id="no-timeout"),
        pytest.param(fine, {"timeout_s": 101}, "timeout_s must be above 0 and at most 100", id="long-timeout"),
        pytest.param(fine, {"soft_limit_s": 0}, "soft_limit_s must be above 0", id="soft-limit"),
        pytest.param(fine, {"max_calls_per_call": 0}, "max_calls_per_call must be at least 1", id="cap"),
        pytest.param(fine, {"max_failures": 0}, "max_failures must be at least 1", id="failures"),
        pytest.param(fine, {"on_last_failure": EndCall()}, "on_last_failure needs max_failures", id="last-failure"),
        pytest.param(fine, {"business_key": str}, "business_key is for tools with side_effect", id="business-key"),
        pytest.param(fine, {"reconcile": str}, "reconcile is for tools with side_effect", id="reconcile"),
        pytest.param(fine, {"requires": "magic"}, "requires must be 'verified' or 'offered'", id="requires"),
    ],
)
def test_what_cannot_work_is_refused_with_the_fix(function, options, says):
    with pytest.raises(PluginError) as caught:
        tool(**options)(function)

    assert any(says in problem for problem in caught.value.problems), caught.value.problems


def test_all_problems_of_a_tool_are_told_at_once():
    with pytest.raises(PluginError) as caught:
        tool(timeout_s=-1)(untyped)

    assert len(caught.value.problems) == 2
    assert all(problem.startswith("tool 'untyped': ") for problem in caught.value.problems)


def test_settings_become_the_tools_own_type():
    made = tool(settings_type=lambda **table: sorted(table))(fine)

    assert made.make_settings({"b": 1, "a": 2}) == ["a", "b"]
    assert tool(fine).make_settings({"x": 1}) == {"x": 1}


def test_every_public_name_is_there_and_described():
    for name in tool_api.__all__:
        value = getattr(tool_api, name)

        assert name == "API_VERSION" or name == "Effect" or inspect.getdoc(value), name


def test_a_tool_is_a_value():
    assert isinstance(everything, Tool)
    with pytest.raises(AttributeError):
        everything.name = "other"  # type: ignore[misc]  # the point
