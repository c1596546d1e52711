"""What the command-line tests share."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from archer_bridge import log


@pytest.fixture
def restored_log() -> Iterator[None]:
    """Undo what a command does to the process's log."""
    root = logging.getLogger()
    handlers, level, wanted = root.handlers[:], root.level, log._level
    yield
    structlog.reset_defaults()
    root.handlers[:], log._level = handlers, wanted
    root.setLevel(level)
    logging.captureWarnings(False)
