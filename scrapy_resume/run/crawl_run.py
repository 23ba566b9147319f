"""One run of a job: its parts, put together, and what it does while it goes on."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from scrapy.dupefilters import RFPDupeFilter
from scrapy.utils.asyncio import call_later
from scrapy.utils.misc import build_from_crawler

from scrapy_resume.commits.committer import Committer
from scrapy_resume.commits.store_thread import StoreThread, post_to_loop
from scrapy_resume.dispatch.delayed import DelayedRows
from scrapy_resume.dispatch.dispatcher import Dispatcher
from scrapy_resume.dispatch.workers import Workers
from scrapy_resume.engine.cookies import Cookies
from scrapy_resume.engine.hooks import EngineHooks
from scrapy_resume.engine.spider_state import SpiderState
from scrapy_resume.events.commit_listeners import CommitListeners
from scrapy_resume.events.signal_sender import COMMIT, SignalSender
from scrapy_resume.frontier.lease_buffer import LeaseBuffer
from scrapy_resume.frontier.retries import Backoff
from scrapy_resume.frontier.robots import RobotsGate
from scrapy_resume.model import JobKey, State
from scrapy_resume.politeness.host_breaker import HostBreakers
from scrapy_resume.reporting.custom_stats import CustomStats
from scrapy_resume.run.batch_sync import BatchSync
from scrapy_resume.run.orders import Listener
from scrapy_resume.run.shutdown import Shutdown
from scrapy_resume.tracking.admission import Admissions
from scrapy_resume.tracking.items import OpenItems
from scrapy_resume.tracking.tracker import Tracker

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from scrapy_resume.codec import Codec
    from scrapy_resume.frontier.row import Row
    from scrapy_resume.settings.parse import ResumeSettings
    from scrapy_resume.settings.queue_order import QueueOrder
    from scrapy_resume.store.contract import Batch, Committed, JobStore, Orders

logger = logging.getLogger("scrapy_resume")

EVERY_RUN_SECONDS: Final = 5.0
"""How long a resumed run keeps everything back for what comes first in every run. It may never
come: a callback yielded it in an earlier run, or ``start()`` waits for something itself."""

SILENCE_SHARE: Final = 0.5
"""Of RESUME_ORPHAN_TIMEOUT: how long a worker goes on fetching without a word from the store."""


class CrawlRun:
    """The parts of one run. How it ends is up to ``ending``."""

    def __init__(
        self,
        crawler: Crawler,
        settings: ResumeSettings,
        order: QueueOrder,
        codec: Codec,
        job: JobStore,
        slot_delay_seconds: float,
    ) -> None:
        assert crawler.spider is not None
        session = job.session
        self.opened_at = time.monotonic()
        """When the job was opened."""
        self.crawler = crawler
        self.settings = settings
        self.job = job
        self.session = session
        self.start_failed = False
        """``start()`` raised."""
        self.codec = codec
        self.cookies = Cookies(self.codec)
        self.state = SpiderState(crawler.spider, self.codec, self.cookies, session.spider_state)
        self.frontier = self._build_frontier(order)
        assert crawler.stats is not None
        self.items = OpenItems(session.job, self.codec, crawler.stats, settings.item_key)
        self.waiting = DelayedRows(settings.retry_wait_seconds)
        self.dispatcher = Dispatcher(job, self.frontier, self.waiting)
        self.fleet = Workers(session, self.frontier, self.dispatcher, slot_delay_seconds)
        self.hosts = HostBreakers(
            settings, crawler.settings, self.frontier, crawler.stats, session.hosts
        )
        self.tracker = Tracker(
            session.counts,
            self.frontier,
            self.dispatcher,
            self.items,
            self.fleet,
            settings.ignored_http_codes,
        )
        self.thread = StoreThread(f"scrapy-resume {session.job}")
        self.committer = Committer(job, self.thread, self, settings.commit_interval_seconds)
        self.listener = Listener(job, self.thread, self._obey)
        self.metrics = CustomStats(crawler.stats, crawler.spider, session.expected_total)
        self.signal_sender = SignalSender(crawler, session.job)
        self.listeners = CommitListeners(session, self.tracker)
        self.inflight = EngineHooks(self.tracker, self.dispatcher, self.committer, self._cancelled)
        self.admissions = self._build_intake(order)
        self._exchange = self._build_exchange()
        self.ending = self._build_ending()
        self._connect_ledger()

    def _build_frontier(self, order: QueueOrder) -> LeaseBuffer:
        settings = self.crawler.settings
        frontier = LeaseBuffer(
            concurrency=settings.getint("CONCURRENT_REQUESTS"),
            by_slot=order.by_slot,
            pending=self.session.pending,
            owns_slots=self.session.slots_owned,
        )
        frontier.awaits_every_run = self.session.every_run
        if settings.getbool("ROBOTSTXT_OBEY"):
            frontier.robots = RobotsGate()
        return frontier

    def _build_intake(self, order: QueueOrder) -> Admissions:
        settings = self.settings
        return Admissions(
            self.crawler,
            self.session,
            self.codec,
            order,
            self.frontier,
            self.dispatcher,
            self.committer,
            self._duplicate_log(self.crawler),
            Backoff(settings.retry_delay_seconds, settings.retry_delay_max_seconds),
        )

    def _build_exchange(self) -> BatchSync:
        return BatchSync(
            self.tracker,
            self.frontier,
            self.dispatcher,
            self.fleet,
            self.hosts,
            self.admissions,
            self.committer,
            self.state.add_to,
        )

    def _build_ending(self) -> Shutdown:
        return Shutdown(
            self.crawler,
            self.settings,
            self.job,
            self.tracker,
            self.committer,
            self.thread,
            self.inflight,
            self.state,
            self.listeners,
            self.metrics,
            self.signal_sender,
            timed=(self.fleet, self.waiting, self.hosts, self.listener),
        )

    def _connect_ledger(self) -> None:
        tracker = self.tracker
        tracker.committer = self.dispatcher.committer = self.items.committer = self.committer
        self.fleet.committer = self.committer
        tracker.admissions = self.admissions
        tracker.decode = self._decode
        tracker.on_gave_up = self.ending.store_gave_up
        tracker.hosts = self.dispatcher.hosts = self.hosts
        self.hosts.ask = self.waiting.ask = self.committer.hurry
        self.waiting.hosts_due = lambda: self.hosts.next_due
        self.waiting.close = self.inflight.close_spider
        self.signal_sender.hold = lambda held: tracker.hold("events wait for their handlers", held)

    def _duplicate_log(self, crawler: Crawler) -> Any:
        """Scrapy's own words, and its stat, for a request that is filtered as a duplicate."""
        dupefilter = build_from_crawler(RFPDupeFilter, crawler)
        spider = crawler.spider
        assert spider is not None
        return lambda request: dupefilter.log(request, spider)

    def _cancelled(self) -> None:
        """Without a reactor: what runs is being torn down."""
        self.ending.forced_shutdown()

    def _decode(self, row: Row) -> Request:
        return self.codec.decode_request(row.url, row.payload, row.priority)

    # ---- opening

    def begin(self) -> None:
        """The event loop runs: what the store answers can be heard.

        Called before anything that the spider closes for may happen: ``start()`` may raise
        before the scheduler is opened, and the scheduler is closed all the same.
        """
        self.thread.attach(post_to_loop())
        self.ending.watch()

    def attach(self) -> None:
        """The engine is there: watch it. Called in the event loop."""
        engine = self.crawler.engine
        assert engine is not None
        self.inflight.attach(engine)
        self.committer.on_out = self.ending.limit_closing
        self.hosts.begin()
        if self.frontier.awaits_every_run:
            call_later(EVERY_RUN_SECONDS, self.tracker.stop_awaiting_every_run)
        self.cookies.attach(engine, self.session.cookies)

    def tell_what_was_left(self) -> None:
        """Events that earlier runs did not tell, and that the job was opened."""
        session = self.session
        before = JobKey(session.job.name, session.job.number - 1)
        self.signal_sender.tell_of(
            before, session.untold_before, lambda event: self.ending.forget(before, event)
        )
        self.signal_sender.tell(session.events)

    # ---- batches on their way to the store, for the committer

    def complete(self, batch: Batch) -> None:
        """Add what belongs to a batch that is about to go."""
        self._exchange.complete(batch)
        self.metrics.complete(batch, self._progress)
        batch.told = self.signal_sender.take_told()
        batch.wanted = self.signal_sender.wanted()
        notices = self.hosts.take_events()
        batch.notices = [notice for notice in notices if notice["event"] in batch.wanted]
        self.listeners.complete(batch)

    def answered(self, batch: Batch, answer: Committed) -> None:
        """The batch is kept."""
        self._exchange.answered(batch, answer)
        self.listeners.committed(batch, answer)
        self.signal_sender.tell(answer.events)
        if COMMIT in batch.wanted:
            self.signal_sender.commit_done(answer.counts)

    def _progress(self) -> dict[str, Any]:
        """What a spider's ``resume_total`` is given."""
        counts = self.tracker.counts
        return {
            "job": str(self.session.job),
            "requests": {**{state: getattr(counts, state) for state in State.__members__}},
            "items": {"stored": counts.items_stored},
            "metadata": dict(self.settings.metadata),
        }

    def kept_last_words(
        self, batch: Batch, answer: Committed | None, status: str, reason: str
    ) -> None:
        """What a forced shutdown has sent is kept."""
        self.listeners.kept_last_words(batch, answer, status, reason)

    def gave_up(self, error: Exception) -> None:
        """The store takes nothing any more."""
        self.ending.stop_timers()
        self.tracker.gave_up(error)
        self.signal_sender.stop()
        self.listeners.abandon_feeds()

    def note_cookies(self, request: Request, response: Response) -> None:
        """A response has come: if it sets cookies, its jar is written with the next finish."""
        if b"Set-Cookie" in response.headers:
            self.cookies.changed(request.meta.get("cookiejar"))

    # ---- every second or so

    def look_around(self) -> None:
        """What is to be done as time passes."""
        if self.session.shared:
            self._stay_in_touch()
        self.tracker.look_at_the_clock()

    def _stay_in_touch(self) -> None:
        """Show the store that the event loop runs; fetch nothing while the store is out of reach.

        Others may take over what a worker holds that they hear nothing of for
        RESUME_ORPHAN_TIMEOUT: it stops fetching before that.
        """
        self.job.show_life()
        silence = time.monotonic() - self.committer.in_touch_at
        out_of_touch = silence > self.settings.orphan_timeout_seconds * SILENCE_SHARE
        self.tracker.hold("out of touch", out_of_touch)

    def _obey(self, orders: Orders) -> None:
        """People have told this run something."""
        if orders.stop and not self.inflight.closing:
            logger.info("The crawl is stopped, as `scrapy resume stop` asks")
            self.inflight.close_spider("shutdown")
        if orders.retried:
            self.hosts.ask_all_again()
        if orders.changed:
            self.fleet.slots.look_everywhere()
            self.committer.hurry()
