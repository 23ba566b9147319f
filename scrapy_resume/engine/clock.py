"""The clock of a crawl: Scrapy's event loop, with the asyncio reactor, another reactor, or none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from scrapy.utils.asyncio import call_later, is_asyncio_available
from scrapy.utils.defer import deferred_from_coro, maybe_deferred_to_future
from twisted.internet.defer import Deferred

from scrapy_resume.ports.clock import SteadyTime, elapsed_seconds, post_to

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from scrapy_resume.ports.clock import Timer, Waiter

T = TypeVar("T")


class ScrapyClock:
    """Implements ``ports.clock.Clock``."""

    monotonic = staticmethod(elapsed_seconds)

    def __init__(self) -> None:
        self.time = SteadyTime().now
        self._hand_over: Callable[..., object] | None = None

    def attach(self) -> None:
        """Use the running event loop for ``post``. Called in the loop's thread, before the first
        ``post``."""
        if is_asyncio_available():
            self._hand_over = asyncio.get_running_loop().call_soon_threadsafe
        else:
            from twisted.internet import reactor

            self._hand_over = reactor.callFromThread

    def call_later(self, seconds: float, call: Callable[..., object], *values: Any) -> Timer:
        """See ``Clock``."""
        return call_later(seconds, call, *values)

    def waiter(self) -> Waiter[Any]:
        """See ``Clock``."""
        return _DeferredWaiter()

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """See ``Clock``."""
        deferred_from_coro(coroutine)

    def post(self, call: Callable[..., object], *values: Any) -> None:
        """See ``Clock``."""
        assert self._hand_over is not None
        post_to(self._hand_over, call, values)


class _DeferredWaiter(Generic[T]):
    """A waiter on a Deferred, the only thing that can be awaited without asyncio."""

    __slots__ = ("_deferred",)

    def __init__(self) -> None:
        self._deferred: Deferred[T] = Deferred()

    def set(self, value: T) -> None:
        if not self._deferred.called:
            self._deferred.callback(value)

    async def wait(self) -> T:
        return await maybe_deferred_to_future(self._deferred)
