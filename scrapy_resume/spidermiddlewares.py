"""The spider middleware: admits what ``start()`` yields, and records whether it has ended.

It has to be the outermost (the lowest number), so that the engine takes its output unchanged. The
output of callbacks and errbacks is seen by ``engine.hooks``, because that of errbacks passes no
spider middleware.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from scrapy import Request
from scrapy.exceptions import CloseSpider, NotConfigured

from scrapy_resume.errors import (
    ConfigurationError,
    ItemNotRecordableError,
    StartInterruptedError,
    describe,
)
from scrapy_resume.extensions import run_of
from scrapy_resume.frontier.every_run import is_for_every_run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable

    from scrapy.crawler import Crawler

    from scrapy_resume.run.crawl_run import CrawlRun

logger = logging.getLogger("scrapy_resume")


class ResumeSpiderMiddleware:
    """Streams ``start()``, and skips items that earlier runs have stored."""

    def __init__(self, run: CrawlRun) -> None:
        self._run = run
        run.hooks.process_start = self.process_start

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ResumeSpiderMiddleware:
        """Raises ``NotConfigured`` if the crawl opens no job."""
        run = run_of(crawler)
        if run is None:
            raise NotConfigured
        return cls(run)

    def process_start_requests(self, start: Iterable[Any], spider: Any) -> Iterable[Any]:
        """What Scrapy 2.14 and 2.15 call in place of ``process_start``, beside a middleware that
        has only this method: see ``engine.old_style_start``."""
        return start

    async def process_start(self, start: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """Pass on the output of ``start()``; wait while too much is not committed."""
        run = self._run
        try:
            # Here, and not earlier: every component is built and open, and none has worked yet.
            run.parts.state.restore_components(run.exact_stats())
        except ConfigurationError as error:
            logger.error("%s", error)
            run.committer.fail(error)
            return
        if run.settings.start == "once" and run.session.start.exhausted:
            logger.info("start() is not run again: it came to its end in an earlier run")
            run.tracker.start_ended(exhausted=True)
            return
        if not run.parts.workers.starting and not await run.parts.workers.start_turn():
            run.tracker.start_ended(exhausted=True)
            return
        only_retried = run.session.frontier.only_retried
        exhausted = False
        try:
            async for output in self._outputs(start):
                if only_retried and not _is_for_every_run(output):
                    continue
                await run.tracker.start.wait_for_room()
                if isinstance(output, Request):
                    run.hooks.start_yields(output)
                    yield output
                    run.hooks.uncaught.check_start()
                elif output is None:
                    yield output
                elif (item := await self._admit_item(output)) is not None:
                    yield item
            # Passed over, the rest of it is left to another run.
            exhausted = not only_retried or run.session.start.exhausted
        except CloseSpider:
            raise
        except Exception as error:
            run.errors.start = error
            raise
        finally:
            run.tracker.start_ended(exhausted=exhausted)

    async def _outputs(self, start: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """What ``start()`` yields. An error that Scrapy does not catch, so that its engine would
        wait for ``start()`` for ever, becomes one that it does."""
        while True:
            try:
                output = await anext(start)
            except StopAsyncIteration:
                return
            except Exception:
                raise
            except BaseException as error:
                if not self._run.hooks.uncaught.ends_start(error):
                    raise
                raise StartInterruptedError(f"start() was ended by {describe(error)}") from error
            yield output

    async def _admit_item(self, item: Any) -> Any:
        """The item that is to pass the pipelines: it is new, and can be serialized; ``None``: none
        is."""
        run = self._run
        stats = run.crawler.stats
        assert stats is not None
        try:
            admitted = await run.tracker.start.admit_item(item)
        except ItemNotRecordableError as error:
            row = run.tracker.start.unstorable_item()
            run.tracker.items.lost(row, error)
            run.tracker.finish(row)
            return None
        if admitted is None:
            stats.inc_value("resume/start/known")
            return None
        new, row = admitted
        run.hooks.tag(new, row)
        return new


def _is_for_every_run(output: Any) -> bool:
    return isinstance(output, Request) and is_for_every_run(output)
