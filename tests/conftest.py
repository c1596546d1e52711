"""What holds for every test."""

import os

import pytest
from hypothesis import settings

# A loaded machine is slow, and slowness is no falsifying example; pytest-timeout bounds each test.
settings.register_profile("archer", deadline=None)
settings.load_profile("archer")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Half as many again as cores: tests on virtual time wait for sockets about as much as they compute."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)
