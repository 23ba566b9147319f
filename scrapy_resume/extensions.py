"""The extension that opens the job of a crawl, sends heartbeats and closes the job."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from scrapy import signals
from scrapy.exceptions import NotConfigured
from scrapy.utils.asyncio import create_looping_call

from scrapy_resume.engine import launched_by
from scrapy_resume.engine.atomic_files import write_files_atomically
from scrapy_resume.engine.clock import ScrapyClock
from scrapy_resume.engine.current import current_item
from scrapy_resume.engine.media_losses import count_lost_files
from scrapy_resume.errors import ConfigurationError, JobCompletedError, ResumeError
from scrapy_resume.events.signal_sender import send_event
from scrapy_resume.run.activation import opens_job
from scrapy_resume.run.crawl_end import EndOwedError
from scrapy_resume.run.open_run import open_run
from scrapy_resume.run.order_polling import POLL_SECONDS
from scrapy_resume.run.refuse import refuse
from scrapy_resume.run.run_log import RunLog
from scrapy_resume.settings.parse import parse_settings
from scrapy_resume.store import open_location

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure

    from scrapy_resume.run.crawl_run import CrawlRun

logger = logging.getLogger("scrapy_resume")

TICK_SECONDS: Final = 1.0
"""The longest interval between two calls of ``CrawlRun.tick``."""

HEARTBEATS_PER_TIMEOUT: Final = 6
"""A worker without anything to commit sends a batch after two of these intervals at the latest:
before ``LeaseGuard`` holds its requests back."""

_RUNS_EMPTY: Final = "_SCRAPY_RESUME_RUNS_EMPTY"
"""Internal setting: the crawl runs without a request, because its job is completed."""

_ABOVE_ALL: Final = 1_000
"""A priority above the command line's (40)."""


def run_of(crawler: Crawler) -> CrawlRun | None:
    """The run that the crawler's extension has opened. ``None``: the crawl opens no job.

    Raises ``ConfigurationError`` if a component is set without the extension.
    """
    extension = crawler.get_extension(ResumeExtension)
    if extension is not None:
        return extension.run
    late = crawler.get_extension(LateExtension)
    if late is not None:
        return late.run
    if opens_job(crawler) and not runs_empty(crawler):
        error = ConfigurationError(
            "scrapy_resume's components are set without its extension. Add "
            "'scrapy_resume.extensions.ResumeExtension' to EXTENSIONS, or use "
            'ADDONS = {"scrapy_resume.Addon": 500} alone.'
        )
        refuse(crawler, error)
        raise error
    return None


def runs_empty(crawler: Crawler) -> bool:
    """Whether the crawl opens no job because its RESUME_MODE finds nothing to do in it."""
    return bool(crawler.settings.getbool(_RUNS_EMPTY))


