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
settings.register_profile("brief", deadline=None, derandomize=True, max_examples=20)
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
    """Let every worker begin with its share of the slow ones, the slowest first; mark those of the whole product."""
    for item in items:
        if WHOLE & vars(item.module).keys():  # type: ignore[attr-defined]  # a function's
            item.add_marker("whole")
    slow = [item for item in items if item.get_closest_marker("slow")]
    slow.sort(key=lambda item: item.get_closest_marker("timeout") is None)  # who needs more than a minute says so
    rest = [item for item in items if not item.get_closest_marker("slow")]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = -(-len(rest) // workers)  # xdist gives each worker one piece of the list
    items[:] = [
        item
        for number in range(workers)
        for item in (*slow[number::workers], *rest[number * share : (number + 1) * share])
    ]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Twice the cores: tests on virtual time and of processes wait about as much as they compute."""
    return 2 * (os.cpu_count() or 1)
