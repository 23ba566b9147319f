"""Detects that the process is about to end while the spider is still open."""

from __future__ import annotations

import atexit
import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from scrapy.utils.reactor import is_reactor_installed

if TYPE_CHECKING:
    from collections.abc import Callable


class ProcessEnd:
    """Calls ``reactor_stops`` when the reactor stops, and ``at_exit`` when the interpreter exits.

    Neither is called in a process that a pipeline or callback has forked: its end is not that of
    the crawl, and the job is its parent's.

    Twisted waits for neither: what is begun in ``reactor_stops`` has to be awaited in ``at_exit``,
    which may block. The event loop does not run any more then.
    """

    def __init__(self, reactor_stops: Callable[[], None], at_exit: Callable[[], None]) -> None:
        self._reactor_stops = reactor_stops
        self._at_exit = at_exit
        self._trigger: Any = None
        self._pid = 0

    def watch(self) -> None:
        """Begin to watch. Called in the event loop."""
        self._pid = os.getpid()
        atexit.register(self._call, self._at_exit)
        if is_reactor_installed():
            # Scrapy closes spiders gracefully in the phase "before", which ends before this one.
            self._trigger = _reactor().addSystemEventTrigger(
                "during", "shutdown", partial(self._call, self._reactor_stops)
            )

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


def _reactor() -> Any:
    from twisted.internet import reactor

    return reactor
