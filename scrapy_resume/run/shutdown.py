"""How a run ends: in good order, by force, or because its store is out."""

from __future__ import annotations

import atexit
import contextlib
import logging
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from scrapy.utils.asyncio import call_later
from scrapy.utils.defer import maybe_deferred_to_future
from scrapy.utils.reactor import is_reactor_installed
from twisted.internet.defer import Deferred

from scrapy_resume.errors import LeaseLostError, ResumeError, StateNotRecordableError
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import Closing

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.utils.asyncio import CallLaterResult

    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.commits.store_thread import StoreThread
    from scrapy_resume.engine.hooks import EngineHooks
    from scrapy_resume.engine.spider_state import SpiderState
    from scrapy_resume.events.commit_listeners import CommitListeners
    from scrapy_resume.events.signal_sender import SignalSender
    from scrapy_resume.model import JobKey
    from scrapy_resume.reporting.custom_stats import CustomStats
    from scrapy_resume.settings.parse import ResumeSettings
    from scrapy_resume.store.contract import JobStore
    from scrapy_resume.tracking.tracker import Tracker

logger = logging.getLogger("scrapy_resume")

T = TypeVar("T")

LAST_SECONDS: Final = 0.2
"""Between two times that a run which is about to close asks whether it is the last one."""

LAST_SHARE: Final = 1.25
"""Of RESUME_ORPHAN_TIMEOUT: after so long each of the others was heard, or is dead."""

LAST_WORDS_SECONDS: Final = 5.0
"""A forced shutdown waits at most so long for what is committed last."""


class Timed(Protocol):
    """A part that does things as time passes."""

    def end(self) -> None:
        """The run is about to end: do nothing any more."""


