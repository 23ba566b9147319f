"""Polls the store for the orders that commands such as ``scrapy resume stop`` give a live crawl."""

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

POLL_SECONDS: Final = 0.5

_NO_ORDERS: Final = Orders()


class OrderPolling:
    """Asks the store for orders on the store thread, one question at a time."""

    def __init__(
        self, job: JobStore, thread: StoreThread, execute: Callable[[Orders], None]
    ) -> None:
        """``execute`` is called in the event loop, with orders that ask for something."""
        self._job = job
        self._thread = thread
        self._execute = execute
        self._polling = False
        self._ended = False

    def poll(self) -> None:
        """Ask, unless the last question has not been answered yet."""
        if not (self._polling or self._ended):
            self._polling = True
            self._thread.submit(self._read, self._answered, self._failed, _ignore)

    def _read(self) -> Orders:
        try:
            return self._job.orders()
        except StoreUnavailableError:
            # Orders can wait: the next poll reads them. Commits report and retry an outage.
            return _NO_ORDERS

    def _answered(self, orders: Orders) -> None:
        self._polling = False
        if orders != _NO_ORDERS and not self._ended:
            self._execute(orders)

    def _failed(self, error: Exception) -> None:
        """Stop polling. The next commit meets the same error, and ends the run."""
        self._ended = True
        logger.debug("Orders are not polled any more: %s", error)

    def end(self) -> None:
        """Stop polling, and execute no order whose answer is still to come."""
        self._ended = True


def _ignore(_: StoreUnavailableError) -> None:
    """Not called: ``_read`` handles the error."""
