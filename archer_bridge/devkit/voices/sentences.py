"""Cut text into sentences the way a speech engine does, so that audio can start before all of it exists."""

import re

# A point after these is part of the word.
_ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "vs", "e.g", "i.e", "jan", "feb", "mar", "apr", "jun", "jul", "aug"]
    + ["sep", "sept", "oct", "nov", "dec"]
)
_END = re.compile(r"[.?!]+['\")\]]*\s+")


def sentences(text: str) -> list[str]:
    """Sentences of `text` in order, stripped, none empty; runs of whitespace become one space."""
    text = " ".join(text.split())
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        last_word = text[start : match.start()].rpartition(" ")[2]
        if text[match.start()] == "." and last_word.lower().lstrip("('\"") in _ABBREVIATIONS:
            continue
        found.append(text[start : match.end()].strip())
        start = match.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]
