"""Each object here is refused by archer_codecs for another reason."""

from archer_codecs import Edge, Format


class Named:
    """A family without steps, under any name and with any encodings."""

    def __init__(self, name: str, encodings: dict[str, int] | None = None) -> None:
        self.name = name
        self.encodings = encodings or {}

    def edges(self, source: Format, goal: Format) -> list[Edge]:
        """Offer nothing."""
        return []


NOT_A_FAMILY = 42
MISNAMED = Named("somebody_else")
GREEDY = Named("greedy", {"mulaw": 2})
SECOND_G711 = Named("g711")