class Shutdown:
    """The end of one run, and what it has to wait for."""

    def __init__(
        self,
        crawler: Crawler,
        settings: ResumeSettings,
        job: JobStore,
        tracker: Tracker,
        committer: Committer,
        thread: StoreThread,
        inflight: EngineHooks,
        state: SpiderState,
        listeners: CommitListeners,
        metrics: CustomStats,
        signal_sender: SignalSender,
        timed: Sequence[Timed],
    ) -> None:
        self._crawler = crawler
        self._settings = settings
        self._job = job
        self._tracker = tracker
        self._committer = committer
        self._thread = thread
        self._inflight = inflight
        self._state = state
        self._listeners = listeners
        self._metrics = metrics
        self._signal_sender = signal_sender
        self._timed = timed
        self.closed = False
        """The job was given up, in good order or not."""
        self.trouble: Exception | None = None
        """Why the store took nothing any more; ``None``: it did to the end."""
        self._drain_failed = False
        """The store did not answer in time when the spider closed."""
        self._patience: CallLaterResult | None = None
        self._trigger: Any = None
        self._abandon = weakref.finalize(crawler, job.abandon)
        self._abandon.atexit = False

    def watch(self) -> None:
        """From here on a sudden end of the process is noticed."""
        atexit.register(self._at_exit)
        if is_reactor_installed():
            reactor = _reactor()
            # "during": a shutdown that lets crawls end in good order waits for them before.
            self._trigger = reactor.addSystemEventTrigger(
                "during", "shutdown", self._forced_shutdown_deferred
            )

    def stop_timers(self) -> None:
        """Nothing is done any more because time passes."""
        for part in self._timed:
            part.end()

    def forget(self, key: JobKey, event: int) -> Deferred[None]:
        """An event was told of a job that this run does not own (any more). Fires in any case."""
        store = open_location(self._settings.store)
        ended: Deferred[None] = Deferred()

        def failed(error: Exception) -> None:
            logger.warning("Handlers will be told of an event of %s again: %s", key, error)
            _settle(ended, None)

        self._thread.submit(
            lambda: store.delete_events(key, [event]),
            lambda _: _settle(ended, None),
            failed,
            lambda error: logger.warning("%s", error),
        )
        return ended

    async def is_last(self) -> bool:
        """Whether no other worker is on the job: the last one delivers the feeds.

        When nothing is left of the job, waits until each of the others has found that out too,
        or is known to be dead; no longer than that takes.
        """
        if not self._job.session.sharing.shared:
            return True
        patience_seconds = LAST_SHARE * self._settings.orphan_timeout_seconds
        deadline = time.monotonic() + patience_seconds
        while (last := await self._asked(self._job.is_last)) is None:
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

        self._thread.submit(
            call,
            lambda value: _settle(answer, value),
            failed,
            lambda error: logger.warning("%s", error),
        )
        timer = call_later(self._settings.close_timeout_seconds, self._thread.give_up_soon)
        value = await maybe_deferred_to_future(answer)
        timer.cancel()
        return value

    async def close_feeds(self, *, last: bool) -> bool:
        """Deliver the feeds, with all that is committed. Returns whether each of them is whole.

        Where others go on with the job, it is left to them.
        """
        if self._listeners.feeds is None:
            return True
        deliver = self._listeners.feeds.close if last else self._listeners.feeds.leave
        whole = await deliver(self._settings.close_timeout_seconds)
        return await self.drain() and whole

    async def drain(self) -> bool:
        """Wait until all is committed, once as long as RESUME_CLOSE_TIMEOUT.

        Returns whether it is. The state beside the items is written too, as it is now.
        """
        if self._drain_failed or self._committer.sealed:
            return False
        with_state = self._committer.note()
        try:
            self._state.add_to(with_state)
        except StateNotRecordableError as error:
            self._committer.fail(error)
            return False
        self._drain_failed = not await self._committer.kept(self._settings.close_timeout_seconds)
        if self._drain_failed:
            self._thread.give_up_soon()
        return not self._drain_failed

    def limit_closing(self) -> None:
        """The store is out. A spider that closes then may wait for callbacks that wait for
        room, long before ``drain``: they get it when the store is given up."""
        if self._patience is None and self._inflight.closing:
            timeout_seconds = self._settings.close_timeout_seconds
            self._patience = call_later(timeout_seconds, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        if self._committer.out_since is not None:
            self._thread.give_up_soon()

    def store_gave_up(self, error: Exception) -> None:
        """The store takes nothing any more: close the spider."""
        self.trouble = error
        logger.error(
            "%s. The spider is closed; what was not committed is fetched again by the next run.",
            error,
            exc_info=None if isinstance(error, ResumeError) else error,
        )
        self._inflight.close_spider(_reason_of(error))

    def forced_shutdown(self) -> None:
        """The process is being torn down: keep what is whole, and let go of the job."""
        if self.closed or not self._tracker.freeze():
            return
        self.closed = True
        self.stop_timers()
        self._abandon.detach()
        self._listeners.abandon_feeds()
        self._signal_sender.stop()
        self._committer.last_words(self._closing("paused", "shutdown", announce=False))

    def _at_exit(self) -> None:
        """The interpreter ends, and nobody has closed the job: there is no reactor to tell."""
        self.forced_shutdown()
        self._thread.join(LAST_WORDS_SECONDS)

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
        self._thread.when_stopped(lambda: _settle(ended, None))
        call_later(LAST_WORDS_SECONDS, _settle, ended, None)
        return ended

    async def close(self, status: str, reason: str) -> str | None:
        """Write the end of the run. Returns the status that was kept.

        ``None``: it could not be written; the next run recovers the job.
        """
        if self.closed:
            return None
        self.closed = True
        self.stop_timers()
        self._committer.seal()
        self._abandon.detach()
        self._unhook()
        if self._patience is not None:
            self._patience.cancel()
        if isinstance(self.trouble, LeaseLostError):
            self._thread.stop()
            self._job.abandon()
            self._listeners.ended(None, reason, self._tracker.counts)
            return None
        await self._signal_sender.finish(self._settings.close_timeout_seconds)
        closing = self._closing(
            status, reason, announce="job_closed" in self._signal_sender.wanted()
        )
        kept = await self._asked(lambda: self._job.close(closing))
        if kept is not None and (note := self._job.closed) is not None:
            self._signal_sender.tell([note])
            await self._signal_sender.finish(self._settings.close_timeout_seconds)
            if note.id in self._signal_sender.take_told():
                self._thread.give_up_soon()
                await maybe_deferred_to_future(self.forget(self._job.session.job, note.id))
        self._signal_sender.stop()
        self._thread.stop()
        self._listeners.ended(kept, reason, self._tracker.counts)
        return kept

    def _closing(self, status: str, reason: str, *, announce: bool) -> Closing:
        return Closing(
            status,
            reason,
            self._stats(),
            self._metrics.changed_custom(),
            self._signal_sender.take_told(),
            announce,
        )

    def _stats(self) -> dict[str, object]:
        stats = self._crawler.stats
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
