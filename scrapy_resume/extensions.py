"""The extension: owns the run. Opens the job, restores, beats, marks how it ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from scrapy import signals
from scrapy.exceptions import NotConfigured
from scrapy.utils.asyncio import create_looping_call

from scrapy_resume.engine.atomic_files import write_whole_files
from scrapy_resume.engine.hooks import current_item
from scrapy_resume.errors import ConfigurationError, JobCompletedError, ResumeError
from scrapy_resume.run.open_job import opens_job
from scrapy_resume.run.open_run import open_run
from scrapy_resume.run.orders import LISTEN_SECONDS
from scrapy_resume.run.refuse import refuse
from scrapy_resume.run.run_log import RunLog

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure

    from scrapy_resume.run.crawl_run import CrawlRun

logger = logging.getLogger("scrapy_resume")

LIFE_SECONDS: Final = 1.0
"""How often the event loop shows life where others watch, and the clock is looked at."""


def run_of(crawler: Crawler) -> CrawlRun | None:
    """The run that the crawler's extension has opened; ``None``: it does not open a job.

    Raises ``ConfigurationError`` where a component is set without the extension.
    """
    extension = crawler.get_extension(ResumeExtension)
    if extension is not None:
        return extension.run
    settings = crawler.settings
    if opens_job(crawler) and settings.getbool("RESUME_ENABLED", True) and not idle(crawler):
        error = ConfigurationError(
            "scrapy_resume's components are set without its extension. Add "
            "'scrapy_resume.extensions.ResumeExtension' to EXTENSIONS, or use "
            'ADDONS = {"scrapy_resume.Addon": 500} alone.'
        )
        refuse(crawler, error)
        raise error
    return None


def idle(crawler: Crawler) -> bool:
    """Mode ``once`` found the job completed: the crawl runs empty."""
    return bool(crawler.settings.getbool(_NOTHING_TO_DO))


_NOTHING_TO_DO: Final = "_SCRAPY_RESUME_NOTHING_TO_DO"


class ResumeExtension:
    """One crawl's run of its job."""

    def __init__(self, crawler: Crawler, run: CrawlRun) -> None:
        self.run = run
        self._crawler = crawler
        self._log = RunLog(run)
        self._beat = create_looping_call(self._beat_once)
        self._life = create_looping_call(run.look_around)
        self._listening = create_looping_call(run.listener.listen)
        self._sent_at_last_beat = -1
        self._feeds_failed = False
        connect = crawler.signals.connect
        connect(self.spider_opened, signals.spider_opened)
        connect(self.spider_closed, signals.spider_closed)
        connect(self.engine_stopped, signals.engine_stopped)
        connect(self.response_downloaded, signals.response_downloaded)
        connect(self.response_received, signals.response_received)
        connect(self.item_scraped, signals.item_scraped)
        connect(self.item_dropped, signals.item_dropped)
        connect(self.item_error, signals.item_error)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ResumeExtension:
        """Open the job, before the engine is there and before any feed is.

        Raises ``NotConfigured`` where no job is to be opened, and a ``ResumeError``, told in
        one line, if it cannot be.
        """
        if not opens_job(crawler) or not crawler.settings.getbool("RESUME_ENABLED", True):
            raise NotConfigured
        try:
            return cls(crawler, open_run(crawler))
        except JobCompletedError as error:
            _run_empty(crawler, error)
            raise NotConfigured from error
        except ResumeError as error:
            refuse(crawler, error)
            raise

    # ---- the run

    def spider_opened(self, spider: Spider) -> None:
        """Say which job it is; begin to beat."""
        assert self._crawler.engine is not None
        write_whole_files(self._crawler.engine)
        self._log.log_start()
        self._log.start()
        settings = self.run.settings
        interval_seconds = settings.heartbeat_seconds
        if self.run.session.sharing.shared:
            interval_seconds = min(interval_seconds, settings.orphan_timeout_seconds / 4)
        self._life.start(min(LIFE_SECONDS, interval_seconds))
        self._listening.start(LISTEN_SECONDS)
        self._beat.start(interval_seconds, now=False)
        self.run.tell_what_was_left()

    def _beat_once(self) -> None:
        """A commit is a heartbeat; send one if there was none."""
        committer = self.run.committer
        if committer.sent == self._sent_at_last_beat:
            committer.hurry()
        self._sent_at_last_beat = committer.sent

    def response_downloaded(self, response: Response, request: Request) -> None:
        """The downloader has a response, and has not sent the next request of the slot yet."""
        row = self.run.tracker.row_of(request)
        if row is not None:
            self.run.parts.breakers.downloaded(row, response)

    def response_received(self, response: Response, request: Request) -> None:
        """A response is through all downloader middlewares, the cookies' too."""
        self.run.note_cookies(request, response)
        self._log.count()

    def item_scraped(self, item: Any) -> None:
        """An item is through the pipelines."""
        current = current_item()
        if current is not None:
            self.run.tracker.item_scraped(current.row, current.occurrence, item)
            self._log.count()

    def item_dropped(self) -> None:
        """A pipeline dropped an item."""
        current = current_item()
        if current is not None:
            current.row.dropped += 1

    def item_error(self, failure: Failure) -> None:
        """A pipeline raised: that is written down with the request, which does not fail of it."""
        current = current_item()
        if current is not None:
            current.row.item_failed(current.occurrence, failure.value)

    async def spider_closed(self, spider: Spider, reason: str) -> None:
        """Mark the job by the close reason."""
        run = self.run
        for call in (self._beat, self._listening):
            if call.running:
                call.stop()
        settled = await run.shutdown.settle()
        if self._life.running:
            self._life.stop()
        self._log.stop()
        self._log.set_stats()
        if run.shutdown.closed:
            return
        if run.start_failed and reason == "finished":
            # Scrapy before 2.19 takes a start() that raised for one that ended.
            reason = "start_error"
        kept = await run.shutdown.close(reason, settled)
        self._feeds_failed = not settled.feeds_whole
        self._log.log_end(kept, reason)

    def engine_stopped(self) -> None:
        """A run whose end could not be kept ends with exit code 1."""
        if self.run.shutdown.trouble is not None or self._feeds_failed:
            # A crawler without a spider is what Scrapy's commands take for a failed crawl.
            self._crawler.spider = None


def _run_empty(crawler: Crawler, error: JobCompletedError) -> None:
    """Nothing is left to do, and that is a success: the crawl runs without a request.

    Its feeds and pipelines are left out, so that nothing that is there is overwritten.
    """
    logger.info("%s", error)
    settings = crawler.settings
    for name in ("FEEDS", "ITEM_PIPELINES"):
        settings.set(name, {}, priority=_ABOVE_ALL)
    settings.set(_NOTHING_TO_DO, True, priority=_ABOVE_ALL)

    async def start() -> Any:
        return
        yield

    assert crawler.spider is not None
    crawler.spider.start = start  # type: ignore[method-assign]


_ABOVE_ALL: Final = 1_000
"""A priority above the command line's (40)."""
