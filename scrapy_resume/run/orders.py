"""What people tell a live crawl by command: heard on the store thread, twice a second."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.store.contract import Orders

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy_resume.commits.store_thread import StoreThread
    from scrapy_resume.store.contract import JobStore

logger = logging.getLogger("scrapy_resume")

LISTEN_SECONDS: Final = 0.5

_NOTHING: Final = Orders()


class Listener:
    """Asks the store what it was told, one question at a time."""

    def __init__(self, job: JobStore, thread: StoreThread, obey: Callable[[Orders], None]) -> None:
        self._job = job
        self._thread = thread
        self._obey = obey
        self._asking = False
        self._ended = False

    def listen(self) -> None:
        """Ask, unless the last question has not been answered yet."""
        if not (self._asking or self._ended):
            self._asking = True
            self._thread.submit(self._ask, self._heard, self._failed, _ignore)

    def _ask(self) -> Orders:
        try:
            return self._job.orders()
        except StoreUnavailableError:
            # Orders can wait; the commits say that the store is out, and insist.
            return _NOTHING

    def _heard(self, orders: Orders) -> None:
        self._asking = False
        if orders != _NOTHING and not self._ended:
            self._obey(orders)

    def _failed(self, error: Exception) -> None:
        """The next commit finds the same, and ends the run."""
        self._ended = True
        logger.debug("Orders are not heard any more: %s", error)

    def end(self) -> None:
        """Hear nothing any more."""
        self._ended = True


def _ignore(_: StoreUnavailableError) -> None:
    """``_ask`` does not insist."""
