"""Run an async test on virtual time: faster than real, with exact timer instants."""

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, overload

from archer_bridge.devkit.virtual_time import DEFAULT_MAX_SPEED, run

P = ParamSpec("P")
T = TypeVar("T")
AsyncTest = Callable[P, Coroutine[Any, Any, T]]


@overload
def virtual(test: AsyncTest[P, T], /) -> Callable[P, T]: ...
@overload
def virtual(*, max_speed: float) -> Callable[[AsyncTest[P, T]], Callable[P, T]]: ...
def virtual(test: Any = None, /, *, max_speed: float = DEFAULT_MAX_SPEED) -> Any:
    """Make an `async def` test a plain test that runs on a new `VirtualTimeLoop`.

    Use as `@virtual` or `@virtual(max_speed=10)`. The test may take synchronous fixtures and parameters;
    asynchronous set-up belongs in a context manager inside the test, which then shares its loop.
    """
    if test is None:
        return functools.partial(_on_virtual_time, max_speed=max_speed)
    return _on_virtual_time(test, max_speed=max_speed)


def _on_virtual_time(test: AsyncTest[P, T], *, max_speed: float) -> Callable[P, T]:
    @functools.wraps(test)
    def run_test(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(test(*args, **kwargs), max_speed=max_speed)

    return run_test
