"""One run of a job: its parts, put together, and what it does while it goes on."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from scrapy.dupefilters import RFPDupeFilter
from scrapy.utils.asyncio import call_later
from scrapy.utils.misc import build_from_crawler

from scrapy_resume.audience import Audience
from scrapy_resume.backoff import Backoff
from scrapy_resume.cookies import Cookies
from scrapy_resume.ending import Ending
from scrapy_resume.exchange import Exchange
from scrapy_resume.fleet import Fleet
from scrapy_resume.frontier import Frontier
from scrapy_resume.handout import HandOut
from scrapy_resume.hosts import Hosts
from scrapy_resume.inflight import Inflight
from scrapy_resume.intake import Intake
from scrapy_resume.itembook import ItemBook
from scrapy_resume.ledger import Ledger
from scrapy_resume.metrics import Metrics
from scrapy_resume.model import JobKey, State
from scrapy_resume.orders import Listener
from scrapy_resume.outbox import Outbox
from scrapy_resume.robotsgate import RobotsGate
from scrapy_resume.spiderstate import SpiderState
from scrapy_resume.storethread import StoreThread, post_to_loop
from scrapy_resume.telling import COMMIT, Teller
from scrapy_resume.waiting import Waiting

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from scrapy_resume.codec import Codec
    from scrapy_resume.rows import Row
    from scrapy_resume.settings import QueueOrder, ResumeSettings
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
        self.items = ItemBook(session.job, self.codec, crawler.stats, settings.item_key)
        self.waiting = Waiting(settings.retry_wait_seconds)
        self.hand_out = HandOut(job, self.frontier, self.waiting)
        self.fleet = Fleet(session, self.frontier, self.hand_out, slot_delay_seconds)
        self.hosts = Hosts(settings, crawler.settings, self.frontier, crawler.stats, session.hosts)
        self.ledger = Ledger(
            session.counts,
            self.frontier,
            self.hand_out,
            self.items,
            self.fleet,
            settings.ignored_http_codes,
        )
        self.thread = StoreThread(f"scrapy-resume {session.job}")
        self.outbox = Outbox(job, self.thread, self, settings.commit_interval_seconds)
        self.listener = Listener(job, self.thread, self._obey)
        self.metrics = Metrics(crawler.stats, crawler.spider, session.expected_total)
        self.teller = Teller(crawler, session.job)
        self.audience = Audience(session, self.ledger)
        self.inflight = Inflight(self.ledger, self.hand_out, self.outbox, self._cancelled)
        self.intake = self._build_intake(order)
        self._exchange = self._build_exchange()
        self.ending = self._build_ending()
        self._connect_ledger()

    def _build_frontier(self, order: QueueOrder) -> Frontier:
        settings = self.crawler.settings
        frontier = Frontier(
            concurrency=settings.getint("CONCURRENT_REQUESTS"),
            by_slot=order.by_slot,
            pending=self.session.pending,
            owns_slots=self.session.slots_owned,
        )
        frontier.awaits_every_run = self.session.every_run
        if settings.getbool("ROBOTSTXT_OBEY"):
            frontier.robots = RobotsGate()
        return frontier

    def _build_intake(self, order: QueueOrder) -> Intake:
        settings = self.settings
        return Intake(
            self.crawler,
            self.session,
            self.codec,
            order,
            self.frontier,
            self.hand_out,
            self.outbox,
            self._duplicate_log(self.crawler),
            Backoff(settings.retry_delay_seconds, settings.retry_delay_max_seconds),
        )

    def _build_exchange(self) -> Exchange:
        return Exchange(
            self.ledger,
            self.frontier,
            self.hand_out,
            self.fleet,
            self.hosts,
            self.intake,
            self.outbox,
            self.state.add_to,
        )

    def _build_ending(self) -> Ending:
        return Ending(
            self.crawler,
            self.settings,
            self.job,
            self.ledger,
            self.outbox,
            self.thread,
            self.inflight,
            self.state,
            self.audience,
            self.metrics,
            self.teller,
            timed=(self.fleet, self.waiting, self.hosts, self.listener),
        )

    def _connect_ledger(self) -> None:
        ledger = self.ledger
        ledger.outbox = self.hand_out.outbox = self.items.outbox = self.outbox
        self.fleet.outbox = self.outbox
        ledger.intake = self.intake
        ledger.decode = self._decode
        ledger.on_gave_up = self.ending.store_gave_up
        ledger.hosts = self.hand_out.hosts = self.hosts
        self.hosts.ask = self.waiting.ask = self.outbox.hurry
        self.waiting.hosts_due = lambda: self.hosts.next_due
        self.waiting.close = self.inflight.close_spider
        self.teller.hold = lambda held: ledger.hold("events wait for their handlers", held)

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
        self.outbox.on_out = self.ending.limit_closing
        self.hosts.begin()
        if self.frontier.awaits_every_run:
            call_later(EVERY_RUN_SECONDS, self.ledger.stop_awaiting_every_run)
        self.cookies.attach(engine, self.session.cookies)

    def tell_what_was_left(self) -> None:
        """Events that earlier runs did not tell, and that the job was opened."""
        session = self.session
        before = JobKey(session.job.name, session.job.number - 1)
        self.teller.tell_of(
            before, session.untold_before, lambda event: self.ending.forget(before, event)
        )
        self.teller.tell(session.events)

    # ---- batches on their way to the store, for the outbox

    def complete(self, batch: Batch) -> None:
        """Add what belongs to a batch that is about to go."""
        self._exchange.complete(batch)
        self.metrics.complete(batch, self._progress)
        batch.told = self.teller.take_told()
        batch.wanted = self.teller.wanted()
        notices = self.hosts.take_events()
        batch.notices = [notice for notice in notices if notice["event"] in batch.wanted]
        self.audience.complete(batch)

    def answered(self, batch: Batch, answer: Committed) -> None:
        """The batch is kept."""
        self._exchange.answered(batch, answer)
        self.audience.committed(batch, answer)
        self.teller.tell(answer.events)
        if COMMIT in batch.wanted:
            self.teller.commit_done(answer.counts)

    def _progress(self) -> dict[str, Any]:
        """What a spider's ``resume_total`` is given."""
        counts = self.ledger.counts
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
        self.audience.kept_last_words(batch, answer, status, reason)

    def gave_up(self, error: Exception) -> None:
        """The store takes nothing any more."""
        self.ending.stop_timers()
        self.ledger.gave_up(error)
        self.teller.stop()
        self.audience.abandon_feeds()

    def note_cookies(self, request: Request, response: Response) -> None:
        """A response has come: if it sets cookies, its jar is written with the next finish."""
        if b"Set-Cookie" in response.headers:
            self.cookies.changed(request.meta.get("cookiejar"))

    # ---- every second or so

    def look_around(self) -> None:
        """What is to be done as time passes."""
        if self.session.shared:
            self._stay_in_touch()
        self.ledger.look_at_the_clock()

    def _stay_in_touch(self) -> None:
        """Show the store that the event loop runs; fetch nothing while the store is out of reach.

        Others may take over what a worker holds that they hear nothing of for
        RESUME_ORPHAN_TIMEOUT: it stops fetching before that.
        """
        self.job.show_life()
        silence = time.monotonic() - self.outbox.in_touch_at
        out_of_touch = silence > self.settings.orphan_timeout_seconds * SILENCE_SHARE
        self.ledger.hold("out of touch", out_of_touch)

    def _obey(self, orders: Orders) -> None:
        """People have told this run something."""
        if orders.stop and not self.inflight.closing:
            logger.info("The crawl is stopped, as `scrapy resume stop` asks")
            self.inflight.close_spider("shutdown")
        if orders.retried:
            self.hosts.ask_all_again()
        if orders.changed:
            self.fleet.slots.look_everywhere()
            self.outbox.hurry()
