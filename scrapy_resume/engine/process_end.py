"""Detects that the process is about to end while the spider is still open."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from scrapy.utils.reactor import is_reactor_installed

if TYPE_CHECKING:
    from collections.abc import Callable


logger = logging.getLogger("scrapy_resume")


class ProcessEnd:
    """Calls ``loop_stops`` when the event loop stops, and ``at_exit`` when the interpreter exits.

    Neither is called in a process that a pipeline or callback has forked: its end is not that of
    the crawl, and the job is its parent's.

    Neither is waited for: what is begun in ``loop_stops`` has to be awaited in ``at_exit``, which
    may block. The event loop does not run any more then.

    Without a reactor, the end of the event loop is that all its tasks are cancelled. One task of
    our own waits for nothing else: a task that somebody cancels alone does not end the process.
    """

    def __init__(self, loop_stops: Callable[[], None], at_exit: Callable[[], None]) -> None:
        self._loop_stops = loop_stops
        self._at_exit = at_exit
        self._trigger: Any = None
        self._canary: _Canary | None = None
        self._task: asyncio.Task[None] | None = None
        self._pid = 0

    def watch(self) -> None:
        """Begin to watch. Called in the event loop."""
        self._pid = os.getpid()
        atexit.register(self._call, self._at_exit)
        if is_reactor_installed():
            # Scrapy closes spiders gracefully in the phase "before", which ends before this one.
            self._trigger = _reactor().addSystemEventTrigger(
                "during", "shutdown", partial(self._call, self._loop_stops)
            )
        else:
            loop = asyncio.get_running_loop()
            self._canary = _Canary(partial(self._call, self._loop_stops), loop)
            self._task = loop.create_task(_wait(self._canary))

    @property
    def loop_torn_down(self) -> bool:
        """All tasks of the event loop are cancelled, because it is about to be closed."""
        return self._canary is not None and self._canary.cancelled()

    def _call(self, end: Callable[[], None]) -> None:
        if os.getpid() == self._pid:
            end()

    def unwatch(self) -> None:
        """Stop watching, because the job is closed."""
        atexit.unregister(self._call)
        if self._trigger is not None:
            with contextlib.suppress(KeyError, ValueError):  # the reactor runs its triggers now
                _reactor().removeSystemEventTrigger(self._trigger)
            self._trigger = None
        if self._canary is not None and not self._canary.done():
            self._canary.set_result(None)


class _Canary(asyncio.Future[None]):
    """A future that nobody but the task that waits for it cancels.

    It calls ``cancelled`` before any other task notices that it was cancelled too.
    """

    def __init__(self, cancelled: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._call = cancelled

    def cancel(self, msg: Any = None) -> bool:
        """The task is cancelled."""
        cancelled = super().cancel(msg)
        if cancelled:
            try:
                self._call()
            except Exception:  # whoever closes the loop has more to do
                logger.exception("The shutdown was not complete; the next run recovers the job")
        return cancelled


async def _wait(canary: _Canary) -> None:
    await canary


def _reactor() -> Any:
    from twisted.internet import reactor

    return reactor
