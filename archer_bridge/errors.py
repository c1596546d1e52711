"""The bridge's own errors.

ArcherError
├── ConfigError            settings are wrong; lists every problem at once
├── PluginError            an enabled plugin cannot be used
├── StoreError             the record cannot be kept
│   ├── StoreUnavailable   the database does not answer, is full or read-only
│   └── StoreBusy          the bounded writer queue is full
├── ProtocolError          a peer or this bridge broke a wire protocol
│   ├── RemoteProtocolError    the peer's doing; carries a close-code hint
│   └── LocalProtocolError     ours: a bug, never caught to go on
└── EngineError            the voice engine refused or was lost
"""

from collections.abc import Sequence


class ArcherError(Exception):
    """Root of every error the bridge raises on purpose; `code` is stable and greppable."""

    code = "archer_error"


class ConfigError(ArcherError):
    """Settings that cannot be used; `problems` holds one sentence each."""

    code = "config_error"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        return f"{len(self.problems)} configuration {noun}:\n{lines}"


class PluginError(ArcherError):
    """Enabled plugins that cannot be used; `problems` holds one sentence each."""

    code = "plugin_error"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class StoreError(ArcherError):
    """The record could not be kept."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """The database does not answer, is full, or cannot be written."""

    code = "store_unavailable"


class StoreBusy(StoreError):
    """The bounded queue of the one writer is full."""

    code = "store_busy"


class ProtocolError(ArcherError):
    """A wire protocol was broken."""

    code = "protocol_error"


class RemoteProtocolError(ProtocolError):
    """The peer sent what its protocol does not allow."""

    code = "remote_protocol_error"

    def __init__(self, detail: str, *, close_code: int = 1008) -> None:
        super().__init__(detail)
        self.detail = detail
        self.close_code = close_code

    def __str__(self) -> str:
        return self.detail


class LocalProtocolError(ProtocolError):
    """This bridge tried to send what the protocol does not allow in this state."""

    code = "local_protocol_error"


class EngineError(ArcherError):
    """The voice engine refused the call or was lost.

    `status` is the HTTP status of a refused upgrade or the WebSocket close code, when there was one;
    `retryable` is decided here, once, for every caller.
    """

    code = "engine_error"

    def __init__(self, detail: str, *, status: int | None = None, retryable: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.retryable = retryable

    def __str__(self) -> str:
        return self.detail
