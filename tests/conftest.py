"""What holds for every test."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

# A loaded machine is slow, and slowness is no falsifying example; pytest-timeout bounds each test. Everybody tries the
# same examples; `pytest --hypothesis-profile=search` looks for new ones, and what it finds becomes an @example.
settings.register_profile("archer", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("archer")

WHOLE = {"world", "judged", "serve_process"}
"""What a module imports whose tests run the whole product."""


@pytest.fixture(autouse=True)
def _log_is_configured_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What one test makes of the log is forgotten; a logger that is cached would keep it for the whole process."""
    configure = structlog.configure

    def uncached(*args: Any, **kwargs: Any) -> None:
        configure(*args, **{**kwargs, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", uncached)
    yield
    structlog.reset_defaults()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones, so that none of them is left for the end; mark those that run the whole product."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if WHOLE & vars(item.module).keys():  # type: ignore[attr-defined]  # a function's
            item.add_marker("whole")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Twice the cores: tests on virtual time and of processes wait about as much as they compute."""
    return 2 * (os.cpu_count() or 1)
