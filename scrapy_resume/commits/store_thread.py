"""The one thread of a crawl on which the store is called; the reactor never waits for it."""

from __future__ import annotations

import queue
import sys
import threading
from typing import TYPE_CHECKING, Final, TypeVar

from scrapy_resume.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.ports.clock import Clock

T = TypeVar("T")

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0

SWITCH_SECONDS: Final = 0.000_5
"""The interpreter's switch interval while a call runs. SQLite's driver lets the interpreter's
lock go for each statement; beside a busy event loop each would wait the usual 5 ms to get it
back, and a commit of 30 rows took 50 ms where it takes 2 ms by itself."""


class StoreThread:
    """Runs calls one after the other and hands their results to the event loop.

    A daemon thread: a store that never answers does not keep the process from ending.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._clock = clock
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started = False
        self._on_stop: Callable[[], object] | None = None

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
                self._clock.post(failed, error)
            else:
                self._clock.post(done, result)

        self._calls.put(run)

    def _insist(self, call: Callable[[], T], out: Callable[[StoreUnavailableError], None]) -> T:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return call()
            except StoreUnavailableError as error:
                if self._hurry.is_set():
                    raise
                self._clock.post(out, error)
            self._hurry.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

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
            self._clock.post(self._on_stop)
