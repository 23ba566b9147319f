"""The scheduler: what arrives is admitted to the store, what is leased is handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.core.scheduler import BaseScheduler
from scrapy.core.scheduler import Scheduler as ScrapyScheduler
from scrapy.utils.defer import deferred_from_coro
from scrapy.utils.misc import build_from_crawler

from scrapy_resume.extensions import run_of

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from twisted.internet.defer import Deferred

    from scrapy_resume.run.crawl_run import CrawlRun


class ResumeScheduler(BaseScheduler):
    """Scrapy's face of the frontier. Where no job is open, Scrapy's own scheduler is built."""

    def __init__(self, run: CrawlRun) -> None:
        self._run = run
        run.begin()
        self._tracker = run.tracker
        assert run.crawler.stats is not None
        self._stats = run.crawler.stats

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> BaseScheduler:  # type: ignore[override]
        """``fetch``, ``shell``, ``parse`` and ``check`` get Scrapy's own scheduler."""
        run = run_of(crawler)
        if run is None:
            return build_from_crawler(ScrapyScheduler, crawler)
        return cls(run)

    def open(self, spider: Spider) -> Deferred[None] | None:
        """Start watching the engine."""
        self._run.attach()
        return None

    def close(self, reason: str) -> Deferred[None] | None:
        """Wait until everything that happened is committed, as long as RESUME_CLOSE_TIMEOUT."""
        return deferred_from_coro(self._drain())

    async def _drain(self) -> None:
        await self._run.shutdown.drain()

    def has_pending_requests(self) -> bool:
        """Something is left, in memory, in the store, or on its way there."""
        return self._tracker.has_pending()

    def enqueue_request(self, request: Request) -> bool:
        """Admit a request. False: it is known to be a duplicate.

        True may still turn out to be one when the store has answered; ``request_dropped`` is
        sent then.
        """
        parent = self._run.hooks.parent_of(request)
        if not self._tracker.arrive(request, parent):
            return False
        self._stats.inc_value("scheduler/enqueued")
        return True

    def next_request(self) -> Request | None:
        """The request that comes next. ``None``: none now; the engine is woken when there is."""
        self._run.hooks.forget_scheduling()
        request = self._tracker.next_request()
        if request is not None:
            self._stats.inc_value("scheduler/dequeued")
        return request

    def __len__(self) -> int:
        """Requests that wait, in memory and in the store."""
        return len(self._tracker)
