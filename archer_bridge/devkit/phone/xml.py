"""A small safe XML reader: elements, attributes and text; no document type, so no entities to expand."""

from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from archer_bridge.devkit.phone.errors import TwimlError

_MAX_DEPTH = 16


@dataclass(slots=True)
class Element:
    """One element; `text` is all character data directly inside it."""

    name: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""


def read_xml(text: str | bytes) -> Element:
    """Parse a document and return its root.

    Raises:
        TwimlError: 12100, not well-formed, or it declares a document type.
    """
    root: list[Element] = []
    stack: list[Element] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes)
        (stack[-1].children if stack else root).append(element)
        stack.append(element)
        if len(stack) > _MAX_DEPTH:
            raise TwimlError(12100, f"elements are nested more than {_MAX_DEPTH} deep")

    def characters(data: str) -> None:
        stack[-1].text += data

    def doctype(*_: object) -> NoReturn:
        raise TwimlError(12100, "a document type declaration is not allowed in TwiML")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _name: stack.pop()
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise TwimlError(12100, f"not well-formed XML: {error}") from error
    return root[0]
