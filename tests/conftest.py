"""What holds for every test."""

from hypothesis import settings

# A loaded machine is slow, and slowness is no falsifying example; pytest-timeout bounds each test.
settings.register_profile("archer", deadline=None)
settings.load_profile("archer")
