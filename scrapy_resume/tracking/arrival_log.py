"""Logs and counts arrivals that are not admitted as usual: duplicate, skipped, not serializable."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from scrapy_resume.tracking.memory_only import MemoryOnlyLog

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.statscollectors import StatsCollector

    from scrapy_resume.errors import NotRecordableError
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.tracking.start_list import StartList

logger = logging.getLogger("scrapy_resume")


class Drops(Protocol):
    """Reports a request that is not scheduled in the way that Scrapy does."""

    def log_duplicate(self, request: Request) -> None:
        """Log the request and count it in Scrapy's stat, as Scrapy's dupefilter does."""

    def send_dropped(self, request: Request) -> None:
        """Send the signal ``request_dropped``, for a request that the engine believes to be
        scheduled."""


class ArrivalLog:
    """Reports arrivals that are not admitted as usual."""

    def __init__(self, stats: StatsCollector, drops: Drops, start_list: StartList) -> None:
        self.start_list = start_list
        self._stats = stats
        self._drops = drops
        self._memory_only = MemoryOnlyLog(stats)
        self._renamed = False

    def duplicate(self, request: Request) -> None:
        """A request is a duplicate, and the engine is told so at once: it sends the signal
        itself."""
        self._drops.log_duplicate(request)

    def late_duplicate(self, request: Request) -> None:
        """The store has found a duplicate, which the engine believes to be scheduled."""
        self._drops.log_duplicate(request)
        self._drops.send_dropped(request)

    def renamed(self, request: Request) -> None:
        """A request is new by the names that it has now, and known by one that the code has no
        more. The first one is logged."""
        if not self._renamed:
            self._renamed = True
            logger.warning(
                "%s is known by another name of its callback, or of a function or class: one that "
                "the code has no more. It is taken for the known request, which is not fetched "
                "again, as are others (counted in resume/renamed). What is renamed belongs into "
                "RESUME_RENAMED",
                request,
            )
        self._stats.inc_value("resume/renamed")

    def known_start(self) -> None:
        """``start()`` has yielded a request that an earlier run admitted."""
        self._stats.inc_value("resume/start/known")

    def skipped(self, request: Request) -> None:
        """A request was skipped, since an earlier number of the job has its items."""
        logger.debug("Skipped, as an earlier crawl has its items: %s", request)
        self._stats.inc_value("resume/delta/skipped")
        self._drops.send_dropped(request)

    def skipped_for_good(self, request: Request) -> None:
        """A request is skipped for good, as a command or RESUME_SKIP says."""
        logger.debug("Skipped for good: %s", request)
        self._stats.inc_value("resume/skipped")
        self._drops.send_dropped(request)

    def memory_only(self, request: Request, parent: Row | None, error: NotRecordableError) -> None:
        """A request cannot be serialized, and runs from memory. ``parent``: the row that yielded
        it; ``None``: unknown."""
        self._memory_only.report(request, parent, error)
