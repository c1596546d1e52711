"""What both wire protocols say of a message that cannot be used."""


class BadFrame(Exception):
    """A message that cannot be used: counted and skipped, never fatal by itself."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        """A short stable word, fit for a counter."""
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason
