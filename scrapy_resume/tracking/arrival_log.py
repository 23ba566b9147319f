"""What is logged and counted of requests that arrive: duplicates, skipped ones, unrecorded ones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from scrapy_resume.tracking.memory_only import MemoryOnlyLog

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.errors import NotRecordableError
    from scrapy_resume.frontier.row import Row

logger = logging.getLogger("scrapy_resume")


class Drops(Protocol):
    """How Scrapy reports a request that is not scheduled."""

    def log_duplicate(self, request: Request) -> None:
        """As Scrapy's dupefilter does, with its stat."""

    def send_dropped(self, request: Request) -> None:
        """The signal ``request_dropped``: the engine believes that the request is scheduled."""


class ArrivalLog:
    """Reports arrivals that are not admitted as usual."""

    def __init__(self, stats: StatsCollector, drops: Drops) -> None:
        self._stats = stats
        self._drops = drops
        self._memory_only = MemoryOnlyLog(stats)

    def duplicate(self, request: Request) -> None:
        """A request is known, and is not scheduled."""
        self._drops.log_duplicate(request)

    def late_duplicate(self, request: Request) -> None:
        """The store knew a request that the engine believes to be scheduled."""
        self._drops.log_duplicate(request)
        self._drops.send_dropped(request)

    def known_start(self) -> None:
        """``start()`` has yielded something that an earlier run admitted."""
        self._stats.inc_value("resume/start/known")

    def skipped(self, request: Request) -> None:
        """An earlier number has the items that a request would give."""
        logger.debug("Skipped, as an earlier crawl has its items: %s", request)
        self._stats.inc_value("resume/delta/skipped")
        self._drops.send_dropped(request)

    def memory_only(self, request: Request, parent: Row | None, error: NotRecordableError) -> None:
        """A request cannot be serialized, and runs from memory."""
        self._memory_only.tell(request, parent, error)
