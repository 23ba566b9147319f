"""The scheduler: admits requests to the store, and hands out the leased ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.core.scheduler import BaseScheduler
from scrapy.core.scheduler import Scheduler as ScrapyScheduler
from scrapy.utils.defer import deferred_from_coro
from scrapy.utils.misc import build_from_crawler

from scrapy_resume.extensions import run_of
from scrapy_resume.steps.components import close_components, open_components

if TYPE_CHECKING:
    from collections.abc import Sized

    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from twisted.internet.defer import Deferred

    from scrapy_resume.run.crawl_run import CrawlRun


class ResumeScheduler(BaseScheduler):
    """Scrapy's interface to the tracker. A crawl that opens no job gets Scrapy's own scheduler."""

    def __init__(self, run: CrawlRun) -> None:
        self._run = run
        run.begin()
        self._tracker = run.tracker
        self._guard = run.parts.guard
        assert run.crawler.stats is not None
        self._stats = run.crawler.stats

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> BaseScheduler:  # type: ignore[override]
        """Scrapy's own scheduler if the crawl opens no job, as with ``fetch`` or ``shell``."""
        run = run_of(crawler)
        if run is None:
            return build_from_crawler(ScrapyScheduler, crawler)
        return cls(run)

    def open(self, spider: Spider) -> Deferred[None] | None:
        """Attach the run to the engine, and open the components of steps. Raises
        ``ScrapyChangedError``, and what a component raises."""
        self._run.attach()
        steps = self._run.parts.steps.plan.steps
        return deferred_from_coro(open_components(steps, spider)) if steps else None

    def close(self, reason: str) -> Deferred[None] | None:
        """Close the components of steps; wait until everything is committed, at most
        RESUME_CLOSE_TIMEOUT."""
        return deferred_from_coro(self._close())

    async def _close(self) -> None:
        parts = self._run.parts
        assert self._run.crawler.spider is not None
        await close_components(parts.steps.plan.steps, self._run.crawler.spider)
        parts.threads.end()
        await self._run.shutdown.drain()

    def has_pending_requests(self) -> bool:
        """Whether a request is left in memory, in the store, or on its way there; or may be, as
        long as it is not known whether the leases are still this worker's."""
        return self._guard.waits or self._tracker.has_pending()

    def enqueue_request(self, request: Request) -> bool:
        """Admit a request. Returns False if it is known to be a duplicate.

        If only the store knows that it is one, this returns True, and ``request_dropped`` is sent
        when the store has answered.
        """
        parent = self._run.hooks.parent_of(request)
        if not self._tracker.admit(request, parent):
            return False
        self._stats.inc_value("scheduler/enqueued")
        return True

    def next_request(self) -> Request | None:
        """The next request. ``None``: there is none now; the engine is woken when there is."""
        self._run.hooks.clear_context()
        request = self._tracker.next_request() if self._guard.may_send() else None
        if request is not None:
            self._stats.inc_value("scheduler/dequeued")
        return request

    @property
    def mqs(self) -> Sized:
        """What Scrapy's engine status (telnet, SIGUSR2) counts as the requests in memory: those
        that are leased and not sent yet."""
        return range(self._tracker.leased)

    @property
    def dqs(self) -> Sized:
        """What it counts as the requests on disk: those that wait in the store."""
        return range(len(self._tracker) - self._tracker.leased)

    def __len__(self) -> int:
        """How many requests are pending, in memory and in the store."""
        return len(self._tracker)
