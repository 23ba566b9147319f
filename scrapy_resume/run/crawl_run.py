"""One run of a job: what it does when the crawl begins, with each batch, and as time passes."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any

from scrapy_resume.engine.hooks import EngineHooks
from scrapy_resume.events.signal_sender import COMMIT
from scrapy_resume.events.step_events import step_signals
from scrapy_resume.frontier.every_run import AWAITED_SECONDS
from scrapy_resume.model import JobKey, State
from scrapy_resume.ports.clock import elapsed_seconds
from scrapy_resume.reporting.progress import counts_at_end
from scrapy_resume.run.assembly import assemble
from scrapy_resume.run.backups import Backups
from scrapy_resume.run.job_error import JobErrors
from scrapy_resume.run.order_polling import OrderPolling
from scrapy_resume.run.refuse import tell_without_log
from scrapy_resume.run.shutdown import Shutdown
from scrapy_resume.run.spider_metadata import SpiderMetadata
from scrapy_resume.settings.table import parse_setting
from scrapy_resume.steps.held import STEP_MISSING
from scrapy_resume.steps.hung import STEPS_HANG
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import EventNote
from scrapy_resume.tracking.held import REASON as CALLBACK_MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scrapy import Request
    from scrapy.http import Response

    from scrapy_resume.model import UnitState
    from scrapy_resume.run.assembly import CrawlPlan
    from scrapy_resume.store.contract import Batch, Committed, Orders
    from scrapy_resume.store.contract.copies import OwnCopy

logger = logging.getLogger("scrapy_resume")


class CrawlRun:
    """One run of a job. It is the ``commits.committer.CommitParticipant``: it completes the batches
    for the store and reads the answers. ``shutdown`` ends it."""

    def __init__(self, plan: CrawlPlan) -> None:
        self.opened_at = elapsed_seconds()
        """When the job was opened, on the monotonic clock: before the parts were built."""
        self.crawler = plan.crawler
        self.settings = plan.settings
        self.codec = plan.codec
        self.job = plan.job
        self.session = plan.job.session
        self.named_units: Mapping[UnitState, int] | None = None
        """How many named units of the job are in each state; ``None``: to be asked."""
        parts = assemble(plan, self)
        self.parts = parts
        self.tracker = parts.tracker
        self.committer = parts.committer
        self.listeners = parts.listeners
        assert plan.crawler.spider is not None
        self.metadata = SpiderMetadata(
            plan.crawler.spider,
            parse_setting("RESUME_METADATA", plan.crawler.settings),
            plan.settings.metadata,
        )
        self.order_polling = OrderPolling(self.job, parts.thread, self._execute)
        self.backups = Backups(
            self._keep_copy, plan.settings.backup_seconds, parts.clock, plan.crawler.stats
        )
        timed = (
            parts.workers,
            parts.delayed,
            parts.breakers,
            parts.steps,
            self.order_polling,
            self.backups,
            *(() if parts.fleet_fetches is None else (parts.fleet_fetches,)),
        )
        self.errors = JobErrors()
        self.shutdown = Shutdown(plan, parts, timed, self.errors)
        self.hooks = EngineHooks(
            parts.tracker,
            parts.dispatcher,
            parts.committer,
            parts.engine,
            parts.guard,
            plan.settings.ignored_http_codes,
            self.shutdown.torn_down,
            parts.clock.post,
        )

    # ---- opening

    def begin(self) -> None:
        """Attach the clock to the running event loop, and watch for a sudden end of the process.

        Called when the scheduler is built, before the spider can be closed: if ``start()`` raises,
        the scheduler is closed without having been opened.
        """
        self.parts.clock.attach()
        self.shutdown.watch()

    def attach(self) -> None:
        """Attach the hooks to the engine, and restore breakers and cookies. Called in the event
        loop. Raises ``ScrapyChangedError``."""
        engine = self.crawler.engine
        assert engine is not None
        self.hooks.attach(engine)
        self.parts.hold.attach(engine)
        self.parts.download.attach(engine)
        hosts = self.parts.store_time.hosts_from_store(self.session.hosts)
        self.parts.breakers.restore(hosts)
        if self.parts.frontier.every_run.awaited:
            self.parts.clock.call_later(AWAITED_SECONDS, self.tracker.stop_awaiting_every_run)
        self.parts.cookies.attach(engine, self.session.state.cookies)

    def exact_stats(self) -> dict[str, int]:
        """Counters of Scrapy that the store knows better than the stats of a run that died: what
        it had in flight was counted, and is done again. Empty after any other end, and with
        RESUME_ITEM_KEY, where items that were scraped update one another."""
        done_again = self.session.crashed or self.session.taken_over
        if not done_again or self.settings.item_key is not None:
            return {}
        return {"item_scraped_count": self.session.counts.items_stored}

    @property
    def held_reason(self) -> str | None:
        """The close reason of a run that has nothing left but what it has no code for, or steps
        without a place; ``None``: it holds nothing."""
        steps = self.parts.steps
        if self.tracker.lacks_code or steps.held.by_missing_code:
            return CALLBACK_MISSING
        if steps.missing:
            return STEP_MISSING
        return STEPS_HANG if steps.hangs else None

    def log_held(self) -> None:
        """Log what is held, and what to do."""
        if self.tracker.lacks_code:
            self.tracker.held.log(str(self.session.job))
        steps = self.parts.steps
        steps.held.log(steps.missing, steps.plan.by_name.keys())
        if steps.hangs:
            steps.hung.log()

    def start_backups(self) -> None:
        """Begin to keep copies of the job; a job that was crawled before has one at once if its
        last one is too old."""
        if self.settings.backup_seconds:
            copied_at = open_location(self.settings.store).copied_at(self.session.job)
            age = math.inf if copied_at is None else time.time() - copied_at
            self.backups.start(0.0 if self.session.began else age)

    def _keep_copy(self, is_stopped: Callable[[], bool]) -> OwnCopy | None:
        store = open_location(self.settings.store)
        return store.keep_copy(self.session.job, self.session.epoch, is_stopped)

    def send_undelivered_events(self) -> None:
        """Send the events that earlier runs did not deliver, then that the job was opened."""
        session = self.session
        before = JobKey(session.job.name, session.job.number - 1)
        sender = self.parts.signal_sender
        sender.send_for_job(
            before,
            session.events.of_previous_job,
            lambda event: self.shutdown.delete_event(before, event),
        )
        sender.send(session.events.of_job)

    # ---- batches on their way to the store, for the committer

    def complete(self, batch: Batch) -> None:
        """Complete a batch that is about to be sent: leases to ask for, state, records of feeds."""
        parts = self.parts
        parts.sync.release_blocked(batch)
        if batch.arrivals or batch.finishes or batch.releases:
            # What a callback yields may need the session that its response has just opened.
            parts.state.add_to(batch)
        parts.sync.complete(batch)
        parts.store_time.to_store(batch)
        parts.custom_stats.complete(batch, self._progress)
        self.metadata.complete(batch)
        batch.progress.named_units_wanted = self.named_units is None
        batch.events.delivered = parts.signal_sender.take_delivered()
        batch.events.wanted = parts.signal_sender.wanted()
        batch.events.logged = bool(self.settings.event_log)
        notices = parts.breakers.take_events()
        wanted = batch.events.wanted
        batch.events.notices = [notice for notice in notices if notice["event"] in wanted]
        batch.drops_item_duplicates = self.settings.item_duplicates == "drop"
        parts.listeners.complete(batch)

    def answered(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed."""
        store_time = self.parts.store_time
        if store_time.answered(answer.now, self.committer.in_touch_at):
            self.parts.breakers.store_again()
        store_time.from_store(answer)
        self.parts.sync.answered(batch, answer)
        self.parts.guard.answered()
        if answer.named_units is not None:
            self.named_units = answer.named_units
        self.listeners.committed(batch, answer)
        self.parts.signal_sender.send(answer.events)
        if signalled := step_signals(batch, answer):
            self.parts.signal_sender.send([EventNote(0, signalled)])
        if COMMIT in batch.events.wanted:
            self.parts.signal_sender.commit_done(answer.counts)

    def _progress(self) -> dict[str, Any]:
        """The argument of a spider's ``resume_total``."""
        counts = self.tracker.counts
        return {
            "job": str(self.session.job),
            "requests": {**{state: getattr(counts, state) for state in State.__members__}},
            "items": {"stored": counts.items_stored},
            "metadata": dict(self.metadata.values),
        }

    def last_batch_committed(
        self, batch: Batch, answer: Committed | None, status: str, reason: str
    ) -> None:
        """A forced shutdown has closed the job. Called on the store thread."""
        self.listeners.last_batch_committed(batch, answer, status, reason)
        counts = self.tracker.counts if answer is None else answer.counts
        line = (
            f"Job {self.session.job} is {status} (forced shutdown): {counts_at_end(counts)}. Its "
            "feeds may lack the latest items. Run the same command again to resume it and to "
            "complete them"
        )
        logger.warning("%s", line)
        tell_without_log(self.crawler.settings, line)

    def store_unavailable(self) -> None:
        """The store did not answer; the committer retries."""
        self.shutdown.limit_closing()

    def store_failed(self, error: Exception) -> None:
        """Nothing more can be committed: stop all work and close the spider."""
        self.shutdown.stop_timers()
        self.tracker.store_failed()
        self.shutdown.store_failed(error)
        self.parts.guard.lose()
        self.parts.signal_sender.stop()
        self.listeners.abandon_feeds()

    def response_received(self, request: Request, response: Response) -> None:
        """If the response sets cookies, store its cookie jar with the next finish or release."""
        if b"Set-Cookie" in response.headers:
            self.parts.cookies.mark_changed(request.meta.get("cookiejar"))

    # ---- every second, or more often where workers share the job

    def tick(self) -> None:
        """Do what is due as time passes."""
        if self.session.sharing.shared:
            self.job.show_life()
            self.parts.workers.listen()
        if self.parts.guard.may_send():
            self.tracker.close_if_only_delayed()

    def _execute(self, orders: Orders) -> None:
        """Execute the orders of ``scrapy resume stop``, ``retry`` and ``park``."""
        if orders.stop and not self.parts.engine.closing:
            logger.info("The crawl is stopped, as `scrapy resume stop` asks")
            self.parts.engine.close_spider("shutdown")
        if orders.retried:
            self.parts.breakers.reset_all()
        if orders.changed:
            self.named_units = None
            self.parts.workers.slots.refill_empty_slots()
            self.committer.send_soon()
