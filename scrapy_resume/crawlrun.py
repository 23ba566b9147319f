"""One run of a job: its parts, put together and taken apart."""

from __future__ import annotations

import atexit
import contextlib
import logging
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from scrapy.dupefilters import RFPDupeFilter
from scrapy.utils.asyncio import call_later
from scrapy.utils.defer import maybe_deferred_to_future
from scrapy.utils.misc import build_from_crawler
from scrapy.utils.reactor import is_reactor_installed
from twisted.internet.defer import Deferred

from scrapy_resume.backoff import Backoff
from scrapy_resume.cookies import Cookies
from scrapy_resume.errors import (
    LeaseLostError,
    NotRecordableError,
    ResumeError,
    StateNotRecordableError,
)
from scrapy_resume.fleet import Fleet
from scrapy_resume.frontier import Frontier, RobotsGate
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
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import Closing
from scrapy_resume.storethread import StoreThread, post_to_loop
from scrapy_resume.telling import COMMIT, Teller
from scrapy_resume.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.utils.asyncio import CallLaterResult

    from scrapy_resume.codec import Codec
    from scrapy_resume.model import Counts
    from scrapy_resume.rows import Row
    from scrapy_resume.settings import QueueOrder, ResumeSettings
    from scrapy_resume.store.contract import Batch, Committed, JobStore, Orders

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")

EVERY_RUN_SECONDS: Final = 5.0
"""How long a resumed run keeps everything back for what comes first in every run. It may never
come: a callback yielded it in an earlier run, or ``start()`` waits for something itself."""

SILENCE_SHARE: Final = 0.5
"""Of RESUME_ORPHAN_TIMEOUT: how long a worker goes on fetching without a word from the store."""

LAST_SECONDS: Final = 0.2
"""Between two times that a run which is about to close asks whether it is the last one."""

LAST_SHARE: Final = 1.25
"""Of RESUME_ORPHAN_TIMEOUT: after so long each of the others was heard, or is dead."""

LAST_WORDS_SECONDS: Final = 5.0
"""A forced shutdown waits at most so long for what is committed last."""


class Feeds(Protocol):
    """The feeds of a run."""

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to go how far they have come."""

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch is kept."""

    async def close(self, timeout_seconds: float) -> bool:
        """Deliver them. Returns whether each of them is whole."""

    async def leave(self, timeout_seconds: float) -> bool:
        """Others go on with the job, and the last of them delivers the feeds: deliver what is
        this run's alone. Returns whether it is whole."""

    def abandon(self) -> None:
        """The run ends at once: write nothing more."""

    def let_go(self) -> None:
        """They are delivered, and the job is about to be completed: the next batch says so."""

    def forget(self) -> None:
        """That is committed: clear away what stands beside their files."""


class CommitObserver(Protocol):
    """Is told what is true in the store from now on. It must not raise, and not block.

    The calls come in the order of the commits; those of a forced shutdown on the store thread.
    """

    def committed(self, batch: Batch, answer: Committed) -> None:
        """A batch is kept."""

    def closed(self, status: str, reason: str, counts: Counts, pages: int) -> None:
        """The end of the run is kept: the status that the job has now, the counters of the whole
        job, and the responses of this run."""

    def end(self) -> None:
        """Nothing more is told, whether or not there was an end."""


