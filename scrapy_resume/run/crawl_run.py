"""One run of a job: its parts, and what it does while it goes on."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.engine.hooks import EngineHooks
from scrapy_resume.events.signal_sender import COMMIT
from scrapy_resume.model import JobKey, State
from scrapy_resume.run.assembly import assemble
from scrapy_resume.run.orders import Listener
from scrapy_resume.run.shutdown import Shutdown

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response

    from scrapy_resume.run.assembly import CrawlPlan
    from scrapy_resume.store.contract import Batch, Committed, Orders

logger = logging.getLogger("scrapy_resume")

EVERY_RUN_SECONDS: Final = 5.0
"""How long a resumed run keeps everything back for what comes first in every run. It may never
come: a callback yielded it in an earlier run, or ``start()`` waits for something itself."""

SILENCE_SHARE: Final = 0.5
"""Of RESUME_ORPHAN_TIMEOUT: how long a worker goes on fetching without a word from the store."""


class CrawlRun:
    """One run of a job. It fills the batches for the store and reads the answers (see
    ``commits.committer.CommitParticipant``); how it ends is up to ``shutdown``."""

    def __init__(self, plan: CrawlPlan) -> None:
        self.opened_at = time.monotonic()
        """When the job was opened: the parts take a while."""
        self.crawler = plan.crawler
        self.settings = plan.settings
        self.codec = plan.codec
        self.job = plan.job
        self.session = plan.job.session
        self.start_failed = False
        """``start()`` raised."""
        parts = assemble(plan, self)
        self.parts = parts
        self.tracker = parts.tracker
        self.committer = parts.committer
        self.listeners = parts.listeners
        self.listener = Listener(self.job, parts.thread, self._obey)
        timed = (parts.workers, parts.delayed, parts.breakers, self.listener)
        self.shutdown = Shutdown(plan, parts, timed)
        self.hooks = EngineHooks(
            parts.tracker,
            parts.dispatcher,
            parts.committer,
            parts.engine,
            plan.settings.ignored_http_codes,
            self.shutdown.forced_shutdown,
        )

    # ---- opening

    def begin(self) -> None:
        """The event loop runs: what the store answers can be heard.

        Called before anything that the spider closes for may happen: ``start()`` may raise
        before the scheduler is opened, and the scheduler is closed all the same.
        """
        self.parts.clock.attach()
        self.shutdown.watch()

    def attach(self) -> None:
        """The engine is there: watch it. Called in the event loop."""
        engine = self.crawler.engine
        assert engine is not None
        self.hooks.attach(engine)
        self.parts.breakers.restore(self.session.hosts)
        if self.parts.frontier.awaits_every_run:
            self.parts.clock.call_later(EVERY_RUN_SECONDS, self.tracker.stop_awaiting_every_run)
        self.parts.cookies.attach(engine, self.session.state.cookies)

    def tell_what_was_left(self) -> None:
        """Events that earlier runs did not tell, and that the job was opened."""
        session = self.session
        before = JobKey(session.job.name, session.job.number - 1)
        sender = self.parts.signal_sender
        sender.tell_of(
            before,
            session.events.of_previous_job,
            lambda event: self.shutdown.forget(before, event),
        )
        sender.tell(session.events.of_job)

    # ---- batches on their way to the store, for the committer

    def complete(self, batch: Batch) -> None:
        """Add what belongs to a batch that is about to go."""
        parts = self.parts
        parts.sync.release_blocked(batch)
        if batch.arrivals or batch.finishes or batch.releases:
            # What a callback yields may need the session that its response has just opened.
            parts.state.add_to(batch)
        parts.sync.complete(batch)
        parts.custom_stats.complete(batch, self._progress)
        batch.events.delivered = parts.signal_sender.take_told()
        batch.events.wanted = parts.signal_sender.wanted()
        notices = parts.breakers.take_events()
        wanted = batch.events.wanted
        batch.events.notices = [notice for notice in notices if notice["event"] in wanted]
        parts.listeners.complete(batch)

    def answered(self, batch: Batch, answer: Committed) -> None:
        """The batch is kept."""
        self.parts.sync.answered(batch, answer)
        self.listeners.committed(batch, answer)
        self.parts.signal_sender.tell(answer.events)
        if COMMIT in batch.events.wanted:
            self.parts.signal_sender.commit_done(answer.counts)

    def _progress(self) -> dict[str, Any]:
        """What a spider's ``resume_total`` is given."""
        counts = self.tracker.counts
        return {
            "job": str(self.session.job),
            "requests": {**{state: getattr(counts, state) for state in State.__members__}},
            "items": {"stored": counts.items_stored},
            "metadata": dict(self.settings.metadata),
        }

    def last_batch_committed(
        self, batch: Batch, answer: Committed | None, status: str, reason: str
    ) -> None:
        """What a forced shutdown has sent is kept."""
        self.listeners.last_batch_committed(batch, answer, status, reason)

    def store_unavailable(self) -> None:
        """The store was tried in vain."""
        self.shutdown.limit_closing()

    def store_failed(self, error: Exception) -> None:
        """The store takes nothing any more."""
        self.shutdown.stop_timers()
        self.tracker.store_failed()
        self.shutdown.store_failed(error)
        self.parts.signal_sender.stop()
        self.listeners.abandon_feeds()

    def note_cookies(self, request: Request, response: Response) -> None:
        """A response has come: if it sets cookies, its jar is written with the next finish."""
        if b"Set-Cookie" in response.headers:
            self.parts.cookies.changed(request.meta.get("cookiejar"))

    # ---- every second or so

    def look_around(self) -> None:
        """What is to be done as time passes."""
        if self.session.sharing.shared:
            self._stay_in_touch()
        self.tracker.close_if_only_delayed()

    def _stay_in_touch(self) -> None:
        """Show the store that the event loop runs; fetch nothing while the store is out of reach.

        Others may take over what a worker holds that they hear nothing of for
        RESUME_ORPHAN_TIMEOUT: it stops fetching before that.
        """
        self.job.show_life()
        silence = self.parts.clock.monotonic() - self.committer.in_touch_at
        out_of_touch = silence > self.settings.orphan_timeout_seconds * SILENCE_SHARE
        if out_of_touch:
            self.tracker.hold_dispatch("out of touch")
        else:
            self.tracker.resume_dispatch("out of touch")

    def _obey(self, orders: Orders) -> None:
        """People have told this run something."""
        if orders.stop and not self.parts.engine.closing:
            logger.info("The crawl is stopped, as `scrapy resume stop` asks")
            self.parts.engine.close_spider("shutdown")
        if orders.retried:
            self.parts.breakers.reset_all()
        if orders.changed:
            self.parts.workers.slots.refill_empty_slots()
            self.committer.send_soon()
