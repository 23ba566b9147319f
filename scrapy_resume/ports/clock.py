"""The time and the event loop: delayed calls, waiters, tasks, and calls posted by other threads.

Every part that reads the time or waits takes a ``Clock``. A crawl uses ``engine.clock``, a plain
asyncio program uses ``AsyncioClock``, and tests use a clock that they move by hand.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")


def elapsed_seconds() -> float:
    """Seconds on a clock that never goes back and counts the time during which the machine was
    asleep, which ``time.monotonic`` leaves out; its zero has no meaning."""
    return time.clock_gettime(_ELAPSED)


_ELAPSED: Final[int] = getattr(
    time,
    # With macOS, CLOCK_MONOTONIC counts that time, and Python's monotonic() is another clock.
    "CLOCK_MONOTONIC" if sys.platform == "darwin" else "CLOCK_BOOTTIME",
    time.CLOCK_MONOTONIC,
)


class SteadyTime:
    """The time of day as it was when this was made, plus the time that has passed since.

    It does not leap when the machine's clock is set: a wait that has begun takes as long as it was
    to take. What is stored is converted to the store's time, see ``run.store_time``.
    """

    def __init__(self) -> None:
        self._began = time.time() - elapsed_seconds()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._began + elapsed_seconds()


class Timer(Protocol):
    """A call that is scheduled for later."""

    def cancel(self) -> None:
        """Cancel the call. Does nothing if it has been made or was cancelled."""


class Waiter(Protocol[T]):
    """A value that one coroutine waits for."""

    def set(self, value: T) -> None:
        """Set the value. To be called in the event loop; later calls have no effect."""

    async def wait(self) -> T:
        """Wait until the value is set, and return it."""


class Clock(Protocol):
    """The time and the event loop of one run."""

    def time(self) -> float:
        """Seconds since the epoch, on a clock that is not set while the run lasts."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back, and counts the time during which the machine
        was asleep; its zero has no meaning."""

    def call_later(self, seconds: float, call: Callable[..., object], *values: Any) -> Timer:
        """Call ``call(*values)`` in the event loop after ``seconds``."""

    def waiter(self) -> Waiter[Any]:
        """A new waiter. Coroutines of this event loop may await its ``wait``."""

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine in the event loop. It may run up to its first wait before this
        returns."""

    def post(self, call: Callable[..., object], *values: Any) -> None:
        """Have the event loop call ``call(*values)``. May be called from any thread. If the event
        loop has been closed, the call is discarded without an error."""


def leaves_event_loop(error: BaseException) -> bool:
    """Whether an error that user code raises leaves the event loop, which ends the process.

    asyncio lets ``KeyboardInterrupt`` and ``SystemExit`` pass. Without a running asyncio loop it
    is Twisted that calls the code: it catches them like any other error, and goes on.
    """
    if not isinstance(error, (KeyboardInterrupt, SystemExit)):
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def pause(clock: Clock, seconds: float) -> None:
    """Wait for ``seconds``."""
    waiter: Waiter[None] = clock.waiter()
    clock.call_later(seconds, waiter.set, None)
    await waiter.wait()


def post_to(
    hand_over: Callable[..., object], call: Callable[..., object], values: tuple[Any, ...]
) -> None:
    """Call ``hand_over(call, *values)``, where ``hand_over`` is a loop's thread-safe way to
    schedule a call. If the loop has been closed, the call is discarded."""
    try:
        hand_over(call, *values)
    except RuntimeError:
        logger.debug("The event loop was closed before it could call %r", call)


class AsyncioClock:
    """A ``Clock`` on the running asyncio event loop. To be created within that loop."""

    monotonic = staticmethod(elapsed_seconds)

    def __init__(self) -> None:
        self.time = SteadyTime().now
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()

    def call_later(self, seconds: float, call: Callable[..., object], *values: Any) -> Timer:
        """See ``Clock``."""
        return self._loop.call_later(seconds, call, *values)

    def waiter(self) -> Waiter[Any]:
        """See ``Clock``."""
        return _FutureWaiter(self._loop)

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """See ``Clock``. Keeps a reference to the task, since the loop has only a weak one."""
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
