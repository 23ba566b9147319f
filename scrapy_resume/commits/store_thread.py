"""The one thread of a crawl on which the store is called; the reactor never waits for it."""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from scrapy.utils.asyncio import is_asyncio_available

from scrapy_resume.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0

SWITCH_SECONDS: Final = 0.000_5
"""The interpreter's switch interval while a call runs. SQLite's driver lets the interpreter's
lock go for each statement; beside a busy event loop each would wait the usual 5 ms to get it
back, and a commit of 30 rows took 50 ms where it takes 2 ms by itself."""


def post_to_loop() -> Callable[..., Any]:
    """What hands a call to the running event loop, from any thread; to none when it has ended.

    Called in the loop's own thread, in a crawl with or without a reactor.
    """
    if is_asyncio_available():
        return partial(_post, asyncio.get_running_loop().call_soon_threadsafe)
    from twisted.internet import reactor

    return partial(_post, reactor.callFromThread)


def _post(hand_over: Callable[..., Any], call: Callable[..., Any], *values: Any) -> None:
    try:
        hand_over(call, *values)
    except RuntimeError:
        # The event loop is closed: the process is ending, nobody waits for it any more.
        logger.debug("The event loop ended before the store's answer")


class StoreThread:
    """Runs calls one after the other and hands their results to the event loop.

    A daemon thread: a store that never answers does not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._post: Callable[..., Any] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started = False
        self._on_stop: Callable[[], object] | None = None

    def attach(self, post: Callable[..., Any]) -> None:
        """``post`` hands a call to the event loop; needed before the first ``submit``."""
        self._post = post

    def submit(
        self,
        call: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
        out: Callable[[StoreUnavailableError], None],
    ) -> None:
        """Run ``call``; then ``done(result)`` or ``failed(error)`` in the event loop.

        While the store is unavailable the call is repeated; each time ``out(error)`` is
        called in the event loop.
        """
        if not self._started:
            self._started = True
            self._thread.start()

        def run() -> None:
            try:
                result = self._insist(call, out)
            except Exception as error:
                self._deliver(failed, error)
            else:
                self._deliver(done, result)

        self._calls.put(run)

    def _insist(self, call: Callable[[], T], out: Callable[[StoreUnavailableError], None]) -> T:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return call()
            except StoreUnavailableError as error:
                if self._hurry.is_set():
                    raise
                self._deliver(out, error)
            self._hurry.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _deliver(self, receive: Callable[[Any], None], value: object) -> None:
        assert self._post is not None
        self._post(receive, value)

    def give_up_soon(self) -> None:
        """A call that finds the store unavailable fails from now on, after one more try."""
        self._hurry.set()

    def stop(self) -> None:
        """End after the calls that are waiting."""
        self._calls.put(None)

    def when_stopped(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` in the event loop when the thread has ended; after ``stop()``."""
        self._on_stop = tell

    def join(self, timeout_seconds: float) -> None:
        """Wait for the end."""
        if self._started:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        usual = sys.getswitchinterval()
        while (call := self._calls.get()) is not None:
            sys.setswitchinterval(min(usual, SWITCH_SECONDS))
            try:
                call()
            finally:
                sys.setswitchinterval(usual)
        if self._on_stop is not None:
            self._deliver(lambda tell: tell(), self._on_stop)
