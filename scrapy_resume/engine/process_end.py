"""Notices that the process is about to end, though nobody has closed the spider."""

from __future__ import annotations

import atexit
import contextlib
from typing import TYPE_CHECKING, Any

from scrapy.utils.reactor import is_reactor_installed
from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable


class ProcessEnd:
    """Calls ``shutdown`` when the reactor stops, or the interpreter ends."""

    def __init__(
        self, shutdown: Callable[[Callable[[], None]], bool], at_exit: Callable[[], None]
    ) -> None:
        """``shutdown(ended)`` begins a shutdown, and calls ``ended`` when the process may end; it
        returns False if there is nothing to wait for. ``at_exit`` does all of it at once: there is
        no event loop any more."""
        self._shutdown = shutdown
        self._at_exit = at_exit
        self._trigger: Any = None

    def watch(self) -> None:
        """From here on. Called in the event loop."""
        atexit.register(self._at_exit)
        if is_reactor_installed():
            # "during": a shutdown that lets crawls end in good order waits for them before.
            self._trigger = _reactor().addSystemEventTrigger(
                "during", "shutdown", self._reactor_stops
            )

    def _reactor_stops(self) -> Deferred[None] | None:
        """The reactor waits for what is returned."""
        ended: Deferred[None] = Deferred()

        def may_end() -> None:
            if not ended.called:
                ended.callback(None)

        return ended if self._shutdown(may_end) else None

    def unwatch(self) -> None:
        """The job is given up: a sudden end does not matter any more."""
        atexit.unregister(self._at_exit)
        if self._trigger is not None:
            with contextlib.suppress(KeyError, ValueError):  # the reactor is running them now
                _reactor().removeSystemEventTrigger(self._trigger)
            self._trigger = None


def _reactor() -> Any:
    from twisted.internet import reactor

    return reactor
