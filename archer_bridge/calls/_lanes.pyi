from collections.abc import Callable
from typing import Any

from archer_bridge.calls.lanes import Convert
from archer_bridge.calls.lanes import Inflow as PlainInflow
from archer_bridge.calls.lanes import Outflow as PlainOutflow

VERSION: int

class Inflow(PlainInflow): ...
class Outflow(PlainOutflow): ...

class CallerLane:
    is_open: bool
    def __new__(
        cls,
        way: PlainInflow,
        out: PlainOutflow,
        clock: Callable[[], float],
        engine: Any,
        converts: tuple[Convert, ...],
        note: Callable[[Any], None] | None,
        rules: tuple[int, float, float, float, int, float],
    ) -> CallerLane: ...
    def take(self, data: bytes, text: bytes, timestamp_ms: int, /) -> bool: ...

class EngineLane:
    is_open: bool
    converts: tuple[Convert, ...]
    @property
    def taken(self) -> int: ...
    def __new__(
        cls,
        out: PlainOutflow,
        audio_type: type,
        otherwise: Callable[[Any], None],
        play: Callable[[bytes, bytes | None, float], None],
        clock: Callable[[], float],
        send: Callable[[bytes, bytes | None], None],
        mark: Callable[[float], None],
        restart: Callable[[float], None],
        note: Callable[[Any], None] | None,
        rules: tuple[int, int, int, int, float, float, float, float],
    ) -> EngineLane: ...
    def take(self, event: Any, /) -> None: ...
