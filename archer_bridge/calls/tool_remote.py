"""The store for code that runs on another loop or in a thread: each request is carried out at home."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from archer_bridge.models import Arrangement, Customer
from archer_bridge.tool_api import ToolStore

T = TypeVar("T")


class RemoteStore:
    """Carries store requests to the event loop that the store belongs to."""

    def __init__(self, store: ToolStore, home: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._home = home

    async def find_customer(self, phone: str) -> Customer | None:
        """Return the customer with this E.164 number."""
        return await self._at_home(lambda: self._store.find_customer(phone))

    async def get_customer(self, customer_id: str) -> Customer | None:
        """Return the customer with this id."""
        return await self._at_home(lambda: self._store.get_customer(customer_id))

    async def arrangements(self, call_sid: str | None = None) -> Sequence[Arrangement]:
        """Return what was recorded."""
        return await self._at_home(lambda: self._store.arrangements(call_sid))

    async def record_arrangement(self, arrangement: Arrangement) -> Arrangement:
        """Record it once; a request that was handed over is carried out even if the asker is cancelled."""
        return await self._at_home(lambda: self._store.record_arrangement(arrangement))

    async def _at_home(self, request: Callable[[], Coroutine[Any, Any, T]]) -> T:
        answer = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(request(), self._home))
        answer.add_done_callback(_seen)
        return await asyncio.shield(answer)


def _seen(answer: "asyncio.Future[Any]") -> None:
    """Look at an error that a cancelled asker will not look at, or asyncio complains of it."""
    if not answer.cancelled():
        answer.exception()
