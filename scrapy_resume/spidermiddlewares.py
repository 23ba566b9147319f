"""The spider middleware: what ``start()`` yields, and how far it has come.

It has to be the outermost (the lowest number): the engine takes its output as it is. What
callbacks and errbacks yield is seen in ``inflight``, which errbacks' output does not pass by.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from scrapy import Request
from scrapy.exceptions import CloseSpider, NotConfigured

from scrapy_resume.errors import ItemNotRecordableError
from scrapy_resume.extensions import run_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from scrapy.crawler import Crawler

    from scrapy_resume.run.crawl_run import CrawlRun

logger = logging.getLogger("scrapy_resume")


class ResumeSpiderMiddleware:
    """Streams ``start()``; skips items that earlier runs stored."""

    def __init__(self, run: CrawlRun) -> None:
        self._run = run

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ResumeSpiderMiddleware:
        """Raises ``NotConfigured`` where no job is open."""
        run = run_of(crawler)
        if run is None:
            raise NotConfigured
        return cls(run)

    async def process_start(self, start: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Pass on what ``start()`` yields, as fast as the store takes it."""
        run = self._run
        once = run.settings.start == "once" or run.settings.mode == "retry-failed"
        if once and run.session.start.exhausted:
            logger.info("start() is not run again: it came to its end in an earlier run")
            run.tracker.start_ended(exhausted=True)
            return
        if not run.parts.workers.starting and not await run.parts.workers.start_turn():
            run.tracker.start_ended(exhausted=True)
            return
        exhausted = False
        try:
            async for output in start:
                await run.tracker.start.room()
                if isinstance(output, Request):
                    run.hooks.starting = output
                    yield output
                elif output is None or await self._admit_item(output):
                    yield output
            exhausted = True
        except CloseSpider:
            raise
        except Exception:
            run.start_failed = True
            raise
        finally:
            run.tracker.start_ended(exhausted=exhausted)

    async def _admit_item(self, item: Any) -> bool:
        """Whether the item is to go through the pipelines."""
        run = self._run
        stats = run.crawler.stats
        assert stats is not None
        try:
            row = await run.tracker.start.admit_item(item)
        except ItemNotRecordableError as error:
            stats.inc_value("resume/items/not_recordable")
            logger.error("An item of start() cannot be serialized, and is left out: %s", error)
            return False
        if row is None:
            stats.inc_value("resume/start/known")
            return False
        run.hooks.tag(item, row)
        return True