class CrawlRun:
    """The parts of one run, from the opened job to its end."""

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
        self.observers: list[CommitObserver] = []
        self.closed = False
        """The job was given up, in good order or not."""
        self.trouble: Exception | None = None
        """Why the store took nothing any more; ``None``: it did to the end."""
        self._patience: CallLaterResult | None = None
        self.drain_failed = False
        """The store did not answer in time when the spider closed."""
        self.start_failed = False
        """``start()`` raised."""
        self.codec = codec
        self.cookies = Cookies(self.codec)
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
        self.feeds: Feeds | None = None
        """Filled by the exporter of feeds, if there are any."""
        self.inflight = Inflight(self.ledger, self.hand_out, self.outbox, self.forced_shutdown)
        self.intake = Intake(
            crawler,
            session,
            self.codec,
            order,
            self.frontier,
            self.hand_out,
            self.outbox,
            self._duplicate_log(crawler),
            Backoff(settings.retry_delay_seconds, settings.retry_delay_max_seconds),
        )
        self._connect_ledger()
        self._state_text = session.spider_state
        self._trigger: Any = None
        self._abandon = weakref.finalize(crawler, job.abandon)
        self._abandon.atexit = False

    def _build_frontier(self, order: QueueOrder) -> Frontier:
        settings = self.crawler.settings
        frontier = Frontier(
            concurrency=settings.getint("CONCURRENT_REQUESTS"),
            by_slot=order.by_slot,
            pending=self.session.pending,
            shared=self.session.shared,
            owns_slots=self.session.slots_owned,
        )
        frontier.awaits_every_run = self.session.every_run
        if settings.getbool("ROBOTSTXT_OBEY"):
            frontier.robots = RobotsGate()
        return frontier

    def _connect_ledger(self) -> None:
        ledger = self.ledger
        ledger.outbox = self.hand_out.outbox = self.items.outbox = self.outbox
        self.fleet.outbox = self.outbox
        ledger.intake = self.intake
        ledger.decode = self._decode
        ledger.snapshot = self._snapshot
        ledger.on_gave_up = self._store_gave_up
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

    def _decode(self, row: Row) -> Request:
        return self.codec.decode_request(row.url, row.payload, row.priority)

    # ---- opening

    def restore_state(self, spider: Spider) -> None:
        """Give the spider its ``state`` back: a dictionary, as with Scrapy's JOBDIR."""
        if self.session.spider_state is not None:
            spider.state = self.codec.decode_value(self.session.spider_state)  # type: ignore[attr-defined]
        elif not hasattr(spider, "state"):
            spider.state = {}  # type: ignore[attr-defined]

    def begin(self) -> None:
        """The event loop runs: what the store answers can be heard.

        Called before anything that the spider closes for may happen: ``start()`` may raise
        before the scheduler is opened, and the scheduler is closed all the same.
        """
        self.thread.attach(post_to_loop())
        atexit.register(self._at_exit)
        if is_reactor_installed():
            reactor = _reactor()
            # "during": a shutdown that lets crawls end in good order waits for them before.
            self._trigger = reactor.addSystemEventTrigger(
                "during", "shutdown", self._forced_shutdown_deferred
            )

    def attach(self) -> None:
        """The engine is there: watch it. Called in the event loop."""
        engine = self.crawler.engine
        assert engine is not None
        self.inflight.attach(engine)
        self.outbox.on_out = self._limit_closing
        self.hosts.begin()
        if self.frontier.awaits_every_run:
            call_later(EVERY_RUN_SECONDS, self.ledger.stop_awaiting_every_run)
        self.cookies.attach(engine, self.session.cookies)

    def tell_what_was_left(self) -> None:
        """Events that earlier runs did not tell, and that the job was opened."""
        session = self.session
        before = JobKey(session.job.name, session.job.number - 1)
        self.teller.tell_of(
            before, session.untold_before, lambda event: self._forget(before, event)
        )
        self.teller.tell(session.events)

    def _forget(self, key: JobKey, event: int) -> Deferred[None]:
        """An event was told of a job that this run does not own (any more)."""
        store = open_location(self.settings.store)
        ended: Deferred[None] = Deferred()

        def failed(error: Exception) -> None:
            logger.warning("Handlers will be told of an event of %s again: %s", key, error)
            _settle(ended, None)

        self.thread.submit(
            lambda: store.forget(key, [event]),
            lambda _: _settle(ended, None),
            failed,
            lambda error: logger.warning("%s", error),
        )
        return ended

    # ---- batches on their way to the store, for the outbox

    def complete(self, batch: Batch) -> None:
        """Add what belongs to a batch that is about to go."""
        self.ledger.complete(batch)
        self.metrics.complete(batch, self._progress)
        batch.told = self.teller.take_told()
        batch.wanted = self.teller.wanted()
        notices = self.hosts.take_events()
        batch.notices = [notice for notice in notices if notice["event"] in batch.wanted]
        if self.feeds is not None:
            self.feeds.complete(batch)

    def answered(self, batch: Batch, answer: Committed) -> None:
        """The batch is kept."""
        self.ledger.answered(batch, answer)
        if self.feeds is not None:
            self.feeds.committed(batch, answer)
        for observer in self.observers:
            observer.committed(batch, answer)
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
        counts = self.ledger.counts if answer is None else answer.counts
        for observer in self.observers:
            if answer is not None:
                observer.committed(batch, answer)
        self._tell_end(status, reason, counts)

    def _tell_end(self, status: str | None, reason: str, counts: Counts) -> None:
        """``None``: the end of the run could not be written."""
        if not self.session.shared:
            # What this run had leased is released with its end; on a shared store others have some.
            counts = replace(counts, pending=counts.open, leased=0)
        for observer in self.observers:
            if status is not None:
                observer.closed(status, reason, counts, self.ledger.pages)
            observer.end()

    def gave_up(self, error: Exception) -> None:
        """The store takes nothing any more."""
        self.fleet.end()
        self.waiting.end()
        self.hosts.end()
        self.listener.end()
        self.ledger.gave_up(error)
        self.teller.stop()
        self._abandon_feeds()

    def _abandon_feeds(self) -> None:
        if self.feeds is not None:
            self.feeds.abandon()

    # ---- the state beside the items

    def _snapshot(self, batch: Batch) -> None:
        """``spider.state`` and cookies as they are now, if they changed.

        At the end a batch gets them twice: what the second time finds is added to the first.
        """
        text = self._encoded_state()
        if text is not None and text != self._state_text:
            batch.spider_state = self._state_text = text
        batch.cookies.update(self.cookies.take_changes())

    def _encoded_state(self) -> str | None:
        state = getattr(self.crawler.spider, "state", None)
        if not state and self._state_text is None:
            return None
        try:
            return self.codec.encode_value(state)
        except NotRecordableError as error:
            raise StateNotRecordableError(
                f"spider.state{self._culprit(state)} cannot be written down: {error}. Keep plain "
                "values there, or register a codec for the type in RESUME_CODECS."
            ) from error

    def _culprit(self, state: Any) -> str:
        if isinstance(state, dict):
            for key, value in state.items():
                try:
                    self.codec.encode_value({key: value})
                except NotRecordableError:
                    return f"[{key!r}]"
        return ""

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
            self.frontier.look_everywhere()
            self.outbox.hurry()

    # ---- the end

    async def is_last(self) -> bool:
        """Whether no other worker is on the job: the last one delivers the feeds.

        When nothing is left of the job, waits until each of the others has found that out too,
        or is known to be dead; no longer than that takes.
        """
        if not self.session.shared:
            return True
        patience_seconds = LAST_SHARE * self.settings.orphan_timeout_seconds
        deadline = time.monotonic() + patience_seconds
        while (last := await self._asked(self.job.is_last)) is None:
            if self.trouble is not None or self.closed or time.monotonic() > deadline:
                break
            await _pause(LAST_SECONDS)
        return bool(last)

    async def _asked(self, call: Callable[[], T]) -> T | None:
        """What the end of the run asks of the store, once as long as RESUME_CLOSE_TIMEOUT.

        ``None``: there was no answer.
        """
        answer: Deferred[T | None] = Deferred()

        def failed(error: Exception) -> None:
            if self.trouble is None:
                self.trouble = error
                logger.error("The end of the run could not be written: %s", error)
            _settle(answer, None)

        self.thread.submit(
            call,
            lambda value: _settle(answer, value),
            failed,
            lambda error: logger.warning("%s", error),
        )
        timer = call_later(self.settings.close_timeout_seconds, self.thread.give_up_soon)
        value = await maybe_deferred_to_future(answer)
        timer.cancel()
        return value

    async def close_feeds(self, *, last: bool) -> bool:
        """Deliver the feeds, with all that is committed. Returns whether each of them is whole.

        Where others go on with the job, it is left to them.
        """
        if self.feeds is None:
            return True
        deliver = self.feeds.close if last else self.feeds.leave
        whole = await deliver(self.settings.close_timeout_seconds)
        return await self.drain() and whole

    async def drain(self) -> bool:
        """Wait until all is committed, once as long as RESUME_CLOSE_TIMEOUT.

        Returns whether it is. The state beside the items is written too, as it is now.
        """
        if self.drain_failed or self.outbox.sealed:
            return False
        with_state = self.outbox.note()
        try:
            self._snapshot(with_state)
        except StateNotRecordableError as error:
            self.outbox.fail(error)
            return False
        self.drain_failed = not await self.outbox.kept(self.settings.close_timeout_seconds)
        if self.drain_failed:
            self.thread.give_up_soon()
        return not self.drain_failed

    def _limit_closing(self) -> None:
        """The store is out. A spider that closes then may wait for callbacks that wait for
        room, long before ``drain``: they get it when the store is given up."""
        if self._patience is None and self.inflight.closing:
            timeout_seconds = self.settings.close_timeout_seconds
            self._patience = call_later(timeout_seconds, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        if self.outbox.out_since is not None:
            self.thread.give_up_soon()

    def _store_gave_up(self, error: Exception) -> None:
        self.trouble = error
        logger.error(
            "%s. The spider is closed; what was not committed is fetched again by the next run.",
            error,
            exc_info=None if isinstance(error, ResumeError) else error,
        )
        self.inflight.close_spider(_reason_of(error))

    def forced_shutdown(self) -> None:
        """The process is being torn down: keep what is whole, and let go of the job."""
        if self.closed or not self.ledger.freeze():
            return
        self.closed = True
        self.fleet.end()
        self.waiting.end()
        self.hosts.end()
        self.listener.end()
        self._abandon.detach()
        self._abandon_feeds()
        self.teller.stop()
        self.outbox.last_words(self._closing("paused", "shutdown", announce=False))

    def _at_exit(self) -> None:
        """The interpreter ends, and nobody has closed the job: there is no reactor to tell."""
        self.forced_shutdown()
        self.thread.join(LAST_WORDS_SECONDS)

    def _unhook(self) -> None:
        """The job is given up: what watches for a sudden end is not needed any more."""
        atexit.unregister(self._at_exit)
        if self._trigger is not None:
            reactor = _reactor()
            with contextlib.suppress(KeyError, ValueError):  # the reactor is running them now
                reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None

    def _forced_shutdown_deferred(self) -> Deferred[None] | None:
        """As ``forced_shutdown``; fires when the last words are kept. ``None``: nothing to do."""
        if self.closed:
            return None
        self.forced_shutdown()
        ended: Deferred[None] = Deferred()
        self.thread.when_stopped(lambda: _settle(ended, None))
        call_later(LAST_WORDS_SECONDS, _settle, ended, None)
        return ended

    async def close(self, status: str, reason: str) -> str | None:
        """Write the end of the run. Returns the status that was kept.

        ``None``: it could not be written; the next run recovers the job.
        """
        if self.closed:
            return None
        self.closed = True
        self.fleet.end()
        self.waiting.end()
        self.hosts.end()
        self.listener.end()
        self.outbox.seal()
        self._abandon.detach()
        self._unhook()
        if self._patience is not None:
            self._patience.cancel()
        if isinstance(self.trouble, LeaseLostError):
            self.thread.stop()
            self.job.abandon()
            self._tell_end(None, reason, self.ledger.counts)
            return None
        await self.teller.finish(self.settings.close_timeout_seconds)
        closing = self._closing(status, reason, announce="job_closed" in self.teller.wanted())
        kept = await self._asked(lambda: self.job.close(closing))
        if kept is not None and (note := self.job.closed) is not None:
            self.teller.tell([note])
            await self.teller.finish(self.settings.close_timeout_seconds)
            if note.id in self.teller.take_told():
                self.thread.give_up_soon()
                await maybe_deferred_to_future(self._forget(self.session.job, note.id))
        self.teller.stop()
        self.thread.stop()
        self._tell_end(kept, reason, self.ledger.counts)
        return kept

    def _closing(self, status: str, reason: str, *, announce: bool) -> Closing:
        return Closing(
            status,
            reason,
            self._stats(),
            self.metrics.changed_custom(),
            self.teller.take_told(),
            announce,
        )

    def _stats(self) -> dict[str, object]:
        stats = self.crawler.stats
        return dict(stats.get_stats()) if stats is not None else {}


def _reactor() -> Any:
    from twisted.internet import reactor

    return reactor


async def _pause(seconds: float) -> None:
    waited: Deferred[None] = Deferred()
    call_later(seconds, waited.callback, None)
    await maybe_deferred_to_future(waited)


def _settle(deferred: Deferred[Any], value: Any) -> None:
    if not deferred.called:
        deferred.callback(value)


def _reason_of(error: Exception) -> str:
    if isinstance(error, StateNotRecordableError):
        return "state_error"
    return "store_error"
