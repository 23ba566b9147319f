"""The one thread of a crawl on which the store is called, so that the event loop never blocks."""

from __future__ import annotations

import queue
import sys
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeVar

from scrapy_resume.errors import StoreUnavailableError, as_exception

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.ports.clock import Clock

T = TypeVar("T")

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0

SWITCH_SECONDS: Final = 0.000_5
"""The interpreter's switch interval while a call runs. SQLite's driver releases the interpreter's
lock for each statement. Beside a busy event loop, each would wait the usual 5 ms to reacquire it:
a commit of 30 rows took 50 ms, and takes 2 ms alone."""


class StoreThread:
    """Runs calls in order and passes their results to the event loop.

    A daemon thread, so that a store that never answers does not keep the process from ending.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._clock = clock
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._giving_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started = False

    def submit(
        self,
        call: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[Exception], None],
        unavailable: Callable[[StoreUnavailableError], None],
    ) -> None:
        """Run ``call``; then ``done(result)`` or ``failed(error)`` in the event loop.

        While the store is unavailable (``StoreUnavailableError``) the call is repeated, and
        ``unavailable(error)`` is called in the event loop each time.
        """
        self._start()

        def run() -> None:
            try:
                result = self._repeat(call, unavailable)
            except BaseException as error:  # of the user's feed storages too: the thread goes on
                self._post(failed, as_exception(error))
            else:
                self._post(done, result)

        self._calls.put(run)

    def wait_for(self, call: Callable[[], T]) -> T:
        """Run a call after those that were submitted, and block until it has returned. Raises what
        it raises."""
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:
                answer.set_exception(error)

        self._start()
        self._calls.put(run)
        return answer.result()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._thread.start()

    def _repeat(
        self, call: Callable[[], T], unavailable: Callable[[StoreUnavailableError], None]
    ) -> T:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return call()
            except StoreUnavailableError as error:
                if self._giving_up.is_set():
                    raise
                self._post(unavailable, error)
            self._giving_up.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _post(self, call: Callable[[T], None], value: T) -> None:
        """Hand an answer to the event loop. Someone waits for each, so none is lost for want of
        memory: that is tried again."""
        while True:
            try:
                self._clock.post(call, value)
                return
            except MemoryError:
                time.sleep(FIRST_PAUSE_SECONDS)

    def give_up_soon(self) -> None:
        """From now on, do not repeat calls that find the store unavailable. A call that waits to be
        repeated is tried once more."""
        self._giving_up.set()

    def stop(self) -> None:
        """End the thread after the calls that were submitted."""
        self._calls.put(None)

    def join(self, timeout_seconds: float) -> None:
        """Block until the thread has ended, or for ``timeout_seconds``."""
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
