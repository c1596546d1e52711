"""A function's signature becomes the parameters of a client tool.

What Cartesia accepts for client tools: an object of flat properties, each a string, integer, number or
boolean, or an array of one of those; `enum` on strings; nothing else
(https://docs.cartesia.ai/agents/client-tools). Finer rules (patterns, ranges) are checked by this bridge.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic.fields import FieldInfo

from archer_bridge.errors import ArcherError

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""Narrower than the vendor's `^[a-zA-Z][a-zA-Z0-9_-]{0,63}$`, so that a name is also a Python and TOML key."""
MAX_DESCRIPTION = 2000
SCALARS = frozenset({"string", "integer", "number", "boolean"})
_FIX_TYPES = "use str, int, float, bool, Literal of strings, or a list of one of those"
_CONFIG = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False, hide_input_in_errors=True)


class InvalidArguments(ArcherError):
    """Arguments that do not fit a tool; `problems` has one sentence a field, without the values."""

    code = "invalid_arguments"

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(problems)
        self.problems = dict(problems)

    def __str__(self) -> str:
        return "; ".join(f"{field}: {problem}" for field, problem in self.problems.items())


@dataclass(frozen=True, slots=True)
class Signature:
    """What was read off a function."""

    context: str | None
    """Name of the parameter that takes the ToolContext."""
    parameters: Mapping[str, Any]
    """JSON schema, in the subset that the vendor accepts."""
    model: type[BaseModel]
    """The whole check, patterns and ranges included."""


def read_signature(function: Callable[..., Any], context_type: type, problems: list[str]) -> Signature:
    """Build the schema of `function`; what cannot be offered to the vendor is added to `problems`."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:  # an annotation is arbitrary code
        problems.append(f"its annotations cannot be evaluated: {error!r}")
        hints = {}
    notes = _argument_notes(inspect.getdoc(function) or "")
    context = None
    fields: dict[str, Any] = {}
    for position, parameter in enumerate(inspect.signature(function).parameters.values()):
        if position == 0 and (hints.get(parameter.name) is context_type or parameter.name in {"ctx", "context"}):
            context = parameter.name
            continue
        _read_parameter(parameter, hints, notes, fields, problems)
    model = _model(function.__name__, fields, problems)
    return Signature(context, _parameters(model, problems), model)


def check_arguments(model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as the function takes them.

    Raises:
        InvalidArguments: naming every field that does not fit, in words a model can act on.
    """
    try:
        checked = model.model_validate(dict(arguments))
    except ValidationError as error:
        problems: dict[str, str] = {}
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            field = ".".join(str(part) for part in item["loc"])[:80] or "arguments"
            hint = "this parameter does not exist, leave it out" if item["type"] == "extra_forbidden" else item["msg"]
            problems.setdefault(field, hint)
        raise InvalidArguments(problems) from None
    return {name.removeprefix("p_"): getattr(checked, name) for name in type(checked).model_fields}


def _read_parameter(
    parameter: inspect.Parameter,
    hints: Mapping[str, Any],
    notes: Mapping[str, str],
    fields: dict[str, Any],
    problems: list[str],
) -> None:
    name = parameter.name
    if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
        problems.append(f"parameter {name}: must be a plain named parameter, not {parameter.kind.description}")
        return
    if not NAME.fullmatch(name):
        problems.append(f"parameter {name}: its name must match {NAME.pattern}")
        return
    if name not in hints:
        problems.append(f"parameter {name}: has no type; {_FIX_TYPES}")
        return
    required = parameter.default is parameter.empty
    info = FieldInfo.from_annotation(hints[name])
    texts = [item for item in getattr(hints[name], "__metadata__", ()) if isinstance(item, str)]
    description = info.description or (texts[0] if texts else None) or notes.get(name)
    if not description:
        problems.append(
            f'parameter {name}: is not described; write Annotated[..., "what it is"] or an Args: entry in the docstring'
        )
        description = name
    if not required:
        info = FieldInfo.from_annotated_attribute(hints[name], parameter.default)
    info.description = description
    info.alias = info.validation_alias = info.serialization_alias = name
    fields[f"p_{name}"] = (hints[name], info)  # prefixed, or a parameter called `copy` would shadow pydantic's method


def _model(name: str, fields: dict[str, Any], problems: list[str]) -> type[BaseModel]:
    try:
        return create_model(name, __config__=_CONFIG, **fields)
    except (PydanticSchemaGenerationError, PydanticUserError, NameError, TypeError) as error:
        problems.append(
            f"its parameters have types that cannot be checked ({str(error).splitlines()[0]}); {_FIX_TYPES}"
        )
        return create_model(name, __config__=_CONFIG)


def _parameters(model: type[BaseModel], problems: list[str]) -> dict[str, Any]:
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        problems.append(f"its parameters have no JSON schema ({str(error).splitlines()[0]}); {_FIX_TYPES}")
        return {"type": "object", "properties": {}}
    definitions = schema.get("$defs", {})
    properties = {name: _flat(name, full, definitions, problems) for name, full in schema.get("properties", {}).items()}
    result: dict[str, Any] = {"type": "object", "properties": properties}
    if schema.get("required"):
        result["required"] = schema["required"]
    return result


def _flat(name: str, full: Mapping[str, Any], definitions: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    schema = _resolved(full, definitions)
    flat: dict[str, Any] = {"type": schema.get("type")}
    if flat["type"] == "array":
        item = _resolved(schema.get("items", {}), definitions)
        flat["items"] = {"type": item.get("type")}
        if item.get("type") not in SCALARS:
            problems.append(f"parameter {name}: is a list of something nested, which the vendor refuses; {_FIX_TYPES}")
    elif flat["type"] not in SCALARS:
        problems.append(f"parameter {name}: is not a flat value, which the vendor refuses; {_FIX_TYPES}")
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is not None:
        flat["enum"] = list(values)
        if flat["type"] != "string":
            problems.append(f"parameter {name}: the vendor enumerates strings only; use Literal of strings")
    description = full.get("description", name)
    if "pattern" in schema:
        description = f"{description} (pattern {schema['pattern']})"
    if len(description) > MAX_DESCRIPTION:
        problems.append(f"parameter {name}: its description is longer than {MAX_DESCRIPTION} characters")
    flat["description"] = description
    return flat


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference and see through `X | None`: leaving a parameter out is how a model says None."""
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        schema = options[0]
    reference = schema.get("$ref", "")
    return definitions.get(reference.rpartition("/")[2], schema) if reference else schema


def _argument_notes(text: str) -> dict[str, str]:
    """Read `name: what it is` lines below `Args:` of a docstring."""
    notes: dict[str, str] = {}
    _, _, section = text.partition("Args:\n")
    last = ""
    for line in section.splitlines():
        if line and not line[0].isspace():
            break
        if match := re.match(r"\s+(\w+)(?: \([^)]*\))?: (.+)", line):
            last = match[1]
            notes[last] = match[2].strip()
        elif last and line.strip():
            notes[last] += " " + line.strip()
    return notes