class ResumeExtension:
    """Runs the job of one crawl."""

    def __init__(self, crawler: Crawler, run: CrawlRun) -> None:
        self.run = run
        self._crawler = crawler
        self._runner = launched_by.runner(crawler)
        self._log = RunLog(run)
        self._heartbeat = create_looping_call(self._send_heartbeat)
        self._ticking = create_looping_call(run.tick)
        self._order_polling = create_looping_call(run.order_polling.poll)
        self._sent_at_last_heartbeat = -1
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
    def from_crawler(cls, crawler: Crawler) -> ResumeExtension | LateExtension:
        """Open the job, before the engine and the feeds exist.

        Raises ``NotConfigured`` if the crawl opens no job, and ``ResumeError``, which is logged in
        one line, if the job cannot be opened.
        """
        if not opens_job(crawler):
            raise NotConfigured
        if crawler.spider is None:
            return LateExtension(crawler)
        return cls.open(crawler)

    @classmethod
    def open(cls, crawler: Crawler) -> ResumeExtension:
        """Open the job of a crawler that has its spider. Raises as ``from_crawler`` does."""
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
        """Log which job it is; start the heartbeat, the ticks and the polling of orders."""
        assert self._crawler.engine is not None
        durable = self.run.settings.durability == "full"
        pipelines = self.run.parts.steps.plan.media_pipelines()
        write_files_atomically(self._crawler.engine, pipelines, durable=durable)
        count_lost_files(self._crawler.engine)
        self._log.log_start()
        self._log.start()
        settings = self.run.settings
        interval_seconds = settings.heartbeat_seconds
        if self.run.session.sharing.shared:
            longest_seconds = settings.orphan_timeout_seconds / HEARTBEATS_PER_TIMEOUT
            interval_seconds = min(interval_seconds, longest_seconds)
        self._ticking.start(min(TICK_SECONDS, interval_seconds))
        self._order_polling.start(POLL_SECONDS)
        self._heartbeat.start(interval_seconds, now=False)
        self.run.start_backups()
        self.run.send_undelivered_events()

    def _send_heartbeat(self) -> None:
        """Each commit is a heartbeat: if none was sent since the last call, send one."""
        committer = self.run.committer
        if committer.sent == self._sent_at_last_heartbeat:
            committer.send_soon()
        self._sent_at_last_heartbeat = committer.sent

    def response_downloaded(self, response: Response, request: Request) -> None:
        """The downloader has received a response; it has not sent the slot's next request yet."""
        row = self.run.tracker.row_of(request)
        if row is not None:
            self.run.parts.breakers.downloaded(row, response)
            latency = request.meta.get("download_latency")
            self.run.parts.custom_stats.latencies.add(row.slot, latency)

    def response_received(self, response: Response, request: Request) -> None:
        """A response has passed all downloader middlewares, that of cookies among them."""
        self.run.response_received(request, response)
        self._log.count_page()

    def item_scraped(self, item: Any) -> None:
        """An item has passed all pipelines."""
        current = current_item()
        if current is not None:
            if current.lost_files:
                current.row.files_lost(current.occurrence, current.lost_files)
            self.run.tracker.item_scraped(current.row, current.occurrence, item)
            current.settled = True
            self._log.count_item()

    def item_dropped(self) -> None:
        """A pipeline dropped an item."""
        current = current_item()
        if current is not None:
            current.row.items_dropped += 1
            current.settled = True

    def item_error(self, failure: Failure) -> None:
        """A pipeline raised: the error is recorded with the request, which does not fail."""
        current = current_item()
        if current is not None:
            current.row.item_failed(current.occurrence, failure.value)
            current.settled = True

    async def spider_closed(self, spider: Spider, reason: str) -> None:
        """Finish the work of the run, and close the job with the status of the close reason."""
        run = self.run
        # Before the first wait: the handlers of other extensions, monitors among them, run then.
        self._log.set_stats()
        for call in (self._heartbeat, self._order_polling):
            if call.running:
                call.stop()
        final = await run.shutdown.finish_work()
        if self._ticking.running:
            self._ticking.stop()
        self._log.stop()
        self._log.set_stats()
        if run.shutdown.closed:
            return
        if run.errors.start is not None and reason == "finished":
            # Scrapy before 2.19 closes the spider as finished after start() raised.
            reason = "start_error"
        held = run.held_reason
        if held is not None and (reason == "finished" or run.parts.engine.closes_by_itself):
            reason = held
        new_status = await run.shutdown.close(reason, final)
        self._feeds_failed = not final.feeds_delivered
        run.log_held()
        self._log.log_end(new_status, reason)
        if new_status is not None:
            await run.backups.finish()

    def engine_stopped(self) -> None:
        """Have the process end with exit code 1 if a commit or a feed has failed, requests are
        held, or items could not be stored."""
        run = self.run
        run.shutdown.crawl_ended()
        held, lost = run.held_reason, run.parts.items.not_recordable
        failed = run.shutdown.failure is not None or self._feeds_failed or held is not None
        if (failed or lost) and self._runner is not None:
            # Scrapy's commands exit with code 1 then.
            self._runner.bootstrap_failed = True


class LateExtension:
    """Opens the job of a crawler that is given its settings before it has a spider, when its engine
    is built: before that, neither the job's name nor its codec is known."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._extension: ResumeExtension | None = None

    @property
    def run(self) -> CrawlRun | None:
        """The run. ``None``: there is no spider that could have one. Raises ``ResumeError``."""
        if self._extension is None and self._crawler.spider is not None:
            self._extension = ResumeExtension.open(self._crawler)
        return None if self._extension is None else self._extension.run


def _stand_in(crawler: Crawler, error: EndOwedError) -> None:
    """Have the crawl send the events of the job when its spider opens, and come to the end that the
    dead process did not come to."""
    store = open_location(parse_settings(crawler.settings).store)

    async def send() -> None:
        for note in error.undelivered:
            for event in note.events:
                await send_event(crawler, str(error.job), event)
        store.delete_events(error.job, [note.id for note in error.undelivered])

    def settle() -> None:
        error.settle(store, ScrapyClock())

    crawler.signals.connect(send, signals.spider_opened, weak=False)
    crawler.signals.connect(settle, signals.engine_stopped, weak=False)


def _run_empty(crawler: Crawler, error: JobCompletedError) -> None:
    """Have the crawl run without a request, and succeed, because nothing is left to do.

    Feeds and pipelines are switched off, so that no existing file is overwritten.
    """
    logger.info("%s", error)
    if isinstance(error, EndOwedError):
        _stand_in(crawler, error)
    settings = crawler.settings
    if settings.frozen:
        refusal = ConfigurationError(
            f"{error} A crawler that is given its settings before it crawls cannot run without"
            " its feeds: make it with CrawlerProcess or CrawlerRunner.crawl()."
        )
        refuse(crawler, refusal)
        raise refusal
    for name in ("FEEDS", "ITEM_PIPELINES"):
        settings.set(name, {}, priority=_ABOVE_ALL)
    settings.set(_RUNS_EMPTY, True, priority=_ABOVE_ALL)

    async def start() -> Any:
        return
        yield

    assert crawler.spider is not None
    crawler.spider.start = start  # type: ignore[method-assign]
