"""The time, and the event loop: what is called later, waited for, or handed over by a thread.

Every part that looks at the time or waits takes a ``Clock``. A crawl has ``engine.clock``, a plain
asyncio program ``AsyncioClock``; tests have one that moves when they say so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Do not call. No error after the call."""


class Waiter(Protocol[T]):
    """A value that one coroutine waits for."""

    def set(self, value: T) -> None:
        """The value is here. Called in the event loop; only the first call counts."""

    async def wait(self) -> T:
        """The value, as soon as it is set."""


class Clock(Protocol):
    """The time and the event loop of one run."""

    def time(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""

    def call_later(self, seconds: float, call: Callable[..., object], *values: Any) -> Timer:
        """Call ``call(*values)`` in the event loop after so many seconds."""

    def waiter(self) -> Waiter[Any]:
        """A new waiter, whose ``wait`` may be awaited by coroutines of this event loop."""

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine in the event loop; its first part may run at once."""

    def post(self, call: Callable[..., object], *values: Any) -> None:
        """Have the event loop call ``call(*values)``, from any thread. No error when it has ended:
        nobody waits for the call any more."""


async def pause(clock: Clock, seconds: float) -> None:
    """Wait for so many seconds."""
    waiter: Waiter[None] = clock.waiter()
    clock.call_later(seconds, waiter.set, None)
    await waiter.wait()


def post_to(
    hand_over: Callable[..., object], call: Callable[..., object], values: tuple[Any, ...]
) -> None:
    """Hand a call to an event loop, by what the loop offers to other threads for that."""
    try:
        hand_over(call, *values)
    except RuntimeError:
        # The event loop is closed: the process is ending.
        logger.debug("The event loop ended before it could call %r", call)


class AsyncioClock:
    """The running asyncio event loop. To be made within it."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()

    def call_later(self, seconds: float, call: Callable[..., object], *values: Any) -> Timer:
        """See ``Clock``."""
        return self._loop.call_later(seconds, call, *values)

    def waiter(self) -> Waiter[Any]:
        """See ``Clock``."""
        return _FutureWaiter(self._loop)

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """See ``Clock``. Tasks are kept here: the loop has only weak references to them."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def post(self, call: Callable[..., object], *values: Any) -> None:
        """See ``Clock``."""
        post_to(self._loop.call_soon_threadsafe, call, values)


class _FutureWaiter(Generic[T]):
    __slots__ = ("_future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future: asyncio.Future[T] = loop.create_future()

    def set(self, value: T) -> None:
        if not self._future.done():
            self._future.set_result(value)

    async def wait(self) -> T:
        return await self._future
